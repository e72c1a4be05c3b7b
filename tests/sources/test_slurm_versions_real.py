"""All versions of the API that one real slurmrestd offers tell the same."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support import debian
from tests.support.recorded import Watched
from tests.support.slurm_server import NEW, Cluster, start_slurm
from tests.support.slurm_watching import of_pipelines, poll

pytestmark = pytest.mark.schedulers


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    try:
        started = start_slurm(NEW, tmp_path_factory.mktemp("versions") / "slurm")
    except debian.Unavailable as reason:
        pytest.skip(str(reason))
    good, bad = started.submit("train", "true"), started.submit("train", "exit 1")
    array, running = started.submit("sweep", "true", "--array=1-2"), started.submit("serve", "sleep 300")
    started.submit("held", "true", "--hold")
    started.wait_for({good: "COMPLETED", bad: "FAILED", f"{array}_2": "COMPLETED", running: "RUNNING"})
    yield started
    started.stop()


@pytest.mark.parametrize("number", [42, 43, 44, 45])
def test_a_version(number: int, cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ml_exporter.sources.slurm.api.NEWEST", number)
    (tmp_path / "token").write_text(cluster.token)
    settings = {"username": "watcher", "token_file": str(tmp_path / "token"), "timeout": "20s"}
    with Watched("slurm", cluster.url, tmp_path, time.time(), settings) as watched:
        poll(watched)
        assert {path.split("/")[2] for path in (seen.path for seen in watched.client.trace)} == {f"v0.0.{number}"}
        finished = {("train", "succeeded"): 1, ("train", "failed"): 1, ("sweep", "succeeded"): 1}
        assert of_pipelines(watched, "ml_runs_finished_total") == finished
        assert of_pipelines(watched, "ml_runs_active") == {("serve", "running"): 1, ("held", "queued"): 1}
        capacity = watched.series("ml_scheduler_capacity")
        assert capacity['ml_scheduler_capacity{source="it",queue="small",resource="cpu",state="used"}'] == 1
        assert len(watched.series("ml_scheduler_heartbeat_timestamp_seconds")) == 2
