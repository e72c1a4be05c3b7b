"""What is due, what is unmet, who is paused, and pipelines that only their runs tell of."""

from __future__ import annotations

from typing import Any

import pytest

from ml_exporter.ledger import Ledger
from ml_exporter.model import Batch, Pipeline, PipelineInfo, Run, RunState, Schedule, TaskRun
from ml_exporter.states import MAX_TASKS, PipelineState

HOUR, DAY = 3600.0, 86400.0
NOW = 1_000_000_000.0


class Book:
    """A ledger that has read its scheduler's history at NOW."""

    def __init__(self, *roster: PipelineInfo) -> None:
        self.ledger, self.counted, self.now = Ledger(), set[str](), NOW
        self.feed(roster=roster, caught_up=True)

    def feed(self, *runs: Run, at: float | None = None, **batch: Any) -> PipelineState:
        """Fold a batch; the state of `train` after it."""
        self.now = self.now if at is None else at
        change = self.ledger.fold(Batch(cursor={}, runs=runs, **batch), self.counted, self.now)
        self.counted |= change.counted
        self.ledger.adopt(change)
        return self.ledger.pipelines.get("train", PipelineState(""))

    def due(self, at: float, *, paused: bool | None = None, **times: float | None) -> PipelineState:
        schedule = Schedule(**times) if times else None
        return self.feed(at=at, roster=(train(schedule=schedule, paused=paused),))


def train(**known: Any) -> PipelineInfo:
    return PipelineInfo(Pipeline("it", "train"), "id", 1.0, **known)


def run(id_: str, state: str = "succeeded", *, began: float, took: float = 60.0, queued: float | None = None) -> Run:
    state_ = RunState(state)
    ended = began + took if state_.is_terminal else None
    return Run(id_, Pipeline("it", "train"), state_, queued_at=queued, started_at=began, ended_at=ended)


# Due and unmet


def test_a_due_time_that_a_scheduler_moved_past_is_remembered() -> None:
    book = Book()
    assert book.due(NOW, next_due=NOW + HOUR).last_due is None
    state = book.due(NOW + HOUR + 60, next_due=NOW + 2 * HOUR)
    assert (state.last_due, state.next_due) == (NOW + HOUR, NOW + 2 * HOUR)


def test_a_next_due_that_stays_in_the_past_is_a_dead_scheduler() -> None:
    book = Book()
    book.due(NOW, next_due=NOW + HOUR)
    state = book.due(NOW + 3 * HOUR, next_due=NOW + HOUR)
    assert (state.last_due, state.unmet_due) == (NOW + HOUR, NOW + HOUR)


def test_a_success_that_began_since_meets_what_was_due() -> None:
    book = Book()
    book.due(NOW, next_due=NOW + HOUR)
    assert book.due(NOW + HOUR + 60, next_due=NOW + 2 * HOUR).unmet_due == NOW + HOUR
    assert book.feed(run("a", "failed", began=NOW + HOUR + 5)).unmet_due == NOW + HOUR
    assert book.feed(run("b", "running", began=NOW + HOUR + 90)).unmet_due == NOW + HOUR
    assert book.feed(run("b", began=NOW + HOUR + 90)).unmet_due is None


def test_the_first_unmet_due_time_stays_however_often_the_next_one_passes() -> None:
    book = Book()
    for minutes in range(0, 60, 5):
        state = book.due(NOW + minutes * 60 + 1, next_due=NOW + minutes * 60 + 300)
    assert state.unmet_due == NOW + 300


def test_a_late_success_meets_only_what_was_due_before_it_began() -> None:
    book = Book()
    book.due(NOW, next_due=NOW + HOUR)
    book.due(NOW + HOUR + 1, next_due=NOW + 2 * HOUR)
    state = book.feed(run("a", began=NOW + HOUR, took=1.5 * HOUR), at=NOW + 2.6 * HOUR)
    assert state.unmet_due is None
    assert book.due(NOW + 2.6 * HOUR, next_due=NOW + 3 * HOUR).unmet_due == NOW + 2 * HOUR


