"""The training that takes its time, on a real MLflow that keeps its runs in a file."""

from __future__ import annotations

from pathlib import Path

import pytest
from mlflow import MlflowClient

from ml_exporter.demo.pipelines import epochs
from ml_exporter.demo.pipelines.epochs import EPOCHS, PIPELINE, LongTraining

pytestmark = [
    pytest.mark.system,
    pytest.mark.filterwarnings("ignore"),  # those of MLflow's own database layer, which is in this process
]


@pytest.fixture
def client(tmp_path: Path) -> MlflowClient:
    return MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")


def runs(client: MlflowClient) -> list:
    experiment = client.get_experiment_by_name(PIPELINE)
    return client.search_runs([experiment.experiment_id]) if experiment else []


def test_it_learns_from_epoch_to_epoch() -> None:
    losses = [metrics["val_loss"] for metrics in epochs.epochs(0)]
    assert len(losses) == EPOCHS
    assert losses[-1] < losses[0]


def test_a_run_logs_its_figures_by_step_and_what_it_uses_of_the_processor(client: MlflowClient) -> None:
    during: list[str] = []
    LongTraining(client, lambda _seconds: during.extend(run.info.status for run in runs(client))).once(3)
    (run,) = runs(client)
    assert during == ["RUNNING"] * EPOCHS
    assert run.info.status == "FINISHED"
    assert [point.step for point in client.get_metric_history(run.info.run_id, "val_loss")] == list(range(EPOCHS))
    assert 0 < run.data.metrics["system/cpu_utilization_percentage"] <= 100
    assert run.data.params["seed"] == "3"


def test_what_an_earlier_demo_left_running_is_ended_before_the_next_run(client: MlflowClient) -> None:
    left = client.create_run(client.create_experiment(PIPELINE))

    class Enough(Exception):  # noqa: N818 - it ends the loop, and is no error
        pass

    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if seconds == epochs.REST:
            raise Enough

    with pytest.raises(Enough):
        LongTraining(client, sleep).go_on()
    assert client.get_run(left.info.run_id).info.status == "KILLED"
    assert sorted(run.info.status for run in runs(client)) == ["FINISHED", "KILLED"]
    assert slept == [epochs.PACE] * EPOCHS + [epochs.REST]
