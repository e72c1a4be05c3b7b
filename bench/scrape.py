"""What a scrape and a minute of scraping cost, against prometheus_client with the very same samples.

The other side gets its metric objects ready-made from a collector, so only its formatting is measured; a minute is four
scrapes (15 s) and, on our side, two refreshes (30 s) in which 5 % of the pipelines change.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import http.client
import multiprocessing
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from random import Random

from prometheus_client import CollectorRegistry, Metric, start_http_server
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from bench import scratch
from bench.table import seconds, show, size, times
from ml_exporter.exposition import Exposition
from ml_exporter.lines import Group, render_group
from ml_exporter.model import RunState
from ml_exporter.samples import of_pipeline
from ml_exporter.states import ActiveRun, FinishedRun, PipelineState
from ml_exporter.web.app import application
from ml_exporter.web.server import serve

DIRECTIONS = {"val_auc": "higher", "val_loss": "lower"}
CHANGING = 0.05
SCRAPES, REFRESHES = 4, 2
NOW = 1_790_000_000.0
ENOUGH = 3.0
"""Seconds after which no further repetition is begun."""


class Ours:
    """An exposition over made-up pipelines that look like real ones."""

    def __init__(self, series: int) -> None:
        self.random = Random(7)
        self.exposition = Exposition()
        self.states = [_pipeline(self.random, 0)]
        each = sum(count for _, count in self._group(0).values())
        self.states += [_pipeline(self.random, index) for index in range(1, max(1, round(series / each)))]
        self.series = len(self.states) * each
        self.exposition.update("tracking", {str(i): self._group(i) for i in range(len(self.states))})

    def refresh(self) -> None:
        """What a poll does to the page in which 5 % of the pipelines had a run that ended."""
        some = self.random.sample(range(len(self.states)), round(len(self.states) * CHANGING))
        for index in some:
            _finish(self.states[index], self.random, NOW + 60)
        self.exposition.update("tracking", {str(index): self._group(index) for index in some})
        self.exposition.publish()

    def scrape(self, zipped: bool) -> tuple[bytes, bytes]:
        return self.exposition.scrape(openmetrics=False, gzip=zipped)

    async def metrics(self, openmetrics: bool, gzip: bool) -> tuple[bytes, ...]:
        """What the web surface asks of the exporter, answered as the exporter does."""
        return await asyncio.to_thread(self.exposition.scrape, openmetrics=openmetrics, gzip=gzip)

    def _group(self, index: int) -> Group:
        shared = {"source": "tracking", "ml_service": "fraud-detection"}
        return render_group(of_pipeline(self.states[index], 86_400.0, DIRECTIONS), shared)


class Ready(Collector):
    """Metric objects that are there already: the other side's own bookkeeping is left out, in its favour."""

    def __init__(self, metrics: list[Metric]) -> None:
        self.metrics = metrics

    def collect(self) -> list[Metric]:
        return self.metrics


def main(arguments: list[str]) -> None:
    """Print all sizes."""
    parser = argparse.ArgumentParser(prog="python -m bench scrape")
    parser.add_argument("--series", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    for series in parser.parse_args(arguments).series:
        _one_size(series)


def _one_size(series: int) -> None:
    ours, registry = Ours(series), CollectorRegistry()
    text = b"".join(ours.scrape(False))
    registry.register(Ready(list(text_string_to_metric_families(text.decode()))))

    def theirs(zipped: bool) -> bytes:
        output = generate_latest(registry)
        return gzip.compress(output) if zipped else output  # as its own handler does

    rows = []
    for zipped, name in ((False, "identity"), (True, "gzip")):
        rows.append(_row(f"scrape, {name}", _wall(partial(theirs, zipped)), _wall(partial(ours.scrape, zipped))))
    scraper = multiprocessing.get_context("spawn").Pool(1)  # a process of its own: the servers need this one's GIL
    with scraper, _their_server(registry) as their_port, _our_server(ours) as our_port:
        for encoding in ("identity", "gzip"):
            asked = [(port, encoding) for port in (their_port, our_port)]
            over = [_wall(partial(scraper.apply, _get, arguments)) for arguments in asked]
            rows.append(_row(f"over HTTP, {encoding}", *over))
    refresh = _cpu(ours.refresh)
    minute = SCRAPES * _cpu(partial(theirs, True)), SCRAPES * _cpu(partial(ours.scrape, True)) + REFRESHES * refresh
    rows.append(_row("CPU a minute, gzip, refreshes counted", *minute))
    shown = f"{ours.series:,} series of {len(ours.states):,} pipelines, {size(len(text))}, {seconds(refresh)} a refresh"
    show(shown, ("", "prometheus_client", "ours", "ratio"), rows)


def _row(name: str, theirs: float, ours: float) -> tuple[str, str, str, str]:
    return name, seconds(theirs), seconds(ours), times(theirs / ours)


def _wall(action: Callable[[], object]) -> float:
    return _median(action, time.perf_counter)


def _cpu(action: Callable[[], object]) -> float:
    return _median(action, time.process_time)


def _median(action: Callable[[], object], clock: Callable[[], float]) -> float:
    """Of up to 30 repetitions, as many as are begun within `ENOUGH` seconds."""
    measured: list[float] = []
    until = time.perf_counter() + ENOUGH
    while len(measured) < 30 and (not measured or time.perf_counter() < until):
        began = clock()
        action()
        measured.append(clock() - began)
    return statistics.median(measured)


def _get(port: int, encoding: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=300)
    connection.request("GET", "/metrics", headers={"Accept": "text/plain", "Accept-Encoding": encoding})
    answer = connection.getresponse()
    answer.read()
    connection.close()
    if answer.status != 200:
        raise RuntimeError(f"/metrics answered {answer.status}")


@contextmanager
def _their_server(registry: CollectorRegistry) -> Iterator[int]:
    server, thread = start_http_server(0, "127.0.0.1", registry)
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def _our_server(ours: Ours) -> Iterator[int]:
    """The real web surface; /metrics asks nothing but `metrics`."""
    port, loop = scratch.free_port(), asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    # Only the part of a backend that a scrape asks.
    starting = serve(application(ours), f"127.0.0.1:{port}")  # type: ignore[arg-type]
    server = asyncio.run_coroutine_threadsafe(starting, loop).result(20)
    try:
        yield port
    finally:
        asyncio.run_coroutine_threadsafe(server.stop(), loop).result(20)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()


def _pipeline(random: Random, index: int) -> PipelineState:
    state = PipelineState(f"team-{index % 20:02}/pipeline-{index:05}", str(index), NOW - 1e7, backfilled=True)
    for run in range(25):
        _finish(state, random, NOW - (25 - run) * 3600)
    state.active[f"active-{index}"] = ActiveRun(
        RunState.RUNNING, NOW - random.uniform(10, 1000), {"gpu_utilization": 0.9}
    )
    return state


def _finish(state: PipelineState, random: Random, ended: float) -> None:
    duration = random.uniform(30, 4000)
    outcome = RunState.FAILED if sum(state.finished.values()) % 5 == 0 else RunState.SUCCEEDED
    metrics = {"val_auc": random.random(), "val_loss": random.random()}
    number = sum(state.finished.values())
    state.count(outcome, duration)
    state.remember(FinishedRun(f"{state.name}-{number}", outcome, ended, ended - duration, metrics))
