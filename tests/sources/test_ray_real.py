"""The exporter on a real Ray: its series beside what Ray's own client says of the same jobs."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.debian import Unavailable
from tests.support.ray_server import CPUS, RayServer, start_ray
from tests.support.recorded import Watched

from ml_exporter.errors import Reason
from ml_exporter.sources.ray.api import JOBS
from ml_exporter.sources.ray.jobs import STATES

pytestmark = pytest.mark.schedulers

START_TIMEOUT = 75
"""Seconds that a job may wait for its resources: long enough to be seen waiting, short enough to be waited for."""


@pytest.fixture(scope="module")
def ray() -> Iterator[RayServer]:
    try:
        server = start_ray(RAY_JOB_START_TIMEOUT_SECONDS=str(START_TIMEOUT))
    except Unavailable as reason:
        pytest.skip(str(reason))
    server.submit("true", "needs-gpu-1", entrypoint_num_gpus=4)
    yield server
    server.stop()


@pytest.fixture
def watched(ray: RayServer, tmp_path: Path) -> Iterator[Watched]:
    token = tmp_path / "token"
    token.write_text(ray.token)
    settings = {"token_file": str(token), "timeout": "30s"}
    with Watched("ray", ray.url, tmp_path, time.time(), settings) as watched:
        yield watched


def well(watched: Watched) -> None:
    watched.now = max(time.time(), watched.now)
    assert watched.poll() is None


def counts(watched: Watched) -> Counter[tuple[str, str]]:
    """(pipeline, state) → runs, by the exporter."""
    found: Counter[tuple[str, str]] = Counter()
    for series, value in watched.series("ml_runs_finished_total", "ml_runs_active").items():
        _, _, labels = series.partition('pipeline="')
        pipeline, _, rest = labels.partition('"')
        found[pipeline, rest.partition('state="')[2].partition('"')[0]] += int(value)
    return +found


def said(ray: RayServer) -> Counter[tuple[str, str]]:
    """The same by Ray's client; ids end with a number here."""
    jobs = [job for job in ray.client_says() if job["type"] == "SUBMISSION"]
    return Counter(
        ((job["metadata"] or {}).get("job_name") or job["id"].rpartition("-")[0], str(STATES[job["status"]]))
        for job in jobs
    )


def last_finished(watched: Watched, pipeline: str, state: str) -> float:
    labels = f'{{source="it",ml_service="unassigned",pipeline="{pipeline}",state="{state}"}}'
    return watched.series("ml_run_last_finished_timestamp_seconds")[f"ml_run_last_finished_timestamp_seconds{labels}"]


def test_jobs_that_succeed_fail_are_stopped_run_long_and_wait(ray: RayServer, watched: Watched) -> None:
    well(watched)
    ray.submit("true", "fraud-train-1", metadata={"job_name": "fraud"})
    ray.submit("sh -c 'exit 3'", "churn-train-1")
    ray.submit("python -c 'import ray; ray.init()'", "with-ray-1")
    ray.submit("sleep 600", "endless-1")
    ray.submit("sleep 600", "stopped-1")
    ray.wait("fraud-train-1", "SUCCEEDED")
    ray.wait("churn-train-1", "FAILED")
    ray.wait("endless-1", "RUNNING")
    ray.wait("stopped-1", "RUNNING")
    ray.cancel("stopped-1")
    ray.wait("stopped-1", "STOPPED")
    ray.wait("with-ray-1", "SUCCEEDED")
    well(watched)
    watched.now += 60  # newborn pipelines are shown at 0 first
    well(watched)
    assert counts(watched) == said(ray)
    assert counts(watched) >= Counter(
        {
            ("fraud", "succeeded"): 1,
            ("churn-train", "failed"): 1,
            ("with-ray", "succeeded"): 1,
            ("stopped", "cancelled"): 1,
            ("endless", "running"): 1,
            ("needs-gpu", "queued"): 1,
        }
    )
    [job] = [job for job in ray.client_says() if job["id"] == "churn-train-1"]
    assert last_finished(watched, "churn-train", "failed") == pytest.approx(job["end"] / 1000, abs=0.001)


