"""The other exporter: started by a command that the caller gives, measured by its own histogram and our proxy."""

from __future__ import annotations

import re
import shlex
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import requests

from bench import scratch
from bench.proxy import CountingProxy

READY_WITHIN = 1800.0
"""Seconds; its first full scan is part of its start."""
CYCLE_WITHIN = 300.0


@contextmanager
def started(command: str, mlflow: str, log: Path) -> Iterator[str]:
    """Run the peer until it is ready; {url} in its command is MLflow's address, {port} where it shall listen."""
    port = scratch.free_port()
    words = shlex.split(command.format(url=mlflow, port=port))
    with log.open("wb") as out:
        process = subprocess.Popen(words, stdout=out, stderr=subprocess.STDOUT)
    base = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + READY_WITHIN
        while not _is_ready(base):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the peer did not get ready, its log is {log}")
            time.sleep(0.5)
        yield base
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(10)
        process.kill()
        process.wait()


def cycles(base: str, proxy: CountingProxy, count: int) -> list[tuple[float, int]]:
    """(seconds, bytes) of each of its next collections; bytes are read in the pause between two."""
    measured: list[tuple[float, int]] = []
    before = _after_next(base, None), proxy.received
    while len(measured) < count:
        after = _after_next(base, before[0]), proxy.received
        measured.append((after[0][1] - before[0][1], after[1] - before[1]))
        before = after
    return measured


def _after_next(base: str, known: tuple[float, float] | None) -> tuple[float, float]:
    """(count, sum) of its histogram of collections, as soon as the count has moved."""
    known = known or _collections(base)
    deadline = time.monotonic() + CYCLE_WITHIN
    while (found := _collections(base)) == known:
        if time.monotonic() > deadline:
            raise RuntimeError(f"the peer collected nothing within {CYCLE_WITHIN:.0f} s")
        time.sleep(0.1)
    return found


def _collections(base: str) -> tuple[float, float]:
    text = requests.get(f"{base}/metrics", timeout=10).text
    pattern = r"^mlflow_exporter_collect_duration_seconds_{} (\S+)"
    count, total = (re.search(pattern.format(part), text, re.MULTILINE) for part in ("count", "sum"))
    if count is None or total is None:
        raise RuntimeError("the peer does not expose mlflow_exporter_collect_duration_seconds")
    return float(count[1]), float(total[1])


def _is_ready(base: str) -> bool:
    with suppress(requests.RequestException):
        return requests.get(f"{base}/readyz", timeout=5).status_code == 200
    return False
