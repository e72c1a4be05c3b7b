"""What Airflow says about one run, in our words; nothing that cannot be true gets through."""

from __future__ import annotations

import re
from typing import Any

from ml_exporter.model import Pipeline, Run, RunState, TaskRun
from ml_exporter.reading import in_order, instant
from ml_exporter.sources.airflow.shapes import RunRecord, TaskRecord

STATES = {
    "queued": RunState.QUEUED,
    "running": RunState.RUNNING,
    "success": RunState.SUCCEEDED,
    "failed": RunState.FAILED,
}
"""All states that a DAG run has. Airflow stops a run that overstays its `dagrun_timeout` as failed: see `timed_out`."""
ACTIVE = ("queued", "running")
FINISHED = ("success", "failed")

MAX_ID = 512
"""Airflow's own limit is 250 characters for each id: a longer one is no id."""

_ISO_DURATION = re.compile(
    r"P(?:(?P<years>\d+)Y)?(?:(?P<weeks>\d+)W)?(?:(?P<days>\d+)D)?"
    r"(?:T(?:(?P<hours>\d+)H)?(?:(?P<minutes>\d+)M)?(?:(?P<seconds>\d+(?:\.\d+)?)S)?)?"
)
_UNITS = {"years": 365 * 86400, "weeks": 7 * 86400, "days": 86400, "hours": 3600, "minutes": 60, "seconds": 1}


def word(value: Any) -> str | None:
    """Text that can be an id or a name."""
    return value if isinstance(value, str) and 0 < len(value) <= MAX_ID else None


def time(value: Any) -> float | None:
    """An instant; None for whatever else stands there."""
    return instant(value) if isinstance(value, str) else None


def timeout_of(value: Any) -> float | None:
    """Seconds of a `dagrun_timeout`: ISO 8601 in Airflow 3, days, seconds and microseconds in Airflow 2."""
    if isinstance(value, str) and len(value) <= 64:
        match = _ISO_DURATION.fullmatch(value)
        found = {unit: float(number) for unit, number in (match.groupdict() if match else {}).items() if number}
        total = sum(_UNITS[unit] * number for unit, number in found.items())
    elif isinstance(value, dict):
        parts = [(value.get("days"), 86400.0), (value.get("seconds"), 1.0), (value.get("microseconds"), 1e-6)]
        total = sum(number * unit for number, unit in parts if type(number) is int and abs(number) < 1e12)
    else:
        return None
    return total if total > 0 else None


def run_id(dag_id: str, dag_run_id: str) -> str:
    """A run's id in its source: Airflow's own is unique within its DAG only, and a DAG's has no slash."""
    return f"{dag_id}/{dag_run_id}"


def ids_of(id_: str) -> tuple[str, str]:
    """DAG and run of `run_id`."""
    dag_id, _, dag_run_id = id_.partition("/")
    return dag_id, dag_run_id


def to_run(source: str, record: RunRecord, timeout: float | None) -> Run | None:
    """The run; None if it has no id, or ended in a state that we do not know. `timeout`: of its DAG, in seconds."""
    dag_id, dag_run_id = word(record.dag_id), word(record.dag_run_id)
    if dag_id is None or dag_run_id is None:
        return None
    queued, started, ended = time(record.queued_at), time(record.start_date), time(record.end_date)
    state = STATES.get(str(record.state))
    if state is None:
        if ended is not None:
            return None
        state = RunState.RUNNING
    if not in_order(started, ended):
        started = None
    if not in_order(queued, started, ended):
        queued = None
    if state is RunState.FAILED and timed_out(started, ended, timeout):
        state = RunState.TIMED_OUT
    return Run(
        run_id(dag_id, dag_run_id),
        Pipeline(source, dag_id),
        state,
        queued_at=queued,
        # A run that was cleared waits again, and one that is active has not ended.
        started_at=None if state is RunState.QUEUED else started,
        ended_at=ended if state.is_terminal else None,
    )


def timed_out(started: float | None, ended: float | None, timeout: float | None) -> bool:
    """Whether a failed run was stopped by its DAG's timeout, which Airflow does not say: by how long it ran."""
    return timeout is not None and started is not None and ended is not None and ended - started >= timeout


def to_task(source: str, record: TaskRecord) -> TaskRun | None:
    """A finished attempt at a task; None if it did not finish or has no id. A mapped task is one task."""
    dag_id, dag_run_id, task_id = word(record.dag_id), word(record.dag_run_id), word(record.task_id)
    state = STATES.get(str(record.state))
    if dag_id is None or dag_run_id is None or task_id is None or state is None or not state.is_terminal:
        return None
    started, ended = time(record.start_date), time(record.end_date)
    index, attempt = (number if type(number) is int else 0 for number in (record.map_index, record.try_number))
    return TaskRun(
        f"{run_id(dag_id, dag_run_id)}/{task_id}/{index}/{attempt}",
        Pipeline(source, dag_id),
        task_id,
        state,
        started_at=started if in_order(started, ended) else None,
        ended_at=ended,
    )
