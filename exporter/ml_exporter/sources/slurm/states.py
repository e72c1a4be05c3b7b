"""What Slurm calls a state, in our vocabulary."""

from __future__ import annotations

import functools
from typing import Any

from ml_exporter.model import RunState
from ml_exporter.sources.slurm.shapes import words

FLAGS: dict[str, RunState | None] = {
    # A revoked job runs on another cluster of the federation: it is no run here.
    "REVOKED": None,
    # Ended, but its nodes are being cleaned up: it counts when that is done.
    "COMPLETING": RunState.RUNNING,
    "STAGE_OUT": RunState.RUNNING,
    "SIGNALING": RunState.RUNNING,
    "STOPPED": RunState.RUNNING,
    "RESIZING": RunState.RUNNING,
    # Has nodes that are still booting.
    "CONFIGURING": RunState.QUEUED,
    "POWER_UP_NODE": RunState.QUEUED,
    "REQUEUED": RunState.QUEUED,
    "REQUEUE_FED": RunState.QUEUED,
    "REQUEUE_HOLD": RunState.QUEUED,
    "RESV_DEL_HOLD": RunState.QUEUED,
    "SPECIAL_EXIT": RunState.QUEUED,
}
"""Words that stand beside a state, or in its place, and say more than it."""

STATES = {
    "PENDING": RunState.QUEUED,
    "RUNNING": RunState.RUNNING,
    "SUSPENDED": RunState.RUNNING,
    "COMPLETED": RunState.SUCCEEDED,
    "FAILED": RunState.FAILED,
    "NODE_FAIL": RunState.FAILED,
    "BOOT_FAIL": RunState.FAILED,
    "OUT_OF_MEMORY": RunState.FAILED,
    "TIMEOUT": RunState.TIMED_OUT,
    "DEADLINE": RunState.TIMED_OUT,
    "CANCELLED": RunState.CANCELLED,
    # Somebody's more urgent job took its nodes: a decision, not a failure.
    "PREEMPTED": RunState.CANCELLED,
}

WORSE = (RunState.SUCCEEDED, RunState.CANCELLED, RunState.TIMED_OUT, RunState.FAILED)
"""Of the tasks of an array the worst one, which comes last here, is the state of the array."""


def state_of(value: Any) -> RunState | None:
    """The state of a job, from a word or a list of words; None for what is no run here.

    A word that nobody knows is a run that goes on: it will get another word when it ends.
    """
    return _state(tuple(words(value)))


@functools.lru_cache(maxsize=256)
def _state(found: tuple[str, ...]) -> RunState | None:
    for flag, state in FLAGS.items():
        if flag in found:
            return state
    return next((STATES[word] for word in found if word in STATES), RunState.RUNNING if found else None)


def worse(one: RunState | None, other: RunState | None) -> RunState | None:
    """The worse of two terminal states; None: not known."""
    known = [state for state in (one, other) if state is not None]
    return max(known, key=WORSE.index, default=None)


NODE_GONE = frozenset(
    ("DOWN", "ERROR", "UNKNOWN", "FUTURE", "INVALID", "INVALID_REG", "NOT_RESPONDING", "POWERING_DOWN")
)
"""Nothing runs on such a node. One that is POWERED_DOWN but IDLE is not among them: a job would power it up."""
NODE_CLOSED = frozenset(("DRAIN", "DRAINED", "DRAINING", "FAIL", "FAILING", "MAINT", "MAINTENANCE", "REBOOT_REQUESTED"))
"""Such a node finishes what runs on it and takes nothing new."""
