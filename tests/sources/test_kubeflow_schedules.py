"""When Kubeflow's recurring runs are due: triggers, their bounds, and what becomes of them between two readings."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from tests.support.fake_kubeflow import RECURRING, FakeKubeflow, at, source
from tests.support.polling import Listener

from ml_exporter.model import PipelineInfo, Sample, Schedule


def moment(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


NOW = moment("2026-11-20 22:00:30")  # a Friday
CREATED = moment("2026-11-01 00:00")


def infos(fake: FakeKubeflow, **options: Any) -> dict[str, PipelineInfo]:
    roster = Listener().poll(source(**options), fake, NOW).batches[0].roster or ()
    return {info.pipeline.name: info for info in roster}


def schedule(trigger: dict[str, Any], created: float = CREATED, **options: Any) -> Schedule | None:
    fake = FakeKubeflow()
    fake.recur("rr", "train", trigger, created=created)
    return infos(fake, **options)["train"].schedule


def bounds(start: str | None, end: str | None) -> dict[str, str]:
    return {key: at(moment(text)) for key, text in (("start_time", start), ("end_time", end)) if text}


def cron(expression: str, start: str | None = None, end: str | None = None) -> dict[str, Any]:
    return {"cron_schedule": {"cron": expression, **bounds(start, end)}}


def every(seconds: object, start: str | None = None, end: str | None = None) -> dict[str, Any]:
    return {"periodic_schedule": {"interval_second": seconds, **bounds(start, end)}}


@pytest.mark.parametrize(
    ("trigger", "last", "next_"),
    [
        (cron("0 30 2 * * *"), "2026-11-20 02:30", "2026-11-21 02:30"),
        (cron("15 0 22 * * 1-5"), "2026-11-20 22:00:15", "2026-11-23 22:00:15"),
        # Seconds come first, also where only five fields are given: second 30 of minute 5.
        (cron("30 5 * * *"), "2026-11-20 21:05:30", "2026-11-20 22:05:30"),
        (cron("@daily"), "2026-11-20 00:00", "2026-11-21 00:00"),
        (cron("@every 6h"), "2026-11-20 18:00", "2026-11-21 00:00"),
        (cron("0 0 * * * *", start="2026-11-20 21:30"), "2026-11-20 22:00", "2026-11-20 23:00"),
        (cron("0 0 * * * *", start="2026-11-20 22:00:10"), None, "2026-11-20 23:00"),
        (cron("0 0 * * * *", start="2026-12-01 00:30"), None, "2026-12-01 01:00"),
        (cron("0 0 * * * *", end="2026-11-20 22:30"), "2026-11-20 22:00", None),
        (cron("0 0 * * * *", end="2026-11-10 12:30"), "2026-11-10 12:00", None),
        (every("3600"), "2026-11-20 22:00", "2026-11-20 23:00"),
        (every(7200, start="2026-11-20 01:00"), "2026-11-20 21:00", "2026-11-20 23:00"),
        (every("86400", start="2026-11-20 22:00"), "2026-11-20 22:00", "2026-11-21 22:00"),
        (every("3600", start="2026-12-01 00:00"), None, "2026-12-01 00:00"),
        (every("3600", start="2026-11-20 01:00", end="2026-11-20 05:30"), "2026-11-20 05:00", None),
    ],
)
def test_a_run_is_due_when_its_trigger_says(trigger: dict[str, Any], last: str | None, next_: str | None) -> None:
    found = schedule(trigger)
    assert found == Schedule(moment(next_) if next_ else None, moment(last) if last else None)


def test_nothing_was_due_before_the_recurring_run_was_created() -> None:
    found = schedule(cron("0 0 * * * *"), created=moment("2026-11-20 22:00:10"))
    assert found == Schedule(moment("2026-11-20 23:00"), None)
    found = schedule(every("3600"), created=moment("2026-11-20 21:30"))
    assert found == Schedule(moment("2026-11-20 22:30"), None)


def test_cron_is_read_in_the_time_zone_of_the_controller() -> None:
    found = schedule(cron("0 0 2 * * *"), time_zone="Europe/Berlin")
    assert found == Schedule(moment("2026-11-21 01:00"), moment("2026-11-20 01:00"))


@pytest.mark.parametrize(
    "trigger",
    [cron("every now and then"), cron("0 0 99 * * *"), every("soon"), every(None), every("0"), every([])],
)
def test_a_trigger_that_cannot_be_read_is_counted_and_nothing_is_expected(trigger: dict[str, Any]) -> None:
    fake = FakeKubeflow()
    fake.recur("rr", "train", trigger, created=CREATED)
    listener = Listener().poll(source(), fake, NOW)
    assert infos(fake)["train"].schedule is None
    assert Sample("ml_scheduler_load_errors", ("timetables",), 1) in (listener.last.gauges or ())


@pytest.mark.parametrize("trigger", [{}, None, "cron", {"cron_schedule": None}])
def test_without_a_trigger_nothing_is_expected(trigger: Any) -> None:
    assert schedule(trigger) is None


def test_a_disabled_recurring_run_is_paused() -> None:
    fake = FakeKubeflow()
    fake.recur("on", "on", cron("0 0 * * * *"), created=CREATED)
    fake.recur("off", "off", cron("0 0 * * * *"), created=CREATED, status="DISABLED")
    found = infos(fake)
    assert (found["on"].paused, found["off"].paused) == (False, True)


def test_recurring_runs_of_one_name_are_one_pipeline() -> None:
    fake = FakeKubeflow()
    fake.recur("b", "train", cron("0 0 6 * * *"), created=CREATED)
    fake.recur("a", "train", cron("0 0 18 * * *"), created=CREATED + 60)
    fake.recur("c", "train", cron("0 59 23 * * *"), created=CREATED + 60, status="DISABLED")
    found = infos(fake)["train"]
    assert (found.id, found.created_at, found.paused) == ("a", CREATED, False)
    assert found.schedule == Schedule(moment("2026-11-21 06:00"), moment("2026-11-20 18:00"))


def test_a_timetable_moves_on_without_being_asked_for_again() -> None:
    fake, src = FakeKubeflow(), source()
    fake.recur("rr", "train", cron("0 * * * * *"), created=CREATED)
    listener = Listener().poll(src, fake, NOW)
    listener.poll(src, fake, NOW + 20)
    assert [batch.pipelines for batch in listener.batches[2:]] == [()]
    listener.poll(src, fake, NOW + 40)
    [info] = listener.batches[3].pipelines
    assert info.schedule == Schedule(moment("2026-11-20 22:02"), moment("2026-11-20 22:01"))
    assert fake.asked(RECURRING) == 1


def test_a_recurring_run_that_the_server_cannot_read_stays_as_it_was() -> None:
    fake, src = FakeKubeflow(), source()
    fake.recur("rr", "train", cron("0 0 * * * *"), created=CREATED)
    listener = Listener().poll(src, fake, NOW)
    fake.recurring["rr"] = {"recurring_run_id": "rr", "error": {"code": 13, "message": "cannot parse"}}
    listener.poll(src, fake, NOW + 700)
    [info] = next(batch.roster for batch in reversed(listener.batches) if batch.roster is not None)
    assert (info.pipeline.name, info.schedule is None) == ("train", False)
    assert Sample("ml_scheduler_load_errors", ("recurring_runs",), 1) in (listener.last.gauges or ())


def test_a_deleted_recurring_run_leaves_the_roster() -> None:
    fake, src = FakeKubeflow(), source()
    fake.recur("rr", "train", cron("0 0 * * * *"), created=CREATED)
    listener = Listener().poll(src, fake, NOW)
    fake.recurring.clear()
    assert listener.poll(src, fake, NOW + 700).roster == {}
