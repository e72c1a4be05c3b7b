"""A deployment and its timetable: computed here where that is simple, else read off the runs that Prefect planned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ml_exporter.model import Pipeline, PipelineInfo, Schedule
from ml_exporter.reading import epoch, tags
from ml_exporter.sources.prefect.runs import moment
from ml_exporter.sources.prefect.shapes import DeploymentRecord, Timing
from ml_exporter.timetable import Cron, Interval, Timetable, UnreadableTimetable, union

DAY = 86400.0
_UTC = (None, "UTC", "Etc/UTC")


def timetable(timing: Timing) -> Timetable | None:
    """None: only Prefect itself knows, that is rules of recurrence, cron in croniter's own dialect, and days that
    are counted in a zone with summer time.
    """
    zone = timing.timezone
    try:
        if timing.cron is not None:
            fields = timing.cron.split()
            both_days = len(fields) == 5 and not {fields[2], fields[4]} & {"*", "?"}
            # croniter's sixth field is seconds, at the end.
            simple = len(fields) == 5 or timing.cron.strip().startswith("@")
            return Cron(timing.cron, zone or "UTC") if simple and (timing.day_or or not both_days) else None
        every, anchor = epoch(timing.interval), moment(timing.anchor_date)
        if every is None or anchor is None or (every >= DAY and zone not in _UTC):
            return None
        return Interval(every, anchor)
    except UnreadableTimetable:
        return None


@dataclass(slots=True)
class Deployment:
    """A deployment as last read; `planned` are the instants of its planned runs, as far as they were read."""

    record: DeploymentRecord
    name: str
    """Of the pipeline: flow/deployment."""
    in_force: float
    """Since when its timetable is as it is: nothing was due by it before."""
    timetables: tuple[Timetable, ...]
    is_opaque: bool
    planned: Sequence[float] = ()
    is_asked: bool = False

    @property
    def is_paused(self) -> bool:
        schedules = self.record.schedules
        return self.record.paused or (bool(schedules) and not any(s.active for s in schedules))

    def lacks_plan(self, now: float) -> bool:
        return self.is_opaque and not self.is_paused and not any(at > now for at in self.planned)

    def schedule(self, now: float) -> Schedule | None:
        if self.is_paused or not self.record.schedules:
            return None
        known = [t.at(now) for t in self.timetables]
        if self.is_opaque:
            next_due = min((at for at in self.planned if at > now), default=None)
            last_due = max((at for at in self.planned if at <= now), default=None)
            known.append(Schedule(next_due, last_due))
        due = union(known) or Schedule()
        if due.last_due is not None and due.last_due < self.in_force:
            return Schedule(due.next_due)
        return due

    def info(self, source: str, now: float) -> PipelineInfo:
        record = self.record
        return PipelineInfo(
            Pipeline(source, self.name),
            record.id,
            moment(record.created),
            self.schedule(now),
            self.is_paused,
            words(record.tags),
        )


def describe(record: DeploymentRecord, flow: str, before: Deployment | None) -> Deployment:
    """A deployment of the flow of that name; keeps what was worked out before if it is the same."""
    if before is not None and before.record == record:
        return before
    active = [s for s in record.schedules if s.active]
    found = [timetable(s.schedule) for s in active]
    times = [record.updated, *(t for s in active for t in (s.created, s.updated))]
    return Deployment(
        record,
        f"{flow}/{record.name}",
        max((at for at in map(moment, times) if at is not None), default=0.0),
        tuple(t for t in found if t is not None),
        None in found,
    )


def words(value: object) -> tuple[str, ...]:
    return tags(*value) if isinstance(value, list) else ()
