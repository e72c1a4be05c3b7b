"""What Kubeflow says about one run, in our words; nothing that cannot be true gets through."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ml_exporter.model import Pipeline, Run, RunState
from ml_exporter.reading import in_order, instant
from ml_exporter.sources.kubeflow.api import RunRecord

STATES = {
    "PENDING": RunState.QUEUED,
    "RUNNING": RunState.RUNNING,
    "PAUSED": RunState.RUNNING,
    "CANCELING": RunState.RUNNING,
    "SUCCEEDED": RunState.SUCCEEDED,
    "SKIPPED": RunState.CANCELLED,
    "FAILED": RunState.FAILED,
    "CANCELED": RunState.CANCELLED,
}
ACTIVE = tuple(word for word, state in STATES.items() if not state.is_terminal)


def when(value: Any) -> float | None:
    return instant(value) if isinstance(value, str) else None


def is_readable(record: RunRecord) -> bool:
    """A run that the server could not read is an id and an error."""
    return isinstance(record.run_id, str) and bool(record.run_id) and not (record.error and record.state is None)


def state_of(record: RunRecord) -> RunState:
    """A word that is not in the table is neither success nor failure: running until there is an end."""
    known = STATES.get(record.state) if isinstance(record.state, str) else None
    return known or (RunState.RUNNING if when(record.finished_at) is None else RunState.CANCELLED)


def to_run(record: RunRecord, pipeline: Pipeline) -> Run:
    state, created = state_of(record), when(record.created_at)
    began = [at for word, at in _history(record) if word == "RUNNING"]
    started = began[-1] if began else created
    # Tried again, it did not wait since it was created.
    queued = created if len(began) == 1 or state is RunState.QUEUED else None
    if not in_order(queued, started):
        queued = None
    if state is RunState.QUEUED:
        return Run(record.run_id, pipeline, state, queued_at=created)
    if not state.is_terminal:
        return Run(record.run_id, pipeline, state, queued_at=queued, started_at=started)
    ended = when(record.finished_at) or max((at for _, at in _history(record)), default=None)
    if not in_order(started, ended):
        queued = started = None
    return Run(record.run_id, pipeline, state, queued_at=queued, started_at=started, ended_at=ended)


def _history(record: RunRecord) -> Iterator[tuple[str, float]]:
    """The states a run entered, and when."""
    for entry in record.state_history if isinstance(record.state_history, list) else ():
        if isinstance(entry, dict) and isinstance(entry.get("state"), str):
            at = when(entry.get("update_time"))
            if at is not None:
                yield entry["state"], at
