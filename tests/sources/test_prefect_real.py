"""The Prefect source against a real Prefect with a real worker: its series are what Prefect's own client says."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support import debian
from tests.support.prefect_server import FLOWS, PASSWORD, USER, PrefectServer, start_prefect
from tests.support.recorded import Watched

from ml_exporter.errors import Reason
from ml_exporter.reading import instant

pytestmark = pytest.mark.schedulers

WORDS = {
    "Completed": "succeeded",
    "Failed": "failed",
    "TimedOut": "timed_out",
    "Crashed": "failed",
    "Cancelled": "cancelled",
    "Running": "running",
    "AwaitingRetry": "running",
    "Late": "queued",
}
"""Prefect's names of states to ours, as far as these tests bring them about."""
BY_WORKER = ("good", "bad", "killed", "slow")


def run_names(server: PrefectServer) -> Counter[str]:
    begun = {"state": {"name": {"not_any_": ["Scheduled"]}}}
    return Counter(run["state_name"] for run in server.post("/flow_runs/filter", flow_runs=begun))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrefectServer]:
    try:
        started = start_prefect(tmp_path_factory.mktemp("prefect"))
    except debian.Unavailable as reason:
        pytest.skip(str(reason))
    try:
        fill(started)
        yield started
    finally:
        started.stop()


def fill(server: PrefectServer) -> None:
    """Jobs that succeed, fail, crash, time out, are cancelled, run long, wait for a retry, wait for a worker."""
    server.post("/work_pools/", name="gpu", type="process", concurrency_limit=2)
    server.post("/work_pools/", name="deserted", type="process")
    code = {"entrypoint": f"{FLOWS.name}:", "path": str(FLOWS.parent), "work_pool_name": "gpu"}
    deployed = {
        name: server.deployment(server.flow(name), "d", **{**code, "entrypoint": f"{FLOWS.name}:{name}"})
        for name in BY_WORKER
    }
    etl = server.flow("etl")
    zone = {"timezone": "Europe/Berlin"}
    server.deployment(etl, "cron", {"cron": "15 2 * * 1-5", **zone}, tags=["risk-ml"])
    server.deployment(etl, "interval", {"interval": 7200, "anchor_date": "2026-01-01T00:30:00+00:00"})
    server.deployment(etl, "days", {"interval": 86_400, "anchor_date": "2026-07-01T09:00:00+02:00", **zone})
    server.deployment(etl, "rule", {"rrule": "FREQ=WEEKLY;BYDAY=SU;BYHOUR=3;BYMINUTE=0;BYSECOND=0", "timezone": "UTC"})
    late = server.deployment(etl, "late", work_pool_name="deserted")
    server.deployed_run(late)
    server.move(server.deployed_run(late), "CANCELLED")
    server.start_worker("gpu")
    for name in ("good", "bad", "killed"):
        server.deployed_run(deployed[name])
    server.run_flows("good", "too_slow", "parent")
    server.start_flows("stubborn")
    server.wait("runs of the worker", lambda: run_names(server)["Crashed"], 120)
    server.deployed_run(deployed["slow"])
    wanted = {"Completed": 5, "Failed": 1, "TimedOut": 1, "Running": 1, "AwaitingRetry": 1, "Late": 1, "Cancelled": 1}
    server.wait(f"{wanted}", lambda: wanted.items() <= run_names(server).items(), 120)


def login(folder: Path, password: str) -> dict[str, str]:
    file = folder / "password"
    file.write_text(password)
    return {"username": USER, "password_file": str(file)}


@pytest.fixture
def watched(server: PrefectServer, tmp_path: Path) -> Iterator[Watched]:
    with Watched("prefect", server.url, tmp_path, time.time(), login(tmp_path, PASSWORD)) as watching:
        assert watching.poll() is None
        yield watching


def poll(watched: Watched) -> dict[str, float]:
    watched.now = time.time()
    error = watched.poll()
    assert error is None, error
    return watched.series()


def key(family: str, pipeline: str, **labels: str) -> str:
    more = "".join(f',{name}="{value}"' for name, value in labels.items())
    return f'{family}{{source="it",ml_service="unassigned",pipeline="{pipeline}"{more}}}'


