"""The real process on a real MLflow: resident memory after the backfill and some polls, then start to first scrape.

A start is measured from the execution of `ml-exporter run` to the first 200 of /metrics that shows the source's series,
which then come from the state file.
"""

from __future__ import annotations

import argparse
import statistics
import time
from functools import partial
from pathlib import Path

from bench import process, scratch, seed
from bench.poll import seeded_mlflow
from bench.table import seconds, show, size

STARTS = 7
POLLS = 20
BACKFILL_WITHIN = 1800.0
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
        with process.exporter(config, port, "ml_source_info") as (_, pid):
            began = time.perf_counter()
            process.wait(port, lambda text: _COMPLETE in text, BACKFILL_WITHIN, pause=1.0)
            backfill = time.perf_counter() - began
            _some_polls(port, folder / "mlflow.db")
            warm = process.memory(pid)
        took, cpu, resident = [], [], 0
        for _ in range(STARTS):
            with process.exporter(config, port, _SERIES) as (start, pid):
                took.append(start)
                cpu.append(process.cpu(pid))
                resident = max(resident, process.memory(pid)["VmRSS"])
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


def _some_polls(port: int, database: Path) -> None:
    """So many polls of a server at work."""
    done = _polls(process.scrape(port))
    for more in range(1, POLLS + 1):
        seed.churn(database, time.time(), 1.0)
        process.wait(port, partial(_has_polled, done + more), BACKFILL_WITHIN, pause=0.5)


def _has_polled(times: int, text: str) -> bool:
    return _polls(text) >= times


def _polls(text: str) -> int:
    return next((int(line.removeprefix(_POLLS)) for line in text.splitlines() if line.startswith(_POLLS)), 0)
