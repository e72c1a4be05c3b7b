"""Programs that stand still: the kernel takes connections for them, and nobody answers. Linux only."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.support.programs import Process, wait_until


@contextmanager
def frozen(process: Process) -> Iterator[None]:
    """Stop a program, and what it started, until the end of the block."""
    pids = _below(process.pid)
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        # A thread that was at work when the signal came goes on for a moment.
        wait_until(lambda: all(map(_stands_still, pids)), 10, "every thread has stopped", every=0.01)
        yield
    finally:
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


def _below(pid: int) -> list[int]:
    children = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return [*children, *(grandchild for child in children for grandchild in _below(child))]


def _stands_still(pid: int) -> bool:
    states = [stat.read_text().rpartition(")")[2].split()[0] for stat in Path(f"/proc/{pid}/task").glob("*/stat")]
    return set(states) == {"T"}
