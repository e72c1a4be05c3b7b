"""MLflow: experiments are pipelines, their runs are runs, registered models are models.

One poll asks for what changed: runs that ended since the watermark (with an overlap), runs that started, a slice of the
active ones, now and then the registry, and a page or more of the pass over the whole history.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal
from urllib.parse import quote, urlencode

from ml_exporter.errors import Malformed
from ml_exporter.model import Cursor, Json, Model, Pipeline, PipelineInfo, Receipt, Run
from ml_exporter.ports import Poll, Source
from ml_exporter.reading import chosen
from ml_exporter.schema import Between, Duration
from ml_exporter.sources.mlflow.api import (
    ACTIVE_FILTER,
    START,
    Position,
    Steps,
    get_run,
)
from ml_exporter.sources.mlflow.reader import Reader
from ml_exporter.sources.mlflow.registry import Registry
from ml_exporter.sources.mlflow.roster import Experiment, Roster, pack, parts, unpack
from ml_exporter.sources.mlflow.scan import ORDER, current_pass
from ml_exporter.sources.mlflow.seen import Seen
from ml_exporter.sources.mlflow.shapes import RunRecord

MAX_ASKED = 200
"""Missing runs asked for by id in one poll; the others are still missing next time."""
STARTED_OVERLAP_MS = 60_000


@dataclass(frozen=True, slots=True)
class Options:
    """Settings of a source of kind mlflow; intervals and the overlap in seconds."""

    metrics: Mapping[str, Literal["higher", "lower"]] = field(default_factory=dict)
    """Training metrics to read, and which way is better."""
    include: tuple[str, ...] = ("*",)
    exclude: tuple[str, ...] = ()
    children: bool = False
    """Count child runs (of sweeps) too."""
    registry: bool = True
    registry_interval: Annotated[float, Duration("1s", "1d")] = 120.0
    reconcile_interval: Annotated[float, Duration("0s", "366d")] = 86400.0
    """Between passes that find deleted runs; 0: never."""
    page_size: Annotated[int, Between(1, 50_000)] = 1000
    overlap: Annotated[float, Duration("1s", "7d")] = 300.0
    """How late a run's end may be written, or how far a client's clock may be behind."""
    active_interval: Annotated[float, Duration("1s", "10m")] = 540.0
    """Every active run is read again at least this often."""
    backfill_pages: Annotated[int, Between(1, 1000)] = 10
    """Pages of history in one poll."""


def create(name: str, options: Options, url: str) -> Source:
    """The source `name`; `url` without a trailing slash is where people find MLflow's pages."""
    return MlflowSource(name, options, url)


class MlflowSource:
    """Remembers between polls only what saves requests; all that must not be lost is in the cursor."""

    queue_times = False

    def __init__(self, name: str, options: Options, url: str) -> None:
        self.name = name
        self.options = options
        self.url = url
        self.roster = Roster()
        self.told: tuple[Experiment, ...] | None = None
        self.listed_all = False
        self.seen = Seen(keep=options.overlap / 2)
        self.registries: dict[str, Registry] = {}
        self.registry_at: float | None = None

    def poll(self, cursor: Cursor, now: float) -> Poll:
        poll = _Poll(self, cursor, now)
        yield from poll.read_roster()
        yield from poll.read_runs()
        yield from poll.read_registry()
        yield from poll.read_history()

    def run_url(self, pipeline: Pipeline, pipeline_id: str | None, run_id: str) -> str | None:
        if pipeline_id is None:
            return None
        return self._page(pipeline, f"/experiments/{quote(pipeline_id, safe='')}/runs/{quote(run_id, safe='')}")

    def pipeline_url(self, pipeline: Pipeline, pipeline_id: str | None) -> str | None:
        """An experiment's list of runs."""
        return None if pipeline_id is None else self._page(pipeline, f"/experiments/{quote(pipeline_id, safe='')}")

    def home_url(self) -> str | None:
        return self.url

    def _page(self, pipeline: Pipeline, path: str) -> str:
        page = f"{self.url}/#{path}"
        if not self.roster.qualified:
            return page
        return f"{page}?{urlencode({'workspace': pipeline.name.partition('/')[0]})}"


