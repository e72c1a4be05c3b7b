"""The Airflow source on a fake one: runs in every state, versions of the API, restarts."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.fake_airflow import DAY, NOW, FakeAirflow, Watch, run, stamp, with_dags
from tests.support.polling import CutShortError

from ml_exporter.errors import Malformed, Reason, Rejected
from ml_exporter.model import Pipeline, RunState, Sample
from ml_exporter.ports import Reply

both = pytest.mark.parametrize("version", [1, 2])


@both
def test_every_state_of_a_run(version: int) -> None:
    fake = with_dags("train", version=version)
    fake.runs = [run("train", f"r-{state}", state, NOW - 600) for state in ("queued", "running", "success", "failed")]
    watch = Watch(fake)
    watch.poll()
    assert watch.states() == {
        "train/r-queued": RunState.QUEUED,
        "train/r-running": RunState.RUNNING,
        "train/r-success": RunState.SUCCEEDED,
        "train/r-failed": RunState.FAILED,
    }
    assert watch.listener.last.caught_up


def test_times_of_a_run_in_each_state() -> None:
    fake = with_dags("train")
    fake.runs = [run("train", state, state, NOW - 600) for state in ("queued", "running", "success")]
    found = Watch(fake).poll().runs
    waited, works, done = (found[f"train/{state}"] for state in ("queued", "running", "success"))
    assert (waited.queued_at, waited.started_at, waited.ended_at) == (NOW - 600, None, None)
    assert (works.queued_at, works.started_at, works.ended_at) == (NOW - 600, NOW - 598, None)
    assert (done.queued_at, done.started_at, done.ended_at) == (NOW - 600, NOW - 598, NOW - 538)


@pytest.mark.parametrize(
    ("timeout", "state"),
    [
        ("PT30S", RunState.TIMED_OUT),
        ("PT1M", RunState.TIMED_OUT),
        ("PT1M0.5S", RunState.FAILED),
        ("P1Y35DT1H", RunState.FAILED),
        ({"__type": "TimeDelta", "days": 0, "seconds": 30, "microseconds": 0}, RunState.TIMED_OUT),
        ({"__type": "TimeDelta", "days": 1, "seconds": 0, "microseconds": 0}, RunState.FAILED),
        (None, RunState.FAILED),
        ("soon", RunState.FAILED),
        (30, RunState.FAILED),
    ],
)
def test_a_failed_run_as_long_as_its_timeout_timed_out(timeout: Any, state: RunState) -> None:
    fake = with_dags("train", details={"train": {"dag_run_timeout": timeout}})
    fake.runs = [run("train", "r", "failed", NOW - 600)]
    watch = Watch(fake)
    watch.poll()
    assert watch.states() == {"train/r": state}


def test_the_timeout_of_a_dag_is_asked_for_once_a_day_and_only_if_a_run_failed() -> None:
    fake = with_dags("train", "score", details={"train": {"dag_run_timeout": "PT30S"}})
    fake.runs = [run("train", f"r{n}", "failed", NOW - 600) for n in range(5)] + [run("score", "r", "success", NOW - 9)]
    watch = Watch(fake)
    watch.poll()
    watch.poll(3600)
    assert [call.path for call in fake.asked("/details")] == ["/api/v2/dags/train/details"]
    fake.runs.append(run("train", "new", "failed", watch.now + DAY - 70))
    watch.poll(DAY)
    assert len(fake.asked("/details")) == 2


def test_runs_of_two_dags_with_one_id_are_two_runs() -> None:
    fake = with_dags("a", "b")
    fake.runs = [run(name, "scheduled__2026-05-01T00:00:00+00:00", "success", NOW - 600) for name in ("a", "b")]
    assert len(Watch(fake).poll().runs) == 2


def test_a_run_without_logical_date_is_met() -> None:
    fake = with_dags("train")
    fake.runs = [run("train", "manual", "success", NOW - 600, execution_date=None, logical_date=None)]
    assert set(Watch(fake).poll().runs) == {"train/manual"}


def test_a_run_marked_otherwise_later_is_told_again() -> None:
    fake = with_dags("train")
    fake.runs = [run("train", "r", "failed", NOW - DAY)]
    watch = Watch(fake)
    watch.poll()
    fake.runs = [run("train", "r", "success", NOW - DAY, updated=NOW + 10)]
    watch.poll(30)
    assert watch.states() == {"train/r": RunState.SUCCEEDED}


def test_what_was_told_is_not_told_again_while_it_stays_as_it_was() -> None:
    fake = with_dags("train")
    fake.runs = [run("train", "r", "success", NOW - 70)]
    watch = Watch(fake)
    for _ in range(3):
        watch.poll(10)
    assert [told.id for told in watch.listener.told] == ["train/r"]


def test_a_cleared_run_is_active_again_and_told_when_it_ends_once_more() -> None:
    fake = with_dags("train")
    fake.runs = [run("train", "r", "success", NOW - 70)]
    watch = Watch(fake)
    watch.poll()
    fake.runs = [run("train", "r", "queued", NOW - 70, queued_at=stamp(NOW + 5))]
    assert watch.poll(10).runs["train/r"].state is RunState.QUEUED
    fake.runs = [run("train", "r", "success", NOW - 70, updated=NOW + 15)]
    assert watch.poll(10).runs["train/r"].state is RunState.SUCCEEDED


def test_a_run_that_left_both_listings_is_asked_for_by_its_id() -> None:
    fake = with_dags("train")
    id_ = "manual__2026-05-01T00:00:00.5+00:00"
    fake.runs = [run("train", id_, "running", NOW - 600), run("train", "deleted", "running", NOW - 600)]
    watch = Watch(fake)
    watch.poll()
    fake.runs = [run("train", id_, "failed", NOW - 600, updated=NOW - 9 * DAY)]
    watch.poll(3600)
    assert watch.states() == {f"train/{id_}": RunState.FAILED}
    assert watch.listener.forgotten == ["train/deleted"]
    assert f"/api/v2/dags/train/dagRuns/{id_.replace(':', '%3A').replace('+', '%2B')}" in {c.path for c in fake.calls}


def test_a_404_of_something_else_forgets_no_run() -> None:
    fake = with_dags("train")
    fake.runs = [run("train", "r", "running", NOW - 600)]
    watch = Watch(fake)
    watch.poll()
    fake.runs = []
    fake.instead["/api/v2/dags/train/dagRuns/r"] = Reply(404, {}, b"no such page")
    with pytest.raises(Malformed, match="does not speak of a DAG run"):
        watch.poll(30)
    assert set(watch.listener.runs) == {"train/r"}


def test_a_state_that_is_not_known_yet_is_running_until_it_has_an_end() -> None:
    fake = with_dags("train")
    fake.runs = [run("train", "r", "running", NOW - 600)]
    watch = Watch(fake)
    watch.poll()
    fake.runs = [run("train", "r", "resting", NOW - 600)]
    assert watch.poll(30).runs["train/r"].state is RunState.RUNNING
    fake.runs = [run("train", "r", "rested", NOW - 600, end_date=stamp(NOW))]
    assert watch.poll(30).forgotten == ["train/r"]


# The version


def test_the_version_is_found_once_and_remembered_over_a_restart() -> None:
    fake = with_dags("train", version=1)
    watch = Watch(fake)
    watch.poll()
    assert [call.path for call in fake.calls[:2]] == ["/api/v2/monitor/health", "/api/v1/health"]
    fake.calls.clear()
    watch.restart()
    watch.poll(30)
    assert fake.calls[0].path == "/api/v1/health"
    assert all(call.path.startswith("/api/v1") for call in fake.calls)


def test_a_server_that_is_upgraded_is_found_again() -> None:
    fake = with_dags("train", version=1)
    watch = Watch(fake)
    watch.poll()
    fake.version = 2
    watch.poll(400)
    assert watch.listener.last.caught_up


def test_no_airflow_at_all_says_what_was_asked() -> None:
    fake = FakeAirflow(version=4)
    with pytest.raises(Malformed, match=r"404 for both, wanted is /api/v2/monitor/health .* or /api/v1/health"):
        Watch(fake).poll()
    fake.instead["/api/experimental/test"] = b"{}"
    with pytest.raises(Malformed, match="found the experimental API of Airflow 1"):
        Watch(fake).poll()


def test_an_airflow_before_2_6_is_named_with_its_version() -> None:
    fake = with_dags("train", version=1)
    fake.instead["/api/v1/dags/~/dagRuns"] = Reply(400, {}, b"Extra query parameter(s) updated_at_gte not in spec")
    fake.instead["/api/v1/version"] = b'{"version": "2.3.4"}'
    with pytest.raises(Rejected, match=r"Airflow 2.3.4 refuses the question with status 400 .* 2.6 or later is wanted"):
        Watch(fake).poll()


def test_a_server_without_its_database_is_no_scheduler_without_heartbeat() -> None:
    fake = with_dags("train", health={"metadatabase": {"status": "unhealthy"}})
    with pytest.raises(Rejected, match="metadata database is unhealthy") as caught:
        Watch(fake).poll()
    assert caught.value.reason is Reason.SERVER_ERROR


def test_the_page_of_a_run() -> None:
    for version, page in (
        (2, "http://airflow/dags/train/runs/manual__2026%2B00%3A00"),
        (1, "http://airflow/dags/train/grid?dag_run_id=manual__2026%2B00%3A00"),
    ):
        watch = Watch(with_dags("train", version=version))
        watch.poll()
        assert watch.source.run_url(Pipeline("it", "train"), "train", "train/manual__2026+00:00") == page


# Restarts


def test_a_poll_that_is_cut_anywhere_loses_nothing() -> None:
    fake = with_dags("train")
    fake.runs = [run("train", f"r{n}", "success", NOW - 9000 + n) for n in range(25)]
    for cut_after in range(1, 12):
        watch = Watch(fake, page_size=5)
        try:
            watch.poll(cut_after=cut_after)
        except CutShortError:
            watch.restart()
            watch.catch_up()
        assert len(watch.listener.runs) == 25


def test_first_batch_is_the_roster() -> None:
    watch = Watch(with_dags("train"))
    watch.poll()
    assert watch.listener.batches[0].roster is not None


def test_gauge_families_are_those_of_the_catalogue() -> None:
    watch = Watch(with_dags("train", pools=[{"name": "p", "slots": 1, "occupied_slots": 0, "queued_slots": 0}]))
    watch.poll()
    samples: list[Sample] = [s for batch in watch.listener.batches for s in batch.gauges or ()]
    assert {sample.family for sample in samples} == {
        "ml_scheduler_queue_length",
        "ml_scheduler_capacity",
        "ml_scheduler_load_errors",
    }