def test_an_older_run_that_ends_later_does_not_undo_what_a_newer_one_met() -> None:
    book = Book()
    book.due(NOW, next_due=NOW + HOUR)
    book.due(NOW + HOUR + 1, next_due=NOW + 2 * HOUR)
    book.feed(run("newer", began=NOW + HOUR + 60))
    assert book.feed(run("older", began=NOW + 10, took=2 * HOUR)).unmet_due is None


def test_a_clock_that_is_a_little_behind_the_schedulers_meets_all_the_same() -> None:
    book = Book()
    book.due(NOW, next_due=NOW + HOUR)
    book.due(NOW + HOUR + 60, next_due=NOW + 2 * HOUR)
    assert book.feed(run("a", began=NOW + HOUR - 20)).unmet_due is None


def test_the_run_of_the_minute_before_does_not_meet_what_is_due_every_minute() -> None:
    book = Book()
    book.due(NOW, next_due=NOW + 60)
    book.due(NOW + 61, last_due=NOW + 60, next_due=NOW + 120)
    assert book.feed(run("a", began=NOW + 60.1, took=5)).unmet_due is None
    assert book.due(NOW + 121, last_due=NOW + 120, next_due=NOW + 180).unmet_due == NOW + 120


def test_a_clock_that_is_ahead_does_not_meet_what_is_due_tomorrow() -> None:
    book = Book()
    book.due(NOW, next_due=NOW + HOUR)
    book.due(NOW + HOUR + 60, next_due=NOW + DAY)
    assert book.feed(run("days ahead", began=NOW + 30 * DAY), at=NOW + HOUR + 90).unmet_due == NOW + HOUR
    assert book.feed(run("minutes ahead", began=NOW + HOUR + 600), at=NOW + HOUR + 90).unmet_due is None
    assert book.due(NOW + DAY + 60, next_due=NOW + 2 * DAY).unmet_due == NOW + DAY


@pytest.mark.parametrize("before", [{"paused": True, "last_due": NOW - DAY}, {}], ids=["paused", "by hand"])
def test_what_was_due_before_the_timetable_was_in_force_is_nobodys_debt(before: dict[str, Any]) -> None:
    book = Book(train())
    book.due(NOW, **before)
    state = book.due(NOW + HOUR, last_due=NOW - 8 * HOUR, next_due=NOW + 16 * HOUR)
    assert (state.last_due, state.unmet_due) == (None, None)
    state = book.due(NOW + 17 * HOUR, last_due=NOW + 16 * HOUR, next_due=NOW + 40 * HOUR)
    assert (state.last_due, state.unmet_due) == (NOW + 16 * HOUR, NOW + 16 * HOUR)


def test_pausing_ends_all_expectations() -> None:
    book = Book()
    book.due(NOW, next_due=NOW + HOUR)
    assert book.due(NOW + 2 * HOUR, next_due=NOW + HOUR).unmet_due == NOW + HOUR
    state = book.due(NOW + 3 * HOUR, paused=True, next_due=NOW + HOUR)
    assert (state.paused, state.next_due, state.last_due, state.unmet_due) == (True, None, None, None)


def test_a_roster_that_says_nothing_new_changes_nothing() -> None:
    book = Book()
    book.due(NOW, next_due=NOW + HOUR)
    change = book.ledger.fold(
        Batch(cursor={}, roster=(train(schedule=Schedule(next_due=NOW + HOUR)),)), set(), NOW + 60
    )
    assert change.pipelines == {}


# Queue times


def test_waiting_counts_from_queued_to_started_once_the_run_has_ended() -> None:
    book = Book(train())
    state = book.feed(run("a", "failed", began=NOW + 130, queued=NOW + 10), run("b", began=NOW))
    assert (sum(state.waits), state.waited) == (1, 120.0)


# Pipelines that only their runs tell of


def test_a_pipeline_that_a_run_tells_of_is_newborn_once_the_history_is_known() -> None:
    book = Book()
    state = book.feed(run("a", "failed", began=NOW + 50), at=NOW + 100, caught_up=True)
    assert (state.announced, state.backfilled, state.first_seen) == (False, True, NOW + 50)


