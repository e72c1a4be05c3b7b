"""What counts as a run of Dagster, and what of it is believed. A fake: a real one refuses hostile data."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.fake_dagster import NOW, STATUSES, FakeDagster, repository, source
from tests.support.polling import Listener

from ml_exporter.model import Run, RunState
from ml_exporter.sources.dagster.runs import STATES

TIMES = {"created": NOW - 100.0, "start": NOW - 90.0, "end": NOW - 30.0}


def told(status: str = "SUCCESS", options: dict[str, Any] | None = None, **values: Any) -> Run | None:
    """What is told of one run."""
    fake = FakeDagster()
    fake.add("r", status=status, **{**TIMES, "updated": NOW - 30.0, **values})
    return Listener().poll(source(**(options or {})), fake, NOW).runs.get("r")


def state_of(status: str = "SUCCESS", options: dict[str, Any] | None = None, **values: Any) -> RunState:
    run = told(status, options, **values)
    assert run is not None
    return run.state


# States


def test_every_status_of_dagster_has_a_state() -> None:
    assert set(STATES) == set(STATUSES)
    assert {status: state_of(status) for status in STATUSES} == STATES


def test_a_run_that_waits_has_no_start() -> None:
    run = told("STARTING", end=None)
    assert run is not None
    assert (run.state, run.queued_at, run.started_at, run.ended_at) == (RunState.QUEUED, NOW - 100.0, None, None)


def test_a_run_that_is_being_cancelled_still_runs() -> None:
    run = told("CANCELING", end=None)
    assert run is not None
    assert (run.state, run.started_at, run.ended_at) == (RunState.RUNNING, NOW - 90.0, None)


@pytest.mark.parametrize(("end", "state"), [(None, RunState.RUNNING), (NOW - 30.0, RunState.CANCELLED)])
def test_a_status_that_is_newer_than_we_are_is_not_dropped(end: float | None, state: RunState) -> None:
    fake = FakeDagster(statuses=(*STATUSES, "PONDERING"))
    fake.add("r", status="PONDERING", **{**TIMES, "end": end})
    assert Listener().poll(source(), fake, NOW).runs["r"].state is state


def test_a_status_that_an_older_server_does_not_know_is_not_asked_for() -> None:
    fake = FakeDagster(statuses=tuple(word for word in STATUSES if word != "SUSPENDED"))
    Listener().poll(source(), fake, NOW)
    assert not any("SUSPENDED" in str(call.body["variables"]) for call in fake.calls)


# Time-outs


@pytest.mark.parametrize(
    ("tags", "options", "state"),
    [
        ({"dagster/failure_reason": "START_TIMEOUT"}, {}, RunState.TIMED_OUT),
        ({"dagster/max_runtime": "60"}, {}, RunState.TIMED_OUT),
        ({"dagster/max_runtime_seconds": "60"}, {}, RunState.TIMED_OUT),
        ({"dagster/max_runtime": "61"}, {}, RunState.FAILED),
        ({"dagster/max_runtime": "60", "dagster/failure_reason": "STEP_FAILURE"}, {}, RunState.FAILED),
        ({"dagster/max_runtime": "an hour"}, {}, RunState.FAILED),
        ({"dagster/max_runtime": "nan"}, {}, RunState.FAILED),
        ({}, {"max_runtime": 60.0}, RunState.TIMED_OUT),
        ({"dagster/max_runtime": "600"}, {"max_runtime": 60.0}, RunState.FAILED),
        ({}, {}, RunState.FAILED),
    ],
)
def test_a_failure_is_a_time_out_when_dagster_stopped_it(
    tags: dict[str, str], options: dict[str, Any], state: RunState
) -> None:
    assert state_of("FAILURE", options, tags=tags) is state


def test_a_run_that_ran_too_long_may_call_itself_cancelled() -> None:
    assert state_of("CANCELED", tags={"dagster/max_runtime": "60"}) is RunState.TIMED_OUT
    assert state_of("CANCELED", tags={"dagster/max_runtime": "61"}) is RunState.CANCELLED


def test_a_success_that_took_longer_than_allowed_is_a_success() -> None:
    assert state_of("SUCCESS", tags={"dagster/max_runtime": "1"}) is RunState.SUCCEEDED


# Times


def test_a_run_that_ended_before_it_began_has_no_start() -> None:
    # Dagster gives the end of such a run as its start.
    run = told("CANCELED", start=NOW - 30.0)
    assert run is not None
    assert (run.queued_at, run.started_at, run.ended_at) == (NOW - 100.0, None, NOW - 30.0)


def test_an_end_that_dagster_does_not_know_is_the_time_of_the_last_event() -> None:
    run = told(end=None, updated=NOW - 20.0)
    assert run is not None
    assert run.ended_at == NOW - 20.0


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -5, 1e300, 10**400, "soon", True, [], None])
def test_times_that_cannot_be_are_unknown(bad: Any) -> None:
    run = told(created=bad, start=bad)
    assert run is not None
    assert (run.state, run.queued_at, run.started_at, run.ended_at) == (RunState.SUCCEEDED, None, None, NOW - 30.0)


def test_times_that_run_backwards_are_dropped() -> None:
    run = told(start=NOW - 10.0)
    assert run is not None
    assert (run.queued_at, run.started_at, run.ended_at) == (NOW - 100.0, None, NOW - 30.0)
    run = told(created=NOW - 50.0)
    assert run is not None
    assert (run.queued_at, run.started_at) == (None, NOW - 90.0)


# Which runs, and whose


def test_the_runs_of_a_backfill_are_left_out_unless_they_are_wanted() -> None:
    assert told(tags={"dagster/backfill": "b"}) is None
    assert told(tags={"dagster/backfill": "b"}, options={"backfills": True}) is not None


def test_what_automation_launches_as_a_backfill_is_no_filling_in_of_the_past() -> None:
    assert told(tags={"dagster/backfill": "b", "dagster/from_automation_condition": "true"}) is not None


def test_a_named_repository_is_part_of_the_name() -> None:
    fake = FakeDagster({"lab": [repository("train"), repository("train", name="old")]})
    fake.add("r", **TIMES, repository="old")
    fake.add("s", **TIMES)
    runs = Listener().poll(source(), fake, NOW).runs
    assert {id_: run.pipeline.name for id_, run in runs.items()} == {"r": "lab/old/train", "s": "lab/train"}


def test_a_run_that_the_server_did_not_launch_belongs_to_the_only_job_of_its_name() -> None:
    fake = FakeDagster({"a": [repository("train", "clean")], "b": [repository("train")]})
    fake.add("ambiguous", "train", location=None, **TIMES)
    fake.add("clear", "clean", location=None, **TIMES)
    fake.add("unknown", "other", location=None, **TIMES)
    runs = Listener().poll(source(), fake, NOW).runs
    assert {id_: run.pipeline.name for id_, run in runs.items()} == {"clear": "a/clean"}


def test_runs_of_jobs_that_are_no_more_or_not_wanted_are_not_told() -> None:
    fake = FakeDagster({"lab": [repository("train", "scratch")]})
    fake.add("wanted", "train", **TIMES)
    fake.add("excluded", "scratch", **TIMES)
    fake.add("removed", "gone", **TIMES | {"created": NOW - 5000.0})
    assert set(Listener().poll(source(exclude=("*/scratch",)), fake, NOW).runs) == {"wanted"}


def test_a_run_of_a_job_that_is_newer_than_the_roster_is_told() -> None:
    fake, src = FakeDagster(), source()
    listener = Listener().poll(src, fake, NOW)
    fake.locations = {"lab": [repository("train", "new")]}
    fake.add("first", "new", created=NOW + 20.0, start=NOW + 21.0, end=NOW + 25.0)
    assert listener.poll(src, fake, NOW + 30).runs["first"].pipeline.name == "lab/new"
    assert "lab/new" not in listener.roster
    assert "lab/new" in listener.poll(src, fake, NOW + 210).roster


def test_hostile_names_are_passed_on_as_they_are() -> None:
    name = 'x"\n\\' * 100_000
    fake = FakeDagster({"lab": [repository(name)]})
    fake.add("r", name, **TIMES)
    assert Listener().poll(source(), fake, NOW).runs["r"].pipeline.name == f"lab/{name}"
