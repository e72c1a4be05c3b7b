"""Airflow: DAGs are pipelines, DAG runs are runs.

One poll asks for runs that finished since the watermark (by `updated_at`, so that a run that is marked otherwise later
is met again) and for all that are active; now and then for the DAGs, the pools, the health and the import errors.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import quote

from ml_exporter.model import Batch, Cursor, Pipeline, Run
from ml_exporter.ports import Auth, Login, Poll, Source
from ml_exporter.reading import Cadence, SchedulerOptions
from ml_exporter.schema import Between, Duration
from ml_exporter.sources.airflow.api import V1, V2, Api, Steps, find
from ml_exporter.sources.airflow.gauges import (
    DEFAULT_LOCATION,
    Samples,
    heartbeats,
    read_load_errors,
    read_pools,
)
from ml_exporter.sources.airflow.reader import Reader, Timeouts
from ml_exporter.sources.airflow.roster import read_dags, to_info
from ml_exporter.sources.airflow.runs import ids_of, word
from ml_exporter.sources.airflow.shapes import DagRecord, Health, RunRecord

ROSTER_EVERY = 600.0


@dataclass(frozen=True, slots=True)
class Options(SchedulerOptions):
    """Settings of a source of kind airflow; times in seconds."""

    tasks: bool = False
    """Read task instances too (Airflow 3)."""
    page_size: Annotated[int, Between(1, 1000)] = 100
    """Airflow gives 100 at most, unless its `maximum_page_limit` says otherwise."""
    overlap: Annotated[float, Duration("10s", "1h")] = 120.0
    """How long after its `updated_at` a run may become visible."""
    state_interval: Annotated[float, Duration("5s", "1h")] = 300.0
    """Between readings of the scheduler's heartbeats and pools."""

    @property
    def heartbeats_every(self) -> float:
        return self.state_interval


def create(name: str, options: Options, url: str) -> Source:
    """The source `name`; `url` without a trailing slash is where people find Airflow's pages."""
    return AirflowSource(name, options, url)


def auth(options: Options) -> Auth:
    """Airflow 3 gives a token for a password; Airflow 2, which does not, takes the password itself."""
    return Auth(login=Login("/auth/token", "access_token"))


class AirflowSource:
    """Remembers between polls only what saves requests; all that must not be lost is in the cursor."""

    queue_times = True

    def __init__(self, name: str, options: Options, url: str) -> None:
        self.name = name
        self.options = options
        self.url = url
        self.api: Api | None = None
        self.dags: dict[str, DagRecord] = {}
        self.strangers: frozenset[str] = frozenset()
        """DAGs that have runs but no file any more: looked for, and not found."""
        self.told: dict[str, Run] = {}
        self.timeouts = Timeouts()
        self.gauges: dict[str, Samples] = {}
        self.roster_cadence = Cadence(ROSTER_EVERY)
        self.errors_cadence = Cadence(ROSTER_EVERY)
        self.state_cadence = Cadence(options.state_interval)

    def poll(self, cursor: Cursor, now: float) -> Poll:
        poll = _Poll(self, cursor, now)
        api, health = yield from poll.find_api()
        if self.roster_cadence.due(now):
            yield from poll.read_roster(api)
        whole = yield from poll.read_finished(api)
        yield from poll.read_active(api)
        if self.options.tasks and api.tasks:
            whole &= yield from poll.read_tasks(api)
        yield from poll.read_gauges(api, health)
        yield Batch(cursor={}, caught_up=whole, complete=whole)

    def run_url(self, pipeline: Pipeline, pipeline_id: str | None, run_id: str) -> str | None:
        dag_id, dag_run_id = ids_of(run_id)
        page = (self.api or V2).run_page
        return self.url + page.format(dag=quote(dag_id, safe=""), run=quote(dag_run_id, safe=""))

    def pipeline_url(self, pipeline: Pipeline, pipeline_id: str | None) -> str | None:
        return self.url + (self.api or V2).dag_page.format(dag=quote(pipeline.name, safe=""))

    def home_url(self) -> str | None:
        return self.url


