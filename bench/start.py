"""The real process on a real MLflow: resident memory after the backfill and some polls, then start to first scrape.

A start is measured from the execution of `ml-exporter run` to the first 200 of /metrics that shows the source's series,
which then come from the state file.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import requests

from bench import scratch, seed
from bench.poll import seeded_mlflow
from bench.table import seconds, show, size

STARTS = 7
POLLS = 20
BACKFILL_WITHIN = 1800.0
START_WITHIN = 30.0
_CONFIG = """
server: {{listen: "127.0.0.1:{port}"}}
state: {folder}/state.db
sources:
  - name: tracking
    kind: mlflow
    url: "{url}"
    interval: 1s
    timeout: 2m
    metrics: {{val_auc: higher, val_loss: lower}}
"""
_SERIES = 'ml_runs_finished_total{source="tracking"'
_COMPLETE = 'ml_source_backfill_complete{source="tracking"} 1'
_POLLS = 'ml_source_polls_total{source="tracking",outcome="ok",reason="none"} '


def main(arguments: list[str]) -> None:
    """Print memory and start times."""
    parser = argparse.ArgumentParser(prog="python -m bench start")
    parser.add_argument("--runs", type=int, default=100_000)
    parser.add_argument("--experiments", type=int, default=1000)
    options = parser.parse_args(arguments)
    folder, port = scratch.fresh("start"), scratch.free_port()
    config = folder / "ml-exporter.yaml"
    with seeded_mlflow(folder, seed.Size(options.runs, options.experiments)) as proxy:
        config.write_text(_CONFIG.format(port=port, folder=folder, url=proxy.url))
        with _exporter(config, port, "ml_source_info") as (_, pid):
            began = time.perf_counter()
            _wait(port, lambda text: _COMPLETE in text, BACKFILL_WITHIN, pause=1.0)
            backfill = time.perf_counter() - began
            _some_polls(port, folder / "mlflow.db")
            warm = _memory(pid)
        took, cpu, resident = [], [], 0
        for _ in range(STARTS):
            with _exporter(config, port, _SERIES) as (start, pid):
                took.append(start)
                cpu.append(_cpu(pid))
                resident = max(resident, _memory(pid)["VmRSS"])
    what = f"{options.runs:,} runs, {options.experiments:,} pipelines"
    rows = [
        ("start to first scrape, median", seconds(statistics.median(took)), "< 1 s"),
        ("start to first scrape, slowest", seconds(max(took)), "< 1 s"),
        ("of it CPU time, median", seconds(statistics.median(cpu)), ""),
        (f"resident after backfill and {POLLS} polls", size(warm["VmRSS"]), "≤ 150 MB"),
        ("resident at most, backfill included", size(warm["VmHWM"]), "≤ 150 MB"),
        ("resident right after a start", size(resident), "≤ 150 MB"),
        ("backfill", seconds(backfill), ""),
        ("state file", size(sum(f.stat().st_size for f in folder.glob("state.db*"))), ""),
    ]
    show(f"process, {what}, {STARTS} starts", ("", "measured", "bar"), rows)


@contextmanager
def _exporter(config: Path, port: int, shows: str) -> Iterator[tuple[float, int]]:
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
        _wait(port, shown, START_WITHIN, pause=0.005)
        yield time.perf_counter() - began, process.pid
    finally:
        process.terminate()
        process.wait(20)


def _some_polls(port: int, database: Path) -> None:
    """So many polls of a server at work."""
    done = _polls(_scrape(port))
    for more in range(1, POLLS + 1):
        seed.churn(database, time.time(), 1.0)
        _wait(port, partial(_has_polled, done + more), BACKFILL_WITHIN, pause=0.5)


def _has_polled(times: int, text: str) -> bool:
    return _polls(text) >= times


def _polls(text: str) -> int:
    return next((int(line.removeprefix(_POLLS)) for line in text.splitlines() if line.startswith(_POLLS)), 0)


def _wait(port: int, enough: Callable[[str], bool], within: float, pause: float) -> None:
    deadline = time.monotonic() + within
    while not enough(_scrape(port)):
        if time.monotonic() > deadline:
            raise RuntimeError(f"the exporter did not get there within {within:.0f} s; see exporter.log")
        time.sleep(pause)


def _scrape(port: int) -> str:
    """A scrape as Prometheus makes one; empty while nobody listens."""
    with suppress(requests.ConnectionError):
        answer = requests.get(f"http://127.0.0.1:{port}/metrics", timeout=10)
        answer.raise_for_status()
        return answer.text
    return ""


def _memory(pid: int) -> dict[str, int]:
    """Resident bytes of a process: VmRSS now, VmHWM at most so far."""
    lines = (line.split() for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return {words[0].rstrip(":"): int(words[1]) * 1024 for words in lines if words[0] in ("VmRSS:", "VmHWM:")}


def _cpu(pid: int) -> float:
    """Seconds of CPU that a process has used: on a busy machine its start waits for more than itself."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
