"""The exporter as a process under measurement: start it, scrape it, read its memory and its CPU time."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import requests

START_WITHIN = 30.0


@contextmanager
def exporter(config: Path, port: int, shows: str, within: float = START_WITHIN) -> Iterator[tuple[float, int]]:
    """Run the exporter: how long until its scrape shows this text, and its process id."""
    command = [sys.executable, "-m", "ml_exporter", "run", "--config", str(config), "--log-level", "warning"]
    with (config.parent / "exporter.log").open("ab") as log:
        began = time.perf_counter()
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=config.parent)

    def shown(text: str) -> bool:
        if process.poll() is not None:
            raise RuntimeError(f"the exporter ended with {process.returncode}; see {config.parent / 'exporter.log'}")
        return shows in text

    try:
        wait(port, shown, within, pause=0.005)
        yield time.perf_counter() - began, process.pid
    finally:
        process.terminate()
        process.wait(20)


def wait(port: int, enough: Callable[[str], bool], within: float, pause: float) -> None:
    deadline = time.monotonic() + within
    while not enough(scrape(port)):
        if time.monotonic() > deadline:
            raise RuntimeError(f"the exporter did not get there within {within:.0f} s; see exporter.log")
        time.sleep(pause)


def scrape(port: int) -> str:
    """A scrape as Prometheus makes one; empty while nobody listens."""
    with suppress(requests.ConnectionError):
        answer = requests.get(f"http://127.0.0.1:{port}/metrics", timeout=10)
        answer.raise_for_status()
        return answer.text
    return ""


def memory(pid: int) -> dict[str, int]:
    """Resident bytes of a process: VmRSS now, VmHWM at most so far."""
    lines = (line.split() for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return {words[0].rstrip(":"): int(words[1]) * 1024 for words in lines if words[0] in ("VmRSS:", "VmHWM:")}


def cpu(pid: int) -> float:
    """Seconds of CPU that a process has used: on a busy machine its start waits for more than itself."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
