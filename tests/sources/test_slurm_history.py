"""What slurmdbd adds: the past, and jobs that slurmctld forgot before they were seen to end."""

from __future__ import annotations

import pytest
from tests.support.fake_slurm import HOUR, NEW, NOW, OLD, FakeSlurm, Watch, refused, watch
from tests.support.polling import CutShortError

from ml_exporter.errors import Rejected
from ml_exporter.model import RunState
from ml_exporter.ports import Call, Reply

generations = pytest.mark.parametrize("version", [OLD, NEW])
DAY = 24 * HOUR


def finished(watching: Watch) -> dict[str, RunState]:
    """Runs that have ended, by the job's id."""
    runs = watching.listener.runs.values()
    return {run.id.partition("-")[0]: run.state for run in runs if run.state.is_terminal}


def with_past(version: str, days: int = 14) -> FakeSlurm:
    """A fake whose slurmdbd knows a job an hour, and two that are older than what is asked for."""
    fake = FakeSlurm(version)
    for number in range(1, days * 24 + 3):
        fake.job(number, submit=NOW - number * HOUR)
        fake.purge(number)
    fake.job(99_999, state="RUNNING")
    return fake


@generations
def test_the_past_is_read_once_from_now_back_to_where_history_begins(version: str) -> None:
    watching = watch(with_past(version), history=2 * DAY)
    watching.catch_up()
    assert len(finished(watching)) == 48
    calls = watching.fake.count("/slurmdb/")
    assert calls <= 8
    watching.poll(30)
    assert watching.fake.count("/slurmdb/") == calls


def test_windows_shrink_where_much_is_in_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ml_exporter.sources.slurm.history.FEW", 2)
    monkeypatch.setattr("ml_exporter.sources.slurm.history.MANY", 4)
    fake = with_past(NEW)
    watching = watch(fake)
    watching.catch_up()
    assert len(finished(watching)) == 336
    spans = [
        int(dict(call.params)["end_time"].removeprefix("uts"))
        - int(dict(call.params)["start_time"].removeprefix("uts"))
        for call in fake.calls
        if call.path.startswith("/slurmdb/")
    ]
    assert max(spans) <= 4 * HOUR


def test_a_long_catch_up_is_cut_into_polls_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ml_exporter.sources.slurm.history.LARGEST", 2 * HOUR)
    watching = watch(with_past(NEW))
    assert not watching.listener.last.caught_up
    assert not all(batch.complete for batch in watching.listener.batches)
    polls = 1 + watching.catch_up()
    assert len(finished(watching)) == 336
    assert polls == 9  # 336 hours by two, twenty windows a poll


@generations
def test_a_kill_after_any_batch_loses_nothing(version: str) -> None:
    fake = with_past(version, days=3)
    for task in range(4):
        fake.job(7000 + task, "sweep", "FAILED" if task == 0 else "COMPLETED", array=7000, submit=NOW - DAY)
        fake.purge(7000 + task)
    watching = Watch(fake)
    for batches in range(1, 40):
        watching.restart()
        try:
            watching.poll(1, cut_after=batches % 4 + 1)
        except CutShortError:
            continue
    assert len(finished(watching)) == 74 + 1
    assert finished(watching)["7000"] is RunState.FAILED
    ids = [run.id for run in watching.listener.told if run.id.startswith("7000-")]
    assert len(set(ids)) == 1


@generations
def test_a_job_that_slurmctld_forgot_is_found_and_told_once(version: str) -> None:
    fake = FakeSlurm(version)
    fake.job(1, state="RUNNING")
    watching = watch(fake)
    fake.job(1, state="OUT_OF_MEMORY", end=NOW + 10)
    fake.job(2, "unseen", "FAILED", submit=NOW + 1, end=NOW + 12)
    fake.purge(1, 2)
    fake.job(3, state="RUNNING")
    watching.restart()
    watching.poll(2 * DAY)
    assert finished(watching) == {"1": RunState.FAILED, "2": RunState.FAILED}
    assert not watching.listener.forgotten
    assert "lost" not in watching.listener.cursor
    told = len(watching.listener.told)
    watching.poll(300)
    assert {run.state for run in watching.listener.told[told:]} <= {RunState.RUNNING}


def test_slurmdbd_may_hear_of_an_end_late_but_not_never() -> None:
    fake = FakeSlurm()
    fake.job(1, state="RUNNING")
    fake.job(2, state="RUNNING")
    watching = watch(fake)
    fake.job(1, end=NOW + 10)
    late = fake.jobs.pop(1)
    del fake.jobs[2]
    fake.updated = NOW + 20
    watching.poll(30)
    watching.restart()
    watching.poll(30)
    assert not watching.listener.forgotten
    assert finished(watching) == {}
    fake.jobs[1] = late
    fake.purge(1)
    watching.poll(30)
    assert finished(watching) == {"1": RunState.SUCCEEDED}
    for _ in range(20):
        watching.poll(30)
    assert [run_id.partition("-")[0] for run_id in watching.listener.forgotten] == ["2"]
    before = fake.count("/slurmdb/")
    watching.poll(30)
    assert fake.count("/slurmdb/") == before


