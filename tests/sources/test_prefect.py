"""What Prefect's flow runs and deployments are to us, against a fake. Times are seconds."""

from __future__ import annotations

import pytest
from tests.support.fake_prefect import NOW, FakePrefect, Heard, source

from ml_exporter.model import Pipeline, RunState
from ml_exporter.ports import Call
from ml_exporter.reading import iso

CRON = {"cron": "0 * * * *", "timezone": "UTC"}


# States


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ("COMPLETED", RunState.SUCCEEDED),
        ("COMPLETED:Cached", RunState.SUCCEEDED),
        ("FAILED", RunState.FAILED),
        ("FAILED:TimedOut", RunState.TIMED_OUT),
        ("CRASHED", RunState.FAILED),
        ("CANCELLED", RunState.CANCELLED),
        ("NEW_WORD", RunState.FAILED),
    ],
)
def test_a_run_that_ended_is_told_in_our_words(state: str, expected: RunState) -> None:
    fake = FakePrefect()
    fake.flow("etl")
    fake.run("r", state, expected=NOW - 60, start=NOW - 50, end=NOW - 10)
    run = Heard().poll(source(), fake, NOW).runs["r"]
    assert (run.pipeline.name, run.state) == ("etl", expected)
    assert (run.queued_at, run.started_at, run.ended_at) == (NOW - 60, NOW - 50, NOW - 10)


@pytest.mark.parametrize(
    ("state", "times", "expected"),
    [
        ("RUNNING", {"start": NOW - 50}, RunState.RUNNING),
        ("RUNNING:Retrying", {"start": NOW - 50}, RunState.RUNNING),
        ("PAUSED:Suspended", {"start": NOW - 50}, RunState.RUNNING),
        ("CANCELLING", {"start": NOW - 50}, RunState.RUNNING),
        ("PENDING", {}, RunState.QUEUED),
        ("SCHEDULED:Late", {"next": NOW - 60}, RunState.QUEUED),
        ("SCHEDULED", {"next": NOW - 1}, RunState.QUEUED),
        ("SCHEDULED:AwaitingConcurrencySlot", {"next": NOW + 30}, RunState.QUEUED),
        ("SCHEDULED:AwaitingRetry", {"start": NOW - 50, "next": NOW + 600}, RunState.RUNNING),
    ],
)
def test_an_active_run_waits_since_it_was_expected_or_runs_since_it_began(
    state: str, times: dict[str, float], expected: RunState
) -> None:
    fake = FakePrefect()
    fake.flow("etl")
    fake.run("r", state, expected=NOW - 60, run_count=1 if "start" in times else 0, **times)
    run = Heard().poll(source(), fake, NOW).runs["r"]
    assert (run.state, run.queued_at, run.started_at) == (expected, NOW - 60, times.get("start"))


@pytest.mark.parametrize(
    ("state", "expected", "times"),
    [
        ("RUNNING:Retrying", RunState.RUNNING, (NOW - 9000, NOW - 30)),
        ("SCHEDULED:AwaitingRetry", RunState.RUNNING, (NOW - 9000, NOW - 30)),
        ("SCHEDULED:Resuming", RunState.QUEUED, (NOW - 30, None)),
    ],
)
def test_a_run_that_was_retried_or_resumed_counts_since_it_was(
    state: str, expected: RunState, times: tuple[float, float | None]
) -> None:
    fake = FakePrefect()
    fake.flow("etl")
    again = {"run_count": 2, "state": {"timestamp": iso(NOW - 30)}}
    fake.run("r", state, expected=NOW - 9000, start=NOW - 8000, next=NOW - 30, **again)
    run = Heard().poll(source(), fake, NOW).runs["r"]
    assert (run.state, run.queued_at, run.started_at) == (expected, *times)


def test_planned_runs_are_not_a_queue() -> None:
    fake = FakePrefect()
    fake.deployment("etl", "hourly", CRON, work_pool_name="gpu")
    fake.tables["work_pools"].append({"id": "p", "name": "gpu"})
    for number in range(60):
        at = NOW + 3600 * (number + 1)
        run = {"expected": at, "next": at, "deployment_id": "etl-hourly", "work_pool_name": "gpu", "run_count": 0}
        fake.run(f"r{number}", "SCHEDULED", **run)
    listener = Heard().poll(source(), fake, NOW)
    assert not listener.runs
    assert listener.gauges["queue_length", "gpu"] == 0


def test_a_run_that_ended_without_beginning_has_no_duration_and_no_wait() -> None:
    """Prefect gives it the instant of its end for a start."""
    fake = FakePrefect()
    fake.flow("etl")
    fake.run("r", "CANCELLED", expected=NOW - 900, start=NOW - 10, end=NOW - 10, run_count=0)
    assert Heard().poll(source(), fake, NOW).runs["r"].started_at is None


