"""The exporter on a real Airflow 3 and a real Airflow 2: its series beside what Airflow's own client says."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from tests.support.airflow_server import NAMES, VIEWER, AirflowServer, start_airflow
from tests.support.debian import Unavailable
from tests.support.recorded import Watched

from ml_exporter.errors import Reason
from ml_exporter.timetable import Cron

pytestmark = pytest.mark.schedulers

WORDS = {"success": "succeeded"}
"""Airflow's words that are not ours."""
Watching = Callable[..., Watched]


@pytest.fixture(scope="module", params=[3, 2], ids=["Airflow 3", "Airflow 2"])
def airflow(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AirflowServer]:
    try:
        server = start_airflow(request.param, tmp_path_factory.mktemp("airflow") / "home")
    except Unavailable as reason:
        pytest.skip(str(reason))
    yield server
    server.stop()


@pytest.fixture
def watching(airflow: AirflowServer, tmp_path: Path) -> Iterator[Watching]:
    """Watch it as somebody who may only look."""
    opened: list[Watched] = []

    def watch(**settings: Any) -> Watched:
        secret = tmp_path / "password"
        secret.write_text(airflow.viewer_password)
        whole = {"username": VIEWER, "password_file": str(secret), "timeout": "30s", **settings}
        opened.append(Watched("airflow", airflow.url, tmp_path, time.time(), whole).__enter__())
        return opened[-1]

    yield watch
    for watched in opened:
        watched.__exit__()


def well(watched: Watched, later: float = 0.0) -> Watched:
    watched.now = max(time.time(), watched.now)
    error = watched.poll(later)
    assert error is None, str(error)
    return watched


def series(watched: Watched, family: str, **labels: str) -> dict[str, float]:
    """Pipeline → value, of the series of a family that have these labels."""
    found = {}
    for name, value in watched.series(family).items():
        if all(f'{label}="{text}"' in name for label, text in labels.items()):
            found[name.partition('pipeline="')[2].partition('"')[0]] = value
    return found


def counts(watched: Watched) -> Counter[tuple[str, str]]:
    """(pipeline, state) → runs, by the exporter."""
    found: Counter[tuple[str, str]] = Counter()
    for name, value in watched.series("ml_runs_finished_total", "ml_runs_active").items():
        pipeline = name.partition('pipeline="')[2].partition('"')[0]
        found[pipeline, name.partition('state="')[2].partition('"')[0]] += int(value)
    return +found


def said(airflow: AirflowServer, *dag_ids: str) -> Counter[tuple[str, str]]:
    """The same, by `airflow dags list-runs`."""
    listed = [(dag_id, run["state"]) for dag_id in dag_ids for run in airflow.runs_said(dag_id)]
    return Counter((dag_id, WORDS.get(state, state)) for dag_id, state in listed)


def seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def last_end(airflow: AirflowServer, *runs: str) -> float:
    return max(seconds(airflow.run("train", run)["end_date"]) for run in runs)


def test_runs_that_succeed_fail_overstay_wait_and_are_stopped_by_hand(
    airflow: AirflowServer, watching: Watching
) -> None:
    good, bad = airflow.trigger("train"), airflow.trigger("train", fail=True)
    slow, stopped = airflow.trigger("impatient", seconds=120), airflow.trigger("train", seconds=600)
    works, waits = airflow.trigger("one_at_a_time", seconds=600), airflow.trigger("one_at_a_time")
    airflow.wait("train", stopped, "running")
    airflow.mark("train", stopped, "failed")
    succeeded = airflow.wait("train", good, "success")
    airflow.wait("train", bad, "failed")
    airflow.wait("impatient", slow, "failed")
    airflow.wait("one_at_a_time", works, "running")
    assert airflow.run("one_at_a_time", waits)["state"] == "queued"
    watched = well(watching(page_size=2))

    mine = said(airflow, "train", "impatient", "one_at_a_time")
    mine["impatient", "timed_out"] = mine.pop(("impatient", "failed"))
    by_hand = Counter(
        {key: n for key, n in counts(watched).items() if key[0] in ("train", "impatient", "one_at_a_time")}
    )
    assert by_hand == mine
    assert mine == {
        ("train", "succeeded"): 1,
        ("train", "failed"): 2,
        ("impatient", "timed_out"): 1,
        ("one_at_a_time", "running"): 1,
        ("one_at_a_time", "queued"): 1,
    }
    last = "ml_run_last_finished_timestamp_seconds"
    assert series(watched, last, pipeline="train", state="succeeded")["train"] == seconds(succeeded["end_date"])
    deadline = time.monotonic() + 60
    while series(well(watched), last, pipeline="train", state="failed")["train"] != last_end(airflow, bad, stopped):
        # Airflow 2 moves the end of a run that was marked until its tasks have been stopped.
        assert time.monotonic() < deadline
        time.sleep(1)
    took = seconds(succeeded["end_date"]) - seconds(succeeded["start_date"])
    assert series(watched, "ml_run_last_duration_seconds")["train"] == pytest.approx(took, abs=1e-5)
    # What was active before we looked may have been so for months: it has no age.
    assert series(watched, "ml_run_oldest_active_timestamp_seconds") == {}
    if airflow.major == 3:
        runs = [airflow.run("train", run) for run in (good, bad, stopped)]
        waited = sum(seconds(run["start_date"]) - seconds(run["queued_at"]) for run in runs)
        assert series(watched, "ml_run_queue_seconds_sum")["train"] == pytest.approx(waited, abs=1e-5)
    airflow.delete("one_at_a_time", waits)  # before its turn comes: a run that began cannot be deleted
    airflow.mark("one_at_a_time", works, "failed")
    well(watched, 1)
    assert ("one_at_a_time", "queued") not in counts(watched)
    assert counts(watched)["one_at_a_time", "failed"] == 1


