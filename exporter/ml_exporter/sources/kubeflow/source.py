"""Kubeflow Pipelines: recurring runs and pipelines are pipelines, their runs are runs.

One poll asks for the runs of one namespace that ended since the watermark and for those that are active. Both listings
are bounded by the time of creation, the only one that the server has an index for: a list of all runs took minutes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated
from urllib.parse import quote

from ml_exporter.errors import Rejected
from ml_exporter.model import Batch, Cursor, Json, Pipeline, PipelineInfo, Receipt, Run, RunState, Sample
from ml_exporter.ports import Poll, Source
from ml_exporter.reading import Cadence, SchedulerOptions, epoch
from ml_exporter.schema import Between, Duration
from ml_exporter.sources.kubeflow.api import PAGE, Listing, RunPage, RunRecord, RunReply, Steps, check_version, one
from ml_exporter.sources.kubeflow.api import one_of as is_one_of
from ml_exporter.sources.kubeflow.api import since as is_since
from ml_exporter.sources.kubeflow.roster import Roster
from ml_exporter.sources.kubeflow.runs import ACTIVE, is_readable, to_run, when
from ml_exporter.timetable import check_zone

OVERLAP = 300.0
"""Seconds that are read again: an end is written when it is reported."""
PAGES_AT_ONCE = 20
"""Of ended runs, in one poll; the rest follows with the next."""
MAX_ASKED = 50
"""Missing runs asked for by id in one poll; the others are still missing next time."""
ASK_AGAIN = 600.0


@dataclass(frozen=True, slots=True)
class Options(SchedulerOptions):
    """Settings of a source of kind kubeflow; times in seconds."""

    namespaces: tuple[str, ...] = ()
    """Whose runs are read, where the server has several users. Each has its turn, one in a poll."""
    longest_run: Annotated[float, Duration("1h", "366d")] = 14 * 86400.0
    """A run that was created earlier is not found by the listings any more, only by its id."""
    time_zone: str = "UTC"
    """In which the controller reads cron expressions: its CRON_SCHEDULE_TIMEZONE."""
    service_key: str = "service"
    """The key of a pipeline's tag that names its service."""
    page_size: Annotated[int, Between(1, PAGE)] = PAGE


def validate(options: Options, timeout: float) -> None:
    """Raises `ConfigError` for a time zone that is not known here."""
    check_zone("time_zone", options.time_zone)


def create(name: str, options: Options, url: str) -> Source:
    """The source `name`; `url` without a trailing slash is where `/apis/v2beta1` and the pages are."""
    return KubeflowSource(name, options, url)


class KubeflowSource:
    """Remembers between polls only what saves requests; all that must not be lost is in the cursor."""

    queue_times = True

    def __init__(self, name: str, options: Options, url: str) -> None:
        self.name, self.options, self.url = name, options, url
        self.rosters: list[Roster] = []
        self.caught_up: set[str] = set()
        """Namespaces that this process has read to the present."""
        self.turn = 0
        self.told: dict[str, float] = {}
        """Ends that were told, by run, as far back as they are read again."""
        self.asked: dict[str, float] = {}
        """When runs that the listing lacks, and that are active all the same, were asked for."""
        self.waiting: dict[str, int] = {}
        self.unreadable: dict[str, int] = {}
        self.infos: dict[str, PipelineInfo] = {}
        """What was told of pipelines, by name."""

    def run_url(self, pipeline: Pipeline, pipeline_id: str | None, run_id: str) -> str | None:
        return f"{self.url}/#/runs/details/{quote(run_id, safe='')}"

    def pipeline_url(self, pipeline: Pipeline, pipeline_id: str | None) -> str | None:
        """A recurring run's page; without one, the list of all runs."""
        return f"{self.url}/#" + (f"/recurringrun/details/{quote(pipeline_id, safe='')}" if pipeline_id else "/runs")

    def home_url(self) -> str | None:
        return self.url

    def poll(self, cursor: Cursor, now: float) -> Poll:
        if not self.rosters:
            yield from self._meet()
        yield from self._read_roster(now)
        for roster in self._whose_turn():
            poll = _Poll(self, roster, cursor, now)
            if not (yield from poll.read_ended()):
                return
            yield from poll.read_active()
        self.turn += 1

    def is_caught_up(self) -> bool:
        return all(roster.namespace in self.caught_up for roster in self.rosters)

    def _meet(self) -> Steps[None]:
        health = yield from check_version()
        if health.multi_user and not self.options.namespaces:
            raise Rejected(
                f"Kubeflow Pipelines {health.tag_name[:40]} has several users: name what is to be read in `namespaces`"
            )
        # A server with one user ignores namespaces: each of them would have all runs.
        spaces = dict.fromkeys(self.options.namespaces) if health.multi_user else ("",)
        every = max(1.0, len(spaces) / 2)
        self.rosters = [Roster(self.name, space, self.options, Cadence(600.0 * every)) for space in spaces]

    def _whose_turn(self) -> list[Roster]:
        behind = [roster for roster in self.rosters if roster.namespace not in self.caught_up]
        return behind or [self.rosters[self.turn % len(self.rosters)]]

    def _read_roster(self, now: float) -> Steps[None]:
        """All pipelines, if a namespace was read anew; else those whose timetable has moved on."""
        due = [roster for roster in self.rosters if roster.cadence.due(now)]
        for roster in due:
            yield from roster.read(now)
        infos = {name: info for roster in self.rosters for name, info in roster.infos(now).items()}
        if due:
            yield Batch(cursor={}, roster=tuple(infos.values()), idle_since=now - self.options.forget_after)
        elif changed := tuple(info for name, info in infos.items() if self.infos.get(name) != info):
            yield Batch(cursor={}, pipelines=changed)
        self.infos = infos

    def gauges(self) -> tuple[Sample, ...]:
        errors = {
            "recurring_runs": sum(roster.unreadable for roster in self.rosters),
            "runs": sum(self.unreadable.values()),
            "timetables": sum(roster.timetables.unreadable for roster in self.rosters),
        }
        return (
            *(Sample("ml_scheduler_load_errors", (where,), n) for where, n in errors.items()),
            *(Sample("ml_scheduler_queue_length", (queue,), n) for queue, n in sorted(self.waiting.items())),
        )


