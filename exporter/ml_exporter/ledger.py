"""Batches → states. Pure: folding changes nothing; the result is committed first and adopted after."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

from ml_exporter.model import Batch, Cursor, Model, PipelineInfo, Receipt, Run, RunState, Scan, TaskRun
from ml_exporter.model_states import ModelState, follow
from ml_exporter.states import (
    MAX_TASKS,
    ActiveRun,
    FinishedRun,
    PipelineState,
    SourceState,
    TaskState,
)

T = TypeVar("T")

GONE_KEPT = 90 * 86400.0
"""Seconds that a vanished pipeline's counters are kept, should it be restored."""


@dataclass(slots=True)
class Change:
    """What a batch turns into: all of it is committed in one transaction, then adopted."""

    cursor: Cursor
    pipelines: dict[str, PipelineState | None] = field(default_factory=dict)
    """New states by name; None: no longer kept."""
    models: dict[str, ModelState | None] = field(default_factory=dict)
    source: SourceState = field(default_factory=SourceState)
    counted: set[str] = field(default_factory=set)
    """Ids of runs that were counted now."""
    receipt: Receipt = field(default_factory=Receipt)


@dataclass(slots=True)
class Ledger:
    """The states of one source."""

    pipelines: dict[str, PipelineState] = field(default_factory=dict)
    models: dict[str, ModelState] = field(default_factory=dict)
    source: SourceState = field(default_factory=SourceState)

    def fold(self, batch: Batch, counted: Collection[str], now: float) -> Change:
        """What `batch` changes. `counted`: the ids among its runs that were counted before."""
        return _Fold(self, batch, counted, now).result()

    def adopt(self, change: Change) -> None:
        """Make a committed change the present."""
        _merge(self.pipelines, change.pipelines)
        _merge(self.models, change.models)
        self.source = change.source

    def unannounced(self) -> list[str]:
        """Pipelines born under our eyes whose counters have only been shown at 0 so far."""
        return [name for name, state in self.pipelines.items() if not state.announced]

    def announce(self, names: Collection[str]) -> Change:
        """Let the counters of these pipelines show their values from now on."""
        change = Change(cursor={}, source=self.source)
        for name in names:
            state = self.pipelines[name].copy()
            state.announced = True
            change.pipelines[name] = state
        return change


