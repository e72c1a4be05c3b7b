"""What an open dashboard costs Prometheus in a large installation: a day of it back-filled, then every query."""

from __future__ import annotations

import argparse
import itertools
import os
import re
import statistics
import subprocess
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from tests.support import installed
from tests.support.grafana import Prometheus, Query, chosen, panels, queries, variables
from tests.support.installation import Installation, Series, named, recorded_names
from tests.support.programs import program

from bench import process, scratch
from bench.table import seconds, show

BAR = 2.0
SCRAPED = 60
"""Seconds between samples, in the past and while measuring."""
HOUR = 3600
_BLOCK = 6 * HOUR
_BY_POINTS = {300: 300}
"""Seconds between points of a day, as Grafana rounds them, by the points that a panel wants at most."""
_STEP = 120
"""The same of a panel that takes half of a screen 1,920 wide and says nothing."""
_NOTED = "60s"
"""The same of annotations that say nothing."""
_SLOWEST = 12
_MOVED = 1_795_000_000.0
_SELDOM = ("ml:pipelines", "ml:endpoint_models", "ml:service_requests")
"""Of the group ml-recording-layers, which is evaluated every two minutes."""
_BY_LAYER = ("pipelines", "succeeding", "withTime", "onTime")
_METRIC = re.compile(r"[A-Za-z_:][\w:]*")


def main(arguments: Sequence[str]) -> None:
    """Print what each query takes, and their sum."""
    options = _options(arguments)
    installation = Installation(options.services, options.pipelines, options.endpoints)
    files = installed.rendered(installation)
    boards = [board for board in installed.dashboards(files) if board["uid"] in options.dashboards]
    past = list(_read(boards, [*installation.series, *_recorded(installation)]))
    folder = scratch.fresh("dashboards")
    began = time.time()
    _backfill(past, options.hours * HOUR, folder / "data")
    took = seconds(time.time() - began)
    print(f"{len(installation.series):,} series, {len(past):,} of them back-filled for {options.hours} h in {took}")
    with installed.running(installation, files, folder, SCRAPED) as server:
        _rules(server)
        now = time.time()
    with installed.at_rest(folder) as (server, pid):
        for board in boards:
            measured = list(_asked(board, chosen(board, server, "all")))
            _measure(measured, server, now, options, pid)
            _report(board["uid"], measured)


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench dashboards", description=__doc__)
    parser.add_argument("dashboards", nargs="*", default=["ml-overview"], help="their uids")
    parser.add_argument("--services", type=int, default=500)
    parser.add_argument("--pipelines", type=int, default=5000)
    parser.add_argument("--endpoints", type=int, default=1000)
    parser.add_argument("--hours", type=int, default=24, help="of history, and the time that is shown")
    parser.add_argument("--rounds", type=int, default=7)
    return parser.parse_args(arguments)


def _read(boards: Iterable[Mapping[str, Any]], series: Iterable[Series]) -> Iterator[Series]:
    """Those of `series` of which a dashboard reads more than the last value."""
    asked = []
    for board in boards:
        anything = defaultdict(str, dict.fromkeys(variables(board), ""))
        asked += [query.expr for query in queries(board, anything) if not query.instant or "[" in query.expr]
    words = {word for expr in asked for word in _METRIC.findall(expr)}
    return (each for each in series if each.name.partition("{")[0] in words)


def _recorded(installation: Installation) -> Iterator[Series]:
    """What rules would have recorded of what the exporter shows; from now on they do."""
    names = {**recorded_names("endpoints"), **recorded_names("baselines")}.values()
    overview = recorded_names("overview")
    for n in range(installation.services):
        of_service = {"ml_service": f"service-{n}"}
        yield Series(named("ml:service_state:worst", of_service), float(n % 4), 0.0)
        model = {**of_service, "model": f"model-{n}", "source": "source-0", "version": "7", "metric": "val_auc"}
        yield Series(named("ml:model_metric_degradation_ratio:live", model), (n % 10) / 100, 0.0)
        # One alias in sixty moved within the day.
        if n % 60 == 0:
            yield Series(named(overview["moved"], {**model, "alias": "champion"}), _MOVED, 0.0)
        for (key, metric), layer in itertools.product(overview.items(), ("data", "model")):
            labels = of_service | ({"layer": layer} if key in _BY_LAYER else {})
            if key != "moved" and (layer == "data" or key in _BY_LAYER):
                yield Series(named(metric, labels), 5.0, 0.0)
    for n, metric in itertools.product(range(installation.endpoints), names):
        labels = {key: installation.endpoint(n)[key] for key in ("ml_service", "ml_endpoint", "model")}
        yield Series(named(metric, labels), 0.0, 0.0)