class _Poll:
    """The steps of one poll in one namespace."""

    def __init__(self, source: KubeflowSource, roster: Roster, cursor: Cursor, now: float) -> None:
        self.source, self.options, self.roster, self.now = source, source.options, roster, now
        self.space = roster.namespace
        self.cursor: dict[str, Json] = dict(cursor)
        self.runs: dict[str, Run] = {}
        self.changes: dict[str, Json] = {}
        self.unreadable = 0

    def read_ended(self) -> Steps[bool]:
        """Runs that ended since the watermark; whether that was all. The last page is told with the active runs."""
        key, first = f"ended {self.space}", self.now - self.options.history
        known = epoch(self.cursor.get(key))
        mark = first if known is None else known
        start = mark if known is None else mark - OVERLAP
        bounds = [is_since("finished_at", start), is_since("created_at", start - self.options.longest_run)]
        listing, pages, reached = self._runs("finished_at asc", bounds), 0, mark
        self.source.told = {id_: at for id_, at in self.source.told.items() if at >= start}
        while True:
            for record in (yield from listing.page()):
                ended = when(record.finished_at)
                if is_readable(record) and ended is not None and self.source.told.get(record.run_id) == ended:
                    continue
                yield from self._add(record)
                # A server whose clock is ahead must not drag the watermark into the future.
                reached = max(reached, min(ended or 0.0, self.now))
            self._change(key, reached)
            pages += 1
            if listing.is_over:
                return True
            share = (reached - first) / max(1.0, self.now - first)
            stops = pages >= PAGES_AT_ONCE and reached > mark + OVERLAP
            yield from self._tell(Batch({}, progress=min(1.0, max(0.0, share)), complete=not stops))
            if stops:
                return False

    def read_active(self) -> Steps[None]:
        bounds = [is_one_of("state", ACTIVE), is_since("created_at", self.now - self.options.longest_run)]
        listing = self._runs("created_at asc", bounds)
        for record in (yield from listing.rest()):
            yield from self._add(record)
        active = [run for run in self.runs.values() if not run.state.is_terminal]
        self.source.waiting[self.space or "default"] = sum(1 for run in active if run.state is RunState.QUEUED)
        self.source.unreadable[self.space] = self.unreadable
        before, names = self._names_before(), {run.pipeline.name for run in active}
        self._change(f"active {self.space}", [*sorted(before | names)])
        self.source.caught_up.add(self.space)
        done = self.source.is_caught_up()
        batch = Batch({}, active_listed=frozenset(before | names), gauges=self.source.gauges(), caught_up=done)
        receipt = yield from self._tell(batch)
        if (yield from self._ask(receipt.missing)):
            self._change(f"active {self.space}", [*sorted(names)])
        if self.runs or self.changes:
            yield from self._tell(Batch({}, caught_up=done))

    def _ask(self, missing: tuple[str, ...]) -> Steps[bool]:
        """What became of runs that are active no more, or too old to be listed; whether none of them is left."""
        asked = {id_: at for id_, at in self.source.asked.items() if 0 <= self.now - at < ASK_AGAIN}
        left = [id_ for id_ in missing if id_ not in asked]
        gone = []
        for id_ in left[:MAX_ASKED]:
            record = yield from one(f"runs/{quote(id_, safe='')}", RunReply)
            if record is not None:
                yield from self._add(record)
            run = self.runs.get(id_)
            if run is None and (record is None or is_readable(record)):
                gone.append(id_)
            elif run is None or not run.state.is_terminal:
                asked[id_] = self.now
        self.source.asked = asked
        if gone:
            yield from self._tell(Batch({}, forgotten=tuple(gone)))
        return not any(id_ in asked for id_ in missing) and len(left) <= MAX_ASKED

    # Means

    def _runs(self, order: str, bounds: list[dict[str, object]]) -> Listing:
        return Listing("runs", RunPage, self.space, self.options.page_size, by=order, filter=bounds)

    def _add(self, record: RunRecord) -> Steps[None]:
        if not is_readable(record):
            self.unreadable += 1
            return
        name = yield from self.roster.names.of_run(record)
        if self.options.wants(name):
            self.runs[record.run_id] = to_run(record, Pipeline(self.source.name, name))

    def _names_before(self) -> set[str]:
        names = self.cursor.get(f"active {self.space}")
        return {name for name in names if isinstance(name, str)} if isinstance(names, list) else set()

    def _change(self, key: str, value: Json) -> None:
        if self.cursor.get(key) != value:
            self.changes[key] = value

    def _tell(self, batch: Batch) -> Steps[Receipt]:
        """Hand over what was read, with the cursor; remember it when it is committed."""
        runs, self.runs = self.runs, {}
        changes, self.changes = self.changes, {}
        receipt: Receipt = yield replace(batch, cursor=changes, runs=tuple(runs.values()))
        self.cursor |= changes
        self.source.told |= {id_: run.ended_at for id_, run in runs.items() if run.ended_at is not None}
        return receipt