class _Poll(Reader):
    """The steps of one poll."""

    def __init__(self, source: AirflowSource, cursor: Cursor, now: float) -> None:
        super().__init__(source.name, cursor, now, source.options.page_size, source.timeouts)
        self.source = source
        self.options = source.options
        self.choose(source.dags)

    def find_api(self) -> Steps[tuple[Api, Health | None]]:
        """The version that this server speaks; its health, too, when that is due."""
        source, known = self.source, self.source.api
        if known is not None and not source.state_cadence.due(self.now):
            return known, None
        if known is None and self.cursor.get("api") == V1.name:
            known = V1
        source.api, health = yield from find(known)
        return source.api, health

    # Roster

    def read_roster(self, api: Api) -> Steps[None]:
        source = self.source
        dags = yield from read_dags(api, self.options.page_size)
        source.dags = {dag_id: record for dag_id, record in dags.items() if self.options.wants(dag_id)}
        source.strangers = frozenset()
        self.choose(source.dags)
        entries = tuple(to_info(self.name, dag_id, record) for dag_id, record in source.dags.items())
        yield from self.tell({"api": api.name}, roster=entries)
        source.roster_cadence.done(self.now)

    # Runs

    def read_finished(self, api: Api) -> Steps[bool]:
        """Runs that finished; False if there are more than one poll may read."""
        source, met = self.source, dict[str, Run]()
        feed = self.finished_runs(api, self.options.history, self.options.overlap)
        while (records := (yield from feed.next())) is not None:
            yield from self.meet(api, records)
            runs = yield from self.runs(api, records)
            met.update((run.id, run) for run in runs)
            fresh = tuple(run for run in runs if source.told.get(run.id) != run)
            yield from self.tell(feed.cursor(), runs=fresh, progress=feed.progress)
        source.told = met
        return feed.finished

    def read_active(self, api: Api) -> Steps[None]:
        """All that is queued or running; what was thought so and is not has ended, and is asked for by id."""
        records = yield from self.active_records(api)
        yield from self.meet(api, records)
        runs = yield from self.runs(api, records)
        for run in runs:
            self.source.told.pop(run.id, None)
        receipt = yield from self.tell({}, runs=runs, active_listed=frozenset(self.source.dags))
        found, forgotten = yield from self.ask_missing(api, receipt)
        if found or forgotten:
            yield from self.tell({}, runs=found, forgotten=forgotten)

    def meet(self, api: Api, records: Iterable[RunRecord]) -> Steps[None]:
        """A run of a DAG that is not on the roster: the DAG is new, or its file is gone."""
        source = self.source
        named = {dag_id for record in records if (dag_id := word(record.dag_id)) and self.options.wants(dag_id)}
        unknown = named - source.dags.keys() - source.strangers
        if unknown and source.roster_cadence.done_at != self.now:
            yield from self.read_roster(api)
        source.strangers |= unknown - source.dags.keys()

    def read_tasks(self, api: Api) -> Steps[bool]:
        feed = self.finished_tasks(api, self.options.history, self.options.overlap)
        while (records := (yield from feed.next())) is not None:
            yield from self.tell(feed.cursor(), tasks=self.tasks(records))
        return feed.finished

    # Gauges

    def read_gauges(self, api: Api, health: Health | None) -> Steps[None]:
        source, size = self.source, self.options.page_size
        read: dict[str, Samples] = {}
        if health is not None:
            read["heartbeats"] = heartbeats(health)
            read["pools"] = yield from read_pools(api, size)
        if source.errors_cadence.due(self.now):
            bundles = {word(record.bundle_name) or DEFAULT_LOCATION for record in source.dags.values()}
            read["errors"] = yield from read_load_errors(api, bundles, size)
        if not read:
            return
        gauges = source.gauges | read
        yield from self.tell({}, gauges=tuple(sample for part in gauges.values() for sample in part))
        source.gauges = gauges
        if health is not None:
            source.state_cadence.done(self.now)
        if "errors" in read:
            source.errors_cadence.done(self.now)