class _Poll(Reader):
    """The steps of one poll."""

    def __init__(self, source: MlflowSource, cursor: Cursor, now: float) -> None:
        options = source.options
        super().__init__(source.name, cursor, now, options.metrics, options.children, options.page_size)
        self.source = source
        self.options = options
        self._overlap_ms = int(options.overlap * 1000)

    # Roster

    def read_roster(self) -> Steps[None]:
        yield from self.source.roster.read(self.now)
        active = self.source.roster.active.values()
        mine = [e for e in active if chosen(e.name, self.options.include, self.options.exclude)]
        self.choose(mine)
        if self.experiments == self.source.told and "known" in self.cursor:
            return
        known = unpack(self.cursor.get("known"))
        new = self.by_id.keys() - known
        born = {id_ for id_ in new if self._is_newborn(self.by_id[id_])}
        yield from self.tell(
            {
                "polled": self.now,
                "known": pack(self.by_id),
                "todo": pack((unpack(self.cursor.get("todo")) | (new - born)) & self.by_id.keys()),
                # Restored in the middle of a pass, an experiment would have runs that the pass went past.
                "cohort": pack(unpack(self.cursor.get("cohort")) & self.by_id.keys()),
            },
            roster=tuple(PipelineInfo(self.pipeline(e), e.id, e.created_at) for e in self.experiments),
            backfilled=frozenset(self.by_id[id_].name for id_ in born) if born else None,
        )
        self.source.told = self.experiments

    def _is_newborn(self, experiment: Experiment) -> bool:
        """Created since the last poll, so all its runs come by the watermark and it has no history to read."""
        polled = self.cursor.get("polled")
        created = experiment.created_at
        return isinstance(polled, float | int) and created is not None and created > polled

    # Runs

    def read_runs(self) -> Steps[None]:
        found: dict[str, RunRecord] = {}
        ended_ids: set[str] = set()
        ended = yield from self._read_ended(self._watermark("ended"), found, ended_ids)
        started = yield from self._read_started(self._watermark("started"), found)
        listed = self._slice()
        active = yield from self._list_active(listed)
        found |= active
        changes: dict[str, Json] = {"polled": self.now, "ended": ended, "started": started}
        if listed:
            changes["slice"] = [listed[-1].workspace, listed[-1].id, self.now]
        names: dict[str, set[str]] = {}
        for experiment in listed:
            names.setdefault(experiment.workspace, set()).add(experiment.name)
        if not names:
            yield from self.tell(changes, runs=self.runs(found))
        # One batch per workspace, since a missing run can be asked for only in its own.
        for workspace, of_workspace in names.items():
            receipt = yield from self.tell(changes, runs=self.runs(found), active_listed=frozenset(of_workspace))
            yield from self._ask_missing(workspace, receipt)
        self.source.listed_all = True
        self.source.seen.note(self.now, ended_ids, found.values())

    def _watermark(self, key: str) -> int:
        value = self.cursor.get(key)
        return value if isinstance(value, int) else self.now_ms

    def _read_ended(self, watermark: int, found: dict[str, RunRecord], ids: set[str]) -> Steps[int]:
        """Runs that ended since the watermark; the new watermark. A long catch-up is committed page by page."""
        walks = list(parts(self.experiments))
        skip = self.source.seen.skip_ended(self.now)
        reached = watermark
        for part in walks:
            position: Position | None = Position(watermark - self._overlap_ms)
            while position is not None:
                page = yield from self.page(part, "end_time", position, skip)
                found.update((r.info.run_id, r) for r in page.runs)
                ids.update(r.info.run_id for r in page.runs)
                reached = max([reached, *(r.info.end_time or 0 for r in page.runs)])
                position = position.after(page, "end_time")
                if position is not None:
                    # Another part may still be before this time: then only the last batch moves the watermark.
                    changes: dict[str, Json] = {"ended": min(reached, self.now_ms)} if len(walks) == 1 else {}
                    yield from self.tell(changes, runs=self.runs(found))
                    found.clear()
        # A client whose clock is ahead must not drag the watermark into the future.
        return max(watermark, min(reached, self.now_ms))

    def _read_started(self, watermark: int, found: dict[str, RunRecord]) -> Steps[int]:
        since = Position(watermark - STARTED_OVERLAP_MS)
        skip = self.source.seen.skip_started(self.now)
        reached = watermark
        for part in parts(self.experiments):
            records = yield from self.walk(part, since, ACTIVE_FILTER, skip)
            found.update((r.info.run_id, r) for r in records)
            reached = max([reached, *(r.info.start_time or 0 for r in records)])
        return max(watermark, min(reached, self.now_ms))

    def _slice(self) -> tuple[Experiment, ...]:
        """The experiments whose active runs are due, so that all had their turn within `active_interval`."""
        last = self.cursor.get("slice")
        if not self.source.listed_all or not isinstance(last, list):
            return self.experiments
        workspace, id_, at = last
        elapsed = self.now - float(at)  # type: ignore[arg-type]
        if not 0 <= elapsed < self.options.active_interval:
            return self.experiments
        count = math.ceil(len(self.experiments) * elapsed / self.options.active_interval)
        keys = [e.key for e in self.experiments]
        start = bisect_right(keys, (str(workspace), len(str(id_)), str(id_)))
        turned = self.experiments[start:] + self.experiments[:start]
        return turned[:count]

    def _list_active(self, experiments: Iterable[Experiment]) -> Steps[dict[str, RunRecord]]:
        found: dict[str, RunRecord] = {}
        for part in parts(sorted(experiments, key=lambda e: e.key)):
            records = yield from self.walk(part, START, ACTIVE_FILTER)
            found.update((r.info.run_id, r) for r in records)
        return found

    def _ask_missing(self, workspace: str, receipt: Receipt) -> Steps[None]:
        """A run that is not active any more has ended without our seeing it, or is gone."""
        runs: list[Run] = []
        forgotten: list[str] = []
        for run_id in receipt.missing[:MAX_ASKED]:
            reply = yield get_run(workspace, run_id)
            if reply.status != 200 and b"RESOURCE_DOES_NOT_EXIST" not in reply.value:
                raise Malformed(f"runs/get: a 404 that does not say RESOURCE_DOES_NOT_EXIST for run {run_id[:80]!r}")
            record: RunRecord | None = reply.value.run if reply.status == 200 else None
            if record is None or self.is_gone(record):
                forgotten.append(run_id)
            else:
                runs.extend(self.runs({run_id: record}, ended_by=self.now))
        if runs or forgotten:
            yield from self.tell({}, runs=tuple(runs), forgotten=tuple(forgotten))

    # Registry

    def read_registry(self) -> Steps[None]:
        source, roster = self.source, self.source.roster
        read_at = source.registry_at
        if not self.options.registry:
            return
        if read_at is not None and 0 <= self.now - read_at < self.options.registry_interval:
            return
        models: list[Model] = []
        for workspace in roster.workspaces or ():
            registry = source.registries.setdefault(workspace, Registry(workspace, self.options.metrics))
            names = {e.id: e.name for e in roster.active.values() if e.workspace == workspace}
            listed = yield from registry.read(names, self.now)
            if listed is None:  # a server without registry
                source.registry_at = self.now
                return
            models.extend(listed)
        yield from self.tell({}, models=tuple(models))
        source.registry_at = self.now

    # History

    def read_history(self) -> Steps[None]:
        changes, current = current_pass(self.cursor, self.by_id, self.now, self.options.reconcile_interval)
        if current is None:
            return
        ids = unpack(changes.get("cohort", self.cursor.get("cohort")))
        cohort = [e for e in self.experiments if e.id in ids]
        for _ in range(self.options.backfill_pages if current.backfill else 1):
            current, part = current.part(cohort)
            runs: tuple[Run, ...] = ()
            if part is not None:
                page = yield from self.page(part, ORDER, current.position)
                current = current.after(page)
                runs = self.runs({r.info.run_id: r for r in page.runs})
            finished = current.part(cohort)[1] is None
            changes["scan"] = None if finished else current.to_json()
            if finished and (not current.backfill or current.number == 1):
                changes["reconciled"] = current.started_at
            scan = current.scan(cohort, finished)
            yield from self.tell(
                changes,
                runs=runs,
                scan=scan,
                backfilled=scan.pipelines if finished and current.backfill else None,
                progress=current.progress(cohort) if current.backfill else None,
                complete=finished or not current.backfill,
            )
            if finished:
                return
            changes = {}
