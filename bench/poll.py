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
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
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


@dataclass(frozen=True)
class Theirs:
    ready: float
    """Seconds from the start until the peer has figures to show: a full scan."""
    cycles: list[tuple[float, int]]


@contextmanager
def seeded_mlflow(folder: Path, size: seed.Size) -> Iterator[CountingProxy]:
    """A real MLflow that holds `size` runs as of now, behind the counting proxy."""
    database = folder / "mlflow.db"
    seed.seed(database, size, time.time())
    server = start_mlflow(folder, scratch.free_port())
    try:
        with CountingProxy(scratch.free_port(), int(server.url.rpartition(":")[2])) as proxy:
            yield proxy
    finally:
        server.stop()
        database.unlink()  # half a gigabyte


async def measure(servers: Mapping[int, tuple[Path, CountingProxy]], cycles: int) -> dict[int, Result]:
    """Per size: backfill, warm-up, `cycles` polls of a server that goes on working, then the daily pass.

    The sizes take turns, cycle by cycle, so that whatever else the machine does falls on both.
    """
    ours = {runs: Ours(folder / "state.db", proxy, time.time()) for runs, (folder, proxy) in servers.items()}
    measured: dict[int, list[Cost]] = {runs: [] for runs in servers}
    backfills = {runs: await each.backfill() for runs, each in ours.items()}
    for _ in range(WARM_UP + cycles):
        for runs, each in ours.items():
            each.clock.now += INTERVAL
            seed.churn(servers[runs][0] / "mlflow.db", each.clock.now, INTERVAL)
            measured[runs].append(await each.poll())
    results = {}
    for runs, each in ours.items():
        results[runs] = Result(backfills[runs], measured[runs][WARM_UP:], await each.deletions(INTERVAL))
        await each.close()
    return results


def main(arguments: list[str]) -> None:
    """Print both sizes and the peer."""
    parser = argparse.ArgumentParser(prog="python -m bench poll")
    parser.add_argument("--runs", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--cycles", type=int, default=40, help="measured cycles")
    parser.add_argument("--peer", default=os.environ.get(PEER), metavar="COMMAND", help="with {url} and {port}")
    parser.add_argument("--peer-cycles", type=int, default=5)
    options = parser.parse_args(arguments)
    with ExitStack() as stack:
        servers = {}
        for runs in sorted(options.runs):
            folder = scratch.fresh(f"poll-{runs}")
            servers[runs] = folder, stack.enter_context(seeded_mlflow(folder, seed.Size(runs)))
        theirs = _measure_peer(options.peer, *servers[max(servers)], options.peer_cycles) if options.peer else None
        results = asyncio.run(measure(servers, options.cycles))
    for runs, result in results.items():
        _show_size(runs, result)
    _show_growth(results)
    _show_peer(results[max(results)], theirs)


def _measure_peer(command: str, folder: Path, proxy: CountingProxy, cycles: int) -> Theirs:
    began = time.perf_counter()
    with peer.started(command, proxy.url, folder / "peer.log") as base:
        return Theirs(time.perf_counter() - began, peer.cycles(base, proxy, cycles))


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
    wall, received = (small.wall(), large.wall()), (small.received(), large.received())
    rows = [
        ("time", *map(seconds, wall), times(wall[1] / wall[0]), "≤ 1.5×"),
        ("received", *map(size, received), times(received[1] / received[0]), "≤ 1.5×"),
    ]
    head = ("a cycle, all counted", f"{min(results):,} runs", f"{max(results):,} runs", "ratio", "bar")
    show("growth", head, rows)


def _show_peer(ours: Result, theirs: Theirs | None) -> None:
    if theirs is None:
        print(f"\npeer: not given (--peer or {PEER}; docs/performance.md says how)")
        return
    wall, received = (statistics.mean(figures) for figures in zip(*theirs.cycles, strict=True))
    mine = ours.wall(), ours.received()
    rows = [
        ("time", seconds(wall), seconds(mine[0]), times(wall / mine[0]), "≥ 10×"),
        ("received", size(received), size(mine[1]), times(received / mine[1]), "≥ 10×"),
        ("history read after", seconds(theirs.ready), seconds(ours.backfill.wall), "", ""),
    ]
    title = f"against the peer, {len(theirs.cycles)} of its collections"
    show(title, ("a cycle, all counted", "peer", "ours", "ratio", "bar"), rows)
