"""The means of a poll: pages of runs, what the ledger is told of them, and the cursor as committed so far."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from ml_exporter.model import Batch, Cursor, Json, Pipeline, Receipt, Run
from ml_exporter.sources.mlflow.api import Part, Position, Steps, search_runs
from ml_exporter.sources.mlflow.roster import Experiment
from ml_exporter.sources.mlflow.runs import is_child, to_run
from ml_exporter.sources.mlflow.scan import ORDER
from ml_exporter.sources.mlflow.shapes import RunPage, RunRecord


class Reader:
    """One poll of the source `name` at the instant `now` (seconds), about the experiments it is given."""

    def __init__(
        self, name: str, cursor: Cursor, now: float, keys: Collection[str], children: bool, page_size: int
    ) -> None:
        self.name = name
        self.cursor: dict[str, Json] = dict(cursor)
        self.now = now
        self.now_ms = int(now * 1000)
        self.experiments: tuple[Experiment, ...] = ()
        self.by_id: dict[str, Experiment] = {}
        self._keys = keys
        self._children = children
        self._page_size = page_size

    def choose(self, experiments: Iterable[Experiment]) -> None:
        self.experiments = tuple(sorted(experiments, key=lambda e: e.key))
        self.by_id = {e.id: e for e in self.experiments}

    def pipeline(self, experiment: Experiment) -> Pipeline:
        return Pipeline(self.name, experiment.name)

    def runs(self, records: Mapping[str, RunRecord], ended_by: float | None = None) -> tuple[Run, ...]:
        """What the ledger is told: not of other experiments, not child runs unless wanted."""
        runs: list[Run] = []
        for record in records.values():
            experiment = self.by_id.get(record.info.experiment_id)
            if experiment is None or (is_child(record) and not self._children):
                continue
            run = to_run(record, self.pipeline(experiment), self._keys, ended_by)
            if run is not None:
                runs.append(run)
        return tuple(runs)

    def page(self, part: Part, field_: str, position: Position, *more: str) -> Steps[RunPage]:
        filter_ = " and ".join(clause for clause in (position.filter(field_), *more) if clause)
        order = f"attributes.{field_}"
        reply = yield search_runs(part, filter_, order, position.token, self._page_size)
        page: RunPage = reply.value
        return page

    def walk(self, part: Part, start: Position, *more: str) -> Steps[list[RunRecord]]:
        """All runs from a position on, in order of their start."""
        records: list[RunRecord] = []
        position: Position | None = start
        while position is not None:
            page = yield from self.page(part, ORDER, position, *more)
            records.extend(page.runs)
            position = position.after(page, ORDER)
        return records

    def tell(self, changes: Mapping[str, Json], **batch: Any) -> Steps[Receipt]:
        """Hand over a batch with what changed in the cursor; it is committed when this returns."""
        changed = {key: value for key, value in changes.items() if self.cursor.get(key) != value}
        receipt: Receipt = yield Batch(cursor=changed, **batch)
        self.cursor |= changed
        return receipt

    def is_gone(self, record: RunRecord) -> bool:
        left_out = is_child(record) and not self._children
        return record.info.lifecycle_stage != "active" or left_out or record.info.experiment_id not in self.by_id
