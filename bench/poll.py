"""What one 30 s cycle costs on a real MLflow: ours at 10,000 and 100,000 runs, and the peer's on the same server.

1,000 runs are active, 50 end and 50 start in each cycle, 500 ended within the overlap. The figures hold everything
that recurs: active runs read again, the registry, and the daily pass for deletions at 1/2,880 of its cost.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.mlflow_server import start_mlflow

from bench import peer, scratch, seed
from bench.ours import Cost, Ours
from bench.proxy import CountingProxy
from bench.table import seconds, show, size, times

PEER = "ML_EXPORTER_BENCH_PEER"
INTERVAL = 30.0
CYCLES_A_DAY = 2880
WARM_UP = 20
"""Cycles until the runs that a poll remembers and those that it reads again are as many as in any later cycle."""


@dataclass(frozen=True)
class Result:
    backfill: Cost
    cycles: list[Cost]
    deletions: Cost

    def wall(self) -> float:
        """Seconds a cycle, the share of the daily pass included."""
        return statistics.mean(c.wall for c in self.cycles) + self.deletions.wall / CYCLES_A_DAY

    def received(self) -> float:
        return statistics.mean(c.received for c in self.cycles) + self.deletions.received / CYCLES_A_DAY


@contextmanager
def seeded_mlflow(folder: Path, size: seed.Size) -> Iterator[CountingProxy]:
    """A real MLflow that holds `size` runs as of now, behind the counting proxy."""
    seed.seed(folder / "mlflow.db", size, time.time())
    server = start_mlflow(folder, scratch.free_port())
    try:
        with CountingProxy(scratch.free_port(), int(server.url.rpartition(":")[2])) as proxy:
            yield proxy
    finally:
        server.stop()


async def measure(folder: Path, proxy: CountingProxy, cycles: int) -> Result:
    """Backfill, warm up, then `cycles` polls of a server that goes on working, then the daily pass."""
    ours = Ours(folder / "state.db", proxy, time.time())
    try:
        backfill = await ours.backfill()
        measured = []
        for _ in range(WARM_UP + cycles):
            ours.clock.now += INTERVAL
            seed.churn(folder / "mlflow.db", ours.clock.now, INTERVAL)
            measured.append(await ours.poll())
        return Result(backfill, measured[WARM_UP:], await ours.deletions(INTERVAL))
    finally:
        await ours.close()


def main(arguments: list[str]) -> None:
    """Print both sizes and the peer."""
    parser = argparse.ArgumentParser(prog="python -m bench poll")
    parser.add_argument("--runs", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--cycles", type=int, default=40, help="measured cycles")
    parser.add_argument("--peer", default=os.environ.get(PEER), metavar="COMMAND", help="with {url} and {port}")
    parser.add_argument("--peer-cycles", type=int, default=5)
    options = parser.parse_args(arguments)
    results, theirs = {}, []
    for runs in options.runs:
        folder = scratch.fresh(f"poll-{runs}")
        with seeded_mlflow(folder, seed.Size(runs)) as proxy:
            if options.peer and runs == max(options.runs):
                with peer.started(options.peer, proxy.url, folder / "peer.log") as base:
                    theirs = peer.cycles(base, proxy, options.peer_cycles)
            results[runs] = asyncio.run(measure(folder, proxy, options.cycles))
        _show_size(runs, results[runs])
    _show_growth(results)
    _show_peer(results[max(options.runs)], theirs)


def _show_size(runs: int, result: Result) -> None:
    def row(name: str, cost: Cost, share: float) -> tuple[str, ...]:
        return (
            name,
            seconds(cost.wall * share),
            seconds(cost.cpu * share),
            size(cost.received * share),
            f"{cost.requests * share:.1f}",
        )

    slowest = max(result.cycles, key=lambda c: c.wall)
    rows = [
        row(f"a cycle, mean of {len(result.cycles)}", sum(result.cycles, Cost()), 1 / len(result.cycles)),
        row("a cycle, the slowest", slowest, 1.0),
        row("daily pass ÷ 2,880", result.deletions, 1 / CYCLES_A_DAY),
        row("daily pass, whole", result.deletions, 1.0),
        row("backfill, whole", result.backfill, 1.0),
    ]
    show(f"ours, {runs:,} runs", ("", "time", "our CPU", "received", "requests"), rows)


def _show_growth(results: dict[int, Result]) -> None:
    small, large = results[min(results)], results[max(results)]
    rows = [
        ("time", seconds(small.wall()), seconds(large.wall()), times(large.wall() / small.wall()), "≤ 1.5×"),
        (
            "received",
            size(small.received()),
            size(large.received()),
            times(large.received() / small.received()),
            "≤ 1.5×",
        ),
    ]
    head = ("a cycle, all counted", f"{min(results):,} runs", f"{max(results):,} runs", "ratio", "bar")
    show("growth", head, rows)


def _show_peer(ours: Result, theirs: list[tuple[float, int]]) -> None:
    if not theirs:
        print(f"\npeer: not given (--peer or {PEER}; docs/performance.md says how)")
        return
    wall, received = (statistics.mean(figures) for figures in zip(*theirs, strict=True))
    rows = [
        ("time", seconds(wall), seconds(ours.wall()), times(wall / ours.wall()), "≥ 10×"),
        ("received", size(received), size(ours.received()), times(received / ours.received()), "≥ 10×"),
    ]
    show(
        f"against the peer, {len(theirs)} of its collections",
        ("a cycle, all counted", "peer", "ours", "ratio", "bar"),
        rows,
    )
