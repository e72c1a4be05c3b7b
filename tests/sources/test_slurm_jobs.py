"""Jobs of slurmctld as runs. A fake: a real Slurm cannot be brought into all of this, see test_slurm_real.py."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.fake_slurm import HOUR, NEW, NOW, OLD, FakeSlurm, watch

from ml_exporter.model import Run, RunState
from ml_exporter.ports import Call, Reply

generations = pytest.mark.parametrize("version", [OLD, NEW])


def one_run(version: str = NEW, **record: Any) -> Run | None:
    """What is told of a job that slurmctld describes so."""
    fake = FakeSlurm(version)
    fake.job(7, **record)
    runs = list(watch(fake).listener.runs.values())
    return runs[0] if runs else None


STATES = {
    "PENDING": RunState.QUEUED,
    "RUNNING": RunState.RUNNING,
    "SUSPENDED": RunState.RUNNING,
    "COMPLETED": RunState.SUCCEEDED,
    "FAILED": RunState.FAILED,
    "NODE_FAIL": RunState.FAILED,
    "BOOT_FAIL": RunState.FAILED,
    "OUT_OF_MEMORY": RunState.FAILED,
    "TIMEOUT": RunState.TIMED_OUT,
    "DEADLINE": RunState.TIMED_OUT,
    "CANCELLED": RunState.CANCELLED,
    "PREEMPTED": RunState.CANCELLED,
    "COMPLETING": RunState.RUNNING,
    "STAGE_OUT": RunState.RUNNING,
    "SIGNALING": RunState.RUNNING,
    "STOPPED": RunState.RUNNING,
    "RESIZING": RunState.RUNNING,
    "CONFIGURING": RunState.QUEUED,
    "POWER_UP_NODE": RunState.QUEUED,
    "REQUEUED": RunState.QUEUED,
    "REQUEUE_FED": RunState.QUEUED,
    "REQUEUE_HOLD": RunState.QUEUED,
    "RESV_DEL_HOLD": RunState.QUEUED,
    "SPECIAL_EXIT": RunState.QUEUED,
    "SOMETHING_NEW": RunState.RUNNING,
}


@generations
@pytest.mark.parametrize(("word", "state"), STATES.items())
def test_every_state_in_both_forms(version: str, word: str, state: RunState) -> None:
    run = one_run(version, state=word)
    assert run is not None
    assert run.state is state


@pytest.mark.parametrize(
    ("words", "state"),
    [
        ("FAILED+COMPLETING", RunState.RUNNING),
        ("RUNNING+CONFIGURING", RunState.QUEUED),
        ("PENDING+REQUEUE_HOLD", RunState.QUEUED),
        ("COMPLETED+LAUNCH_FAILED", RunState.SUCCEEDED),
        ("FAILED+SOMETHING_NEW", RunState.FAILED),
    ],
)
def test_what_stands_beside_a_state_may_say_more(words: str, state: RunState) -> None:
    run = one_run(state=words)
    assert run is not None
    assert run.state is state


def test_a_job_that_another_cluster_took_is_no_run_here() -> None:
    assert one_run(state="REVOKED") is None


@generations
def test_estimates_are_not_taken_for_times(version: str) -> None:
    waiting = one_run(version, state="PENDING", start=NOW + HOUR, end=NOW + 2 * HOUR)
    assert waiting == Run(waiting.id, waiting.pipeline, RunState.QUEUED, NOW - 1000)  # type: ignore[union-attr]
    running = one_run(version, state="RUNNING", end=NOW + HOUR)
    assert running == Run(running.id, running.pipeline, RunState.RUNNING, NOW - 1000, NOW - 990)  # type: ignore[union-attr]


@generations
@pytest.mark.parametrize("eligible", [None, NOW + HOUR])
def test_a_job_that_is_held_or_waits_for_a_time_does_not_age(version: str, eligible: float | None) -> None:
    run = one_run(version, state="PENDING", eligible=eligible, start=eligible)
    assert run is not None
    assert (run.state, run.queued_at) == (RunState.QUEUED, None)


@generations
def test_a_job_cancelled_while_it_waited_never_began(version: str) -> None:
    run = one_run(version, state="CANCELLED", nodes="", start=NOW - 500, end=NOW - 500)
    assert run is not None
    assert (run.queued_at, run.started_at, run.ended_at) == (NOW - 1000, None, NOW - 500)


@pytest.mark.parametrize("end", [{"set": True, "infinite": True, "number": 0}, set(), None, -5, 1e300, "soon", [1]])
def test_a_time_that_none_can_be_is_unknown(end: Any) -> None:
    run = one_run(end_time=list(end) if isinstance(end, set) else end)
    assert run is not None
    assert (run.state, run.ended_at) == (RunState.SUCCEEDED, None)


def test_times_that_run_backwards_are_not_believed() -> None:
    run = one_run(eligible=NOW - 100, start=NOW - 200, end=NOW - 300)
    assert run is not None
    assert (run.queued_at, run.started_at, run.ended_at) == (None, None, NOW - 300)


@generations
def test_an_array_is_one_run_with_the_worst_of_its_tasks(version: str) -> None:
    fake = FakeSlurm(version)
    for task, state in enumerate(["COMPLETED", "FAILED", "TIMEOUT", "CANCELLED"]):
        fake.job(10 + task, "sweep", state, array=10, start=NOW - 900 + task, end=NOW - 500 + task)
    [run] = watch(fake).listener.runs.values()
    assert (run.state, run.queued_at, run.started_at, run.ended_at) == (
        RunState.FAILED,
        NOW - 1000,
        NOW - 900,
        NOW - 497,
    )


@generations
def test_an_array_goes_on_while_a_task_does_and_remembers_those_that_slurm_forgot(version: str) -> None:
    fake = FakeSlurm(version, has_database=False)
    fake.job(10, "sweep", "PENDING", array=10, array_task_string="2-9%1")
    fake.job(11, "sweep", "FAILED", array=10, start=NOW - 900, end=NOW - 800)
    watching = watch(fake)
    [run] = watching.listener.runs.values()
    assert (run.state, run.started_at, run.ended_at) == (RunState.RUNNING, NOW - 900, None)
    del fake.jobs[11]
    watching.restart()
    watching.poll(300)
    fake.job(10, "sweep", "COMPLETED", array=10, start=NOW, end=NOW + 300)
    watching.restart()
    [run] = watching.poll(300).runs.values()
    assert (run.state, run.started_at, run.ended_at) == (RunState.FAILED, NOW - 900, NOW + 300)


def test_an_array_that_only_waits_is_queued() -> None:
    fake = FakeSlurm()
    fake.job(10, "sweep", "PENDING", array=10, array_task_string="0-99")
    [run] = watch(fake).listener.runs.values()
    assert (run.state, run.queued_at) == (RunState.QUEUED, NOW - 1000)


def test_nothing_is_remembered_of_arrays_that_are_over() -> None:
    fake = FakeSlurm()
    fake.job(10, "sweep", array=10)
    watching = watch(fake)
    assert "arrays" in watching.listener.cursor
    fake.purge(10)
    watching.poll(300)
    watching.poll(700)
    assert "arrays" not in watching.listener.cursor
    assert {run.state for run in watching.listener.told} == {RunState.SUCCEEDED}


def test_a_heterogeneous_job_is_counted_by_its_leader() -> None:
    fake = FakeSlurm()
    for offset in range(3):
        fake.job(20 + offset, het_job_offset={"set": True, "infinite": False, "number": offset})
    assert {run.id.partition("-")[0] for run in watch(fake).listener.runs.values()} == {"20"}


@generations
def test_no_change_is_not_nothing_there(version: str) -> None:
    fake = FakeSlurm(version, has_database=False)
    fake.job(1, state="RUNNING")
    watching = watch(fake)
    before = dict(watching.listener.runs)
    fake.now += 100
    fake.calls.clear()
    watching.poll(30)
    [listing] = [call for call in fake.calls if call.path.endswith("/jobs")]
    assert dict(listing.params).keys() == {"update_time"}
    assert watching.listener.runs == before
    assert not watching.listener.forgotten


def test_an_empty_list_of_changes_is_asked_again_as_a_whole() -> None:
    fake = FakeSlurm(OLD, has_database=False)
    fake.job(1, state="RUNNING")
    watching = watch(fake)

    def says_nothing(call: Call) -> Reply | None:
        return Reply(200, {}, {"jobs": [], "errors": []}) if "update_time" in dict(call.params) else None

    fake.fault = says_nothing
    watching.poll(30)
    assert not watching.listener.forgotten
    assert len(watching.listener.runs) == 1


def test_a_change_that_was_missed_is_not_missed_for_ever() -> None:
    fake = FakeSlurm()
    fake.job(1, state="RUNNING")
    watching = watch(fake)
    fake.job(1)
    fake.updated = NOW - 1  # as for an exporter whose clock is ahead
    fake.now += 100
    watching.poll(30)
    assert {run.state for run in watching.listener.runs.values()} == {RunState.RUNNING}
    watching.poll(300)
    assert {run.state for run in watching.listener.runs.values()} == {RunState.SUCCEEDED}


def test_a_job_that_is_gone_from_a_whole_list_is_forgotten_without_a_database() -> None:
    fake = FakeSlurm(has_database=False)
    fake.job(1, state="RUNNING")
    watching = watch(fake)
    [run_id] = watching.listener.runs
    del fake.jobs[1]
    fake.updated = NOW + 30
    assert watching.poll(30).forgotten == [run_id]


def test_a_job_that_is_queued_again_is_another_run() -> None:
    fake = FakeSlurm()
    fake.job(1, state="RUNNING")
    watching = watch(fake)
    [first] = watching.listener.runs
    fake.job(1, state="PENDING", submit=NOW + 20)
    assert watching.poll(30).forgotten == [first]
    [second] = watching.listener.runs.values()
    assert (second.state, second.id != first) == (RunState.QUEUED, True)


def test_a_job_that_gets_another_name_moves_to_that_pipeline() -> None:
    fake = FakeSlurm()
    fake.job(1, "train", "RUNNING")
    watching = watch(fake)
    fake.job(1, "train-again", "RUNNING")
    watching.poll(30)
    assert [run.pipeline.name for run in watching.listener.runs.values()] == ["train-again"]
    assert len(watching.listener.forgotten) == 1
