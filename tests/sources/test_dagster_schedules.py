"""When Dagster's jobs are due, and which are paused. Times are seconds."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from tests.support.fake_dagster import FakeDagster, Row, gauges, repository, schedule, sensor, source
from tests.support.polling import Listener

from ml_exporter.model import PipelineInfo, Schedule


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


NOW = at("2026-11-20 10:30")  # a Friday
TODAY, TOMORROW = at("2026-11-20 02:00"), at("2026-11-21 02:00")
BEGUN = at("2026-11-01 00:00")
DAILY = "0 2 * * *"


def infos(fake: FakeDagster, now: float = NOW, **options: Any) -> dict[str, PipelineInfo]:
    batch = Listener().poll(source(**options), fake, now).batches[0]
    return {info.pipeline.name.removeprefix("lab/"): info for info in batch.roster or ()}


def expected(*schedules: Row, now: float = NOW, **more: Any) -> PipelineInfo:
    """What is said of the job `train` with these schedules."""
    return infos(FakeDagster({"lab": [repository("train", schedules=[*schedules], **more)]}), now)["train"]


def daily(*ticks: tuple[float, str], status: str = "RUNNING", begun: float = BEGUN, **more: Any) -> Row:
    return schedule("nightly", "train", more.pop("cron", DAILY), status, ticks=ticks, begun=begun, **more)


# Schedules


def test_a_schedule_whose_last_tick_asked_for_a_run_is_due_next_at_its_next_time() -> None:
    assert expected(daily((TODAY, "SUCCESS"))).schedule == Schedule(TOMORROW, TODAY)


def test_a_tick_that_failed_was_due_all_the_same() -> None:
    assert expected(daily((TODAY, "FAILURE"))).schedule == Schedule(TOMORROW, TODAY)


def test_a_tick_that_skipped_was_not_due() -> None:
    ticks = ((TODAY, "SKIPPED"), (TODAY - 86400, "SUCCESS"))
    assert expected(daily(*ticks)).schedule == Schedule(TOMORROW, TODAY - 86400)


def test_of_a_schedule_that_only_skips_nothing_is_expected() -> None:
    assert expected(daily((TODAY, "SKIPPED"), (TODAY - 86400, "SKIPPED"))).schedule is None


def test_a_tick_under_way_is_not_due_until_it_takes_too_long() -> None:
    ticks = ((TODAY, "STARTED"), (TODAY - 86400, "SUCCESS"))
    assert expected(daily(*ticks), now=TODAY + 20).schedule == Schedule(TOMORROW, TODAY - 86400)
    assert expected(daily(*ticks), now=TODAY + 90).schedule == Schedule(TOMORROW, TODAY)


def test_a_daemon_that_is_dead_leaves_the_next_time_in_the_past() -> None:
    three_days_ago = TODAY - 3 * 86400
    found = expected(daily((three_days_ago, "SUCCESS"))).schedule
    assert found == Schedule(next_due=three_days_ago + 86400, last_due=TODAY)


def test_a_daemon_may_take_a_minute_to_see_that_something_is_due() -> None:
    yesterday = (TODAY - 86400, "SUCCESS")
    assert expected(daily(yesterday), now=TODAY + 50).schedule == Schedule(TODAY, TODAY - 86400)
    assert expected(daily(yesterday), now=TODAY + 70).schedule == Schedule(TODAY, TODAY)


def test_what_was_due_before_a_schedule_was_started_is_nobodys_debt() -> None:
    begun = at("2026-11-20 09:00")
    assert expected(daily((TODAY - 86400, "SUCCESS"), begun=begun)).schedule == Schedule(TOMORROW, None)
    assert expected(daily(begun=begun)).schedule == Schedule(TOMORROW, None)


def test_a_schedule_that_no_daemon_has_ever_seen_has_a_next_time() -> None:
    row = daily()
    row["scheduleState"]["typeSpecificData"] = None
    assert expected(row).schedule == Schedule(TOMORROW, None)


def test_a_schedule_keeps_to_its_time_zone() -> None:
    # 02:00 in Berlin is 01:00 UTC in November.
    ticks = ((TODAY - 3600, "SUCCESS"),)
    assert expected(daily(*ticks, zone="Europe/Berlin")).schedule == Schedule(TOMORROW - 3600, TODAY - 3600)


def test_weekends_are_not_due() -> None:
    assert expected(daily((TODAY, "SUCCESS"), cron="0 2 * * 1-5")).schedule == Schedule(at("2026-11-23 02:00"), TODAY)


def test_several_expressions_of_one_schedule_are_a_list_in_text() -> None:
    row = daily((TODAY, "SUCCESS"), cron="['0 2 * * *', '0 16 * * *']")
    assert expected(row).schedule == Schedule(at("2026-11-20 16:00"), TODAY)


def test_of_several_schedules_of_a_job_the_earliest_counts() -> None:
    hourly = daily((at("2026-11-20 10:00"), "SUCCESS"), cron="0 * * * *")
    assert expected(daily((TODAY, "SUCCESS")), hourly).schedule == Schedule(
        at("2026-11-20 11:00"), at("2026-11-20 10:00")
    )


@pytest.mark.parametrize(
    ("cron", "zone"),
    [
        ("every day", "UTC"),
        ("[1, 2]", "UTC"),
        ("['0 2 * *", "UTC"),
        ("[" * 5000, "UTC"),
        ("", "UTC"),
        ("0 2 * * *", "Mars/Olympus"),
        ("0 2 * * * " * 10_000, "UTC"),
    ],
)
def test_a_timetable_that_cannot_be_read_is_counted_and_expects_nothing(cron: str, zone: str) -> None:
    fake = FakeDagster({"lab": [repository("train", schedules=[daily(cron=cron, zone=zone)])]})
    listener = Listener().poll(source(), fake, NOW)
    [info] = listener.batches[0].roster or ()
    assert (info.schedule, info.paused) == (None, False)
    assert gauges(listener)["ml_scheduler_load_errors", "timetables"] == 1


@pytest.mark.parametrize("bad", [float("nan"), -1, 1e300, "soon", None])
def test_ticks_at_times_that_cannot_be_are_left_out(bad: Any) -> None:
    assert expected(daily((bad, "FAILURE"), (TODAY, "SUCCESS"))).schedule == Schedule(TOMORROW, TODAY)


# Ticks from before a code location moved


def due(fake: FakeDagster, *times: float) -> list[Schedule | None]:
    """What is expected of `train` after each of these polls of one process."""
    src, listener, found = source(), Listener(), []
    for now in times:
        listener.poll(src, fake, now)
        rosters = [batch.roster for batch in listener.batches if batch.roster is not None]
        found.append(next(info.schedule for info in rosters[-1] if info.pipeline.name == "lab/train"))
    return found


def test_a_schedule_without_ticks_is_asked_for_by_itself_before_it_is_called_late() -> None:
    fake = FakeDagster({"lab": [repository("train", schedules=[daily(lone=[(TODAY, "SUCCESS")])])]})
    assert due(fake, NOW, NOW + 210) == [Schedule(TOMORROW, None), Schedule(TOMORROW, TODAY)]
    assert fake.count("State") == 2


def test_a_schedule_that_really_has_no_ticks_though_it_runs_is_late() -> None:
    fake = FakeDagster({"lab": [repository("train", schedules=[daily()])]})
    assert due(fake, NOW, NOW + 210)[1] == Schedule(BEGUN + 2 * 3600, TODAY)


def test_schedules_without_ticks_have_their_turn_and_are_forgotten_with_their_location() -> None:
    rows = [schedule(f"s{n}", "train", DAILY, begun=BEGUN, lone=[(TODAY, "SUCCESS")]) for n in range(120)]
    fake, src = FakeDagster({"lab": [repository("train", schedules=rows)]}), source()
    listener = Listener().poll(src, fake, NOW)
    asked: list[set[str]] = []
    for step in range(1, 4):
        fake.calls.clear()
        listener.poll(src, fake, NOW + step * 210)
        [call] = [call for call in fake.calls if "MlExporterState" in call.body["query"]]
        asked.append({key["scheduleName"] for key in call.body["variables"].values() if isinstance(key, dict)})
    assert [len(names) for names in asked] == [50, 50, 50]
    assert asked[0] | asked[1] | asked[2] == {f"s{n}" for n in range(120)}
    fake.locations = {"lab": [repository("train")]}
    listener.poll(src, fake, NOW + 4 * 210)
    fake.calls.clear()
    listener.poll(src, fake, NOW + 5 * 210)
    assert fake.count("State") == 1
    assert not any("scheduleName" in str(call.body["variables"]) for call in fake.calls)


# Pausing


def test_a_stopped_schedule_is_a_pause_and_nothing_is_due() -> None:
    info = expected(daily((TODAY, "SUCCESS"), status="STOPPED"))
    assert (info.paused, info.schedule) == (True, None)


def test_a_job_is_paused_when_all_that_would_start_it_is_stopped() -> None:
    stopped = daily(status="STOPPED")
    assert expected(stopped, daily()).paused is False
    assert expected(stopped, sensors=[sensor("other", "train")]).paused is False
    assert expected(stopped, sensors=[sensor("train", status="STOPPED")]).paused is True
    assert expected(sensors=[sensor("train", status="STOPPED")]).paused is True


def test_a_job_that_is_started_by_hand_or_by_a_sensor_owes_nothing() -> None:
    assert (expected().paused, expected().schedule) == (None, None)
    assert expected(sensors=[sensor("train"), {**sensor(), "targets": None}]).schedule is None