def test_a_run_started_ahead_of_its_time_has_not_waited() -> None:
    fake = FakePrefect()
    fake.flow("etl")
    fake.run("r", expected=NOW + 900, start=NOW - 50, end=NOW - 10)
    run = Heard().poll(source(), fake, NOW).runs["r"]
    assert (run.queued_at, run.started_at) == (NOW - 50, NOW - 50)


# Pipelines


def test_deployments_are_pipelines_and_so_are_flows_that_run_without_one() -> None:
    fake = FakePrefect()
    fake.deployment("etl", "nightly", tags=["risk-ml", 7, "x" * 100])
    fake.flow("adhoc")
    fake.run("a", flow_id="flow-etl", deployment_id="etl-nightly", start=NOW - 50, end=NOW - 10)
    fake.run("b", flow_id="flow-adhoc", start=NOW - 50, end=NOW - 10, tags=["lab"])
    listener = Heard().poll(source(), fake, NOW)
    assert {id_: run.pipeline.name for id_, run in listener.runs.items()} == {"a": "etl/nightly", "b": "adhoc"}
    assert listener.roster == {"etl/nightly": "etl-nightly"}
    assert (listener.infos["etl/nightly"].tags, listener.infos["adhoc"].tags) == (("risk-ml",), ("lab",))


def test_names_are_asked_for_once_and_many_at_a_time() -> None:
    fake, src = FakePrefect(), source()
    for number in range(300):
        fake.flow(f"f{number}")
        fake.run(f"r{number}", flow_id=f"flow-f{number}", start=NOW - 50, end=NOW - 10 - number / 1000)
    listener = Heard().poll(src, fake, NOW)
    listener.poll(src, fake, NOW + 30)
    assert len(listener.runs) == 300
    assert fake.count()["flows"] == 2


def test_child_flows_are_left_out_unless_wanted_but_runs_of_deployments_never() -> None:
    fake = FakePrefect()
    fake.deployment("etl", "nightly")
    fake.run("child", parent_task_run_id="t", start=NOW - 50, end=NOW - 10)
    fake.run("deployed", parent_task_run_id="t", deployment_id="etl-nightly", start=NOW - 50, end=NOW - 20)
    assert set(Heard().poll(source(), fake, NOW).runs) == {"deployed"}
    assert set(Heard().poll(source(children=True), fake, NOW).runs) == {"child", "deployed"}


def test_a_deployment_born_between_two_readings_is_known_with_its_first_run() -> None:
    fake, src = FakePrefect(), source()
    listener = Heard().poll(src, fake, NOW)
    fake.deployment("etl", "new", CRON)
    fake.run("r", "RUNNING", start=NOW + 10, deployment_id="etl-new")
    listener.poll(src, fake, NOW + 30)
    assert listener.infos["etl/new"].id == "etl-new"
    assert listener.runs["r"].pipeline == Pipeline("jobs", "etl/new")


def test_runs_of_a_deployment_that_is_gone_are_left_out_and_asked_about_once() -> None:
    fake, src = FakePrefect(), source()
    fake.flow("etl")
    fake.run("r", deployment_id="gone", start=NOW - 50, end=NOW - 10)
    listener = Heard().poll(src, fake, NOW)
    fake.calls.clear()
    fake.run("s", deployment_id="gone", start=NOW + 5, end=NOW + 10)
    listener.poll(src, fake, NOW + 30)
    assert not listener.runs
    assert fake.count()["deployments"] == 0


def test_a_deployment_that_slipped_through_the_pages_is_not_gone() -> None:
    """An item that is deleted while pages are read moves another one from the next page to the one before."""
    fake, src = FakePrefect(), source(page_size=2)
    for name in "abcd":
        fake.deployment("etl", name)
    listener = Heard().poll(src, fake, NOW)
    deployments = fake.tables["deployments"]

    def deletes_in_the_middle(call: Call) -> None:
        if call.path.endswith("deployments/filter") and call.body.get("offset") == 2:
            fake.tables["deployments"] = deployments[:-1]

    fake.fault = deletes_in_the_middle
    listener.poll(src, fake, NOW + 600)
    assert set(listener.roster) == {"etl/a", "etl/b", "etl/c", "etl/d"}
    fake.fault = lambda call: None
    listener.poll(src, fake, NOW + 1200)
    assert set(listener.roster) == {"etl/a", "etl/b", "etl/c"}


def test_pipelines_that_are_not_wanted_are_not_told() -> None:
    fake = FakePrefect()
    fake.deployment("etl", "nightly")
    fake.deployment("etl", "scratch")
    fake.run("a", deployment_id="etl-nightly", start=NOW - 50, end=NOW - 10)
    fake.run("b", deployment_id="etl-scratch", start=NOW - 50, end=NOW - 10)
    listener = Heard().poll(source(include=("etl/*",), exclude=("*/scratch",)), fake, NOW)
    assert (set(listener.roster), set(listener.runs)) == ({"etl/nightly"}, {"a"})
