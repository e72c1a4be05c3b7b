"""`ml-exporter demo`: arguments, signals, the table."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from pathlib import Path
from types import FrameType

from ml_exporter.demo import table
from ml_exporter.demo.folder import owned
from ml_exporter.demo.processes import NotReadyError
from ml_exporter.demo.programs import MissingError
from ml_exporter.demo.stack import Stack

_GRAFANA = "http://localhost:3000"
"""Where the alerts' dashboard links lead: Compose runs it there, and we do not."""
SHOWN = (
    ("exporter", "landing page and /metrics"),
    ("mlflow", "the runs"),
    ("prometheus", "metrics, rules and alerts"),
    ("alertmanager", "routing and silences"),
    ("receiver", "what would have been sent"),
    ("serving", "a model server with the champion of demand: POST /invocations"),
    ("scheduler", "a stand-in for Airflow: its runs are made up"),
    ("language", "a stand-in for vLLM: one sentence whatever it is asked, and users who are made up"),
)
"""What is told of each part: a stand-in says that it is one."""


def main(arguments: list[str] | None = None) -> int:
    """Exit code: 0, 1 if a part failed, 2 if something has to be installed first."""
    options = _arguments(arguments)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    stack = Stack(options.directory.resolve(), options.cycle, options.timeout, say=lambda text: print(text, flush=True))
    try:
        with owned(options.directory, "demo", fresh=options.fresh):
            try:
                _run(stack, options)
            finally:
                print("\nstopping everything", flush=True)
                stack.stop()
    except KeyboardInterrupt:
        return 0
    except MissingError as error:
        print(f"ml-exporter demo: {error}", file=sys.stderr)
        return 2
    except NotReadyError as error:
        print(f"ml-exporter demo: {error}", file=sys.stderr)
        return 1
    return 0


def _arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="ml-exporter demo",
        description="MLflow, pipelines that train and fail, stand-ins for Airflow and vLLM, the exporter, Prometheus "
        "with the generated rules, Alertmanager and a receiver, all on 127.0.0.1. Ctrl-C stops everything.",
    )
    parser.add_argument("--directory", type=Path, default=Path(".demo"), help="where data and logs go (%(default)s)")
    parser.add_argument("--fresh", action="store_true", help="forget what earlier demos left in the directory")
    parser.add_argument("--once", action="store_true", help="stop, with exit code 0, when data flows end to end")
    parser.add_argument("--cycle", type=float, default=10.0, help="seconds between two trainings (%(default)g)")
    parser.add_argument("--refresh", type=float, default=5.0, help="seconds between two tables (%(default)g)")
    parser.add_argument("--timeout", type=float, default=120.0, help="seconds that each wait may last (%(default)g)")
    return parser.parse_args(arguments)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _run(stack: Stack, options: argparse.Namespace) -> None:
    began = time.monotonic()
    stack.start()
    stack.wait()
    print(f"data flows end to end after {time.monotonic() - began:.0f} s\n")
    for part, what in SHOWN:
        print(f"  {part:<13} {stack.url(part):<24} {what}")
    print(f"  {'files':<13} {stack.folder}")
    print(
        f"  {'dashboards':<13} {_GRAFANA:<24} need Grafana: docker compose up --build has it; "
        f"the rendered files are in {stack.rendered / 'grafana'}\n",
        flush=True,
    )
    if not options.once:
        _show_for_ever(stack, options.refresh)


def _show_for_ever(stack: Stack, refresh: float) -> None:
    height = 0
    while True:
        stack.check()
        text = table.render(stack.query, time.time(), stack.event()) + "\nCtrl-C stops everything"
        if sys.stdout.isatty() and height:
            print(f"\x1b[{height}A\x1b[J", end="")  # over the last table
        height = text.count("\n") + 1
        print(text, flush=True)
        time.sleep(refresh)