class _Fold:
    def __init__(self, ledger: Ledger, batch: Batch, counted: Collection[str], now: float) -> None:
        self.ledger, self.batch, self.now = ledger, batch, now
        self.known = counted
        self.change = Change(batch.cursor, source=replace(ledger.source))

    def result(self) -> Change:
        batch, source = self.batch, self.change.source
        if source.installed_at is None:
            source.installed_at = self.now
        if batch.scan:
            source.scan = max(source.scan, batch.scan.number)
        if batch.roster is not None:
            self.roster(batch.roster)
        for info in batch.pipelines:
            self.listed(info)
        for run in batch.runs:
            self.run(run)
        for task in batch.tasks:
            self.task(task)
        self.forget(batch.forgotten)
        if batch.active_listed is not None:
            self.missing(batch.active_listed)
        if batch.scan and batch.scan.finished:
            self.unmet(batch.scan)
        for name in batch.backfilled or ():
            if (known := self.peek(name)) and not known.backfilled:
                self.touch(name).backfilled = True
        if batch.caught_up:
            self.caught_up()
        self.progress()
        if batch.models is not None:
            self.registry(batch.models)
        return self.change

    # Reading and copying on write

    def peek(self, name: str) -> PipelineState | None:
        return self.change.pipelines.get(name) or self.ledger.pipelines.get(name)

    def touch(self, name: str) -> PipelineState:
        """A copy that may be changed; born now if it was not known."""
        state = self.change.pipelines.get(name)
        if state is None:
            known = self.ledger.pipelines.get(name)
            state = known.copy() if known else PipelineState(name, first_seen=self.now)
            self.change.pipelines[name] = state
        return state

    # Pipelines

    def roster(self, infos: tuple[PipelineInfo, ...]) -> None:
        listed = {info.pipeline.name for info in infos}
        by_id = {state.id: name for name, state in self.ledger.pipelines.items() if state.id}
        for info in infos:
            known = self.ledger.pipelines.get(info.pipeline.name)
            former = by_id.get(info.id) if info.id else None
            if known is None and former and former not in listed:
                self.rename(former, info)
            else:
                self.listed(info)
        for name, state in self.ledger.pipelines.items():
            if name not in listed and name not in self.change.pipelines:
                self.departure(name, state)

    def listed(self, info: PipelineInfo) -> None:
        known = self.peek(info.pipeline.name)
        if known is None:
            self.birth(info)
        elif known.gone_at is not None or not known.describes(info, self.now):
            state = self.touch(known.name)
            state.gone_at = None
            state.describe(info, self.now)

    def birth(self, info: PipelineInfo) -> None:
        state = self.touch(info.pipeline.name)
        state.describe(info, self.now)
        installed = self.change.source.installed_at or self.now
        newborn = self.ledger.source.backfill_complete if info.created_at is None else info.created_at > installed
        if newborn:
            state.first_seen = min(info.created_at or self.now, self.now)
            # Prometheus sees no increase in a counter that is born at 1: show 0 once.
            state.announced = False

    def birth_by_run(self, run: Run) -> None:
        """Nothing but this run tells of the pipeline. In a history that is known, it is new."""
        state = self.touch(run.pipeline.name)
        if self.ledger.source.backfill_complete:
            began = min(at for at in (run.queued_at, run.started_at, self.now) if at is not None)
            state.first_seen = max(began, self.change.source.installed_at or began)
            state.announced = False

    def rename(self, former: str, info: PipelineInfo) -> None:
        state = self.ledger.pipelines[former].copy()
        state.name, state.gone_at = info.pipeline.name, None
        state.describe(info, self.now)
        self.change.pipelines[state.name] = state
        self.change.pipelines[former] = None

    def departure(self, name: str, state: PipelineState) -> None:
        if state.gone_at is None:
            idle_since = self.batch.idle_since
            if state.id is None and idle_since is not None and (state.active or state.heard_of() >= idle_since):
                return
            leaving = self.touch(name)
            leaving.gone_at = self.now
            leaving.active = {}
        elif self.now - state.gone_at > GONE_KEPT:
            self.change.pipelines[name] = None

    # Runs

    def run(self, run: Run) -> None:
        known = self.peek(run.pipeline.name)
        if known is None:
            self.birth_by_run(run)
        elif known.gone_at is not None and known.id is None:
            self.touch(known.name).gone_at = None
        if run.state.is_terminal:
            self.finished(run)
        else:
            since = run.queued_at or run.started_at if run.state is RunState.QUEUED else run.started_at
            active = ActiveRun(run.state, since, dict(run.utilization))
            if known is None or known.active.get(run.id) != active:
                self.touch(run.pipeline.name).active[run.id] = active

    def finished(self, run: Run) -> None:
        name = run.pipeline.name
        known = self.peek(name)
        if known is None or run.id in known.active:
            self.touch(name).active.pop(run.id, None)
        if run.id not in self.known and run.id not in self.change.counted:
            duration = max(0.0, run.ended_at - run.started_at) if run.ended_at and run.started_at else None
            wait = max(0.0, run.started_at - run.queued_at) if run.started_at and run.queued_at else None
            self.touch(name).count(run.state, duration, wait)
            self.change.counted.add(run.id)
        if run.ended_at is not None:
            self.remember(name, FinishedRun.of(run, run.ended_at, self.change.source.scan))

    def remember(self, name: str, run: FinishedRun) -> None:
        known = self.peek(name)
        before = known.remembers(run.id) if known else None
        if before == run:
            return
        if before is None and known and not known.has_room_for(run.state, run.ended_at):
            return
        state = self.touch(name)
        state.remember(run)
        state.settle(self.now)

    def task(self, run: TaskRun) -> None:
        if not run.state.is_terminal or run.key in self.known or run.key in self.change.counted:
            return
        known = self.peek(run.pipeline.name)
        if known is None or (run.task not in known.tasks and len(known.tasks) >= MAX_TASKS):
            return
        state = self.touch(known.name)
        state.tasks[run.task] = state.tasks.get(run.task, TaskState()).after(run)
        self.change.counted.add(run.key)

    def forget(self, run_ids: Collection[str]) -> None:
        gone = set(run_ids)
        if not gone:
            return
        for name, state in self.ledger.pipelines.items():
            if gone & state.active.keys() or any(run.id in gone for run in state.recent):
                self.touch(name).forget(gone)

    def missing(self, names: Collection[str]) -> None:
        """Runs thought active that a whole listing did not contain: the source asks for them by id."""
        listed = {run.id for run in self.batch.runs}
        missing: list[str] = []
        for name in names:
            state = self.peek(name)
            missing.extend(run_id for run_id in (state.active if state else ()) if run_id not in listed)
        self.change.receipt = Receipt(missing=tuple(missing))

    def unmet(self, scan: Scan) -> None:
        """Drop what a whole pass over the history did not meet; a run without a start is in no pass."""
        for name in scan.pipelines:
            state = self.peek(name)
            gone = [
                run.id
                for run in (state.recent if state else ())
                if run.scan < scan.number and run.started_at is not None and run.started_at < scan.started_at
            ]
            if gone:
                self.touch(name).forget(gone)

    def caught_up(self) -> None:
        states = {**self.ledger.pipelines, **self.change.pipelines}
        for name, state in states.items():
            if state and not state.backfilled:
                self.touch(name).backfilled = True
        self.change.source.backfill_complete, self.change.source.progress = True, 1.0

    def progress(self) -> None:
        source = self.change.source
        if self.batch.progress is not None and not source.backfill_complete:
            source.progress = min(1.0, max(source.progress, self.batch.progress))
        if self.batch.backfilled is not None and not source.backfill_complete:
            states = {**self.ledger.pipelines, **self.change.pipelines}.values()
            source.backfill_complete = all(s.backfilled or s.gone_at is not None for s in states if s)
            source.progress = 1.0 if source.backfill_complete else source.progress

    # Models

    def registry(self, models: tuple[Model, ...]) -> None:
        for model in models:
            before = self.ledger.models.get(model.name)
            after = follow(
                model, before, read_before=self.ledger.source.registry_read, pipeline=self.peek, now=self.now
            )
            if after != before:
                self.change.models[model.name] = after
        listed = {model.name for model in models}
        self.change.models.update({name: None for name in self.ledger.models if name not in listed})
        self.change.source.registry_read = True


def _merge(target: dict[str, T], changes: Mapping[str, T | None]) -> None:
    for name, state in changes.items():
        if state is None:
            target.pop(name, None)
        else:
            target[name] = state
