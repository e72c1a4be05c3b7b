"""Triggers of recurring runs → when runs are due."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ml_exporter.model import Schedule
from ml_exporter.sources.kubeflow.api import RecurringRun
from ml_exporter.sources.kubeflow.runs import when
from ml_exporter.timetable import Interval, Timetable, UnreadableTimetable, robfig


@dataclass
class Timetables:
    """Kept between readings, for a cron expression is dear to evaluate. `zone` is the controller's."""

    zone: str
    unreadable: int = 0
    _known: dict[str, Timetable] = field(default_factory=dict)

    def of(self, recurring: RecurringRun, now: float) -> Schedule | None:
        """None: it has no trigger, or one that cannot be read, which is counted."""
        trigger = recurring.trigger if isinstance(recurring.trigger, dict) else {}
        cron, periodic = trigger.get("cron_schedule"), trigger.get("periodic_schedule")
        rule = cron if isinstance(cron, dict) else periodic
        if not isinstance(rule, dict):
            return None
        created = when(recurring.created_at)
        start, end = when(rule.get("start_time")), when(rule.get("end_time"))
        try:
            table = self._table(recurring, rule, start or created or 0.0, rule is cron)
        except UnreadableTimetable:
            self.unreadable += 1
            return None
        born = max(start or 0.0, created or 0.0)
        return _between(table, born, end, now, includes_start=rule is periodic and start is not None)

    def _table(self, recurring: RecurringRun, rule: dict[str, Any], anchor: float, is_cron: bool) -> Timetable:
        """One for each recurring run: a timetable remembers what it was last asked for."""
        key = repr((recurring.recurring_run_id, rule, anchor))
        if key not in self._known:
            self._known[key] = _cron(rule, self.zone, anchor) if is_cron else _interval(rule, anchor)
        return self._known[key]


def _cron(rule: dict[str, Any], zone: str, anchor: float) -> Timetable:
    expression = rule.get("cron")
    if not isinstance(expression, str):
        raise UnreadableTimetable("a cron schedule without an expression")
    # Seconds come first, and it is the day of the week that five fields leave out.
    return robfig(f"{expression} *" if len(expression.split()) == 5 else expression, zone, anchor)


def _interval(rule: dict[str, Any], anchor: float) -> Timetable:
    """64-bit numbers are texts in JSON."""
    seconds = rule.get("interval_second")
    try:
        return Interval(float(str(seconds)), anchor)
    except ValueError:
        raise UnreadableTimetable(f"an interval of {str(seconds)[:40]!r} s") from None


def _between(table: Timetable, born: float, end: float | None, now: float, *, includes_start: bool) -> Schedule:
    """What is due from `born` to `end`; a run is due at `born` itself only if that is when it is to start."""
    at = min(now, end) if end is not None else now
    found = table.at(max(at, born))
    last, next_ = found.last_due, found.next_due
    if last is not None and (last < born or (last == born and not includes_start) or last > at):
        last = None
    if includes_start and now < born:
        next_ = born
    return Schedule(next_due=None if end is not None and next_ is not None and next_ > end else next_, last_due=last)
