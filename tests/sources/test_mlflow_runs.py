"""What counts as a run of MLflow, and what of it is believed. A fake: a real one refuses hostile data."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.fake_mlflow import NOW, FakeMlflow, server, source
from tests.support.polling import Listener

from ml_exporter.model import Run


def one_run(record: dict[str, Any], **options: Any) -> Run:
    """What is told of a run in the history that MLflow describes so."""
    fake = server()
    fake.run("r", **record)
    return Listener().poll(source(**options), fake, NOW).runs["r"]


def test_child_runs_count_only_when_wanted() -> None:
    fake = server()
    fake.run("parent", start=NOW - 20, end=NOW - 10)
    fake.run("child", start=NOW - 20, end=NOW - 10, tags={"mlflow.parentRunId": "parent"})
    assert set(Listener().poll(source(), fake, NOW).runs) == {"parent"}
    assert set(Listener().poll(source(children=True), fake, NOW).runs) == {"parent", "child"}


def test_experiments_are_chosen_by_name() -> None:
    fake = server("fraud-a", "fraud-scratch", "churn")
    for n in (1, 2, 3):
        fake.run(f"r{n}", str(n), start=NOW - 20, end=NOW - 10)
    listener = Listener().poll(source(include=("fraud-*",), exclude=("*-scratch",)), fake, NOW)
    assert listener.roster == {"fraud-a": "1"}
    assert set(listener.runs) == {"r1"}


def test_a_run_with_a_status_nobody_knows_is_left_out() -> None:
    fake = server()
    fake.run("odd", status="HIBERNATING", start=NOW - 20, end=NOW - 10)
    fake.run("fine", start=NOW - 20, end=NOW - 10)
    assert set(Listener().poll(source(), fake, NOW).runs) == {"fine"}


@pytest.mark.parametrize("time", [0, -5, 1e12])
def test_a_time_that_no_run_can_have_is_unknown(time: float) -> None:
    run = one_run({"start": time, "end": time})
    assert (run.started_at, run.ended_at) == (None, None)


def test_of_a_run_that_ends_before_it_starts_only_the_end_is_believed() -> None:
    run = one_run({"start": NOW - 10, "end": NOW - 20})
    assert (run.started_at, run.ended_at) == (None, NOW - 20)


def test_nan_and_infinite_metrics_are_left_out() -> None:
    values = {"auc": 0.9, "loss": "NaN", "acc": 1.7976931348623157e308, "f1": -1.7976931348623157e308, "x": 1.0}
    run = one_run(
        {"start": NOW - 20, "end": NOW - 10, "metrics": values},
        metrics={"auc": "higher", "loss": "lower", "acc": "higher", "f1": "higher"},
    )
    assert run.metrics == (("auc", 0.9),)


def test_utilization_is_the_mean_over_gpus_and_nodes_between_0_and_1() -> None:
    metrics = {
        "system/cpu_utilization_percentage": 50.0,
        "system/node_0/gpu_0_utilization_percentage": 100.0,
        "system/node_1/gpu_0_utilization_percentage": 50.0,
        "system/gpu_0_memory_usage_percentage": 250.0,
        "system/system_memory_usage_percentage": "NaN",
        "system/gpu_0_power_usage_watts": 300.0,
    }
    run = one_run({"status": "RUNNING", "start": NOW - 10, "metrics": metrics})
    assert dict(run.utilization) == {"cpu": 0.5, "gpu": 0.75, "gpu_memory": 1.0}


@pytest.mark.parametrize(
    ("given", "steps"),
    [
        ({"loss": 9, "val_auc": 4}, 10),
        ({"loss": 0, "val_auc": 0}, None),
        ({}, None),
        ({"loss": -3}, None),
        ({"loss": 2, "system/cpu_utilization_percentage": 500}, 3),
        ({"system/node_0/gpu_0_utilization_percentage": 500}, None),
        ({"loss": 10**30}, None),
    ],
    ids=["the highest", "none given", "no metrics", "negative", "beside the machine's", "of the machine", "hostile"],
)
def test_steps_are_the_highest_that_training_logged_by_counted_from_0(given: dict[str, int], steps: int | None) -> None:
    run = one_run({"start": NOW - 20, "end": NOW - 10, "metrics": dict.fromkeys(given, 0.5), "steps": given})
    assert run.steps == steps
    assert run.metrics == ()


def test_experiment_ids_need_not_be_numbers() -> None:
    fake = FakeMlflow(now=NOW)
    for id_ in ("7-9", "=", "007", "abc", "8"):
        fake.experiment(id_, f"e{id_}", created=NOW - 1e6)
        fake.run(f"r{id_}", id_, start=NOW - 20, end=NOW - 10)
    listener = Listener().poll(source(), fake, NOW)
    assert len(listener.backfilled) == 5
    listener.poll(source(), fake, NOW + 30)
    assert {scan.number for scan in listener.scans} == {1}  # all were known again


def test_hostile_names_are_passed_on_as_they_are() -> None:
    name = 'a"b\\c\nd{e="f"}/💥'
    fake = server(name)
    fake.run("r", start=NOW - 20, end=NOW - 10)
    assert Listener().poll(source(), fake, NOW).runs["r"].pipeline.name == name
