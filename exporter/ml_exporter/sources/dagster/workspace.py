"""What there is beside runs: jobs with what is expected of them, and how the scheduler itself does."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from dataclasses import dataclass, field

from ml_exporter.errors import Malformed
from ml_exporter.model import Pipeline, PipelineInfo, Sample, Schedule
from ml_exporter.reading import epoch, tags
from ml_exporter.sources.dagster.api import ScheduleKey, expect
from ml_exporter.sources.dagster.runs import qualified
from ml_exporter.sources.dagster.shapes import Instance, Repository, ScheduleRecord, StateData, Tick, Workspace
from ml_exporter.timetable import Cron, UnreadableTimetable, union

GRACE = 60.0
"""Seconds that the daemon may take to see that something is due."""
MAX_POOLS = 200
MAX_LONE = 50
TIMETABLES = "timetables"


@dataclass(slots=True)
class Timetables:
    """What is kept of schedules between polls: their cron expressions, and ticks that have to be asked for."""

    crons: dict[tuple[str, str], tuple[Cron, ...] | None] = field(default_factory=dict)
    """By text and zone. None: cannot be evaluated here."""
    lone: dict[ScheduleKey, list[Tick] | None] = field(default_factory=dict)
    """Ticks of the schedules for which a repository has none; None: not asked for yet.

    After a code location has moved (to another host, or another Python), Dagster finds ticks from before the move
    only when it is asked for a single schedule.
    """

    def keep(self, schedules: Iterable[ScheduleRecord]) -> None:
        """Forget the expressions of all but these."""
        keys = {key_of(schedule) for schedule in schedules}
        self.crons = {key: self.crons[key] if key in self.crons else _crons(*key) for key in keys}

    def to_ask(self) -> list[ScheduleKey]:
        """The next ones to ask for: in turn, if they are many."""
        return list(self.lone)[:MAX_LONE]

    def answered(self, keys: Iterable[ScheduleKey], ticks: Iterable[list[Tick]]) -> None:
        for key, found in zip(keys, ticks, strict=True):
            self.lone.pop(key, None)
            self.lone[key] = found

    def expected(self, key: ScheduleKey, schedule: ScheduleRecord, now: float) -> Schedule | None:
        """What a running schedule owes; None: nothing, or nobody can tell."""
        crons = self.crons[key_of(schedule)]
        if crons is None:
            return None
        ticks = schedule.schedule_state.ticks
        if ticks:
            self.lone.pop(key, None)
        else:
            known = self.lone.setdefault(key, None)
            if known is None:
                return Schedule(_at(crons, now).next_due)
            ticks = known
        return expected(schedule, ticks, crons, now)


def key_of(schedule: ScheduleRecord) -> tuple[str, str]:
    return schedule.cron_schedule, schedule.execution_timezone or "UTC"


def is_running(schedule: ScheduleRecord) -> bool:
    return schedule.schedule_state.status == "RUNNING"


def _crons(text: str, zone: str) -> tuple[Cron, ...] | None:
    """Dagster writes several expressions of one schedule as a Python list."""
    try:
        listed = ast.literal_eval(text) if text.startswith("[") and len(text) < 10_000 else [text]
        return tuple(Cron(expression, zone) for expression in listed if isinstance(expression, str)) or None
    except (UnreadableTimetable, ValueError, SyntaxError, RecursionError, MemoryError):
        return None


def expected(schedule: ScheduleRecord, last: Iterable[Tick], crons: tuple[Cron, ...], now: float) -> Schedule | None:
    """What a running schedule owes. None: nothing, since its last ticks all decided to skip.

    A tick that skipped was not due; one that failed was. What follows the last tick is due even if nobody looked.
    """
    data = schedule.schedule_state.type_specific_data
    begun = epoch(data.start_timestamp) if data else None
    read = ((epoch(tick.timestamp), tick.status) for tick in last)
    # What was due before it was started (again) is nobody's debt.
    ticks = [(at, status) for at, status in read if at is not None and (begun or 0.0) <= at <= now]
    asked = [at for at, status in ticks if status != "SKIPPED" and (status != "STARTED" or at < now - GRACE)]
    if ticks and not asked:
        return None
    since = max((*([begun] if begun else ()), *(at for at, _ in ticks)), default=None)
    present = _at(crons, now)
    next_due = present.next_due
    if since is not None and present.last_due is not None and since < present.last_due:
        # The daemon did not look at it since: the first instant after that stays, in the past.
        next_due = _at(crons, since).next_due
        missed = _at(crons, now - GRACE).last_due
        asked += [missed] if missed is not None and missed > since else []
    return Schedule(next_due, max(asked, default=None))


def _at(crons: tuple[Cron, ...], now: float) -> Schedule:
    return union(cron.at(now) for cron in crons) or Schedule()


@dataclass(slots=True)
class Roster:
    """The jobs of the code locations that are loaded."""

    infos: dict[str, PipelineInfo] = field(default_factory=dict)
    complete: bool = True
    """False: the jobs of some location are not known now."""
    load_errors: dict[str, int] = field(default_factory=dict)
    bare: dict[str, str | None] = field(default_factory=dict)
    """Job → pipeline, None if several locations have a job of that name."""


def roster(source: str, workspace: Workspace, timetables: Timetables, service_tag: str, now: float) -> Roster:
    result = Roster()
    loaded: list[tuple[str, Repository]] = []
    for entry in workspace.location_entries or ():
        location = entry.location_or_load_error
        if location is None or location.typename == "PythonError":
            result.complete = False
            if location is not None:
                result.load_errors[entry.name] = 1
            continue
        expect(location, "RepositoryLocation", "locationOrLoadError")
        if location.repositories is None:
            raise Malformed("locationOrLoadError: a RepositoryLocation without repositories")
        result.load_errors[entry.name] = 0
        loaded.extend((entry.name, repository) for repository in location.repositories)
    timetables.keep(schedule for _, repository in loaded for schedule in repository.schedules)
    unreadable = 0
    for name, repository in loaded:
        for job, info in _jobs(source, name, repository, timetables, service_tag, now):
            result.infos[info.pipeline.name] = info
            result.bare[job] = None if job in result.bare else info.pipeline.name
        unreadable += sum(1 for schedule in repository.schedules if timetables.crons[key_of(schedule)] is None)
    running = {
        (name, repository.name, schedule.name)
        for name, repository in loaded
        for schedule in repository.schedules
        if is_running(schedule)
    }
    timetables.lone = {key: ticks for key, ticks in timetables.lone.items() if key in running}
    result.load_errors[TIMETABLES] = result.load_errors.get(TIMETABLES, 0) + unreadable
    return result


def _jobs(
    source: str, location: str, repository: Repository, timetables: Timetables, service_tag: str, now: float
) -> Iterable[tuple[str, PipelineInfo]]:
    due: dict[str, list[Schedule]] = {}
    running: dict[str, list[bool]] = {}
    for schedule in repository.schedules:
        running.setdefault(schedule.pipeline_name, []).append(is_running(schedule))
        key = (location, repository.name, schedule.name)
        if is_running(schedule) and (owed := timetables.expected(key, schedule, now)):
            due.setdefault(schedule.pipeline_name, []).append(owed)
    for sensor in repository.sensors:
        for target in sensor.targets or ():
            running.setdefault(target.pipeline_name, []).append(sensor.sensor_state.status == "RUNNING")
    for job in repository.jobs:
        name = qualified(location, repository.name, job.name)
        starters = running.get(job.name)
        yield (
            job.name,
            PipelineInfo(
                Pipeline(source, name),
                id=name,
                schedule=union(due.get(job.name, ())),
                paused=not any(starters) if starters else None,
                tags=tags(*(tag.value for tag in job.tags if tag.key == service_tag)),
            ),
        )


def gauges(data: StateData, load_errors: dict[str, int]) -> tuple[Sample, ...]:
    """All `ml_scheduler_*` samples."""
    instance = data.instance
    samples = [Sample("ml_scheduler_load_errors", (name,), count) for name, count in load_errors.items()]
    for daemon in instance.daemon_health.all_daemon_statuses:
        beat = epoch(daemon.last_heartbeat_time)
        # One that is not required was switched off: its last heartbeat is history.
        if daemon.required and beat is not None:
            samples.append(Sample("ml_scheduler_heartbeat_timestamp_seconds", (daemon.daemon_type,), beat))
    samples.extend(_queues(instance, data.queued.count, data.occupied.count))
    return tuple(samples)


def _queues(instance: Instance, queued: int, occupied: int) -> Iterable[Sample]:
    if instance.run_queuing_supported:
        yield Sample("ml_scheduler_queue_length", ("runs",), max(0, queued))
        limit = instance.run_queue_config.max_concurrent_runs if instance.run_queue_config else -1
        if limit >= 0:  # -1: as many as there are
            yield from _capacity("runs", max(0, occupied), limit)
    for pool in sorted(instance.concurrency_limits, key=lambda pool: pool.concurrency_key)[:MAX_POOLS]:
        queue = f"pool:{pool.concurrency_key}"
        yield Sample("ml_scheduler_queue_length", (queue,), max(0, pool.pending_step_count))
        yield from _capacity(queue, max(0, pool.active_slot_count), pool.slot_count)


def _capacity(queue: str, used: int, limit: int) -> Iterable[Sample]:
    yield Sample("ml_scheduler_capacity", (queue, "slots", "used"), used)
    yield Sample("ml_scheduler_capacity", (queue, "slots", "free"), max(0, limit - used))
