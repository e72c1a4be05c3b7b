"""What is remembered of a source between polls: plain data that the store keeps, and the figures derived from it."""

from __future__ import annotations

import bisect
from collections.abc import Iterable
from dataclasses import dataclass, field
from statistics import median

from ml_exporter.catalog import RUN_DURATION_BUCKETS, RUN_QUEUE_BUCKETS
from ml_exporter.model import PipelineInfo, Run, RunState, Schedule, TaskRun

HISTORY = 20
"""Successes that make a typical duration or a baseline."""
MIN_HISTORY = 5
"""Below this many successes nothing is called typical: a median of two says little."""
MAX_FAILURES = 50
"""Failures remembered since the last success; the count of consecutive failures stops here."""

CLOCK_GRACE = 60.0
"""Seconds between the clock of a scheduler and that of what runs its jobs."""
CLOCK_AHEAD = 3600.0
"""Seconds that a start may lie in our future and still be believed."""
MAX_TASKS = 100
"""Tasks of a pipeline that are remembered; the first ones seen stay."""

_KEPT = {RunState.SUCCEEDED: HISTORY + 1, RunState.FAILED: MAX_FAILURES, RunState.TIMED_OUT: MAX_FAILURES}


@dataclass(frozen=True, slots=True)
class FinishedRun:
    """A run whose end is known; `scan` is the number of the last pass over the history that met it."""

    id: str
    state: RunState
    ended_at: float
    started_at: float | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    scan: int = 0
    steps: int | None = None

    @classmethod
    def of(cls, run: Run, ended_at: float, scan: int) -> FinishedRun:
        """What is remembered of a run."""
        return cls(run.id, run.state, ended_at, run.started_at, dict(run.metrics), scan, run.steps)

    @property
    def duration(self) -> float | None:
        return None if self.started_at is None else max(0.0, self.ended_at - self.started_at)


@dataclass(frozen=True, slots=True)
class ActiveRun:
    """A run that is queued or running, since when (None: unknown), and what it uses (resource → 0–1)."""

    state: RunState
    since: float | None
    utilization: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TaskState:
    """What is remembered of a task; `failures` are those since its last success."""

    finished: dict[RunState, int] = field(default_factory=dict)
    last: dict[RunState, float] = field(default_factory=dict)
    """State → when the last run that ended in it ended."""
    duration: float | None = None
    failures: int = 0

    def after(self, run: TaskRun) -> TaskState:
        """The state once a run is counted that was not counted before. Runs may come out of order."""
        at, last_success = run.ended_at or 0.0, self.last.get(RunState.SUCCEEDED, -1.0)
        newest = at >= self.last.get(run.state, -1.0)
        duration, failures = self.duration, self.failures
        if run.state is RunState.SUCCEEDED and newest:
            failed = max((self.last.get(s, -1.0) for s in RunState if s.is_failure), default=-1.0)
            failures = 0 if at >= failed else failures
            duration = max(0.0, at - run.started_at) if run.started_at is not None and run.ended_at else duration
        elif run.state.is_failure and at > last_success:
            failures = min(failures + 1, MAX_FAILURES)
        return TaskState(
            {**self.finished, run.state: self.finished.get(run.state, 0) + 1},
            {**self.last, run.state: at} if newest and run.ended_at else self.last,
            duration,
            failures,
        )


