"""What sources have in common: names, pages, times."""

from __future__ import annotations

from typing import Any

import pytest

from ml_exporter.errors import Malformed
from ml_exporter.reading import MAX_TAGS, Cadence, PageGuard, SchedulerOptions, epoch, in_order, instant, iso, tags


def test_names_are_wanted_by_patterns() -> None:
    options = SchedulerOptions(include=("fraud-*", "churn"), exclude=("*-scratch",))
    assert [name for name in ("fraud-a", "fraud-scratch", "churn", "other") if options.wants(name)] == [
        "fraud-a",
        "churn",
    ]


def test_a_page_that_points_back_ends_the_loop() -> None:
    guard = PageGuard("jobs")
    assert guard.check("a", 1) == "a"
    with pytest.raises(Malformed, match="came twice"):
        guard.check("a", 1)


def test_an_empty_page_may_not_announce_another() -> None:
    with pytest.raises(Malformed, match="an empty page"):
        PageGuard("jobs").check("a", 0)
    assert PageGuard("jobs").check("", 0) == ""
    assert PageGuard("jobs").check(None, 5) == ""


@pytest.mark.parametrize(
    "value",
    [None, "12", True, 0, -1, float("nan"), float("inf"), 1e300, 10**400, [], 4_102_444_800],
)
def test_what_cannot_be_an_instant_is_none(value: Any) -> None:
    assert epoch(value) is None


def test_numbers_are_instants_in_their_unit() -> None:
    assert epoch(1_800_000_000) == 1_800_000_000.0
    assert epoch(1_800_000_000_500, 0.001) == 1_800_000_000.5


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2027-01-15T08:00:00Z", 1_800_000_000.0),
        ("2027-01-15T08:00:00.500000+00:00", 1_800_000_000.5),
        ("2027-01-15T10:00:00+02:00", 1_800_000_000.0),
        ("2027-01-15T08:00:00", 1_800_000_000.0),
        ("2027-01-15T08:00:00.123456789Z", 1_800_000_000.123456),
        ("0001-01-01T00:00:00Z", None),
        ("9999-12-31T23:59:59Z", None),
        ("yesterday", None),
        ("", None),
        (None, None),
        ("2027" * 1000, None),
    ],
)
def test_iso_8601_is_read(text: str | None, expected: float | None) -> None:
    assert instant(text) == expected


def test_iso_is_written_as_it_is_read() -> None:
    assert iso(1_800_000_000.25) == "2027-01-15T08:00:00.250000Z"
    assert instant(iso(1_800_000_000.25)) == 1_800_000_000.25


def test_times_that_run_backwards_are_told() -> None:
    assert in_order(1.0, None, 2.0, 2.0)
    assert not in_order(2.0, None, 1.0)


def test_a_reading_is_due_again_after_its_time_or_when_the_clock_was_set_back() -> None:
    cadence = Cadence(60)
    assert cadence.due(1000)
    cadence.done(1000)
    assert not cadence.due(1059)
    assert cadence.due(1060)
    assert cadence.due(900)


def test_tags_are_short_few_and_text() -> None:
    assert tags("fraud", None, 7, "fraud", "x" * 64, "", "a") == ("fraud", "a")
    assert len(tags(*(str(n) for n in range(100)))) == MAX_TAGS
