"""Prefect 3: deployments and ad-hoc flows are pipelines, flow runs are runs.

One poll asks for the runs that ended since the watermark and for those that are active; now and then for deployments,
work pools and planned runs.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import quote

from ml_exporter.model import Batch, Cursor, Json, Pipeline, PipelineInfo, Receipt, Run, Sample
from ml_exporter.ports import Poll, Source
from ml_exporter.reading import SchedulerOptions, epoch, iso
from ml_exporter.schema import Between
from ml_exporter.sources.prefect.api import PAGE, Api, Steps
from ml_exporter.sources.prefect.deployments import Deployment, words
from ml_exporter.sources.prefect.pools import Pools
from ml_exporter.sources.prefect.roster import Roster
from ml_exporter.sources.prefect.runs import AHEAD, HELD, is_active, is_child, moment, state_of, to_run
from ml_exporter.sources.prefect.shapes import FlowRun
from ml_exporter.sources.prefect.walk import Walk

OVERLAP = 60.0
"""Seconds that are read again: ends are stamped by Prefect's servers, whose clocks may differ."""
PAGES_AT_ONCE = 20
"""Of ended runs, in one poll; the rest follows with the next."""
LONG = 5
"""A listing of active runs with more pages than this is not made with every poll."""
SECONDS_PER_PAGE = 10.0


@dataclass(frozen=True, slots=True)
class Options(SchedulerOptions):
    """Settings of a source of kind prefect."""

    children: bool = False
    """Count flows that other flows call as a part of themselves, too."""
    page_size: Annotated[int, Between(1, PAGE)] = PAGE
    """Items asked for at once; a server that is set to give fewer refuses more."""


def create(name: str, options: Options, url: str) -> Source:
    """The source `name`; `url` without a trailing slash is Prefect's address or that of its API."""
    return PrefectSource(name, options, url)


class PrefectSource:
    """Remembers between polls only what saves requests; all that must not be lost is in the cursor."""

    queue_times = True

    def __init__(self, name: str, options: Options, url: str) -> None:
        self.name = name
        self.options = options
        self.url = url.rstrip("/")
        self.api = Api(url, options.page_size)
        self.roster = Roster(self.api)
        self.pools = Pools(self.api)
        self.is_checked = False
        self.ended: dict[str, Any] = {}
        """Ends that were told, by run, as far back as they are read again."""
        self.active: tuple[FlowRun, ...] = ()
        """As last listed, child runs among them: they take slots, too."""
        self.list_at = 0.0
        self.can_wait = False
        """Whether the runs that ended were read by the last poll, so that they may be left to the next one."""
        self.infos: dict[str, PipelineInfo] = {}
        """What was told of pipelines, by name."""
        self.turns_at = 0.0
        """When the first of the pipelines has another due time than was told."""
        self.gauges: tuple[Sample, ...] | None = None

    def poll(self, cursor: Cursor, now: float) -> Poll:
        poll = _Poll(self, cursor, now)
        if not self.is_checked:
            yield from self.api.check_version()
            self.is_checked = True
        yield from poll.read_roster()
        yield from poll.read_plans()
        if (yield from poll.read_ended()):
            yield from poll.read_active()
            yield from poll.read_rest()

    def run_url(self, pipeline: Pipeline, pipeline_id: str | None, run_id: str) -> str | None:
        return f"{self.home_url()}/runs/flow-run/{quote(run_id, safe='')}"

    def pipeline_url(self, pipeline: Pipeline, pipeline_id: str | None) -> str | None:
        """A deployment's page. A flow without one has a page by its id, which its runs do not keep."""
        return self.home_url() + (f"/deployments/deployment/{quote(pipeline_id, safe='')}" if pipeline_id else "/flows")

    def home_url(self) -> str:
        if self.api.is_cloud:
            host, _, path = self.url.partition("/api/accounts/")
            account, _, workspace = path.partition("/workspaces/")
            return f"{host.replace('//api.', '//app.')}/account/{account}/workspace/{workspace}"
        return self.url.removesuffix("/api")