def test_an_array_that_ended_unseen_has_the_worst_of_all_its_tasks() -> None:
    fake = FakeSlurm()
    fake.job(10, "sweep", "RUNNING", array=10)
    fake.job(11, "sweep", "COMPLETED", array=10)
    watching = watch(fake)
    fake.job(10, "sweep", "COMPLETED", array=10, end=NOW + 50)
    fake.job(12, "sweep", "TIMEOUT", array=10, end=NOW + 40)
    fake.purge(10, 11, 12)
    watching.restart()
    [run] = watching.poll(HOUR).runs.values()
    assert (run.state, run.started_at, run.ended_at) == (RunState.TIMED_OUT, NOW - 990, NOW + 50)


def test_an_array_is_told_when_no_task_ends_any_more() -> None:
    fake = FakeSlurm()
    border = NOW - 14 * DAY + HOUR  # where the first window ends
    fake.job(10, "sweep", array=10, submit=border - 500, end=border - 100)
    fake.job(11, "sweep", "FAILED", array=10, submit=border - 500, eligible=border + 400, end=border + 900)
    fake.purge(10, 11)
    fake.job(99, state="RUNNING")
    told = [run for run in watch(fake).listener.told if run.id.startswith("10-")]
    assert [(run.state, run.ended_at) for run in told] == [(RunState.FAILED, border + 900)]


def test_what_was_told_is_not_told_again() -> None:
    fake = FakeSlurm()
    fake.job(1)
    watching = watch(fake)
    fake.job(2, submit=NOW + 1, end=NOW + 290)
    fake.purge(1, 2)
    fake.job(3)
    watching.poll(300)
    told = [run.id for run in watching.listener.told]
    assert len(told) == 3
    watching.poll(300)
    watching.poll(300)
    assert [run.id for run in watching.listener.told] == told


def test_what_slurmctld_still_runs_is_its_to_tell() -> None:
    fake = FakeSlurm()
    fake.job(1, state="COMPLETED+COMPLETING")
    fake.account_for(1)
    fake.past[1]["state"]["current"] = ["COMPLETED"]
    assert finished(watch(fake)) == {}


@pytest.mark.parametrize("state", [["RUNNING"], ["PENDING"], ["REQUEUED"], ["SOMETHING_NEW"], [], None])
def test_of_slurmdbd_only_ends_are_read(state: object) -> None:
    fake = FakeSlurm()
    fake.job(1)
    fake.purge(1)
    fake.past[1]["state"]["current"] = state
    fake.job(2, state="RUNNING")
    assert finished(watch(fake)) == {}


def test_jobs_of_other_clusters_are_left_out() -> None:
    fake = FakeSlurm()
    for id_, cluster in ((1, "lab"), (2, "other"), (3, "")):
        fake.job(id_, cluster=cluster)
        fake.purge(id_)
    fake.job(9, state="RUNNING")
    assert finished(watch(fake)).keys() == {"1", "3"}
    assert finished(watch(fake, cluster="other")).keys() == {"2", "3"}


def test_without_a_job_that_names_the_cluster_the_past_waits() -> None:
    fake = FakeSlurm()
    fake.job(1)
    fake.purge(1)
    watching = watch(fake)
    assert (finished(watching), watching.listener.last.caught_up) == ({}, False)
    fake.job(2, state="RUNNING")
    watching.poll(30)
    assert (finished(watching).keys(), watching.listener.last.caught_up) == ({"1"}, True)


@generations
def test_a_past_that_cannot_be_read_is_not_an_empty_one(version: str) -> None:
    fake = FakeSlurm(version)
    fake.job(1)
    down = refused(200 if version == OLD else 502, 7000, "Unable to connect to database")

    def no_database(call: Call) -> Reply | None:
        return down if call.path.startswith("/slurmdb/") else None

    fake.fault = no_database
    with pytest.raises(Rejected, match="slurmdb: false"):
        watch(fake)
    watching = watch(fake, slurmdb=False)
    assert watching.listener.last.caught_up


def test_slurmdbd_may_be_down_for_a_while() -> None:
    fake = FakeSlurm()
    fake.job(1, state="RUNNING")
    watching = watch(fake)
    fake.fault = lambda call: refused(502, 7000, "no") if call.path.startswith("/slurmdb/") else None
    fake.job(1, end=NOW + 5)
    fake.purge(1)
    fake.job(2, "other")
    watching.poll(HOUR)
    assert finished(watching) == {"2": RunState.SUCCEEDED}
    assert not watching.listener.forgotten
    fake.fault = lambda call: None
    watching.poll(DAY)
    assert finished(watching) == {"1": RunState.SUCCEEDED, "2": RunState.SUCCEEDED}


def test_any_other_refusal_of_slurmdbd_is_a_failure() -> None:
    fake = FakeSlurm()
    fake.job(1)
    fake.fault = lambda call: refused(200, 2002, "Access denied") if call.path.startswith("/slurmdb/") else None
    with pytest.raises(Rejected, match="Access denied"):
        watch(fake)


def test_a_server_without_slurmdbd_has_no_past() -> None:
    fake = FakeSlurm(has_database=False)
    fake.job(1)
    assert watch(fake).listener.last.caught_up
    assert fake.count("/slurmdb/") == 0
