"""The registry side of the MLflow source, against a fake that counts requests. Times are seconds."""

from __future__ import annotations

from typing import Any

from tests.support.fake_mlflow import FakeMlflow
from tests.support.polling import Listener

from ml_exporter.model import Dataset, Model, ModelMetric, ModelVersion
from ml_exporter.ports import Source
from ml_exporter.sources import mlflow

NOW = 1_800_000_000.0
KEYS = {"auc": "higher", "loss": "lower"}


def source(**options: Any) -> Source:
    return mlflow.create("tracking", mlflow.Options(**{"metrics": KEYS, **options}), "http://mlflow:5000")


def dataset(name: str, context: str) -> dict[str, Any]:
    tags = [{"key": "mlflow.data.context", "value": context}]
    return {"dataset": {"name": name, "digest": f"d-{name}"}, "tags": tags}


def registry(versions: int = 3, *, metrics: dict[str, Any] | None = None) -> FakeMlflow:
    """Model `fraud` with versions 1, 2, …, each from run v1, v2, … and logged model m-1, m-2, …; 1 is champion."""
    fake = FakeMlflow(now=NOW)
    fake.experiment("1", "train", created=NOW - 1e6)
    aliases = [{"alias": "champion", "version": "1"}]
    fake.models.append({"name": "fraud", "last_updated_timestamp": 1, "aliases": aliases})
    for n in range(1, versions + 1):
        inputs = [dataset("hold-out", "eval"), dataset("transactions", "training")]
        fake.run(f"v{n}", start=NOW - 20, end=NOW - 10, metrics=metrics or {"auc": 0.9, "epochs": 3.0}, inputs=inputs)
        version = {"name": "fraud", "version": str(n), "creation_timestamp": 1000 * n, "run_id": f"v{n}"}
        fake.versions.append(version | {"source": f"models:/m-{n}", "status": "READY"})
    return fake


def logged(number: int, *figures: tuple[str, str, float]) -> dict[str, Any]:
    metrics = [
        {"key": key, "dataset_name": name, "value": value, "run_id": f"v{number}", "step": step}
        for step, (key, name, value) in enumerate(figures)
    ]
    info = {"model_id": f"m-{number}", "source_run_id": f"v{number}"}
    return {"model_id": f"m-{number}", "info": info, "data": {"metrics": metrics}}


def only_model(fake: FakeMlflow) -> Model:
    (model,) = Listener().poll(source(), fake, NOW).models or ()
    return model


def version(model: Model, name: str) -> ModelVersion:
    (found,) = (v for v in model.versions if v.version == name)
    return found


def test_aliased_and_newest_versions_come_with_what_trained_them() -> None:
    model = only_model(registry(12))
    assert model.aliases == (("champion", "1"),)
    assert model.statuses == (("ready", 12),)
    assert {v.version for v in model.versions} == {"1", "12"}
    newest = version(model, "12")
    assert (newest.created_at, newest.run_id, newest.pipeline) == (12.0, "v12", "train")
    assert newest.dataset == Dataset("transactions", "d-transactions")
    assert newest.metrics == (ModelMetric("auc", "", 0.9),)


def test_figures_per_data_set_are_the_last_allow_listed_ones() -> None:
    fake = registry(1)
    fake.logged.append(logged(1, ("auc", "hold-out", 0.7), ("auc", "hold-out", 0.8), ("f1", "hold-out", 0.5)))
    assert version(only_model(fake), "1").metrics == (
        ModelMetric("auc", "", 0.9),
        ModelMetric("auc", "hold-out", 0.8),
    )


def test_a_nan_that_reads_as_zero_is_left_out_and_a_true_zero_is_not() -> None:
    fake = registry(1, metrics={"auc": "NaN", "loss": 0.0})
    fake.logged.append(logged(1, ("auc", "hold-out", 0.0), ("loss", "hold-out", 0.0)))
    assert version(only_model(fake), "1").metrics == (ModelMetric("loss", "hold-out", 0.0),)


