"""A run of Dagster → a run of ours: names, states, times."""

from __future__ import annotations

import math

from ml_exporter.model import Pipeline, Run, RunState
from ml_exporter.reading import epoch, in_order
from ml_exporter.sources.dagster.shapes import RunRecord

STATES = {
    "NOT_STARTED": RunState.QUEUED,  # created, not yet submitted
    "QUEUED": RunState.QUEUED,
    "STARTING": RunState.QUEUED,  # launched, but its process does not run yet: it still waits
    "STARTED": RunState.RUNNING,
    "MANAGED": RunState.RUNNING,  # outside of Dagster's control
    "SUSPENDED": RunState.RUNNING,  # started, and waits for work elsewhere
    "CANCELING": RunState.RUNNING,
    "SUCCESS": RunState.SUCCEEDED,
    "FAILURE": RunState.FAILED,
    "CANCELED": RunState.CANCELLED,
}
TERMINAL = ("SUCCESS", "FAILURE", "CANCELED")

FAILURE_REASON = "dagster/failure_reason"
LIMITS = ("dagster/max_runtime", "dagster/max_runtime_seconds")
BACKFILL = "dagster/backfill"
AUTOMATION = "dagster/from_automation_condition"
_THE_REPOSITORY = "__repository__"
"""The name that Dagster gives where nobody gave one: there is only one in its location."""


def qualified(location: str, repository: str, job: str) -> str:
    """The name of a pipeline: `location/job`, with the repository in between where it has a name of its own."""
    return f"{location}/{job}" if repository == _THE_REPOSITORY else f"{location}/{repository}/{job}"


def is_backfill(record: RunRecord) -> bool:
    """Whether somebody launched it to fill in the past; what automation launches by backfills is the present."""
    return record.tag(BACKFILL) is not None and record.tag(AUTOMATION) is None


def to_run(record: RunRecord, pipeline: Pipeline, max_runtime: float = 0.0) -> Run:
    """`max_runtime`: the limit of the whole instance in seconds, 0 for none."""
    queued, started, ended = epoch(record.creation_time), epoch(record.start_time), epoch(record.end_time)
    state = STATES.get(record.status)
    if state is None:  # a word that is newer than we are: with an end, neither a success nor a failure
        state = RunState.CANCELLED if ended is not None else RunState.RUNNING
    if not state.is_terminal:
        ended = None
    elif ended is None:
        ended = epoch(record.update_time)
    if state is RunState.QUEUED or (started is not None and started == ended):
        # Of a run that ended before it began, Dagster gives the end as its start, too.
        started = None
    if not in_order(started, ended):
        started = None
    if not in_order(queued, started if started is not None else ended):
        queued = None
    if state in (RunState.FAILED, RunState.CANCELLED) and _timed_out(record, started, ended, max_runtime):
        state = RunState.TIMED_OUT
    return Run(record.run_id, pipeline, state, queued, started, ended)


def _timed_out(record: RunRecord, started: float | None, ended: float | None, max_runtime: float) -> bool:
    """Dagster names the reason of a start that took too long; of a run that ran too long, only its length tells.

    That run is cancelled first and then called a failure, unless its own process has the last word: then cancelled.
    """
    reason = record.tag(FAILURE_REASON)
    if reason is not None:
        return reason == "START_TIMEOUT"
    given = next((value for key in LIMITS if (value := record.tag(key)) is not None), None)
    limit = _seconds(given) if given is not None else max_runtime
    return started is not None and ended is not None and 0 < limit <= ended - started


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        return 0.0
    return value if math.isfinite(value) else 0.0
