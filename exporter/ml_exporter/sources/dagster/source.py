"""Dagster: jobs of code locations are pipelines.

One poll asks for the runs that changed since the watermark; every few minutes it lists the active ones and reads
everything else (jobs, schedules, daemons, queues) in one document.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any
from urllib.parse import quote, urlencode

from ml_exporter.errors import SourceError
from ml_exporter.model import Batch, Cursor, Json, Pipeline, Receipt, Run
from ml_exporter.ports import Auth, Poll, Source
from ml_exporter.reading import Cadence, PageGuard, SchedulerOptions, epoch
from ml_exporter.schema import Between, Duration
from ml_exporter.sources.dagster import api
from ml_exporter.sources.dagster.api import Server, Steps
from ml_exporter.sources.dagster.pages import Position, page
from ml_exporter.sources.dagster.runs import TERMINAL, is_backfill, qualified, to_run
from ml_exporter.sources.dagster.shapes import RunRecord
from ml_exporter.sources.dagster.workspace import Timetables, gauges, roster

PAGES = 20
"""Pages of changed runs in one poll; the next one goes on."""
ACTIVE_PAGES = 2
"""Pages of active runs in one poll; a poll that finds nothing new makes three listings at most."""
VERSION_EVERY = 600.0
STATE_EVERY = 200.0
ACTIVE_EVERY = 300.0
SKEW = 600.0
"""Seconds that our clock may be ahead of Dagster's: after silence, the watermark follows ours at this distance."""
NEWBORN = 60.0
"""Seconds by which a run may be older than the roster that lacks its job, which then is a new one."""
PLUS_HEADER = "Dagster-Cloud-Api-Token"


@dataclass(frozen=True, slots=True)
class Options(SchedulerOptions):
    """Settings of a source of kind dagster; times in seconds."""

    page_size: Annotated[int, Between(1, 5000)] = 500
    overlap: Annotated[float, Duration("1s", "1d")] = 300.0
    """How late an event of a run may be written, or how far the clock of its process may be behind."""
    backfills: bool = False
    """Count the runs that backfills launch, too."""
    max_runtime: Annotated[float, Duration("0s", "366d")] = 0.0
    """The instance's `run_monitoring.max_runtime_seconds`, which Dagster does not tell; 0: none."""
    service_tag: str = "service"
    """The tag of a job that names its service; empty: tags are not read."""
    dagster_plus: bool = False
    """The token goes into the header that Dagster+ wants."""

    @property
    def heartbeats_every(self) -> float:
        return STATE_EVERY


def create(name: str, options: Options, url: str) -> Source:
    """The source `name`; `url` without a trailing slash is where Dagster's webserver is."""
    return DagsterSource(name, options, url)


def auth(options: Options) -> Auth:
    """How the token of `token_file` is sent."""
    return Auth(token_header=PLUS_HEADER) if options.dagster_plus else Auth()


@dataclass(slots=True)
class Sweep:
    """A listing of the active runs that may take several polls."""

    position: Position | None = None
    runs: dict[str, Run] = field(default_factory=dict)
    """As they were read last, be it by this listing or because they changed since it began."""


class DagsterSource:
    """Remembers between polls only what saves requests; all that must not be lost is in the cursor."""

    queue_times = True

    def __init__(self, name: str, options: Options, url: str) -> None:
        self.name, self.options, self.url = name, options, url
        self.server: Server | None = None
        self.version, self.state = Cadence(VERSION_EVERY), Cadence(STATE_EVERY)
        self.active = Cadence(ACTIVE_EVERY)
        self.timetables = Timetables()
        self.bare: dict[str, str | None] = {}
        self.guard: PageGuard | None = None
        self.told: dict[str, Run] = {}
        self.newest: dict[str, float] = {}
        """When the runs changed that changed last, of those that were read."""
        self.sweep: Sweep | None = None

    def poll(self, cursor: Cursor, now: float) -> Poll:
        poll = _Poll(self, cursor, now)
        try:
            yield from poll.read_state()
            if (yield from poll.read_changed()):
                yield from poll.read_active()
        except (SourceError, GeneratorExit):  # the latter when a call has failed
            # It may be another server now, with other words: ask it first.
            self.version.done_at = None
            raise

    def run_url(self, pipeline: Pipeline, pipeline_id: str | None, run_id: str) -> str | None:
        return f"{self.url}/runs/{quote(run_id, safe='')}"

    def pipeline_url(self, pipeline: Pipeline, pipeline_id: str | None) -> str | None:
        """Its runs, and those of jobs of that name in other code locations: the list has no narrower filter."""
        job = pipeline.name.rpartition("/")[2]
        return f"{self.url}/runs?{urlencode({'q[0]': f'job:{job}'})}"

    def home_url(self) -> str | None:
        return self.url


