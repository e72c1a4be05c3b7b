"""The MLflow source against a real MLflow: what is told is what the server was told over REST."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from tests.support.mlflow_server import Driver, MlflowServer, start_mlflow
from tests.support.polling import Listener
from tests.support.programs import free_port

from ml_exporter.model import Dataset, Model, ModelMetric, RunState
from ml_exporter.ports import Source
from ml_exporter.sources import mlflow

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    started = start_mlflow(tmp_path_factory.mktemp("mlflow"), free_port())
    yield started
    started.stop()


@pytest.fixture(scope="module")
def with_workspaces(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    started = start_mlflow(tmp_path_factory.mktemp("workspaces"), free_port(), workspaces=True)
    yield started
    started.stop()


@dataclass
class Watch:
    """A source on a real server, with the clock in our hands."""

    server: MlflowServer
    options: dict[str, Any]
    now: float = field(default_factory=time.time)
    listener: Listener = field(default_factory=Listener)

    def __post_init__(self) -> None:
        self.driver = Driver(self.server)
        self.restart()

    def restart(self) -> None:
        self.source: Source = mlflow.create("tracking", mlflow.Options(**self.options), self.server.url)

    def poll(self, later: float = 0.0) -> Listener:
        self.now = max(self.now, time.time()) + later
        return self.listener.poll(self.source, self.driver, self.now)


def watch(server: MlflowServer, *include: str, **options: Any) -> Watch:
    watching = Watch(server, {"include": include, "metrics": {"auc": "higher", "loss": "lower"}, **options})
    watching.poll()
    return watching


def test_runs_of_every_state_and_their_metrics(server: MlflowServer) -> None:
    id_ = server.experiment("states")
    start = time.time() - 100
    runs = {
        server.run(id_, "RUNNING", start=start): RunState.RUNNING,
        server.run(id_, "SCHEDULED", start=start): RunState.QUEUED,
        server.run(id_, "FAILED", start=start, end=start + 9): RunState.FAILED,
        server.run(id_, "KILLED", start=start, end=start + 9): RunState.CANCELLED,
    }
    good = server.run(id_, start=start)
    for key, value in (("auc", 0.75), ("loss", "NaN"), ("epochs", 3.0)):
        server.metric(good, key, value)
    server.update(good, "FINISHED", end=start + 9)
    server.run(id_, "FINISHED", start=start, end=start + 9, tags={"mlflow.parentRunId": good})
    listener = watch(server, "states").listener
    assert {i: r.state for i, r in listener.runs.items()} == runs | {good: RunState.SUCCEEDED}
    assert listener.runs[good].metrics == (("auc", 0.75),)
    assert listener.runs[good].ended_at == pytest.approx(start + 9, abs=0.001)
    assert listener.backfilled == {"states"}


def test_steps_are_the_highest_whenever_they_were_logged(server: MlflowServer) -> None:
    id_ = server.experiment("steps")
    start = time.time() - 100
    by_epoch, without = (server.run(id_, start=start) for _ in range(2))
    for step in (0, 1, 4, 2, 3):
        server.metric(by_epoch, "loss", 1.0, step=step)
        server.metric(by_epoch, "system/cpu_utilization_percentage", 50.0, step=10 * step)
    server.metric(without, "loss", 1.0)
    for run in (by_epoch, without):
        server.update(run, "FINISHED", end=start + 9)
    runs = watch(server, "steps").listener.runs
    assert (runs[by_epoch].steps, runs[without].steps) == (5, None)


def test_a_run_from_start_to_end_resumed_and_ended_again(server: MlflowServer) -> None:
    id_ = server.experiment("life")
    watching = watch(server, "life")
    run = server.run(id_)
    assert watching.poll().runs[run].state is RunState.RUNNING
    server.update(run, "FAILED", end=time.time())
    assert watching.poll().runs[run].state is RunState.FAILED
    server.update(run, "RUNNING")
    assert watching.poll(600).runs[run].state is RunState.RUNNING
    server.update(run, "FINISHED", end=watching.now + 1)
    assert watching.poll(5).runs[run].state is RunState.SUCCEEDED


def test_deleted_active_runs_are_forgotten_and_lost_ends_found(server: MlflowServer) -> None:
    id_ = server.experiment("lost")
    deleted, behind, running = (server.run(id_) for _ in range(3))
    watching = watch(server, "lost")
    server.post("runs/delete", run_id=deleted)
    server.update(behind, "FINISHED", end=time.time() - 7200)
    listener = watching.poll(600)
    assert listener.forgotten == [deleted]
    assert (listener.runs[behind].state, listener.runs[running].state) == (RunState.SUCCEEDED, RunState.RUNNING)


def test_what_was_told_is_not_sent_again(server: MlflowServer) -> None:
    id_ = server.experiment("quiet")
    watching = watch(server, "quiet")
    run = server.run(id_, "FINISHED", end=time.time())
    watching.poll()
    watching.poll(30)
    assert [told.id for told in watching.listener.told] == [run]
    watching.restart()
    watching.poll(30)
    assert [told.id for told in watching.listener.told] == [run, run]


def test_experiments_born_renamed_deleted_and_restored(server: MlflowServer) -> None:
    first = server.experiment("roster-first")
    server.run(first, "FINISHED", end=time.time())
    watching = watch(server, "roster-*")
    time.sleep(0.01)
    second = server.experiment("roster-second")
    assert watching.poll().roster == {"roster-first": first, "roster-second": second}
    assert watching.listener.backfilled == {"roster-first", "roster-second"}
    server.post("experiments/update", experiment_id=second, new_name="roster-renamed")
    assert watching.poll().roster == {"roster-first": first, "roster-renamed": second}
    server.post("experiments/delete", experiment_id=first)
    assert watching.poll().roster == {"roster-renamed": second}
    server.post("experiments/restore", experiment_id=first)
    assert watching.poll().roster == {"roster-first": first, "roster-renamed": second}
    assert watching.listener.scans[-1].pipelines == {"roster-first"}


def test_history_in_small_pages_with_equal_start_times(server: MlflowServer) -> None:
    id_ = server.experiment("history")
    start = time.time() - 5000
    runs = {server.run(id_, "FINISHED", start=start + max(0, n - 12), end=start + 60) for n in range(20)}
    runs |= {server.run(id_, start=start + n) for n in range(12)}
    watching = watch(server, "history", page_size=5, backfill_pages=2)
    while not watching.listener.last.complete:
        watching.restart()
        watching.poll()
    assert watching.listener.runs.keys() == runs


def test_the_daily_pass_does_not_meet_a_deleted_run(server: MlflowServer) -> None:
    id_ = server.experiment("daily")
    kept, deleted = (server.run(id_, "FINISHED", end=time.time()) for _ in range(2))
    watching = watch(server, "daily")
    server.post("runs/delete", run_id=deleted)
    count = len(watching.listener.told)
    listener = watching.poll(86400)
    assert {run.id for run in listener.told[count:]} == {kept}
    assert (listener.scans[-1].number, listener.scans[-1].finished) == (2, True)


def register(server: MlflowServer, name: str, experiment: str) -> tuple[str, str]:
    """A run with a data set, a logged model with figures on it, and a version of a registered model."""
    run = server.run(server.experiment(experiment))
    dataset = {"name": "transactions", "digest": "abc", "source_type": "local", "source": "{}"}
    tags = [{"key": "mlflow.data.context", "value": "training"}]
    server.post("runs/log-inputs", run_id=run, datasets=[{"dataset": dataset, "tags": tags}])
    id_ = server.get("runs/get", run_id=run)["run"]["info"]["experiment_id"]
    created = server.post("logged-models", experiment_id=id_, name="m", source_run_id=run)
    logged: str = created["model"]["info"]["model_id"]
    server.metric(run, "auc", 0.9)
    server.metric(run, "auc", 0.8, model_id=logged, dataset_name="hold-out", dataset_digest="h")
    server.metric(run, "loss", "NaN", model_id=logged, dataset_name="hold-out", dataset_digest="h")
    server.post("registered-models/create", name=name)
    server.post("model-versions/create", name=name, source=f"models:/{logged}", run_id=run, model_id=logged)
    return run, logged


def model(listener: Listener, name: str) -> Model:
    (found,) = (m for m in listener.models or () if m.name == name)
    return found


def test_models_with_aliases_figures_and_data_sets(server: MlflowServer) -> None:
    run, logged = register(server, "fraud", "registry")
    server.post("registered-models/alias", name="fraud", alias="champion", version="1")
    watching = watch(server, "registry")
    found = model(watching.listener, "fraud")
    assert (found.aliases, found.statuses) == ((("champion", "1"),), (("ready", 1),))
    (version,) = found.versions
    assert (version.run_id, version.pipeline) == (run, "registry")
    assert version.dataset == Dataset("transactions", "abc")
    assert version.metrics == (ModelMetric("auc", "hold-out", 0.8),)
    server.post("model-versions/create", name="fraud", source=f"models:/{logged}", run_id=run, model_id=logged)
    server.post("registered-models/alias", name="fraud", alias="champion", version="2")
    found = model(watching.poll(120), "fraud")
    assert (found.aliases, found.statuses) == ((("champion", "2"),), (("ready", 2),))
    assert [v.version for v in found.versions] == ["2"]


def test_a_deleted_version_is_not_counted(server: MlflowServer) -> None:
    run, logged = register(server, "short", "registry-short")
    server.post("model-versions/create", name="short", source=f"models:/{logged}", run_id=run, model_id=logged)
    watching = watch(server, "registry-short")
    assert model(watching.listener, "short").statuses == (("ready", 2),)
    server.delete("model-versions/delete", name="short", version="2")
    assert model(watching.poll(120), "short").statuses == (("ready", 1),)


def test_workspaces(with_workspaces: MlflowServer) -> None:
    server = with_workspaces
    runs = {}
    for workspace in ("team-a", "team-b"):
        server.post("workspaces", api="3.0", name=workspace)
        id_ = server.experiment("train", workspace)
        runs[workspace] = server.run(id_, workspace=workspace)
        server.post("registered-models/create", workspace, name="fraud")
    watching = watch(server, "team-*")
    listener = watching.listener
    assert set(listener.roster) == {"team-a/train", "team-b/train"}
    assert {r.pipeline.name: r.id for r in listener.runs.values()} == {f"{w}/train": i for w, i in runs.items()}
    assert {m.name for m in listener.models or ()} == {"team-a/fraud", "team-b/fraud"}
    server.update(runs["team-b"], "FINISHED", end=time.time() - 7200, workspace="team-b")
    assert watching.poll(600).runs[runs["team-b"]].state is RunState.SUCCEEDED
    assert listener.runs[runs["team-a"]].state is RunState.RUNNING


def test_a_quiet_poll_is_four_calls_and_a_few_bytes(server: MlflowServer) -> None:
    watching = watch(server, "*", registry=False)
    watching.poll(400)  # past the look-back for changed experiments, and with all active runs in sight
    watching.driver.calls.clear()
    watching.poll(30)
    quiet = watching.driver.calls
    assert [call.path.rpartition("mlflow/")[2] for call, _ in quiet] == ["experiments/search"] + ["runs/search"] * 3
    assert sum(size for _, size in quiet) < 20_000