def test_a_run_from_its_trigger_to_its_second_end(airflow: AirflowServer, watching: Watching) -> None:
    watched = well(watching(include=["train"]))
    before = counts(watched)
    run = airflow.trigger("train", seconds=8, fail=True)
    airflow.wait("train", run, "running")
    began = seconds(airflow.run("train", run)["start_date"])
    assert counts(well(watched)) == before + Counter({("train", "running"): 1})
    assert series(watched, "ml_run_oldest_active_timestamp_seconds", state="running") == {"train": began}
    airflow.wait("train", run, "failed")
    assert counts(well(watched)) == before + Counter({("train", "failed"): 1})
    failures = series(watched, "ml_pipeline_consecutive_failures")["train"]
    # Somebody repairs what it made, and says so.
    airflow.mark("train", run, "success")
    assert counts(well(watched)) == before + Counter({("train", "failed"): 1}), "it counted once"
    assert series(watched, "ml_pipeline_consecutive_failures")["train"] < failures
    airflow.clear("train", run)
    airflow.wait("train", run, "running")
    assert counts(well(watched))["train", "running"] == 1
    airflow.wait("train", run, "failed")
    assert counts(well(watched)) == before + Counter({("train", "failed"): 1})


def test_runs_that_are_due_at_one_instant_are_all_met_by_small_pages(
    airflow: AirflowServer, watching: Watching
) -> None:
    dag_ids, at = ("train", "impatient", "on_data"), float(int(time.time()) - 50)
    for dag_id, run in [(dag_id, airflow.trigger(dag_id, at)) for dag_id in dag_ids]:
        airflow.wait(dag_id, run, "success", "failed")  # `impatient` may be too slow for itself
    watched = well(watching(page_size=2, include=list(dag_ids)))
    listed = said(airflow, *dag_ids)
    # How `impatient` ended is another test's; here it is only whether every run was met.
    everything = Counter({dag_id: sum(n for key, n in listed.items() if key[0] == dag_id) for dag_id in dag_ids})
    assert Counter({d: sum(n for key, n in counts(watched).items() if key[0] == d) for d in dag_ids}) == everything
    tied = [
        exchange.path for exchange in watched.client.trace if "order_by=id" in exchange.path and "_lte" in exchange.path
    ]
    assert tied, "no page of runs with one time"


def test_schedules_and_pauses(airflow: AirflowServer, watching: Watching) -> None:
    watched = well(watching())
    listed = {dag["dag_id"]: float(dag["is_paused"] == "True") for dag in airflow.cli("dags", "list")}
    assert series(watched, "ml_pipeline_paused") == listed
    assert set(listed) == set(NAMES)
    due = series(watched, "ml_pipeline_next_due_timestamp_seconds")
    assert set(due) == {"hourly", "weekdays"}, "not by hand, by data or paused"
    assert due["weekdays"] == Cron("30 6 * * 1-5").at(time.time()).next_due
    airflow.pause("weekdays", True)
    well(watched, 601)
    assert series(watched, "ml_pipeline_paused")["weekdays"] == 1
    assert "weekdays" not in series(watched, "ml_pipeline_next_due_timestamp_seconds")
    airflow.pause("weekdays", False)


def test_the_scheduler_itself(airflow: AirflowServer, watching: Watching) -> None:
    run = airflow.trigger("train", seconds=600)
    airflow.wait("train", run, "running")
    deadline = time.monotonic() + 60
    while (pool := airflow.send("GET", "/pools/default_pool"))["running_slots"] < 1:
        assert time.monotonic() < deadline
        time.sleep(0.5)
    watched = well(watching())
    beats = watched.series("ml_scheduler_heartbeat_timestamp_seconds")
    parts = {"scheduler", "triggerer"} | ({"dag_processor"} if airflow.major == 3 else set())
    assert {name.partition('component="')[2].partition('"')[0] for name in beats} == parts
    assert all(abs(time.time() - at) < 60 for at in beats.values())
    key = '{source="it",queue="default_pool",resource="slots",state='
    assert watched.series("ml_scheduler_capacity") == {
        f'ml_scheduler_capacity{key}"used"}}': pool["occupied_slots"],
        f'ml_scheduler_capacity{key}"free"}}': pool["open_slots"],
    }
    assert pool["occupied_slots"] >= 1
    assert sum(watched.series("ml_scheduler_load_errors").values()) == 1
    airflow.mark("train", run, "failed")


def test_tasks(airflow: AirflowServer, watching: Watching) -> None:
    airflow.wait("train", airflow.trigger("train"), "success")
    found = well(watching(tasks=True)).series("ml_task_runs_finished_total")
    if airflow.major == 2:
        assert found == {}
        return
    listed = airflow.send("GET", "/dags/train/dagRuns/~/taskInstances", limit=100)["task_instances"]
    ends = Counter(WORDS.get(task["state"], task["state"]) for task in listed)
    key = 'ml_task_runs_finished_total{source="it",ml_service="unassigned",pipeline="train",task="work",state="%s"}'
    assert {state: found[key % state] for state in ("succeeded", "failed")} == {
        state: ends[state] for state in ("succeeded", "failed")
    }


def test_a_quiet_poll_is_two_calls(airflow: AirflowServer, watching: Watching) -> None:
    watched = well(watching())
    before = watched.client.requests
    well(watched, 30)
    assert watched.client.requests - before == 2


def test_a_wrong_password_is_auth(airflow: AirflowServer, watching: Watching, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong"
    wrong.write_text("not-it")
    error = watching(password_file=str(wrong)).poll()
    assert getattr(error, "reason", None) is Reason.AUTH
    assert "not-it" not in str(error)
