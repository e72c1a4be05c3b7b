"""`ml-exporter gameday`: arguments, signals, the report."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from ml_exporter.demo.folder import owned
from ml_exporter.demo.processes import NotReadyError
from ml_exporter.demo.programs import MissingError
from ml_exporter.gameday import report, timing
from ml_exporter.gameday.director import Director
from ml_exporter.gameday.scenarios import SCENARIOS, Scenario
from ml_exporter.gameday.stack import CYCLE, GamedayStack, stack_in
from ml_exporter.gameday.verdict import Verdict, judge

_FORMATS = {"table": report.table, "markdown": report.markdown, "json": report.as_json}


def main(arguments: list[str] | None = None) -> int:
    """Exit code: 0 if all scenarios pass, 1 if one fails or we are interrupted, 2 if something is not installed."""
    options = _arguments(arguments)
    if options.list:
        print("\n".join(f"{each.name:<18} {each.channel:<7} {each.alert:<28} {each.what}" for each in SCENARIOS))
        return 0
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    try:
        with owned(options.directory, "gameday", fresh=True):
            verdicts = _run(options.directory.resolve(), _chosen(options.scenario), options.timeout)
    except KeyboardInterrupt:
        _say("interrupted")
        return 1
    except MissingError as error:
        _say(str(error))
        return 2
    except NotReadyError as error:
        _say(str(error))
        return 1
    print(_FORMATS[options.format](verdicts), flush=True)
    return 0 if all(verdict.passed for verdict in verdicts) else 1


def _arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="ml-exporter gameday",
        description="Start a demo stack of its own on 127.0.0.1, put faults into it, and check that the right alert "
        "reaches the right receiver within its stated time, that nothing else pages, and that it resolves. Intervals "
        "and thresholds are shortened, so that a scenario takes a minute or two. MLflow, the pipelines, the model "
        "server, Prometheus and Alertmanager are real; the scheduler is a stand-in that speaks Airflow's REST API.",
        epilog="Exit code: 0 if all scenarios pass, 1 if one fails, 2 if something has to be installed first.",
    )
    names = [each.name for each in SCENARIOS]
    parser.add_argument(
        "--scenario", action="append", choices=names, metavar="NAME", help="only this one; may be given several times"
    )
    parser.add_argument("--list", action="store_true", help="list the scenarios and stop")
    parser.add_argument(
        "--directory", type=Path, default=Path(".gameday"), help="where data and logs go, deleted first (%(default)s)"
    )
    parser.add_argument("--format", choices=_FORMATS, default="table", help="of the report (%(default)s)")
    parser.add_argument(
        "--timeout",
        type=float,
        default=120.0,
        metavar="SECONDS",
        help="for each part to be ready, and beyond the stated time for a message (%(default)g)",
    )
    return parser.parse_args(arguments)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _say(text: str) -> None:
    """Beside the report, which may be read by a program."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def _chosen(names: Sequence[str] | None) -> list[Scenario]:
    return [each for each in SCENARIOS if not names or each.name in names]


def _run(folder: Path, scenarios: Sequence[Scenario], timeout: float) -> list[Verdict]:
    """Raises `MissingError` and `NotReadyError`; whatever happens, everything is stopped."""
    stack = stack_in(folder, timeout, _say)
    try:
        return _carry_out(stack, scenarios, timeout)
    finally:
        _say("stopping everything")
        stack.stop()
        stack.recorder.close()


def _carry_out(stack: GamedayStack, scenarios: Sequence[Scenario], timeout: float) -> list[Verdict]:
    stack.start()
    stack.wait()
    times = timing.read(stack.config, stack.rendered, CYCLE)
    director = Director(stack, stack, stack.recorder, times, timeout, _say)
    runs = director.carry_out(scenarios, stack.check)
    told = stack.recorder.all()
    return [judge(run, told, runs) for run in runs]