def client_runs(said: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Runs with the names of their pipelines; not those that are parts of another flow."""
    flows = {flow["id"]: flow["name"] for flow in said["flows"]}
    names = {d["id"]: f"{flows[d['flow_id']]}/{d['name']}" for d in said["deployments"]}
    return [
        (names.get(run["deployment_id"], flows[run["flow_id"]]), run)
        for run in said["runs"]
        if not run["parent_task_run_id"]
    ]


def test_runs_are_what_prefects_own_client_says(server: PrefectServer, watched: Watched) -> None:
    series, runs = watched.series(), client_runs(server.client())
    counted = Counter((name, WORDS[run["state_name"]]) for name, run in runs)
    shown = {(name, state): value for name, state, value in of_states(series) if value}
    assert shown == counted
    assert set(counted) == {
        *(("good/d", "succeeded"), ("bad/d", "failed"), ("killed/d", "failed"), ("slow/d", "running")),
        *(("good", "succeeded"), ("too-slow", "timed_out"), ("parent", "succeeded"), ("stubborn", "running")),
        *(("etl/late", "queued"), ("etl/late", "cancelled")),
    }


def of_states(series: dict[str, float]) -> Iterator[tuple[str, str, float]]:
    for name, value in series.items():
        if name.startswith(("ml_runs_finished_total", "ml_runs_active")):
            yield name.split('pipeline="')[1].split('"')[0], name.split('state="')[1].split('"')[0], value


def test_times_are_what_prefects_own_client_says(server: PrefectServer, watched: Watched) -> None:
    series = watched.series()
    runs = {(name, run["state_name"]): run for name, run in client_runs(server.client())}
    good, late, slow = runs["good/d", "Completed"], runs["etl/late", "Late"], runs["slow/d", "Running"]
    ended, began = instant(good["end_time"]), instant(good["start_time"])
    assert ended is not None
    assert began is not None
    assert series[key("ml_run_last_finished_timestamp_seconds", "good/d", state="succeeded")] == ended
    assert series[key("ml_run_last_duration_seconds", "good/d")] == pytest.approx(ended - began, abs=1e-5)
    wait = began - (instant(good["expected_start_time"]) or 0.0)
    assert wait > 0
    assert series[key("ml_run_queue_seconds_sum", "good/d")] == pytest.approx(wait, abs=1e-5)
    assert series[key("ml_run_queue_seconds_count", "etl/late")] == 0
    oldest = "ml_run_oldest_active_timestamp_seconds"
    assert watched.poller.ledger.pipelines["etl/late"].active[late["id"]].since == instant(late["expected_start_time"])
    assert watched.poller.ledger.pipelines["slow/d"].active[slow["id"]].since == instant(slow["start_time"])
    retry = watched.poller.ledger.pipelines["stubborn"].active[runs["stubborn", "AwaitingRetry"]["id"]].since
    assert retry == instant(runs["stubborn", "AwaitingRetry"]["state"]["timestamp"])
    assert key(oldest, "good/d", state="running") not in series


def test_the_next_run_is_due_when_prefect_plans_it(server: PrefectServer, watched: Watched) -> None:
    series = poll(watched)
    for name in ("cron", "interval", "days", "rule"):
        filter_ = {"flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}}, "deployments": {"name": {"any_": [name]}}}
        planned = server.post("/flow_runs/filter", sort="NEXT_SCHEDULED_START_TIME_ASC", limit=1, **filter_)
        due = instant(planned[0]["expected_start_time"])
        assert series[key("ml_pipeline_next_due_timestamp_seconds", f"etl/{name}")] == due, name
    assert key("ml_pipeline_next_due_timestamp_seconds", "etl/late") not in series


def test_pausing_and_resuming_a_deployment_is_seen(server: PrefectServer, watched: Watched) -> None:
    [cron] = server.post("/deployments/filter", deployments={"name": {"any_": ["cron"]}})
    paused = key("ml_pipeline_paused", "etl/cron")
    last_due = key("ml_pipeline_last_due_timestamp_seconds", "etl/cron")
    assert watched.series()[paused] == 0
    server.send("PATCH", f"/deployments/{cron['id']}", {"paused": True})
    watched.restart()
    series = poll(watched)
    assert series[paused] == 1
    assert key("ml_pipeline_next_due_timestamp_seconds", "etl/cron") not in series
    server.send("PATCH", f"/deployments/{cron['id']}", {"paused": False})
    watched.restart()
    series = poll(watched)
    assert series[paused] == 0
    assert last_due not in series


def test_pools_hold_what_prefect_counts_and_their_worker_is_heard(server: PrefectServer, watched: Watched) -> None:
    series = poll(watched)
    status = server.post("/work_pools/gpu/concurrency_status")
    slots = 'ml_scheduler_capacity{{source="it",queue="gpu",resource="slots",state="{}"}}'
    assert series[slots.format("used")] == status["active_slots"] == 1
    assert series[slots.format("free")] == status["concurrency_limit"] - 1
    assert series['ml_scheduler_queue_length{source="it",queue="deserted"}'] == 1
    beats = {name: at for name, at in series.items() if name.startswith("ml_scheduler_heartbeat")}
    assert list(beats) == ['ml_scheduler_heartbeat_timestamp_seconds{source="it",component="workers of gpu"}']
    [worker] = server.post("/work_pools/gpu/workers/filter")
    assert abs(next(iter(beats.values())) - (instant(worker["last_heartbeat_time"]) or 0.0)) < 60


def test_a_run_that_is_cancelled_under_our_eyes_is_counted_once(server: PrefectServer, watched: Watched) -> None:
    late = server.flow("cancelled-later")
    run_id = server.run(late, "RUNNING")
    before = poll(watched)
    server.move(run_id, "CANCELLING")
    between = poll(watched)
    server.move(run_id, "CANCELLED")
    for _ in range(3):
        watched.now = time.time()
        assert watched.poll(later=30) is None
    after = watched.series()
    running, cancelled = (
        key(family, "cancelled-later", state=state)
        for family, state in (("ml_runs_active", "running"), ("ml_runs_finished_total", "cancelled"))
    )
    assert [series[running] for series in (before, between, after)] == [1, 1, 0]
    assert after[cancelled] == 1


def test_a_quiet_poll_is_three_calls(watched: Watched) -> None:
    before = watched.client.requests
    poll(watched)
    assert watched.client.requests - before == 3


def test_a_deleted_deployment_is_gone(server: PrefectServer, watched: Watched) -> None:
    deployment = server.deployment(server.flow("etl"), "short-lived")
    watched.restart()
    shown = key("ml_pipeline_first_seen_timestamp_seconds", "etl/short-lived")
    assert shown in poll(watched)
    server.delete(f"/deployments/{deployment}")
    watched.restart()
    assert shown not in poll(watched)


def test_a_wrong_password_is_a_matter_of_credentials(server: PrefectServer, tmp_path: Path) -> None:
    with Watched("prefect", server.url, tmp_path, time.time(), login(tmp_path, "guess")) as watching:
        error = watching.poll()
    assert getattr(error, "reason", None) is Reason.AUTH
    assert "401" in str(error)
    assert "guess" not in str(error)