def test_a_figure_that_the_run_has_too_is_one_figure() -> None:
    fake = registry(1)
    fake.logged.append(logged(1, ("auc", "hold-out", 0.9)))
    assert version(only_model(fake), "1").metrics == (ModelMetric("auc", "hold-out", 0.9),)


def test_a_moved_alias_is_seen_though_the_model_says_that_nothing_changed() -> None:
    fake, src = registry(3), source()
    listener = Listener().poll(src, fake, NOW)
    fake.models[0]["aliases"] = [{"alias": "champion", "version": "2"}]
    listener.poll(src, fake, NOW + 120)
    (model,) = listener.models or ()
    assert model.aliases == (("champion", "2"),)
    assert {v.version for v in model.versions} == {"2", "3"}


def test_versions_are_read_again_only_for_a_model_that_changed() -> None:
    fake, src = registry(3), source()
    fake.models.append({"name": "churn", "last_updated_timestamp": 1})
    fake.versions.append({"name": "churn", "version": "1", "status": "READY"})
    listener = Listener().poll(src, fake, NOW)
    del fake.versions[0]
    fake.models[0]["last_updated_timestamp"] = 2
    fake.calls.clear()
    listener.poll(src, fake, NOW + 120)
    assert [dict(c.params)["filter"] for c in fake.calls if c.path.endswith("versions/search")] == ["name = 'fraud'"]
    assert [model.statuses for model in listener.models or ()] == [(("ready", 2),), (("ready", 1),)]


def test_a_model_whose_name_no_filter_can_hold_is_counted_too() -> None:
    fake, src = registry(1), source()
    fake.models[0]["name"] = fake.versions[0]["name"] = """it's "quoted" """
    listener = Listener().poll(src, fake, NOW)
    fake.models[0]["last_updated_timestamp"] = 2
    listener.poll(src, fake, NOW + 120)
    assert [model.statuses for model in listener.models or ()] == [(("ready", 1),)]


def test_a_model_that_is_gone_is_not_told_any_more() -> None:
    fake, src = registry(1), source()
    listener = Listener().poll(src, fake, NOW)
    fake.models.clear()
    listener.poll(src, fake, NOW + 120)
    assert listener.models == ()


def test_the_registry_is_read_at_its_interval_and_details_for_ten_minutes() -> None:
    fake, src = registry(3), source(registry_interval=120.0)
    listener = Listener().poll(src, fake, NOW)
    fake.calls.clear()
    for step in range(1, 20):
        listener.poll(src, fake, NOW + step * 30)
    by_id = [c for c in fake.calls if "run_id IN (" in (c.body or {}).get("filter", "").replace("NOT IN", "")]
    assert fake.count("registered-models/search") == 4
    assert (len(by_id), fake.count("logged-models/search"), fake.count("model-versions/search")) == (0, 0, 0)
    listener.poll(src, fake, NOW + 600)
    assert (fake.count("logged-models/search"), fake.count("model-versions/search")) == (1, 0)


def test_two_hundred_models_need_no_call_each() -> None:
    fake = registry(1)
    for n in range(2, 201):
        fake.models.append({"name": f"m{n}", "last_updated_timestamp": 1})
        fake.run(f"v{n}", start=NOW - 20, end=NOW - 10)
        fake.versions.append({"name": f"m{n}", "version": "1", "run_id": f"v{n}", "source": f"models:/m-{n}"})
    Listener().poll(source(), fake, NOW)
    assert len(fake.calls) < 15


def test_the_registry_can_be_turned_off() -> None:
    fake = registry(1)
    listener = Listener().poll(source(registry=False), fake, NOW)
    assert listener.models is None
    assert fake.count("registered-models/search") == 0


def test_the_pipeline_of_a_version_is_named_even_if_it_is_not_watched() -> None:
    fake = registry(1)
    (model,) = Listener().poll(source(exclude=("train",)), fake, NOW).models or ()
    assert version(model, "1").pipeline == "train"