class _Poll:
    """The steps of one poll."""

    def __init__(self, source: DagsterSource, cursor: Cursor, now: float) -> None:
        self.source, self.options = source, source.options
        self.cursor: dict[str, Json] = dict(cursor)
        self.now = now
        known = self.cursor.get("names")
        self.names = {name for name in known if isinstance(name, str)} if isinstance(known, list) else set()

    def tell(self, changes: Mapping[str, Json], **batch: Any) -> Steps[Receipt]:
        """Hand over a batch with what changed in the cursor; it is committed when this returns."""
        changed = {key: value for key, value in changes.items() if self.cursor.get(key) != value}
        receipt: Receipt = yield Batch(cursor=changed, **batch)
        self.cursor |= changed
        return receipt

    @property
    def server(self) -> Server:
        assert self.source.server is not None
        return self.source.server

    # Everything but runs

    def read_state(self) -> Steps[None]:
        source = self.source
        if source.server is None or source.version.due(self.now):
            source.server = yield from api.probe()
            source.version.done(self.now)
        if not source.state.due(self.now):
            return
        lone = source.timetables.to_ask()
        data, ticks = yield from api.state(source.server, bool(self.options.service_tag), lone)
        source.timetables.answered(lone, ticks)
        found = roster(source.name, data.workspace, source.timetables, self.options.service_tag, self.now)
        infos = tuple(info for name, info in found.infos.items() if self.options.wants(name))
        listed = {info.pipeline.name for info in infos}
        # Of a location that does not load, the jobs are not gone: they are not known now.
        whole = found.complete or not self.names
        self.names = listed if whole else self.names | listed
        source.bare = found.bare
        yield from self.tell(
            {"names": [*sorted(self.names)]},
            **({"roster": infos} if whole else {"pipelines": infos}),
            gauges=gauges(data, found.load_errors),
        )
        source.state.done(self.now)

    # Runs

    def read_changed(self) -> Steps[bool]:
        """Runs that changed since the watermark, page by page, newest first; False: there are more pages."""
        source, walk = self.source, self._walk()
        position = Position.from_json(walk.get("at"))
        # A poll that fails half-way may have to read a page again, which is no loop: then the guard begins anew.
        guard, source.guard = source.guard if source.guard and position else PageGuard("runs"), None
        seen: dict[str, Run] = {}
        filter_ = {"updatedAfter": walk["since"], "statuses": sorted(self.server.statuses)}
        for number in range(1, PAGES + 1):
            records, position = yield from page(self.server, filter_, self.options.page_size, position, guard)
            runs = {run.id: run for run in self._runs(records)}
            walk["top"] = max([walk["top"], *self._changes(records)])
            seen |= runs
            yield from self._tell_page(walk, position, runs, pause=number == PAGES)
            if position is None:
                source.told = seen
                return True
        source.guard, source.told = guard, {}
        return False

    def _walk(self) -> dict[str, Any]:
        """The walk that goes on, or a new one: from where, when it began, and the latest change it met."""
        walk = self.cursor.get("walk")
        if isinstance(walk, dict):
            return dict(walk)
        since = self.cursor.get("since")
        if not isinstance(since, int | float):
            first = self.now - self.options.history
            return {"since": first, "began": self.now, "top": first}
        # What a burst of runs leaves within the overlap is not read again in every poll.
        newest = self.source.newest.values()
        told = min(newest, default=0.0) if len(newest) >= self.options.page_size // 2 else 0.0
        return {"since": min(since, max(since - self.options.overlap, told)), "began": self.now, "top": since}

    def _changes(self, records: Iterable[RunRecord]) -> list[float]:
        """When these runs changed last; the newest ones are kept."""
        times = {r.run_id: at for r in records if (at := epoch(r.update_time)) is not None}
        newest = self.source.newest | {id_: at for id_, at in times.items() if at <= self.now}
        kept = sorted(newest, key=newest.__getitem__)[-max(1, self.options.page_size // 2) :]
        self.source.newest = {id_: newest[id_] for id_ in kept}
        return list(times.values())

    def _tell_page(
        self, walk: dict[str, Any], position: Position | None, runs: Mapping[str, Run], pause: bool
    ) -> Steps[None]:
        told = self.source.told
        changes: dict[str, Json] = {"walk": {**walk, "at": position.to_json()} if position else None}
        if position is None:
            # What changed on a page that was read before is later than the beginning. A process whose clock is
            # ahead must not drag the watermark into the future.
            changes["since"] = min(max(walk["top"], walk["began"] - SKEW), walk["began"])
        if self.source.sweep:
            self.source.sweep.runs.update(runs)
        yield from self.tell(
            changes,
            runs=tuple(run for run in runs.values() if told.get(run.id) != run),
            progress=position.progress if position and "since" not in self.cursor else None,
            complete=position is None or not pause,
            caught_up=position is None,
        )

    def _runs(self, records: Iterable[RunRecord]) -> list[Run]:
        """What the ledger is told: of jobs that are known or new, not of backfills unless they are wanted."""
        runs: list[Run] = []
        for record in records:
            name = self._name(record)
            if name is None or (is_backfill(record) and not self.options.backfills):
                continue
            run = to_run(record, Pipeline(self.source.name, name), self.options.max_runtime)
            if name in self.names or self._is_newborn(run):
                runs.append(run)
        return runs

    def _name(self, record: RunRecord) -> str | None:
        """The pipeline of a run; one that was not launched by the server only knows the name of its job."""
        origin = record.repository_origin
        if origin is None:
            name = self.source.bare.get(record.job_name)
        else:
            name = qualified(origin.repository_location_name, origin.repository_name, record.job_name)
        return name if name is not None and self.options.wants(name) else None

    def _is_newborn(self, run: Run) -> bool:
        """Whether it is younger than the roster that lacks its job: the next roster will have it."""
        read_at, born = self.source.state.done_at, run.queued_at
        return read_at is not None and born is not None and born > read_at - NEWBORN

    # Active runs

    def read_active(self) -> Steps[None]:
        """A listing of all active runs, now and then, for runs that were deleted or whose end was written late."""
        source = self.source
        if source.sweep is None and not source.active.due(self.now):
            return
        sweep = source.sweep = source.sweep or Sweep()
        filter_ = {"statuses": sorted(self.server.statuses.difference(TERMINAL))}
        guard = PageGuard("active runs")
        for _ in range(ACTIVE_PAGES):
            records, sweep.position = yield from page(
                self.server, filter_, self.options.page_size, sweep.position, guard
            )
            sweep.runs.update((run.id, run) for run in self._runs(records))
            if sweep.position is None:
                break
        else:
            return
        runs = tuple(run for run in sweep.runs.values() if not run.state.is_terminal)
        names = frozenset(self.names | {run.pipeline.name for run in runs})
        receipt = yield from self.tell({}, runs=runs, active_listed=names)
        source.sweep = None
        source.active.done(self.now)
        yield from self._ask_missing(receipt.missing[: self.options.page_size])

    def _ask_missing(self, ids: tuple[str, ...]) -> Steps[None]:
        """Runs that are not active any more have ended without our seeing it, or were deleted."""
        if not ids:
            return
        data = yield from api.runs(self.server, {"runIds": ids}, len(ids))
        records = data.runs.results or []
        runs = [run for run in self._runs(records) if run.id in ids]
        # A server that gives fewer than it counts has not said that the others are gone: they are asked for again.
        there = {run.id for run in runs} if len(records) >= data.runs.count else set(ids)
        yield from self.tell({}, runs=tuple(runs), forgotten=tuple(id_ for id_ in ids if id_ not in there))
