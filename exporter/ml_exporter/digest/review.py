"""What the alerts of a period come to: what is asked of Prometheus, and what its answers say. Pure.

Prometheus counts by itself, in subqueries on a grid of whole minutes: one number a series comes back, not its samples.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple, TypeAlias

from ml_exporter.errors import MlExporterError
from ml_exporter.prometheus import Answer, Query, Series
from ml_exporter.settings import Config

MOST_POINTS = 11_000
"""Of the grid: as many as Prometheus gives of one series in one answer."""
SEVERITIES = ("page", "ticket", "info")
NOISY = 5
"""What fired more often than that in one period is noise, or a fault that somebody should end."""
WHOLE = 0.99
"""Share of the grid at which rules must have been evaluated, else the review says what it does not know."""
BUDGET = "slo:error_budget_remaining:ratio"
_WATCHDOG = 'ALERTS{alertname="Watchdog", alertstate="firing"}'

Key: TypeAlias = tuple[tuple[str, str], ...]
"""The labels of an alert, in order."""


class Period(NamedTuple):
    """What is looked back on, in seconds since the epoch; `step` is the distance of the points that are looked at."""

    begin: float
    end: float
    step: int

    @property
    def points(self) -> int:
        return round((self.end - self.begin) / self.step)

    @property
    def before(self) -> Period:
        """The one of the same length that ends where this begins."""
        return Period(2 * self.begin - self.end, self.begin, self.step)


class Entry(NamedTuple):
    """An alert about one thing."""

    labels: Mapping[str, str]
    """What it is about."""
    fired: int
    seconds: float
    firing: bool
    since: float | None
    """When what still fires began, in seconds since the epoch; None: before the period."""


@dataclass(frozen=True, slots=True)
class Line:
    """An alert of a service, about one or more things; the noisiest first."""

    alert: str
    severity: str
    entries: tuple[Entry, ...]
    fired_before: int | None
    """In the period before; None: not known."""

    @property
    def fired(self) -> int:
        return sum(entry.fired for entry in self.entries)

    @property
    def seconds(self) -> float:
        return sum(entry.seconds for entry in self.entries)

    @property
    def firing(self) -> int:
        """How many things it still fires about."""
        return sum(entry.firing for entry in self.entries)

    @property
    def noisy(self) -> bool:
        return self.fired > NOISY


class Chapter(NamedTuple):
    """What alerted of one service; pages first."""

    service: str
    owner: str | None
    lines: tuple[Line, ...]


class Budget(NamedTuple):
    """What is left of an objective's error budget; 1: all of it, below 0: overspent."""

    labels: Mapping[str, str]
    remaining: float
    change: float | None
    """Over the period; None: there was none at its beginning."""


class Review(NamedTuple):
    period: Period
    chapters: tuple[Chapter, ...]
    budgets: tuple[Budget, ...]
    """The smallest first."""
    quiet: tuple[str, ...]
    """Configured services of which nothing alerted."""
    notes: tuple[str, ...]


