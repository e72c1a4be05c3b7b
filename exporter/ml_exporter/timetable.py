"""When runs are due by cron expressions and intervals, as the schedulers that write them mean them.

Cron is evaluated by cronsim, which follows Debian's cron through changes to and from summer time.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from ml_exporter.errors import ConfigError
from ml_exporter.model import Schedule
from ml_exporter.reading import epoch
from ml_exporter.schema import seconds

_MACROS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_ZONE = re.compile(r"(?:CRON_)?TZ=(\S+)\s+(.*)", re.DOTALL)
MAX_EXPRESSION = 500


class UnreadableTimetable(ValueError):  # noqa: N818 — reads as what happened
    """An expression or a zone that cannot be evaluated here; the text says which."""


def check_zone(option: str, name: str) -> None:
    """Raises `ConfigError` for an option whose time zone is not known here."""
    try:
        ZoneInfo(name)
    except (ValueError, OSError, KeyError):
        allowed = "allowed is a name of the IANA, such as Europe/Berlin or UTC"
        raise ConfigError(f"{option}: found {name[:60]!r}; {allowed}") from None


@dataclass(slots=True)
class Cron:
    """A cron expression of five fields, or six with seconds first, in a time zone.

    Understands `@daily` and its like, `TZ=` in front, `?` for `*`, names, `L`, `#`, and 7 for Sunday.
    Raises `UnreadableTimetable`.
    """

    expression: str
    zone: str = "UTC"
    _fields: str = field(init=False, repr=False)
    _tz: ZoneInfo = field(init=False, repr=False)
    _known: Schedule = field(init=False, repr=False, default_factory=Schedule)

    def __post_init__(self) -> None:
        text = self.expression.strip()
        if len(text) > MAX_EXPRESSION:
            raise UnreadableTimetable(f"a cron expression of {len(text)} characters")
        zone = self.zone
        if match := _ZONE.fullmatch(text):
            zone, text = match[1], match[2].strip()
        self._fields = _MACROS.get(text.lower(), text).replace("?", "*")
        try:
            self._tz = ZoneInfo(zone)
        except (ValueError, OSError, KeyError):
            raise UnreadableTimetable(f"the time zone {zone[:60]!r} is not known here") from None
        try:
            CronSim(self._fields, datetime(2026, 1, 1, tzinfo=self._tz))
        except CronSimError as error:
            raise UnreadableTimetable(f"the cron expression {text[:60]!r}: {error}") from None

    def at(self, now: float) -> Schedule:
        """When a run was due last, and when one is due next, as of `now`. Cheap until the next one is due."""
        known = self._known
        if known.next_due is None or known.last_due is None or not known.last_due <= now < known.next_due:
            moment = datetime.fromtimestamp(math.floor(now), UTC).astimezone(self._tz)
            exact = datetime.fromtimestamp(math.floor(now) + 1, UTC).astimezone(self._tz)
            self._known = Schedule(
                next_due=self._first(CronSim(self._fields, moment)),
                last_due=self._first(CronSim(self._fields, exact, reverse=True)),
            )
        return self._known

    def _first(self, instants: CronSim) -> float | None:
        try:
            return next(instants).timestamp()
        except (StopIteration, CronSimError, OverflowError):
            return None


@dataclass(frozen=True, slots=True)
class Interval:
    """A run every so many seconds, counted from `anchor` (seconds since the epoch)."""

    every: float
    anchor: float = 0.0

    def __post_init__(self) -> None:
        if not math.isfinite(self.every) or self.every < 1 or not math.isfinite(self.anchor):
            raise UnreadableTimetable(f"an interval of {self.every!r} s from {self.anchor!r}")

    def at(self, now: float) -> Schedule:
        """As `Cron.at`."""
        if now < self.anchor:
            return Schedule(next_due=epoch(self.anchor))
        passed = math.floor((now - self.anchor) / self.every)
        last = self.anchor + passed * self.every
        return Schedule(next_due=epoch(last + self.every), last_due=epoch(last))


Timetable = Cron | Interval


def robfig(expression: str, zone: str = "UTC", anchor: float = 0.0) -> Timetable:
    """A schedule as Go's robfig/cron reads it (Kubernetes, Argo, Kubeflow): cron, or `@every 1h30m` from `anchor`.

    Raises `UnreadableTimetable`.
    """
    text = expression.strip()
    if not text.startswith("@every"):
        return Cron(text, zone)
    every = seconds(text.removeprefix("@every").strip())
    if every is None:
        raise UnreadableTimetable(f"the interval {text[:60]!r}")
    return Interval(every, anchor)


def union(schedules: Iterable[Schedule]) -> Schedule | None:
    """Several timetables of one pipeline: the latest that passed and the earliest that comes; None for none."""
    listed = list(schedules)
    if not listed:
        return None
    return Schedule(
        next_due=min((s.next_due for s in listed if s.next_due is not None), default=None),
        last_due=max((s.last_due for s in listed if s.last_due is not None), default=None),
    )
