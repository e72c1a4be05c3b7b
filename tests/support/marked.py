"""Processes that have a word of ours in their environment: ours alone, also those in sessions of their own."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

GONE_WITHIN = 10.0
"""Seconds."""


def processes(word: str) -> list[int]:
    """Ids of processes with `NAME=value` in their environment. Linux only."""
    mark, found = word.encode(), []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                if mark in (entry / "environ").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
    return found


def kill(word: str) -> None:
    """Kill them, and those that they started meanwhile, and wait until they are gone."""
    deadline = time.monotonic() + GONE_WITHIN
    while (left := processes(word)) and time.monotonic() < deadline:
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.1)
