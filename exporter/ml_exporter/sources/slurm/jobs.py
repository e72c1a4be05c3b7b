"""Records of jobs → runs. An array is one run; its tasks come and go, so what they were is remembered."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from ml_exporter.model import Json, Pipeline, Run, RunState
from ml_exporter.reading import epoch, in_order
from ml_exporter.sources.slurm.shapes import JobRecord, field, number, whole
from ml_exporter.sources.slurm.states import state_of, worse

NO_NODES = frozenset((None, "", "(null)", "None assigned"))
NOT_READY = frozenset(("JobHeldUser", "JobHeldAdmin", "BeginTime", "Dependency", "DependencyNeverSatisfied"))
"""Reasons to wait that have nothing to do with room."""
MAX_NAME = 1000
MAX_PARTITIONS = 20


@dataclass(frozen=True, slots=True)
class Job:
    """One record: a job, a task of an array, or the tasks of an array that still wait. Times in seconds."""

    key: int
    """Id of the job, or of the array that it belongs to."""
    is_task: bool
    name: str
    user: str
    account: str
    comment: str
    partitions: tuple[str, ...]
    state: RunState
    submitted: float
    eligible: float | None
    started: float | None
    ended: float | None
    tasks: int = 1
    """How many tasks it stands for."""
    due: float | None = None
    """When it was to begin, in the past or the future."""
    cron: bool = False
    """Whether scrontab submits it, again and again."""

    @property
    def run_id(self) -> str:
        # Ids start anew when slurmctld loses its state, and a scrontab job keeps its id for ever.
        return f"{self.key}-{int(self.submitted)}"


def from_controller(record: JobRecord, now: float) -> Job | None:
    """A job as slurmctld tells it; None if it is no run here, or its record makes no sense."""
    times = (record.submit_time, record.eligible_time, record.start_time, record.end_time)
    parts = (record.array_job_id, record.array_task_string, record.het_job_offset, record.comment)
    return _job(record, record.job_state, times, parts, now)


def from_database(record: JobRecord, now: float) -> Job | None:
    """A job that has ended as slurmdbd tells it; None for any other."""
    times = tuple(field(record.time, key) for key in ("submission", "eligible", "start", "end"))
    parts = (
        field(record.array, "job_id"),
        field(record.array, "task"),
        field(record.het, "job_offset"),
        field(record.comment, "job"),
    )
    current = field(record.state, "current")
    job = _job(record, current, times, parts, now)
    # Words beside a state say that the record of the end is not complete (a requeued job's attempt, for one).
    return job if job and job.state.is_terminal else None


def _job(record: JobRecord, words: Any, times: tuple[Any, ...], parts: tuple[Any, ...], now: float) -> Job | None:
    state, id_ = state_of(words), whole(record.job_id)
    submitted, eligible, started, ended = (epoch(number(time)) for time in times)
    array, waiting, het_offset, comment = parts
    if state is None or not id_ or submitted is None or not isinstance(record.name, str) or not record.name.strip():
        return None
    if whole(het_offset):  # a part of a heterogeneous job: its leader is the run
        return None
    due, (eligible, started, ended) = eligible, _believed(record, state, (eligible, started, ended), now)
    return Job(
        whole(array) or id_,
        bool(whole(array)),
        record.name.strip()[:MAX_NAME],
        (_text(record.user_name) or _text(record.user))[:MAX_NAME],
        _text(record.account)[:MAX_NAME],
        _text(comment)[:MAX_NAME],
        tuple(part[:MAX_NAME] for part in _text(record.partition).split(",")[:MAX_PARTITIONS] if part),
        state,
        submitted,
        eligible,
        started,
        ended,
        count_tasks(waiting) if state is RunState.QUEUED else 1,
        due,
        bool(record.cron) and isinstance(record.cron, str),
    )


Times = tuple[float | None, float | None, float | None]


def _believed(record: JobRecord, state: RunState, times: Times, now: float) -> Times:
    """Of eligible, start and end those that are true, and not estimates or marks."""
    eligible, started, ended = times
    if state is RunState.QUEUED:
        started = None
        if isinstance(record.state_reason, str) and record.state_reason in NOT_READY:
            eligible = None
    if not state.is_terminal:
        ended = None
    elif isinstance(record.nodes, str | None) and record.nodes in NO_NODES and state is not RunState.SUCCEEDED:
        started = None  # cancelled while it waited: its start is the time of that
    if (eligible is not None and eligible > now) or not in_order(eligible, started):
        eligible = None
    return eligible, started if in_order(started, ended) else None, ended


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def count_tasks(waiting: Any) -> int:
    """How many tasks `1-5:2,9%4` names; 1 for a job that is no array. A long list is cut short by Slurm itself."""
    total = 0
    for part in _text(waiting).partition("%")[0].split(",") if isinstance(waiting, str) else []:
        match = re.fullmatch(r"(\d{1,9})(?:-(\d{1,9})(?::(\d{1,9}))?)?", part.strip())
        if match:
            first, last, step = int(match[1]), int(match[2] or match[1]), int(match[3] or 1)
            total += max(0, (last - first) // max(1, step) + 1)
    return max(1, total)


@dataclass(frozen=True, slots=True)
class Array:
    """What is known of an array whose tasks are still to be seen, or were seen lately."""

    run_id: str
    name: str
    eligible: float | None = None
    started: float | None = None
    ended: float | None = None
    state: RunState | None = None
    """The worst of the tasks that ended."""

    def with_task(self, job: Job) -> Array:
        """Take in a task; its end only if it has ended."""
        ended = job.state.is_terminal
        return replace(
            self,
            eligible=_first(self.eligible, job.eligible),
            started=_first(self.started, job.started),
            ended=max((t for t in (self.ended, job.ended) if t is not None), default=None) if ended else self.ended,
            state=worse(self.state, job.state) if ended else self.state,
        )

    def run(self, pipeline: Pipeline, active: Iterable[Job]) -> Run:
        """The array as a run, with its tasks that have not ended."""
        waiting = list(active)
        if not waiting:
            state = self.state or RunState.RUNNING
            return Run(self.run_id, pipeline, state, self.eligible, self.started, self.ended)
        running = self.started is not None or any(job.state is RunState.RUNNING for job in waiting)
        state = RunState.RUNNING if running else RunState.QUEUED
        return Run(self.run_id, pipeline, state, self.eligible, self.started if running else None)

    def to_json(self) -> Json:
        return [self.run_id, self.name, self.eligible, self.started, self.ended, str(self.state or "")]

    @classmethod
    def from_json(cls, value: Any) -> Array:
        run_id, name, eligible, started, ended, state = value
        return cls(run_id, name, eligible, started, ended, RunState(state) if state else None)


def _first(*times: float | None) -> float | None:
    return min((time for time in times if time is not None), default=None)


def run_of(job: Job, pipeline: Pipeline) -> Run:
    """A job that is no array as a run."""
    return Run(job.run_id, pipeline, job.state, job.eligible, job.started, job.ended)