def _backfill(series: Sequence[Series], length: int, data: Path) -> None:
    """Blocks up to the last full minute, as many at a time as there are processors."""
    now = int(time.time()) // SCRAPED * SCRAPED
    data.mkdir()
    spans = [(since, min(since + _BLOCK, now)) for since in range(now - length, now, _BLOCK)]
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(partial(_fill, series, data, str(program("promtool"))), spans))


def _fill(series: Sequence[Series], data: Path, promtool: str, span: tuple[int, int]) -> None:
    text = data.parent / f"{span[0]}.om"
    with text.open("w") as file:
        for each in series:
            times = range(*span, 2 * SCRAPED if each.name.startswith(_SELDOM) else SCRAPED)
            file.write("".join([f"{each.name} {each.at(now)} {now}\n" for now in times]))
        file.write("# EOF\n")
    command = [promtool, "tsdb", "create-blocks-from", "openmetrics", "--quiet", "--max-block-duration=54h"]
    subprocess.run([*command, text, data], check=True, capture_output=True)
    text.unlink()


@dataclass
class Measured:
    """What every round told of a query."""

    query: Query
    step: int
    took: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    """Of Prometheus."""
    series: int = 0


def _asked(board: Mapping[str, Any], values: Mapping[str, str]) -> Iterator[Measured]:
    for panel in panels(board):
        one = {**board, "panels": [panel], "annotations": {"list": []}}
        step = _BY_POINTS.get(panel.get("maxDataPoints", 0), _STEP)
        yield from (Measured(query, step) for query in queries(one, {**values, **_grafana(step)}))
    for note in board["annotations"]["list"]:
        one = {**board, "panels": [], "annotations": {"list": [note]}}
        step = int(note.get("step", _NOTED).removesuffix("s"))
        yield from (Measured(query, step) for query in queries(one, {**values, **_grafana(step)}))


def _grafana(step: int) -> dict[str, str]:
    return {"__interval": f"{step}s", "__rate_interval": f"{step + SCRAPED}s", "__range": "1d"}


def _measure(
    measured: Sequence[Measured], server: Prometheus, now: float, options: argparse.Namespace, pid: int
) -> None:
    """Each query as often as there are rounds, in turn; nobody else asks, and nothing else is done."""
    for _, each in itertools.product(range(options.rounds), measured):
        used, began = process.cpu(pid), time.perf_counter()
        each.series = len(server.ask(each.query, now, options.hours * HOUR, each.step))
        each.took.append(time.perf_counter() - began)
        each.cpu.append(process.cpu(pid) - used)


def _report(uid: str, measured: Sequence[Measured]) -> None:
    slowest = sorted(measured, key=lambda each: -statistics.median(each.took))[:_SLOWEST]
    rows = [
        (each.query.where.partition(": ")[2], _kind(each.query), str(each.series), *_medians([each.took], [each.cpu]))
        for each in slowest
    ]
    most, took, cpu = max(each.series for each in measured), [e.took for e in measured], [e.cpu for e in measured]
    rows.append((f"all {len(measured)} queries in turn", "", f"≤ {most}", *_medians(took, cpu)))
    sums = [sum(times) for times in zip(*took, strict=True)]
    title = f"{uid}, {len(sums)} rounds, {seconds(min(sums))} to {seconds(max(sums))} each"
    show(f"{title}; bar of the overview: < {BAR:.0f} s", ("", "kind", "series", "time", "CPU"), rows)


def _medians(*parts: Sequence[Sequence[float]]) -> tuple[str, ...]:
    """The median round of each sort of time, with all queries of a round added up."""
    return tuple(seconds(statistics.median(sum(times) for times in zip(*part, strict=True))) for part in parts)


def _kind(query: Query) -> str:
    return "now" if query.instant else "over time"


def _rules(server: Prometheus) -> None:
    groups = sorted(installed.rule_groups(server), key=lambda group: -group["evaluationTime"])
    rows = [(g["name"], str(len(g["rules"])), f"{g['interval']} s", seconds(g["evaluationTime"])) for g in groups]
    show("rules, the last evaluation of each group", ("", "rules", "every", "took"), rows)