def test_the_queue_and_what_the_cluster_has(ray: RayServer, watched: Watched) -> None:
    ray.submit("sleep 600", "reserves-1", entrypoint_num_cpus=2)
    ray.wait("reserves-1", "RUNNING")
    wanted = {
        'ml_scheduler_queue_length{source="it",queue="cluster"}': 1,
        'ml_scheduler_capacity{source="it",queue="cluster",resource="cpu",state="used"}': 2,
        'ml_scheduler_capacity{source="it",queue="cluster",resource="cpu",state="free"}': CPUS - 2,
    }
    deadline, found = time.monotonic() + 30, {}
    while found != wanted and time.monotonic() < deadline:  # the autoscaler writes every 5 s
        time.sleep(1)
        watched.now += 200
        well(watched)
        found = watched.series("ml_scheduler_queue_length", "ml_scheduler_capacity")
    assert found == wanted
    [heartbeat] = watched.series("ml_scheduler_heartbeat_timestamp_seconds").values()
    assert time.time() - heartbeat < 30
    ray.cancel("reserves-1")


def test_ray_says_succeeded_of_a_script_that_failed_so_scripts_are_left_out(ray: RayServer, watched: Watched) -> None:
    ray.drive(exit_code=3)
    [script] = [job for job in ray.client_says() if job["type"] == "DRIVER"]
    assert script["status"] == "SUCCEEDED"
    well(watched)
    assert not [pipeline for pipeline, _ in counts(watched) if pipeline == "driver"]
    watched.settings["drivers"] = True
    watched.restart()
    well(watched)
    watched.now += 60
    well(watched)
    assert counts(watched)["driver", "succeeded"] == 1


def test_secrets_in_the_environment_of_a_job_are_not_sent_to_us(ray: RayServer) -> None:
    ray.submit("true", "with-secret-1", runtime_env={"env_vars": {"API_KEY": "hunter2"}})
    assert "hunter2" in ray.session.get(f"{ray.url}{JOBS.path}", timeout=30).text
    assert "hunter2" not in ray.session.get(f"{ray.url}{JOBS.path}", headers=dict(JOBS.headers), timeout=30).text


def test_a_job_that_is_deleted_stays_counted_and_its_ghost_is_no_failure(ray: RayServer, watched: Watched) -> None:
    ray.submit("true", "deleted-1")
    ray.wait("deleted-1", "SUCCEEDED")
    well(watched)
    ray.delete("deleted-1")
    deadline, seen = time.monotonic() + 15, ""
    while seen != "FAILED" and time.monotonic() < deadline:  # what watches over it takes it for dead
        time.sleep(0.5)
        seen = {job["id"]: job["status"] for job in ray.client_says()}.get("deleted-1", "")
    watched.restart()
    well(watched)
    assert counts(watched)["deleted", "succeeded"] == 1
    assert ("deleted", "failed") not in counts(watched)


def test_a_wrong_token_is_said(ray: RayServer, watched: Watched, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("wrong")
    error = watched.poll()
    assert getattr(error, "reason", None) is Reason.AUTH
    assert "Invalid authentication token" in str(error)


def test_jobs_that_a_restarted_head_node_forgot_are_gone_and_did_not_succeed(ray: RayServer, tmp_path: Path) -> None:
    """`ray` is asked for only to skip where there is none."""
    token = tmp_path / "token"
    first = start_ray()
    try:
        token.write_text(first.token)
        first.submit("sleep 600", "endless-1")
        first.wait("endless-1", "RUNNING")
        with Watched("ray", first.url, tmp_path, time.time(), {"token_file": str(token)}) as watched:
            well(watched)
            assert counts(watched) == {("endless", "running"): 1}
            first.stop()
            assert getattr(watched.poll(), "reason", None) is Reason.UNREACHABLE
            assert counts(watched) == {("endless", "running"): 1}
            second = start_ray(int(first.url.rpartition(":")[2]))
            try:
                token.write_text(second.token)
                well(watched)
                assert counts(watched) == Counter()
            finally:
                second.stop()
    finally:
        first.stop()


def test_a_job_that_waits_too_long_timed_out(ray: RayServer, watched: Watched) -> None:
    ray.wait("needs-gpu-1", "FAILED", within=START_TIMEOUT + 30)
    well(watched)
    assert counts(watched)["needs-gpu", "timed_out"] == 1
    assert said(ray)["needs-gpu", "failed"] == 1
