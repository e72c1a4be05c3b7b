"""Drives a source without the ledger: sends its calls, commits its batches, answers what is missing."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field

from ml_exporter.model import Batch, Json, Model, Receipt, Run, Scan
from ml_exporter.ports import Call, Reply, Source


class CutShortError(Exception):
    """The process died right after a commit."""


@dataclass
class Listener:
    """What a source has told so far, and the cursor as a store would keep it: as JSON."""

    cursor: dict[str, Json] = field(default_factory=dict)
    runs: dict[str, Run] = field(default_factory=dict)
    told: list[Run] = field(default_factory=list)
    batches: list[Batch] = field(default_factory=list)
    roster: dict[str, str | None] = field(default_factory=dict)
    backfilled: set[str] = field(default_factory=set)
    forgotten: list[str] = field(default_factory=list)
    scans: list[Scan] = field(default_factory=list)
    models: tuple[Model, ...] | None = None

    @property
    def last(self) -> Batch:
        return self.batches[-1]

    def poll(
        self, source: Source, answer: Callable[[Call], Reply], now: float, cut_after: int | None = None
    ) -> Listener:
        """One poll. `cut_after`: raise `CutShortError` after that many committed batches."""
        steps = source.poll(dict(self.cursor), now)
        sent: Reply | Receipt | None = None
        committed = 0
        while True:
            try:
                item = steps.send(sent)
            except StopIteration:
                return self
            if isinstance(item, Batch):
                sent = self.commit(item)
                committed += 1
                if committed == cut_after:
                    steps.close()
                    raise CutShortError
            else:
                sent = answer(item)

    def commit(self, batch: Batch) -> Receipt:
        self.batches.append(batch)
        for key, value in json.loads(json.dumps(batch.cursor)).items():
            self.cursor[key] = value
            if value is None:
                del self.cursor[key]
        self.runs |= {run.id: run for run in batch.runs}
        self.told.extend(batch.runs)
        self.forgotten.extend(batch.forgotten)
        for run_id in batch.forgotten:
            self.runs.pop(run_id, None)
        if batch.roster is not None:
            self.roster = {info.pipeline.name: info.id for info in batch.roster}
        self.backfilled |= batch.backfilled or frozenset()
        if batch.scan is not None:
            self.scans.append(batch.scan)
        if batch.models is not None:
            self.models = batch.models
        listed = {run.id for run in batch.runs}
        return Receipt(
            tuple(
                run.id
                for run in self.runs.values()
                if not run.state.is_terminal
                and run.id not in listed
                and run.pipeline.name in (batch.active_listed or ())
            )
        )
