"""One exporter with all kinds of source; then ours and a peer on one Prefect server, in the same run.

The peer is PrefectHQ's exporter, started by the command in ML_EXPORTER_BENCH_PREFECT_PEER, and told by its own
environment variables where the API is and where to listen. The server is the tests' own.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench import prefect, process, scratch
from bench.table import seconds, show, size

READY_WITHIN = 600.0
SETTLED = 30.0
SCRAPE_EVERY = 15.0


def main(arguments: list[str]) -> None:
    """Print CPU per minute and memory."""
    parser = argparse.ArgumentParser(prog="python -m bench schedulers")
    parser.add_argument("--pipelines", type=int, default=1000, help="of each kind")
    parser.add_argument("--minutes", type=float, default=4.0)
    parser.add_argument("--runs", type=int, default=10_000, help="finished flow runs of the Prefect server")
    parser.add_argument("--planned", type=int, default=10, help="runs that Prefect has made ahead for each deployment")
    parser.add_argument("--only", choices=("all", "peer"), help="one half of it")
    options = parser.parse_args(arguments)
    if options.only != "peer":
        everything(options.pipelines, options.minutes)
    if options.only != "all":
        prefect.compare(options.pipelines, options.runs, options.planned, options.minutes)


def everything(pipelines: int, minutes: float) -> None:
    folder, port = scratch.fresh("schedulers"), scratch.free_port()
    with farm(pipelines) as urls:
        config = folder / "ml-exporter.yaml"
        config.write_text(_config(urls, folder, port))
        with process.exporter(config, port, "ml_source_info") as (_, pid):
            began = time.perf_counter()
            process.wait(port, lambda text: _complete(text) == len(urls), READY_WITHIN, pause=1.0)
            history, read_cpu = time.perf_counter() - began, process.cpu(pid)
            time.sleep(SETTLED)
            cpu = per_minute(pid, port, minutes)
            text = process.scrape(port)
            failed = [line for line in text.splitlines() if line.startswith("ml_source_up{") and line.endswith(" 0")]
            memory = process.memory(pid)
    if failed:
        raise RuntimeError(f"not all sources are up: {failed}; see {folder / 'exporter.log'}")
    show(
        f"one exporter, {len(urls)} sources with {pipelines:,} pipelines each, polls every 30 s, scrapes every 15 s",
        ("", "measured"),
        [
            ("CPU a minute", seconds(cpu)),
            ("share of one core", f"{cpu / 60:.1%}"),
            ("resident", size(memory["VmRSS"])),
            ("resident at most, history included", size(memory["VmHWM"])),
            ("series", f"{sum(1 for line in text.splitlines() if line and not line.startswith('#')):,}"),
            ("history read after", seconds(history)),
            ("CPU of reading it, start included", seconds(read_cpu)),
        ],
    )


def per_minute(pid: int, port: int, minutes: float) -> float:
    """Seconds of CPU time that a process takes in a minute, while it is scraped as Prometheus would."""
    before, began = process.cpu(pid), time.monotonic()
    while (passed := time.monotonic() - began) < minutes * 60:
        process.scrape(port)
        time.sleep(max(0.0, min(SCRAPE_EVERY, minutes * 60 - passed)))
    return (process.cpu(pid) - before) / (time.monotonic() - began) * 60


@contextmanager
def farm(pipelines: int) -> Iterator[dict[str, str]]:
    """The addresses of a backend of every kind."""
    command = [sys.executable, "-m", "bench.farm", "--pipelines", str(pipelines)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    started = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
    assert started.stdout is not None
    assert started.stdin is not None
    try:
        yield json.loads(started.stdout.readline())
    finally:
        started.stdin.close()
        started.wait(10)


def _config(urls: dict[str, str], folder: Path, port: int) -> str:
    sources = [{"name": kind, "kind": kind, "url": url, "timeout": "2m"} for kind, url in urls.items()]
    server = {"listen": f"127.0.0.1:{port}"}
    return json.dumps({"server": server, "state": str(folder / "state.db"), "sources": sources})


def _complete(text: str) -> int:
    return sum(
        1 for line in text.splitlines() if line.startswith("ml_source_backfill_complete{") and line.endswith(" 1")
    )
