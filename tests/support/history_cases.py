"""Months that objectives may live through: the events of each, told as raw series, and the alerts at their end."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.support.history import MINUTE, Series, counter

HOUR, DAY = 60, 1440
MONTH = 30 * DAY
BEFORE = 60
"""Minutes of history before the month, so that its first minutes have a past."""
AFTER = 60
"""Minutes that the target could go on."""

LEAKING, SLOWLY = "MLObjectiveLeaking", "MLObjectiveBurningSlowly"
BURNING, FAST = "MLObjectiveBurning", "MLObjectiveBurningFast"
OUTAGE, SPENT, DEADLINE = "MLObjectiveOutage", "MLObjectiveBudgetSpent", "MLObjectiveDeadlineMissed"

Events = Callable[[int], tuple[float, float]]
"""Minutes before the end, below 0 after it → events within that minute: all, and bad ones."""


@dataclass(frozen=True)
class Case:
    """An objective (or one `group` of it), the events of its month, and the alerts at its end: these and no others."""

    name: str
    events: Events
    alerts: frozenset[str] = frozenset()
    objective: float = 99.5
    days: int = 30
    unseen: range = range(0)
    """Minutes before the end that were not scraped."""
    poisoned: range = range(0)
    """Minutes before the end in which every value was NaN."""
    restarts: Callable[[int], bool] = lambda age: False
    on_the_edge: frozenset[str] = frozenset()
    """Alerts that rounding decides on."""
    kind: str = "ratio"
    group: Mapping[str, str] = field(default_factory=dict)

    @property
    def title(self) -> str:
        return " ".join((self.name, *self.group.values()))

    @property
    def budget(self) -> float:
        return 1 - self.objective / 100

    def counted(self, minutes: int, until: int = 0) -> tuple[float, float]:
        """Events that could be seen within so many minutes up to `until` before the end: all, and bad ones."""
        seen = [
            self.events(age)
            for age in range(until, until + minutes)
            if age <= MONTH + BEFORE and age not in self.unseen and age not in self.poisoned
        ]
        return sum(total for total, _ in seen), sum(bad for _, bad in seen)

    def slo(self) -> dict[str, Any]:
        """Its entry in `slos:`."""
        return {
            "name": self.name,
            "service": "fraud",
            "sli": _SLI[self.kind](self),
            "objective": self.objective,
            "window": f"{self.days}d",
            "group_by": list(self.group),
        }

    def series(self, end: float) -> Iterator[Series]:
        """What was scraped, from `BEFORE` minutes before the month to `AFTER` minutes after its `end`, in seconds."""
        ages = range(MONTH + BEFORE, -AFTER, -1)
        for name, values in _SERIES[self.kind](self, ages, end):
            shown = [
                None if age in self.unseen else float("nan") if age in self.poisoned else value
                for age, value in zip(ages, values, strict=True)
            ]
            yield Series(name, shown)


Named = Iterator[tuple[str, Sequence[float]]]


def _counters(case: Case, ages: range) -> tuple[list[float], list[float]]:
    """All events and bad ones, counted up."""
    events = [case.events(age) for age in ages]
    restarts = [minute for minute, age in enumerate(ages) if case.restarts(age)]
    return counter([total for total, _ in events], restarts), counter([bad for _, bad in events], restarts)


def _requests(case: Case, ages: range, end: float) -> Named:
    total, bad = _counters(case, ages)
    yield f'all_total{{case="{case.name}",instance="a",job="history"}}', total
    yield f'bad_total{{case="{case.name}",instance="a",job="history"}}', bad


def _probes(case: Case, ages: range, end: float) -> Named:
    """As two replicas of the exporter tell of them."""
    total, bad = _counters(case, ages)
    good = [all_ - failed for all_, failed in zip(total, bad, strict=True)]
    labels = f'ml_service="fraud",ml_endpoint="fraud",model="fraud",version="{case.group["version"]}",job="history"'
    for replica in "ab":
        yield f'ml_endpoint_probes_total{{{labels},outcome="ok",instance="{replica}"}}', good
        yield f'ml_endpoint_probes_total{{{labels},outcome="timeout",instance="{replica}"}}', bad


def _state(case: Case, ages: range, end: float) -> Named:
    yield (
        f'good{{case="{case.name}",instance="a",job="history"}}',
        [0.0 if case.events(age)[1] else 1.0 for age in ages],
    )


def _pipeline(case: Case, ages: range, end: float) -> Named:
    """A success a day, the last one 54 hours before the end."""
    successes = [max(54 * HOUR, -(-(age - 54 * HOUR) // DAY) * DAY + 54 * HOUR) for age in ages]
    always = [1.0 for _ in ages]
    source = 'source="tracking",instance="a",job="history"'
    pipeline = f'pipeline="train",ml_service="fraud",{source}'
    yield (
        f'ml_run_last_finished_timestamp_seconds{{state="succeeded",{pipeline}}}',
        [end - age * MINUTE for age in successes],
    )
    yield f"ml_pipeline_first_seen_timestamp_seconds{{{pipeline}}}", [end - 60 * DAY * MINUTE for _ in ages]
    yield f"ml_source_last_success_timestamp_seconds{{{source}}}", [end - age * MINUTE for age in ages]
    yield f"ml_source_interval_seconds{{{source}}}", [MINUTE for _ in ages]
    yield f"ml_source_backfill_complete{{{source}}}", always


_SERIES: Mapping[str, Callable[[Case, range, float], Named]] = {
    "ratio": _requests,
    "endpoint_availability": _probes,
    "gauge": _state,
    "pipeline_freshness": _pipeline,
}
_SLI: Mapping[str, Callable[[Case], dict[str, Any]]] = {
    "ratio": lambda case: {
        "ratio": {
            "bad": f'sum(rate(bad_total{{case="{case.name}"}}[$window]))',
            "total": f'sum(rate(all_total{{case="{case.name}"}}[$window]))',
        }
    },
    "endpoint_availability": lambda case: {"endpoint_availability": {"endpoint": "fraud"}},
    "gauge": lambda case: {"gauge": {"expr": f'good{{case="{case.name}"}}'}},
    "pipeline_freshness": lambda case: {"pipeline_freshness": {"pipeline": "tracking/train", "within": "26h"}},
}


def steady(total: float, bad: float, since: int = MONTH + BEFORE, until: int = -AFTER) -> Events:
    """`bad` of `total` events a minute are bad between two times before the end; else none."""
    return lambda age: (total, bad if until < age <= since else 0)


def hourly(bad_since: int, bad_until: int = -AFTER) -> Events:
    """One event an hour."""
    return lambda age: (1, 1 if bad_until < age <= bad_since else 0) if age % HOUR == 30 else (0, 0)


def nights(age: int) -> tuple[float, float]:
    """Half of the time a thousandth of the traffic, of which half fails."""
    return (6, 3) if max(age, 0) // (12 * HOUR) % 2 else (6000, 0)


def _of(*alerts: str) -> frozenset[str]:
    return frozenset(alerts)


CASES = [
    Case("steady-1x", steady(600, 3), on_the_edge=_of(LEAKING, SPENT)),
    Case("spike", steady(600, 120, since=25), _of(FAST)),
    Case("spike-that-is-over", steady(600, 600, since=124, until=120)),
    Case("seven-times-for-eight-hours", steady(2000, 70, since=8 * HOUR), _of(BURNING)),
    Case("four-times-for-36-hours", steady(1000, 20, since=36 * HOUR), _of(SLOWLY, LEAKING)),
    Case("slow-leak", steady(2000, 13, since=4 * DAY), _of(LEAKING)),
    Case("spent-long-ago", steady(100, 10, since=12 * DAY, until=12 * DAY - 40 * HOUR), _of(SPENT)),
    Case("outage-at-low-traffic", hourly(bad_since=450), _of(OUTAGE), objective=98),
    Case("one-failure-at-low-traffic", hourly(bad_since=40, bad_until=20)),
    Case("traffic-that-varies-1000-fold", nights, objective=99.9),
    Case("counter-resets", steady(1000, 2.5), restarts=lambda age: age == 3 or age % DAY == 700),
    Case("scrape-gap", lambda age: (1000, 500) if 1600 < age <= 1780 else (1000, 1), unseen=range(1590, 1791)),
    Case("nan", lambda age: (1000, 500) if 14_405 < age <= 14_455 else (1000, 1), poisoned=range(14_400, 14_461)),
    Case("week", steady(1000, 40, since=8 * HOUR), _of(SLOWLY, LEAKING), objective=99, days=7),
    Case("minutes", lambda age: (1, 5000 < age <= 5120), objective=99, unseen=range(10_000, 11_440), kind="gauge"),
    Case("daily-job", steady(1, 1, since=28 * HOUR), _of(DEADLINE, SLOWLY, LEAKING), 95, kind="pipeline_freshness"),
    Case("probes", steady(4, 0), kind="endpoint_availability", group={"version": "7"}),
    Case("probes", steady(5, 1, since=25), _of(FAST), kind="endpoint_availability", group={"version": "8"}),
]
