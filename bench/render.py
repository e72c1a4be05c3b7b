"""`ml-exporter render` as a whole process: start, check the configuration, evaluate the Jsonnet, write the files."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path

from bench import scratch
from bench.table import seconds, show, times

SERVICES = 20
BAR = 2.0
REPEATED = 7
_HEAD = """
sources: [{name: tracking, kind: mlflow, url: "http://mlflow:5000", metrics: {val_auc: higher}}]
alerting: {page: {webhook: {url: "http://127.0.0.1:1"}}, ticket: {webhook: {url: "http://127.0.0.1:1"}}}
services:
"""
_SERVICE = """
  - name: s{0}
    owner: team-{0}
    tier: 1
    stages: {{training: [{{pipeline: "tracking/s{0}-*", every: 1d}}]}}
    models: ["s{0}-*"]
"""


def main(_arguments: list[str]) -> None:
    """Print how long it takes, and what of it is Python's own start."""
    folder = scratch.fresh("render")
    config = folder / "ml-exporter.yaml"
    config.write_text(_HEAD + "".join(_SERVICE.format(number) for number in range(SERVICES)))
    outputs = [folder / f"out-{number}" for number in range(REPEATED)]
    render = ["-m", "ml_exporter", "render", "--config", str(config), "--output"]
    took = [_run(*render, str(output)) for output in outputs]
    bare = [_run("-c", "pass") for _ in outputs]
    files = sum(1 for path in outputs[0].rglob("*") if path.is_file())
    rows = [_row(f"render, {SERVICES} services, {files} files", took), _row("python -c pass", bare)]
    show("render, whole process", ("", "median", "slowest", "bar", "bar ÷ median"), rows)


def _run(*arguments: str) -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL, cwd=Path(sys.prefix))
    return time.perf_counter() - began


def _row(name: str, took: list[float]) -> tuple[str, ...]:
    middle = statistics.median(took)
    return name, seconds(middle), seconds(max(took)), f"< {BAR:.0f} s", times(BAR / middle)