def period(now: float, length: float) -> Period:
    """The last `length` seconds, on a grid of whole minutes that is as fine as MOST_POINTS allow."""
    step = 60 * math.ceil(length / (60 * MOST_POINTS))
    end = now // step * step
    return Period(end - length // step * step, end, step)


def queries(period: Period, severities: Iterable[str]) -> dict[str, Query]:
    """What Prometheus is asked, by the name under which `review` finds the answer."""
    step = period.step
    alerts = f'ALERTS{{alertname=~"ML.+", alertstate="firing", severity=~"{"|".join(severities)}"}}'
    starts = f"({alerts} unless {alerts} offset {step}s)"
    # A second less than the period: Prometheus 2 takes the point at the very beginning too, Prometheus 3 does not.
    over = f"[{period.points * step - 1}s:{step}s]"
    asked = {
        "lasted": Query(f"count_over_time({alerts}{over})", period.end),
        "began": Query(f"max_over_time((time() * {starts}){over})", period.end),
        "firing": Query(alerts, period.end),
        "budget": Query(BUDGET, period.end),
        "budget before": Query(BUDGET, period.begin),
    }
    for which, of in (("", period), (" before", period.before)):
        asked |= {
            f"watched{which}": Query(f"max(count_over_time({_WATCHDOG}{over}))", of.end),
            f"started{which}": Query(f"count_over_time({starts}{over})", of.end),
            # What fires at the first point and did so before it has no start.
            f"carried{which}": Query(f"{alerts} and {alerts} offset {step}s", of.begin + step),
        }
    return asked


def review(period: Period, answers: Mapping[str, Answer], config: Config) -> Review:
    """What the answers come to. Raises `MlExporterError` if nothing says that there were rules to fire."""
    covered = _share(answers["watched"], period)
    if not covered and not answers["lasted"].series:
        raise MlExporterError(
            f"{config.stack.prometheus_url}: nothing alerted, not even the Watchdog, which always does: "
            "is this the Prometheus that evaluates the rules of ml-exporter, and did it in this period?"
        )
    chapters = _chapters(period, answers, config)
    loud = {chapter.service for chapter in chapters}
    return Review(
        period,
        chapters,
        _budgets(answers),
        tuple(service.name for service in config.services if service.name not in loud),
        tuple(_notes(covered, answers)),
    )


def _share(watched: Answer, period: Period) -> float:
    """At how much of the grid the Watchdog fired."""
    return max((series.value for series in watched.series), default=0.0) / period.points


def _notes(covered: float, answers: Mapping[str, Answer]) -> list[str]:
    notes = list(dict.fromkeys(warning for answer in answers.values() for warning in answer.warnings))
    if covered < WHOLE:
        notes.append(
            f"The rules were evaluated in {100 * covered:.1f} % of the period: what fired in the rest is not known."
        )
    return notes


def _key(series: Series) -> Key:
    return tuple(sorted(each for each in series.labels.items() if each[0] not in ("__name__", "alertstate")))


def _values(answer: Answer) -> dict[Key, float]:
    return {_key(series): series.value for series in answer.series}


def _fired(answers: Mapping[str, Answer], which: str = "") -> dict[Key, int]:
    """How often each alert began, or was there from the beginning."""
    counts = {key: int(value) for key, value in _values(answers[f"started{which}"]).items()}
    for key in _values(answers[f"carried{which}"]):
        counts[key] = counts.get(key, 0) + 1
    return counts


def _chapters(period: Period, answers: Mapping[str, Answer], config: Config) -> tuple[Chapter, ...]:
    before = _before(period, answers)
    entries = sorted((_belongs(key), key) for key in _values(answers["lasted"]))
    found = _entries(period, answers)
    lines: dict[str, list[Line]] = {}
    for belongs, group in groupby(entries, key=lambda each: each[0]):
        service, severity, alert = belongs
        about = sorted((found[key] for _, key in group), key=lambda entry: (-entry.fired, -entry.seconds))
        line = Line(alert, severity, tuple(about), None if before is None else before[belongs])
        lines.setdefault(service, []).append(line)
    owners = {service.name: service.owner for service in config.services}
    chapters = [Chapter(name, owners.get(name), tuple(sorted(of, key=_urgency))) for name, of in lines.items()]
    return tuple(sorted(chapters, key=_noise))


def _entries(period: Period, answers: Mapping[str, Answer]) -> dict[Key, Entry]:
    fired, began, firing = _fired(answers), _values(answers["began"]), _values(answers["firing"])
    return {
        key: Entry(
            {name: value for name, value in key if name not in ("alertname", "severity", "ml_service")},
            fired.get(key, 0),
            points * period.step,
            key in firing,
            began.get(key) if key in firing else None,
        )
        for key, points in _values(answers["lasted"]).items()
    }


def _belongs(key: Key) -> tuple[str, str, str]:
    """Service, severity and alert."""
    labels = dict(key)
    return labels.get("ml_service", ""), labels.get("severity", ""), labels["alertname"]


def _before(period: Period, answers: Mapping[str, Answer]) -> Counter[tuple[str, str, str]] | None:
    """How often each alert fired in the period before, about whatever of a service; None where Prometheus forgot it."""
    if _share(answers["watched before"], period) < WHOLE:
        return None
    counts: Counter[tuple[str, str, str]] = Counter()
    for key, count in _fired(answers, " before").items():
        counts[_belongs(key)] += count
    return counts


def _urgency(line: Line) -> tuple[int, int, float, str]:
    return SEVERITIES.index(line.severity), -line.fired, -line.seconds, line.alert


def _noise(chapter: Chapter) -> tuple[int, int, str]:
    pages = sum(line.fired for line in chapter.lines if line.severity == "page")
    return -pages, -sum(line.fired for line in chapter.lines), chapter.service


def _budgets(answers: Mapping[str, Answer]) -> tuple[Budget, ...]:
    before = _values(answers["budget before"])
    budgets = [
        Budget(dict(key), remaining, remaining - before[key] if key in before else None)
        for key, remaining in _values(answers["budget"]).items()
    ]
    return tuple(sorted(budgets, key=lambda budget: (budget.remaining, sorted(budget.labels.items()))))
