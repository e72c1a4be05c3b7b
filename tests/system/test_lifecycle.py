"""Runs, experiments and models come, change and go in a real MLflow; the series follow."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from tests.support.exporter import Exporter
from tests.support.mlflow_server import MlflowServer

pytestmark = pytest.mark.system


def test_a_run_that_is_resumed_and_finishes_again_counts_once(
    mlflow: MlflowServer, exporter: Callable[..., Exporter]
) -> None:
    experiment = mlflow.experiment("resumed")
    it = exporter(mlflow.url, include=["resumed"]).start()
    it.until_series("ml_runs_finished_total resumed failed", 0)
    run = mlflow.run(experiment, "FAILED", start=time.time() - 9, end=time.time())
    it.until_series("ml_runs_finished_total resumed failed", 1)
    it.until_series("ml_pipeline_consecutive_failures resumed", 1)
    mlflow.update(run, "RUNNING")
    it.until_series("ml_runs_active resumed running", 1)
    mlflow.update(run, "FINISHED", end=time.time())
    it.until_series("ml_runs_active resumed running", 0)
    it.until_series("ml_pipeline_consecutive_failures resumed", 0)
    series = it.series()
    assert series["ml_runs_finished_total resumed failed"] == 1
    assert series["ml_runs_finished_total resumed succeeded"] == 0
    assert "ml_run_last_finished_timestamp_seconds resumed failed" not in series
    assert time.time() - series["ml_run_last_finished_timestamp_seconds resumed succeeded"] < 30


def test_a_run_whose_clock_is_hours_off_is_counted_when_it_stops_being_active(
    mlflow: MlflowServer, exporter: Callable[..., Exporter]
) -> None:
    experiment = mlflow.experiment("skewed")
    it = exporter(mlflow.url, include=["skewed"], active_interval="2s").start()
    it.until_series("ml_source_backfill_complete", 1)
    run = mlflow.run(experiment, start=time.time() - 7200)
    ahead = mlflow.run(experiment, start=time.time() + 7200)
    it.until_series("ml_runs_active skewed running", 2)
    mlflow.update(run, "FAILED", end=time.time() - 7100)
    mlflow.update(ahead, "FINISHED", end=time.time() + 7300)
    it.until_series("ml_runs_finished_total skewed failed", 1)
    it.until_series("ml_runs_finished_total skewed succeeded", 1)
    # The clock that is ahead must not make us blind for what ends now.
    mlflow.run(experiment, "FAILED", start=time.time() - 5, end=time.time())
    it.until_series("ml_runs_finished_total skewed failed", 2)
    it.until_series("ml_runs_active skewed running", 0)


def test_a_deleted_run_leaves_the_last_success_and_stays_in_the_counter(
    mlflow: MlflowServer, exporter: Callable[..., Exporter]
) -> None:
    experiment = mlflow.experiment("deleted")
    began = time.time() - 3600
    mlflow.run(experiment, "FINISHED", start=began, end=began + 60)
    last = mlflow.run(experiment, "FINISHED", start=began + 600, end=began + 660)
    active = mlflow.run(experiment, start=time.time())
    it = exporter(mlflow.url, include=["deleted"], reconcile_interval="2s", active_interval="2s").start()
    finished = "ml_run_last_finished_timestamp_seconds deleted succeeded"
    it.until(lambda: it.series().get(finished) == pytest.approx(began + 660, abs=1), "the last success is known")
    it.until_series("ml_runs_active deleted running", 1)
    for run in (last, active):
        mlflow.post("runs/delete", run_id=run)
    it.until(lambda: it.series().get(finished) == pytest.approx(began + 60, abs=1), "the deleted run is forgotten")
    it.until_series("ml_runs_active deleted running", 0)
    assert it.series()["ml_runs_finished_total deleted succeeded"] == 2


def test_a_renamed_experiment_keeps_its_counters_and_a_deleted_one_goes(
    mlflow: MlflowServer, exporter: Callable[..., Exporter]
) -> None:
    experiment = mlflow.experiment("name-old")
    mlflow.run(experiment, "FAILED", start=time.time() - 9, end=time.time())
    it = exporter(mlflow.url, include=["name-*"]).start()
    it.until_series("ml_runs_finished_total name-old failed", 1)
    mlflow.post("experiments/update", experiment_id=experiment, new_name="name-new")
    it.until_series("ml_runs_finished_total name-new failed", 1)
    assert not [name for name in it.series() if " name-old" in name]
    mlflow.post("experiments/delete", experiment_id=experiment)
    it.until(lambda: not [name for name in it.series() if " name-new" in name], "its series are gone")
    mlflow.post("experiments/restore", experiment_id=experiment)
    it.until_series("ml_runs_finished_total name-new failed", 1)


def test_a_pipeline_born_under_our_eyes_starts_at_zero(mlflow: MlflowServer, exporter: Callable[..., Exporter]) -> None:
    mlflow.experiment("born-before")
    it = exporter(mlflow.url, include=["born-*"]).start()
    it.until_series("ml_source_backfill_complete", 1)
    time.sleep(1.5)
    experiment = mlflow.experiment("born-after")
    mlflow.run(experiment, "FAILED", start=time.time() - 1, end=time.time())
    counter = "ml_runs_finished_total born-after failed"
    it.until(lambda: counter in it.series(), "it is there")
    assert it.series()[counter] == 0
    it.until_series(counter, 1)


def test_models_aliases_and_data_sets(mlflow: MlflowServer, exporter: Callable[..., Exporter]) -> None:
    experiment = mlflow.experiment("modelled")
    run = mlflow.run(experiment, start=time.time() - 9)
    mlflow.metric(run, "auc", 0.9)
    mlflow.post(
        "runs/log-inputs",
        run_id=run,
        datasets=[
            {
                "tags": [{"key": "mlflow.data.context", "value": "training"}],
                "dataset": {"name": "claims", "digest": "d1", "source_type": "local", "source": "{}"},
            }
        ],
    )
    mlflow.update(run, "FINISHED", end=time.time())
    mlflow.post("registered-models/create", name="fraud")
    for _ in range(2):
        mlflow.post("model-versions/create", name="fraud", source=f"runs:/{run}/model", run_id=run)
    mlflow.post("registered-models/alias", name="fraud", alias="champion", version="1")
    it = exporter(mlflow.url, include=["modelled"], metrics={"auc": "higher"}, registry_interval="1s").start()
    it.until_series("ml_model_alias_info fraud champion 1", 1)
    series = it.series()
    assert series["ml_model_version_info fraud 1 modelled claims d1"] == 1
    assert series["ml_model_metric fraud 1 auc "] == 0.9
    assert series["ml_model_versions fraud ready"] == 2
    assert "ml_model_alias_changed_timestamp_seconds fraud champion" not in series
    mlflow.post("registered-models/alias", name="fraud", alias="champion", version="2")
    it.until_series("ml_model_alias_info fraud champion 2", 1)
    series = it.series()
    assert "ml_model_alias_info fraud champion 1" not in series
    assert time.time() - series["ml_model_alias_changed_timestamp_seconds fraud champion"] < 30
