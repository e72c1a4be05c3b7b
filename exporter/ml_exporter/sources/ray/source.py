"""Ray Jobs: one listing of all jobs that the cluster remembers, and what it has to run them with.

`GET /api/jobs/` knows no pages and no filter, and Ray forgets no job, so every poll gets all of them, once; what was
told is not told again.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Annotated, Any
from urllib.parse import quote

from ml_exporter.errors import ConfigError
from ml_exporter.model import Batch, Cursor, Json, Pipeline, PipelineInfo, Run, Sample
from ml_exporter.ports import Poll, Source
from ml_exporter.reading import Cadence, SchedulerOptions, epoch, tags
from ml_exporter.schema import Duration
from ml_exporter.sources.ray.api import CLUSTER, CLUSTER_STATUS, JOBS, VERSION, Job, capacity, check_version, jobs_of
from ml_exporter.sources.ray.jobs import SUFFIX, is_readable, metadata, pipeline_of, to_run

ROSTER_EVERY = 600.0


@dataclass(frozen=True, slots=True)
class Options(SchedulerOptions):
    """Settings of a source of kind ray; times in seconds."""

    pipeline_key: str = "job_name"
    """The key of a job's metadata that names its pipeline."""
    service_key: str = "service"
    """The key of a job's metadata that names its service."""
    suffix: str = SUFFIX
    """A regular expression: what is taken off a submission id to name the pipeline of a job without that key."""
    drivers: bool = False
    """Read scripts that connected by themselves too: Ray says SUCCEEDED of every one that ended."""
    capacity: bool = True
    capacity_interval: Annotated[float, Duration("10s", "1d")] = 200.0

    @property
    def heartbeats_every(self) -> float:
        return self.capacity_interval if self.capacity else 0.0


def create(name: str, options: Options, url: str) -> Source:
    """The source `name`; `url` without a trailing slash is the dashboard's. Raises `ConfigError`."""
    try:
        suffix = re.compile(options.suffix)
    except re.error as error:
        raise ConfigError(f"suffix: found {options.suffix[:80]!r}; allowed is a regular expression ({error})") from None
    return RaySource(name, options, url, suffix)


@dataclass(slots=True)
class _Known:
    """A pipeline, by the jobs that were told of it: the first and the last time heard of, in seconds."""

    first: float | None = None
    last: float = 0.0
    tags: tuple[str, ...] = ()


@dataclass(slots=True)
class _News:
    """What one listing says that was not told before."""

    runs: dict[str, Run] = field(default_factory=dict)
    ended: set[tuple[Any, Any]] = field(default_factory=set)
    """Keys of all ended jobs of the listing."""
    pipelines: set[str] = field(default_factory=set)


class RaySource:
    """Remembers what was told only to save the telling: a new process tells it once more."""

    queue_times = False

    def __init__(self, name: str, options: Options, url: str, suffix: re.Pattern[str]) -> None:
        self.name, self.options, self.url, self.suffix = name, options, url, suffix
        self.told: set[tuple[Any, Any]] = set()
        self.known: dict[str, _Known] = {}
        self.greeted = False
        self.capacity: tuple[Sample, ...] = ()
        self.roster = Cadence(ROSTER_EVERY)
        self.resources = Cadence(options.capacity_interval)

    def run_url(self, pipeline: Pipeline, pipeline_id: str | None, run_id: str) -> str | None:
        return f"{self.url}/#/jobs/{quote(run_id.rpartition('@')[0], safe='')}"

    def pipeline_url(self, pipeline: Pipeline, pipeline_id: str | None) -> str | None:
        """The list of all jobs: a name has no page."""
        return f"{self.url}/#/jobs"

    def home_url(self) -> str | None:
        return self.url

    def poll(self, cursor: Cursor, now: float) -> Poll:
        if not self.greeted:
            check_version((yield VERSION))
            self.greeted = True
        jobs = [job for job in jobs_of((yield JOBS)) if self._is_read(job)]
        if self.options.capacity and self.resources.due(now):
            self.capacity = tuple(capacity((yield CLUSTER_STATUS)))
            self.resources.done(now)
        since = epoch(cursor.get("since")) or now - self.options.history
        news = self._news(jobs, since)
        with_roster = self.roster.due(now)
        yield Batch(
            cursor=_changes(cursor, since, news),
            runs=tuple(news.runs.values()),
            roster=self._heard_of(now - self.options.forget_after) if with_roster else None,
            idle_since=now - self.options.forget_after if with_roster else None,
            pipelines=tuple(map(self._info, sorted(news.pipelines))) if not with_roster else (),
            gauges=(*self.capacity, Sample("ml_scheduler_queue_length", (CLUSTER,), _waiting(jobs))),
            # Deleted, or lost with the head node: nobody knows how they ended.
            forgotten=tuple(sorted(_active(cursor) - news.runs.keys())),
            caught_up=True,
        )
        self.told = news.ended
        if with_roster:
            self.roster.done(now)

    def _is_read(self, job: Job) -> bool:
        return is_readable(job) and (self.options.drivers or job.type != "DRIVER")

    def _news(self, jobs: Iterable[Job], since: float) -> _News:
        """What ended before `since` was history when the source was new."""
        news = _News()
        for job in jobs:
            if (key := job.key) in self.told:
                news.ended.add(key)
                continue
            name = pipeline_of(job, self.options.pipeline_key, self.suffix)
            run = to_run(job, Pipeline(self.name, name))
            if run.state.is_terminal:
                news.ended.add(key)
            if self.options.wants(name) and not (run.state.is_terminal and _heard_at(run) < since):
                news.runs[run.id] = run
                if self._note(run, job):
                    news.pipelines.add(name)
        return news

    def _note(self, run: Run, job: Job) -> bool:
        """Remember what a job says of its pipeline; whether that is new."""
        known = self.known.setdefault(run.pipeline.name, _Known())
        before = (known.first, known.tags)
        if (began := run.queued_at or run.started_at) is not None:
            known.first = min(known.first or began, began)
        if (at := _heard_at(run)) >= known.last:
            known.last, known.tags = at, tags(metadata(job, self.options.service_key))
        return before != (known.first, known.tags)

    def _heard_of(self, since: float) -> tuple[PipelineInfo, ...]:
        self.known = {name: known for name, known in self.known.items() if known.last >= since}
        return tuple(map(self._info, sorted(self.known)))

    def _info(self, name: str) -> PipelineInfo:
        known = self.known[name]
        return PipelineInfo(Pipeline(self.name, name), None, known.first, tags=known.tags)


def _heard_at(run: Run) -> float:
    return run.ended_at or run.started_at or run.queued_at or 0.0


def _active(cursor: Cursor) -> frozenset[str]:
    listed = cursor.get("active")
    return frozenset(id_ for id_ in listed if isinstance(id_, str)) if isinstance(listed, list) else frozenset()


def _changes(cursor: Cursor, since: float, news: _News) -> dict[str, Json]:
    changes: dict[str, Json] = {} if cursor.get("since") == since else {"since": since}
    active = {id_ for id_, run in news.runs.items() if not run.state.is_terminal}
    if active != _active(cursor) or "active" not in cursor:
        changes["active"] = [*sorted(active)]
    return changes


def _waiting(jobs: Iterable[Job]) -> int:
    return sum(1 for job in jobs if job.status == "PENDING")
