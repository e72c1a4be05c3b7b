"""What Prefect says about one flow run, in our words; nothing that cannot be true gets through."""

from __future__ import annotations

from typing import Any

from ml_exporter.model import Pipeline, Run, RunState
from ml_exporter.reading import in_order, instant
from ml_exporter.sources.prefect.shapes import FlowRun

STATES = {
    "SCHEDULED": RunState.QUEUED,
    "PENDING": RunState.QUEUED,
    "RUNNING": RunState.RUNNING,
    "PAUSED": RunState.RUNNING,
    "CANCELLING": RunState.RUNNING,
    "COMPLETED": RunState.SUCCEEDED,
    "FAILED": RunState.FAILED,
    "CRASHED": RunState.FAILED,
    "CANCELLED": RunState.CANCELLED,
}
NAMED = {
    ("FAILED", "TimedOut"): RunState.TIMED_OUT,
    # Between two attempts: it has begun, and it is not in a queue.
    ("SCHEDULED", "AwaitingRetry"): RunState.RUNNING,
}
HELD = ("PENDING", "RUNNING", "PAUSED", "CANCELLING")
"""Types of states in which a run is active, whatever its times."""
AHEAD = ("AwaitingRetry", "AwaitingConcurrencySlot")
"""Scheduled for later, and yet active: other runs that are scheduled for later are only a plan."""
SLOTS = ("PENDING", "RUNNING")
"""Types of states in which a run takes one of its work pool's slots."""


def moment(value: Any) -> float | None:
    return instant(value) if isinstance(value, str) else None


def is_child(run: FlowRun) -> bool:
    """Whether a flow called it as a part of itself. A run of a deployment is one, whoever asked for it."""
    return run.parent_task_run_id is not None and run.deployment_id is None


def state_of(run: FlowRun) -> RunState:
    """An unknown state word is taken for running, with an end time for failed: neither is overlooked."""
    kind = run.state_type or ""
    unknown = RunState.RUNNING if moment(run.end_time) is None else RunState.FAILED
    return NAMED.get((kind, run.state_name or "")) or STATES.get(kind, unknown)


def is_active(run: FlowRun, now: float) -> bool:
    if state_of(run).is_terminal:
        return False
    if run.state_type != "SCHEDULED" or run.state_name in AHEAD:
        return True
    due = moment(run.next_scheduled_start_time)
    return due is not None and due <= now


def waits(run: FlowRun) -> bool:
    """Whether it is in its work queue: nothing has taken it yet."""
    return run.state_type == "SCHEDULED" and run.state_name != "AwaitingRetry"


def to_run(run: FlowRun, pipeline: Pipeline, now: float) -> Run:
    state = state_of(run)
    expected, started = moment(run.expected_start_time), moment(run.start_time)
    # A run that ended before it began has its end for a start.
    began = None if run.run_count == 0 else started
    queued = min((at for at in (expected, began, now) if at is not None), default=None) if expected else None
    if state.is_terminal:
        ended = moment(run.end_time)
        return Run(run.id, pipeline, state, queued, began if in_order(began, ended) else None, ended)
    again = _since(run) if began is not None and (run.run_count != 1 or run.state_type == "SCHEDULED") else None
    if again is not None:
        # It was retried or resumed, maybe days after it began: what it does now counts since it does it.
        queued, began = (again, None) if state is RunState.QUEUED else (queued, again)
    return Run(run.id, pipeline, state, queued, began)


def _since(run: FlowRun) -> float | None:
    """When its present state began."""
    return moment(run.state.timestamp) if run.state else None
