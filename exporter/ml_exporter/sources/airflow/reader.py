"""The means of a poll: pages of runs, what the ledger is told of them, and the cursor as committed so far."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ml_exporter.errors import Malformed
from ml_exporter.model import Batch, Cursor, Json, Receipt, Run, TaskRun
from ml_exporter.ports import Call
from ml_exporter.reading import iso
from ml_exporter.sources.airflow.api import Api, Steps, get_details, get_run, list_runs, list_tasks
from ml_exporter.sources.airflow.feed import Feed, TimeOf, read_page
from ml_exporter.sources.airflow.runs import ACTIVE, FINISHED, ids_of, time, timeout_of, to_run, to_task, word
from ml_exporter.sources.airflow.shapes import RunRecord, TaskRecord
from ml_exporter.sources.airflow.walk import Position, Walk

MAX_ACTIVE_PAGES = 1000
MAX_ASKED = 50
"""Missing runs asked for by id in one poll; the others are still missing next time."""
TIMEOUT_KEPT = 86_400.0
TASK_HISTORY = 86_400.0
"""Seconds: a DAG has many tasks, and nothing is judged by the old ones."""


@dataclass
class Timeouts:
    """The `dagrun_timeout` of DAGs that had a run fail, asked for once a day each."""

    known: dict[str, tuple[float, float | None]] = field(default_factory=dict)

    def read(self, api: Api, dag_id: str, now: float) -> Steps[float | None]:
        read_at, timeout = self.known.get(dag_id, (None, None))
        if read_at is None or not 0 <= now - read_at < TIMEOUT_KEPT:
            reply = yield get_details(api, dag_id)
            timeout = timeout_of(reply.value.dag_run_timeout) if reply.status == 200 else None
            self.known[dag_id] = (now, timeout)
        return timeout


class Reader:
    """One poll of the source `name` at the instant `now` (seconds), about the DAGs it is given."""

    def __init__(self, name: str, cursor: Cursor, now: float, page_size: int, timeouts: Timeouts) -> None:
        self.name = name
        self.cursor: dict[str, Json] = dict(cursor)
        self.now = now
        self.timeouts = timeouts
        self._page_size = page_size
        self._dags: Collection[str] = ()

    def choose(self, dags: Collection[str]) -> None:
        self._dags = dags

    def tell(self, changes: Mapping[str, Json], **batch: Any) -> Steps[Receipt]:
        """Hand over a batch with what changed in the cursor; it is committed when this returns."""
        changed = {key: value for key, value in changes.items() if self.cursor.get(key) != value}
        receipt: Receipt = yield Batch(cursor=changed, **batch)
        self.cursor |= changed
        return receipt

    # Listings

    def finished_runs(self, api: Api, history: float, overlap: float) -> Feed:
        def call(since: float, place: Position) -> Call:
            more = (("updated_at_gte", iso(since)), *place.params(api.run_key))
            return list_runs(api, FINISHED, self._page_size, more)

        since = self._since("finished", history, overlap)
        walk = self._walk("finished") or Walk(since, position=Position(glance=True))
        return Feed(api, "finished", call, _run_time(api), walk, self.now)

    def finished_tasks(self, api: Api, history: float, overlap: float) -> Feed:
        def call(since: float, place: Position) -> Call:
            return list_tasks(api, FINISHED, self._page_size, place.params("end_date"))

        since = self._since("tasks", min(history, TASK_HISTORY), overlap)
        walk = self._walk("tasks") or Walk(since, position=Position(since))
        return Feed(api, "tasks", call, _task_time, walk, self.now)

    def _walk(self, mark: str) -> Walk | None:
        """The walk that a poll before could not end."""
        return Walk.from_json(self.cursor.get(f"{mark}_walk"))

    def _since(self, mark: str, history: float, overlap: float) -> float:
        """The watermark and a bit more, or as far as history goes."""
        known = self.cursor.get(mark)
        return min(known, self.now) - overlap if isinstance(known, int | float) else self.now - history

    def active_records(self, api: Api) -> Steps[list[RunRecord]]:
        """All runs that are queued or running. Raises `Malformed` for a listing that is not whole."""
        time_of = _run_time(api)
        records: list[RunRecord] = []
        place = Position()
        for _ in range(MAX_ACTIVE_PAGES):
            call = list_runs(api, ACTIVE, self._page_size, place.params(api.run_key))
            items, total, _ = yield from read_page(api, "active runs", call)
            records.extend(items)
            onward = place.after("active runs", [time_of(item) for item in items], total)
            if onward is None:
                return records
            place = onward
        raise Malformed(f"active runs: more than {MAX_ACTIVE_PAGES} pages")

    # What the ledger is told

    def runs(self, api: Api, records: Iterable[RunRecord]) -> Steps[tuple[Run, ...]]:
        """Runs of the DAGs that are watched, each once."""
        runs: dict[str, Run] = {}
        for record in records:
            if (dag_id := word(record.dag_id)) is None or dag_id not in self._dags:
                continue
            timeout = None
            if record.state == "failed":
                timeout = yield from self.timeouts.read(api, dag_id, self.now)
            if run := to_run(self.name, record, timeout):
                runs[run.id] = run
        return tuple(runs.values())

    def tasks(self, records: Iterable[TaskRecord]) -> tuple[TaskRun, ...]:
        tasks = (to_task(self.name, record) for record in records if word(record.dag_id) in self._dags)
        return tuple(task for task in tasks if task)

    def ask_missing(self, api: Api, receipt: Receipt) -> Steps[tuple[tuple[Run, ...], tuple[str, ...]]]:
        """Runs that ended without our seeing it, and ids of those that are gone."""
        records: list[RunRecord] = []
        forgotten: list[str] = []
        for id_ in receipt.missing[:MAX_ASKED]:
            reply = yield get_run(api, *ids_of(id_))
            if reply.status == 200:
                records.append(reply.value)
            elif b"dagrun" in reply.value.lower():
                forgotten.append(id_)
            else:
                raise Malformed(f"a 404 that does not speak of a DAG run, for run {id_[:80]!r}")
        found = yield from self.runs(api, records)
        told = {run.id for run in found}
        forgotten += [id_ for id_ in receipt.missing[:MAX_ASKED] if id_ not in told and id_ not in forgotten]
        return found, tuple(forgotten)


def _run_time(api: Api) -> TimeOf:
    return lambda record: time(getattr(record, api.run_key))


def _task_time(record: TaskRecord) -> float | None:
    return time(record.end_date)