@dataclass(slots=True)
class PipelineState:
    """Everything known of one pipeline. Replaced, not changed, once the ledger has adopted it."""

    name: str
    id: str | None = None
    first_seen: float = 0.0
    backfilled: bool = False
    announced: bool = True
    """False: born under our eyes and not yet shown with its counters at 0."""
    gone_at: float | None = None
    finished: dict[RunState, int] = field(default_factory=dict)
    buckets: list[int] = field(default_factory=lambda: [0] * (len(RUN_DURATION_BUCKETS) + 1))
    total: float = 0.0
    recent: list[FinishedRun] = field(default_factory=list)
    """By end time: the last successes and failures, and the last cancelled run."""
    active: dict[str, ActiveRun] = field(default_factory=dict)
    waits: list[int] = field(default_factory=lambda: [0] * (len(RUN_QUEUE_BUCKETS) + 1))
    waited: float = 0.0
    expected_since: float | None = None
    """Since when a timetable is in force."""
    next_due: float | None = None
    last_due: float | None = None
    unmet_due: float | None = None
    """The first due time that no success has met."""
    paused: bool | None = None
    tags: tuple[str, ...] = ()
    tasks: dict[str, TaskState] = field(default_factory=dict)
    unsuccessful: float = 0.0
    """Seconds that finished runs took that did not succeed; those of the others are the `total`."""

    def copy(self) -> PipelineState:
        return PipelineState(
            self.name,
            self.id,
            self.first_seen,
            self.backfilled,
            self.announced,
            self.gone_at,
            dict(self.finished),
            list(self.buckets),
            self.total,
            list(self.recent),
            dict(self.active),
            list(self.waits),
            self.waited,
            self.expected_since,
            self.next_due,
            self.last_due,
            self.unmet_due,
            self.paused,
            self.tags,
            dict(self.tasks),
            self.unsuccessful,
        )

    def count(self, state: RunState, duration: float | None, wait: float | None = None) -> None:
        """Count a run at its first terminal state; only successes say how long a run takes."""
        self.finished[state] = self.finished.get(state, 0) + 1
        if wait is not None:
            self.waits[bisect.bisect_left(RUN_QUEUE_BUCKETS, wait)] += 1
            self.waited += wait
        if state is RunState.SUCCEEDED and duration is not None:
            self.buckets[bisect.bisect_left(RUN_DURATION_BUCKETS, duration)] += 1
            self.total += duration
        elif duration is not None:
            self.unsuccessful += duration

    @property
    def busy(self) -> float:
        """Seconds that all finished runs took."""
        return self.total + self.unsuccessful

    def remembers(self, run_id: str) -> FinishedRun | None:
        return next((run for run in self.recent if run.id == run_id), None)

    def remember(self, run: FinishedRun) -> None:
        """Put a finished run in its place, in place of what was known of it; let the oldest of its state go."""
        self.recent = [known for known in self.recent if known.id != run.id]
        bisect.insort(self.recent, run, key=lambda known: known.ended_at)
        same = [known for known in self.recent if known.state is run.state]
        if len(same) > _KEPT.get(run.state, 1):
            self.recent.remove(same[0])

    def has_room_for(self, state: RunState, ended_at: float) -> bool:
        """Whether a run that ended then would be remembered."""
        same = [known.ended_at for known in self.recent if known.state is state]
        return len(same) < _KEPT.get(state, 1) or ended_at > same[0]

    def forget(self, run_ids: Iterable[str]) -> None:
        gone = set(run_ids)
        self.recent = [run for run in self.recent if run.id not in gone]
        for run_id in gone:
            self.active.pop(run_id, None)

    # What is expected of it

    def describes(self, info: PipelineInfo, now: float) -> bool:
        """Whether a roster entry says nothing new."""
        return self._expectation(info, now) == (self.expected_since, self.last_due, self.next_due) and (
            info.id,
            info.paused,
            info.tags,
        ) == (self.id, self.paused, self.tags)

    def describe(self, info: PipelineInfo, now: float) -> None:
        """Take over what a roster entry says."""
        self.expected_since, self.last_due, self.next_due = self._expectation(info, now)
        self.id, self.paused, self.tags = info.id, info.paused, info.tags
        self.settle(now)

    def _expectation(self, info: PipelineInfo, now: float) -> tuple[float | None, float | None, float | None]:
        """Since when a timetable is in force, and by it the last and the next due time."""
        schedule: Schedule | None = info.schedule
        if schedule is None or info.paused:
            return None, None, None
        since = self.expected_since or now
        last = schedule.last_due
        if last is None:
            passed = (due for due in (schedule.next_due, self.next_due) if due is not None and due <= now)
            last = max((due for due in (*passed, self.last_due) if due is not None), default=None)
        # What was due before, in a pause or under another regime, is nobody's debt.
        return since, last if last is not None and last >= since else None, schedule.next_due

    def settle(self, now: float) -> None:
        """Find the first due time that no success has met."""
        starts = (run.ended_at if run.started_at is None else run.started_at for run in self.successes)
        # A clock that is days ahead must not meet what is due tomorrow.
        began = max((start for start in starts if start <= now + CLOCK_AHEAD), default=0.0)
        grace = CLOCK_GRACE
        if self.last_due is not None and self.next_due is not None and self.next_due > self.last_due:
            # What is due every minute must not be met by the run of the minute before.
            grace = min(grace, (self.next_due - self.last_due) / 2)
        if self.last_due is None or began >= self.last_due - grace:
            self.unmet_due = None
        elif self.unmet_due is None or began >= self.unmet_due - grace:
            self.unmet_due = self.last_due

    def heard_of(self) -> float:
        """When anything happened to it last, so far as is remembered."""
        return max([self.first_seen, *(run.ended_at for run in self.recent)])

    @property
    def successes(self) -> list[FinishedRun]:
        """Oldest first."""
        return [run for run in self.recent if run.state is RunState.SUCCEEDED]

    def last_finished(self, state: RunState) -> float | None:
        return next((run.ended_at for run in reversed(self.recent) if run.state is state), None)

    def last_failed_id(self) -> str | None:
        return next((run.id for run in reversed(self.recent) if run.state.is_failure), None)

    def consecutive_failures(self) -> int:
        last_success = self.last_finished(RunState.SUCCEEDED)
        failures = sum(
            1 for r in self.recent if r.state.is_failure and (last_success is None or r.ended_at > last_success)
        )
        return min(failures, MAX_FAILURES)

    def typical_duration(self) -> float | None:
        durations = [run.duration for run in self.successes[-HISTORY:] if run.duration is not None]
        return median(durations) if len(durations) >= MIN_HISTORY else None

    def baseline(self, metric: str, run_id: str) -> float | None:
        """Median of a metric over the successes before the given one; None if it or they are not remembered."""
        successes = self.successes
        position = next((index for index, run in enumerate(successes) if run.id == run_id), None)
        if position is None:
            return None
        before = successes[max(0, position - HISTORY) : position]
        values = [run.metrics[metric] for run in before if metric in run.metrics]
        return median(values) if len(values) >= MIN_HISTORY else None

    def oldest_active(self, state: RunState) -> float | None:
        """Since when the oldest active run is in this state, leaving out those from before we looked."""
        times = [run.since for run in self.active.values() if run.state is state and run.since is not None]
        return min((since for since in times if since >= self.first_seen), default=None)

    def utilization(self) -> dict[str, float]:
        """Resource → mean over the running runs that report it."""
        readings: dict[str, list[float]] = {}
        for run in self.active.values():
            for resource, ratio in run.utilization.items() if run.state is RunState.RUNNING else ():
                readings.setdefault(resource, []).append(ratio)
        return {resource: sum(values) / len(values) for resource, values in readings.items()}


@dataclass(slots=True)
class SourceState:
    """What is remembered of the source itself."""

    installed_at: float | None = None
    """When it was first read."""
    last_success_at: float | None = None
    backfill_complete: bool = False
    progress: float = 0.0
    scan: int = 0
    registry_read: bool = False