def test_in_the_history_it_is_not_newborn() -> None:
    ledger = Ledger()
    ledger.adopt(ledger.fold(Batch(cursor={}, runs=(run("a", began=NOW - DAY),), caught_up=True), set(), NOW))
    state = ledger.pipelines["train"]
    assert (state.announced, state.backfilled, state.first_seen) == (True, True, NOW)


def test_it_stays_while_anything_was_heard_of_it_and_comes_back_with_its_counts() -> None:
    book = Book()
    book.feed(run("a", began=NOW), caught_up=True)
    assert book.feed(at=NOW + DAY, roster=(), idle_since=NOW).gone_at is None
    assert book.feed(at=NOW + 2 * DAY, roster=(), idle_since=NOW + DAY).gone_at == NOW + 2 * DAY
    state = book.feed(run("b", began=NOW + 3 * DAY), at=NOW + 3 * DAY)
    assert (state.gone_at, state.finished) == (None, {RunState.SUCCEEDED: 2})


def test_one_that_runs_is_not_idle() -> None:
    book = Book()
    book.feed(run("a", "running", began=NOW), caught_up=True)
    assert book.feed(at=NOW + 90 * DAY, roster=(), idle_since=NOW + 60 * DAY).gone_at is None


def test_a_pipeline_with_an_id_is_gone_when_the_roster_lacks_it() -> None:
    book = Book(train())
    assert book.feed(at=NOW + 60, roster=(), idle_since=NOW - DAY).gone_at == NOW + 60


def test_details_of_one_pipeline_leave_the_others_alone() -> None:
    other = PipelineInfo(Pipeline("it", "other"), "other", 1.0)
    book = Book(train(), other)
    state = book.feed(pipelines=(train(tags=("fraud",), paused=True),))
    assert (state.tags, state.paused) == (("fraud",), True)
    assert book.ledger.pipelines["other"].gone_at is None


def test_a_roster_entry_without_a_time_of_birth_is_newborn_after_the_catch_up() -> None:
    book = Book()
    later = PipelineInfo(Pipeline("it", "train"), "id")
    state = book.feed(at=NOW + 60, roster=(later,), caught_up=True)
    assert (state.announced, state.backfilled) == (False, True)


# Tasks


def task(id_: str, state: str = "succeeded", *, ended: float = NOW, name: str = "fit", took: float = 5.0) -> TaskRun:
    return TaskRun(id_, Pipeline("it", "train"), name, RunState(state), ended - took, ended)


def test_a_task_run_is_counted_once_and_failures_in_a_row_end_with_a_success() -> None:
    book = Book(train())
    for _ in range(2):
        state = book.feed(tasks=(task("1", "failed"), task("2", "timed_out", ended=NOW + 9)))
    assert state.tasks["fit"].finished == {RunState.FAILED: 1, RunState.TIMED_OUT: 1}
    assert state.tasks["fit"].failures == 2
    state = book.feed(tasks=(task("3", ended=NOW + 20),))
    assert (state.tasks["fit"].failures, state.tasks["fit"].duration) == (0, 5.0)


def test_a_success_that_is_told_late_does_not_end_failures_that_came_after_it() -> None:
    book = Book(train())
    state = book.feed(tasks=(task("2", "failed", ended=NOW + 9), task("1", ended=NOW)))
    assert state.tasks["fit"].failures == 1


def test_tasks_of_a_pipeline_are_bounded() -> None:
    book = Book(train())
    state = book.feed(tasks=tuple(task(f"{n}", name=f"mapped-{n}") for n in range(MAX_TASKS + 50)))
    assert len(state.tasks) == MAX_TASKS


def test_a_run_and_a_task_run_may_share_an_id() -> None:
    book = Book(train())
    state = book.feed(run("x", began=NOW), tasks=(task("x"),))
    assert (state.finished, len(state.tasks)) == ({RunState.SUCCEEDED: 1}, 1)