class _Poll:
    """The steps of one poll."""

    def __init__(self, source: PrefectSource, cursor: Cursor, now: float) -> None:
        self.source, self.options = source, source.options
        self.api, self.roster = source.api, source.roster
        self.cursor: dict[str, Json] = dict(cursor)
        self.now = now
        self.has_plans: bool | None = None

    def tell(self, changes: dict[str, Json], **batch: Any) -> Steps[Receipt]:
        """Hand over a batch with what changed in the cursor; it is committed when this returns."""
        changed = {key: value for key, value in changes.items() if self.cursor.get(key) != value}
        receipt: Receipt = yield Batch(cursor=changed, **batch)
        self.cursor |= changed
        return receipt

    # Pipelines

    def read_roster(self) -> Steps[None]:
        if (yield from self.roster.read(self.now)):
            yield from self.read_plans()
            infos = self.infos(self.roster.deployments.values())
            yield from self.tell({}, roster=infos, idle_since=self.now - self.options.forget_after)
            self.source.infos = {info.pipeline.name: info for info in infos}
            self.source.turns_at = 0.0

    def read_plans(self) -> Steps[None]:
        """At most once in a poll: it is a listing of runs."""
        if self.has_plans is None:
            self.has_plans = yield from self.roster.read_plans(self.now)
            if self.has_plans:
                self.source.turns_at = 0.0

    def infos(self, deployments: Iterable[Deployment]) -> tuple[PipelineInfo, ...]:
        wanted = (d for d in deployments if self.options.wants(d.name))
        return tuple(d.info(self.source.name, self.now) for d in wanted)

    def news(self, infos: Iterable[PipelineInfo]) -> tuple[PipelineInfo, ...]:
        """Those that say something else than what was told before."""
        return tuple(info for info in infos if self.source.infos.get(info.pipeline.name) != info)

    def note(self, infos: Iterable[PipelineInfo]) -> None:
        self.source.infos |= {info.pipeline.name: info for info in infos}

    def translate(self, records: Iterable[FlowRun]) -> Steps[tuple[tuple[Run, ...], tuple[PipelineInfo, ...]]]:
        """What the ledger is told of these runs, and what is new of their pipelines."""
        records = [r for r in records if self.options.children or not is_child(r)]
        born = yield from self.roster.resolve(records)
        if born:
            self.source.turns_at = 0.0
        infos = {info.pipeline.name: info for info in self.infos(born)}
        runs: list[Run] = []
        for record in records:
            name = self.roster.name_of(record)
            if name is None or not self.options.wants(name):
                continue
            pipeline = Pipeline(self.source.name, name)
            runs.append(to_run(record, pipeline, self.now))
            if not record.deployment_id and (named := words(record.tags)):
                infos.setdefault(name, PipelineInfo(pipeline, tags=named))
        return tuple(runs), self.news(infos.values())

    # Runs

    def read_ended(self) -> Steps[bool]:
        """Runs that ended since the watermark. False: the next poll goes on where this one stopped."""
        source = self.source
        if self.has_plans and source.can_wait:  # three listings of runs are enough for a poll
            source.can_wait = False
            return True
        watermark = epoch(self.cursor.get("ended"))
        if watermark is None:
            watermark = self.now - self.options.history
        walk = Walk.from_json(self.cursor.get("walk")) or Walk(watermark - OVERLAP)
        for number in range(PAGES_AT_ONCE):
            page = yield from self.api.page("flow_runs", FlowRun, walk.body(), walk.offset)
            is_last = len(page) < self.api.page_size
            walk = walk.after(page) if page else walk
            # A server whose clock is ahead must not drag the watermark into the future.
            reached = max(watermark, min(walk.top or watermark, self.now))
            changes: dict[str, Json] = {"walk": None, "ended": reached} if is_last else {"walk": walk.to_json()}
            fresh = [r for r in page if source.ended.get(r.id) != r.end_time and moment(r.end_time) is not None]
            runs, infos = yield from self.translate(fresh)
            if runs or infos or any(self.cursor.get(key) != value for key, value in changes.items()):
                yield from self.tell(
                    changes,
                    runs=runs,
                    pipelines=infos,
                    progress=1.0 if is_last else walk.progress(),
                    complete=is_last or number + 1 < PAGES_AT_ONCE,
                )
            self.note(infos)
            self.remember(page, reached)
            if is_last:
                source.can_wait = True
                return True
        return False

    def remember(self, page: Iterable[FlowRun], watermark: float) -> None:
        """Note what was told, and forget what will not be read again."""
        ended = self.source.ended
        ended |= {r.id: r.end_time for r in page}
        self.source.ended = {id_: end for id_, end in ended.items() if (moment(end) or 0.0) >= watermark - 2 * OVERLAP}

    def read_active(self) -> Steps[None]:
        source = self.source
        if 0 < source.list_at - self.now < 3600:
            return
        found, pages = yield from self.list_active()
        source.list_at = self.now + SECONDS_PER_PAGE * pages if pages > LONG else 0.0
        runs, infos = yield from self.translate(found)
        names = {run.pipeline.name for run in runs}
        covered = {d.name for d in self.roster.deployments.values()} | names | self.without_deployment()
        ad_hoc: list[Json] = [*sorted(names - {d.name for d in self.roster.deployments.values()})]
        receipt = yield from self.tell({"ad_hoc": ad_hoc}, runs=runs, pipelines=infos, active_listed=frozenset(covered))
        source.active = tuple(found)
        self.note(infos)
        yield from self.ask_missing(receipt.missing[: self.api.page_size])

    def without_deployment(self) -> set[str]:
        """Pipelines that only runs tell of, and that had active ones."""
        names = self.cursor.get("ad_hoc")
        return {str(name) for name in names} if isinstance(names, list) else set()

    def list_active(self) -> Steps[tuple[list[FlowRun], int]]:
        """All runs that are queued or running, and the number of pages they took.

        Two listings, because one that is both makes SQLite read the whole history.
        """
        held = {"state": {"operator": "or_", "type": {"any_": list(HELD)}, "name": {"any_": list(AHEAD)}}}
        # Scheduled for a time that has come: what is still to come is only a plan.
        due = {"state": {"type": {"any_": ["SCHEDULED"]}}, "next_scheduled_start_time": {"before_": iso(self.now)}}
        found = yield from self.api.all("flow_runs", FlowRun, {"flow_runs": held, "sort": "ID_DESC"})
        waiting = yield from self.api.all(
            "flow_runs", FlowRun, {"flow_runs": due, "sort": "NEXT_SCHEDULED_START_TIME_ASC"}
        )
        pages = (len(found) + len(waiting)) // self.api.page_size
        return [r for r in {**waiting, **found}.values() if is_active(r, self.now)], pages

    def ask_missing(self, ids: Iterable[str]) -> Steps[None]:
        """A run that is not active any more has ended without our seeing it, or is gone, or waits for another day."""
        ids = list(ids)
        if not ids:
            return
        found = yield from self.api.by_id("flow_runs", FlowRun, ids)
        left = {id_: r for id_, r in found.items() if state_of(r).is_terminal or is_active(r, self.now)}
        runs, infos = yield from self.translate(left.values())
        told = {run.id for run in runs}
        yield from self.tell({}, runs=runs, pipelines=infos, forgotten=tuple(i for i in ids if i not in told))
        self.note(infos)

    # The scheduler itself, and timetables

    def read_rest(self) -> Steps[None]:
        """What is due, and how full the pools are: told when it changed. The poll is then complete."""
        source, deployments = self.source, self.roster.deployments.values()
        yield from source.pools.read(self.now)
        turned = self.infos(deployments) if self.now >= source.turns_at else ()
        infos = self.news(turned)
        used = {d.record.work_pool_name for d in deployments if not d.is_paused}
        gauges = source.pools.samples(source.active, {name for name in used if name})
        changed = gauges if gauges != source.gauges else None
        yield from self.tell({}, pipelines=infos, gauges=changed, caught_up=True)
        self.note(infos)
        source.gauges = gauges
        if self.now >= source.turns_at:
            dues = (info.schedule.next_due for info in turned if info.schedule)
            source.turns_at = min((due for due in dues if due is not None), default=math.inf)
