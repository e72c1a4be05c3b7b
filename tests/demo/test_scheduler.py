"""The stand-in of the scheduler says what the Airflow source asks, and stops its heart without falling silent."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from urllib.parse import urlencode

import msgspec
import pytest
from tests.support.polling import Listener

from ml_exporter.demo.dags import IDLE, LIVELY
from ml_exporter.demo.faults import DEAD, Faults
from ml_exporter.demo.processes import free_port, get, start
from ml_exporter.demo.scheduler import Heart, answer
from ml_exporter.model import RunState
from ml_exporter.ports import Call, Reply
from ml_exporter.sources import airflow

NOW = 1_780_000_000.0


class Watch:
    """A source that asks the stand-in, with the clock in our hands."""

    def __init__(self, heart: Heart, dags=IDLE) -> None:
        self.heart, self.dags, self.now = heart, dags, NOW
        self.source = airflow.create("it", airflow.Options(tasks=True, state_interval=5.0), "http://scheduler")
        self.listener = Listener()

    def reply(self, call: Call) -> Reply:
        found = answer(f"{call.path}?{urlencode(call.params)}", self.heart, self.dags, self.now)
        if found is None:
            assert 404 in call.accept, call.path
            return Reply(404, {}, b"the stand-in knows no such DagRun")
        return Reply(200, {}, msgspec.json.decode(msgspec.json.encode(found), type=call.reply))

    def poll(self, later: float = 0.0) -> Listener:
        """Polls until the source has caught up."""
        self.now += later
        for _ in range(20):
            if self.listener.poll(self.source, self.reply, self.now).last.complete:
                return self.listener
        raise AssertionError("the catch-up has no end")

    def gauges(self) -> dict[tuple[str, ...], float]:
        told = [batch.gauges for batch in self.listener.batches if batch.gauges is not None]
        return {(sample.family.removeprefix("ml_scheduler_"), *sample.labels): sample.value for sample in told[-1]}

    def schedule(self, name: str):
        rosters = [batch.roster for batch in self.listener.batches if batch.roster is not None]
        return next(info for info in rosters[-1] if info.pipeline.name == name)


@pytest.fixture
def heart(tmp_path: Path) -> Heart:
    return Heart(Faults(tmp_path))


def heartbeat(heart: Heart) -> float:
    """As a fresh source reads it, with all the rest of a poll."""
    watch = Watch(heart)
    assert watch.poll().roster == {"fraud_features": "fraud_features"}
    return watch.gauges()["heartbeat_timestamp_seconds", "scheduler"]


def test_the_airflow_source_reads_its_heartbeat(heart: Heart) -> None:
    assert heartbeat(heart) == pytest.approx(time.time(), abs=60)


def test_its_heart_stops_with_the_fault_and_beats_again_without_it(tmp_path: Path, heart: Heart) -> None:
    faults = Faults(tmp_path)
    last = heartbeat(heart)
    faults.put(DEAD)
    heart.beat()
    assert heartbeat(heart) == last
    faults.take_back(DEAD)
    heart.beat()
    assert heartbeat(heart) > last


def test_it_knows_nothing_else(heart: Heart) -> None:
    assert answer("/api/v1/health", heart) is None
    assert answer("/api/v2/dags/fraud_features/dagRuns/manual", heart) is None


def test_where_airflow_has_the_page_of_a_run_it_says_what_it_is(tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    arguments = [sys.executable, "-m", "ml_exporter.demo.scheduler", "--port", url.rpartition(":")[2]]
    running = start("scheduler", arguments, log=tmp_path / "log", ready_url=f"{url}/api/v2/monitor/health")
    try:
        assert b"stand-in" in (get(f"{url}/dags/fraud_features/runs/scheduled__1") or b"")
        assert get(f"{url}/api/v2/variables") is None
    finally:
        running.stop()


def test_on_a_game_day_nothing_runs_waits_or_fails_to_load(heart: Heart) -> None:
    watch = Watch(heart)
    assert watch.poll().runs == {}
    assert {value for name, value in watch.gauges().items() if name[0] in ("queue_length", "load_errors")} == {0.0}


def test_in_the_demo_runs_succeed_fail_run_and_wait_and_every_task_is_told(heart: Heart) -> None:
    listener = Watch(heart, LIVELY).poll()
    assert {run.state for run in listener.runs.values()} == {
        RunState.SUCCEEDED,
        RunState.FAILED,
        RunState.RUNNING,
        RunState.QUEUED,
    }
    tasks = [task for batch in listener.batches for task in batch.tasks]
    assert {(task.pipeline.name, task.task) for task in tasks} == {
        (dag.dag_id, task) for dag in LIVELY if not (dag.paused or dag.fleeting) for task in dag.tasks
    }
    failed = {task.task for task in tasks if task.state is RunState.FAILED}
    assert failed == {"write", "embed"}, "the last task of each pipeline that fails"


def test_runs_go_on_as_time_passes_and_none_is_told_in_two_ways(heart: Heart) -> None:
    watch = Watch(heart, LIVELY)
    watch.poll()
    for _ in range(60):
        watch.poll(5.0)
    ended = [run for run in watch.listener.told if run.state.is_terminal]
    assert len({run.id for run in ended}) == len(set(ended))
    fresh = [run for run in ended if run.pipeline.name == "fraud_features" and (run.ended_at or 0) > NOW]
    assert len({run.id for run in fresh}) == 300 / 30
    assert not watch.listener.forgotten


def test_the_list_of_dags_is_read_again_within_a_minute_so_that_what_is_late_is_seen(heart: Heart) -> None:
    watch = Watch(heart, LIVELY)
    watch.poll()
    for _ in range(12):
        watch.poll(5.0)
    assert sum(batch.roster is not None for batch in watch.listener.batches) > 1
    assert not [name for name in watch.listener.roster if name.startswith("sweep")]
    assert watch.schedule("fraud_features").schedule.next_due > NOW + 30


def test_another_start_of_it_tells_the_same_past(heart: Heart) -> None:
    assert Watch(heart, LIVELY).poll().runs == Watch(heart, LIVELY).poll().runs


def test_runs_wait_for_a_pool_that_has_nothing_free(heart: Heart) -> None:
    watch = Watch(heart, LIVELY)
    watch.poll()
    gauges = watch.gauges()
    assert gauges["capacity", "gpu", "slots", "free"] == 0
    assert gauges["queue_length", "gpu"] == 1
    assert 0 < gauges["capacity", "default_pool", "slots", "used"] < 16
    assert gauges["load_errors", "legacy"] == 1


def test_what_is_timed_has_its_next_run_ahead_and_what_is_paused_has_none(heart: Heart) -> None:
    watch = Watch(heart, LIVELY)
    watch.poll()
    due = watch.schedule("fraud_features").schedule
    assert due is not None
    assert NOW < due.next_due <= NOW + 30
    assert watch.schedule("backfill_labels").paused
    assert watch.schedule("backfill_labels").schedule is None
