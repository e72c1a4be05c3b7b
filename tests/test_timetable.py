"""Cron expressions and intervals: when a run was due, and when one is due next."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from ml_exporter.model import Schedule
from ml_exporter.timetable import Cron, Interval, UnreadableTimetable, robfig, union


def at(text: str, zone: str = "UTC") -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()


FRIDAY_NOON = at("2026-11-20T12:00:00")


@pytest.mark.parametrize(
    ("expression", "zone", "last", "next_"),
    [
        ("0 2 * * *", "UTC", at("2026-11-20T02:00"), at("2026-11-21T02:00")),
        ("0 2 * * 1-5", "UTC", at("2026-11-20T02:00"), at("2026-11-23T02:00")),
        ("0 2 * * MON-FRI", "Europe/Berlin", at("2026-11-20T01:00"), at("2026-11-23T01:00")),
        ("TZ=America/New_York 30 9 ? * 1-5", "UTC", at("2026-11-19T14:30"), at("2026-11-20T14:30")),
        ("CRON_TZ=Asia/Tokyo 0 6 * * *", "UTC", at("2026-11-19T21:00"), at("2026-11-20T21:00")),
        ("@daily", "UTC", at("2026-11-20T00:00"), at("2026-11-21T00:00")),
        ("@weekly", "UTC", at("2026-11-15T00:00"), at("2026-11-22T00:00")),
        ("0 0 * * 7", "UTC", at("2026-11-15T00:00"), at("2026-11-22T00:00")),
        ("30 0 12 * * *", "UTC", at("2026-11-19T12:00:30"), at("2026-11-20T12:00:30")),
        ("0 12 * * *", "UTC", at("2026-11-20T12:00"), at("2026-11-21T12:00")),
        ("0 0 L * *", "UTC", at("2026-10-31T00:00"), at("2026-11-30T00:00")),
        ("*/15 9-17 * * *", "UTC", at("2026-11-20T12:00"), at("2026-11-20T12:15")),
        ("0 0 29 2 *", "UTC", at("2024-02-29T00:00"), at("2028-02-29T00:00")),
    ],
)
def test_cron(expression: str, zone: str, last: float, next_: float) -> None:
    assert Cron(expression, zone).at(FRIDAY_NOON) == Schedule(next_due=next_, last_due=last)


def test_a_due_time_has_passed_at_its_very_instant_and_not_before() -> None:
    cron = Cron("0 12 * * *")
    assert cron.at(FRIDAY_NOON - 0.5).next_due == FRIDAY_NOON
    assert cron.at(FRIDAY_NOON).last_due == FRIDAY_NOON
    assert cron.at(FRIDAY_NOON + 0.5).last_due == FRIDAY_NOON


def test_going_back_in_time_is_answered_too() -> None:
    cron = Cron("0 12 * * *")
    cron.at(FRIDAY_NOON + 1)
    assert cron.at(FRIDAY_NOON - 86400).last_due == FRIDAY_NOON - 86400


def test_an_hour_that_summer_time_leaves_out_is_due_all_the_same() -> None:
    # Debian's cron runs at 03:00 what was meant for 02:30 on the last Sunday of March.
    schedule = Cron("30 2 * * *", "Europe/Berlin").at(at("2026-03-29T12:00"))
    assert schedule.last_due == at("2026-03-29T01:00")


def test_an_hour_that_comes_twice_is_due_once() -> None:
    cron = Cron("30 2 * * *", "Europe/Berlin")
    first = at("2026-10-25T00:30")  # 02:30 summer time
    assert cron.at(first + 1).last_due == first
    assert cron.at(first + 3700).last_due == first


@pytest.mark.parametrize(
    ("expression", "zone", "said"),
    [
        ("every day", "UTC", "cron expression 'every day'"),
        ("61 * * * *", "UTC", "Bad minute"),
        ("* * * *", "UTC", "Wrong number of fields"),
        ("0 0 31 2 *", "UTC", "Bad day"),
        ("@reboot", "UTC", "cron expression '@reboot'"),
        ("", "UTC", "cron expression ''"),
        ("* " * 400, "UTC", "characters"),
        ("0 0 * * *", "Mars/Olympus", "time zone 'Mars/Olympus'"),
        ("0 0 * * *", "../etc/passwd", "time zone"),
        ("TZ= 0 0 * * *", "UTC", "cron expression"),
    ],
)
def test_what_cannot_be_read_says_so(expression: str, zone: str, said: str) -> None:
    with pytest.raises(UnreadableTimetable, match=said):
        Cron(expression, zone)


def test_an_interval_counts_from_its_anchor() -> None:
    assert Interval(3600, 100.0).at(7400) == Schedule(next_due=10900.0, last_due=7300.0)
    assert Interval(3600, 100.0).at(50) == Schedule(next_due=100.0)


@pytest.mark.parametrize("every", [0, -5, float("nan"), float("inf")])
def test_an_interval_that_never_ends_or_never_passes_is_refused(every: float) -> None:
    with pytest.raises(UnreadableTimetable, match="interval"):
        Interval(every)


def test_robfig_knows_every() -> None:
    assert robfig("@every 1h30m", anchor=1000.0).at(6500) == Schedule(next_due=11800.0, last_due=6400.0)
    assert robfig("0 12 * * *").at(FRIDAY_NOON).last_due == FRIDAY_NOON
    with pytest.raises(UnreadableTimetable, match="@every soon"):
        robfig("@every soon")


def test_several_timetables_are_due_when_any_of_them_is() -> None:
    assert union([Schedule(next_due=5.0, last_due=1.0), Schedule(next_due=4.0, last_due=2.0), Schedule()]) == Schedule(
        next_due=4.0, last_due=2.0
    )
    assert union([]) is None
