"""Ours and PrefectHQ's exporter, one after the other on one Prefect server: what each costs itself and the server."""

from __future__ import annotations

import json
import os
import shlex
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import requests
from tests.support.prefect_server import PASSWORD, USER, PrefectServer, start_prefect

from bench import process, scratch, seed_prefect
from bench.proxy import CountingProxy
from bench.table import seconds, show, size, times

PEER = "ML_EXPORTER_BENCH_PREFECT_PEER"
CYCLE = 30.0
READY_WITHIN = 3600.0
"""Seconds: the peer's first collection is part of its start."""


@dataclass(frozen=True)
class Spent:
    """In a cycle: seconds on the wall, of CPU of the exporter and of the server, bytes that the server sent."""

    wall: float
    own: float
    server: float
    received: float
    resident: float


def compare(deployments: int, runs: int, planned: int, minutes: float) -> None:
    """Print both, and the ratio; ours alone where the peer's command is not given."""
    folder = scratch.fresh("prefect")
    os.environ["PREFECT_SERVER_SERVICES_SCHEDULER_ENABLED"] = "false"  # else it plans and marks as late on its own
    os.environ["PREFECT_SERVER_SERVICES_LATE_RUNS_ENABLED"] = "false"
    server = start_prefect(folder / "server")
    try:
        database = folder / "server" / "prefect" / "prefect.db"
        seed_prefect.seed(database, seed_prefect.Size(deployments, runs, planned=planned), time.time())
        target = int(server.url.rpartition(":")[2])
        with CountingProxy(scratch.free_port(), target) as proxy:
            ours = _ours(folder, server, proxy, minutes)
            peer = _peer(folder, server, proxy) if PEER in os.environ else None
    finally:
        server.stop()
    held = f"{deployments:,} deployments, {runs:,} finished flow runs, {planned} planned each"
    title = f"Prefect, {held}: a cycle, due every {CYCLE:g} s"
    rows = [
        ("time", seconds, lambda spent: spent.wall),
        ("CPU of the exporter", seconds, lambda spent: spent.own),
        ("CPU of the Prefect server", seconds, lambda spent: spent.server),
        ("sent by the server", size, lambda spent: spent.received),
        ("resident, exporter", size, lambda spent: spent.resident),
    ]
    show(title, ("", "peer", "ours", "ratio"), [_row(name, form, of, ours, peer) for name, form, of in rows])
    if peer is None:
        print(f"  the peer was not run: {PEER} does not say how")


def _row(
    name: str, form: Callable[[float], str], of: Callable[[Spent], float], ours: Spent, peer: Spent | None
) -> tuple[str, ...]:
    if peer is None:
        return name, "–", form(of(ours)), "–"
    return name, form(of(peer)), form(of(ours)), times(of(peer) / of(ours))


def _ours(folder: Path, server: PrefectServer, proxy: CountingProxy, minutes: float) -> Spent:
    port, config, password = scratch.free_port(), folder / "ml-exporter.yaml", folder / "password"
    password.write_text(PASSWORD)
    source = {"name": "prefect", "kind": "prefect", "url": proxy.url, "username": USER, "password_file": str(password)}
    settings = {"server": {"listen": f"127.0.0.1:{port}"}, "state": str(folder / "state.db"), "sources": [source]}
    config.write_text(json.dumps(settings))
    with process.exporter(config, port, "ml_source_info") as (_, pid):
        process.wait(port, lambda text: 'backfill_complete{source="prefect"} 1' in text, READY_WITHIN, pause=1.0)
        return _measure(pid, server, proxy, lambda: _polls(port, minutes))


def _polls(port: int, minutes: float) -> tuple[int, float]:
    """Our polls in some minutes, scraped as Prometheus would."""
    before, until = _polled(process.scrape(port)), time.monotonic() + minutes * 60
    while (left := until - time.monotonic()) > 0:
        time.sleep(min(15.0, left))
        after = _polled(process.scrape(port))
    count = after[0] - before[0]
    return count, (after[1] - before[1]) / count


def _polled(text: str) -> tuple[int, float]:
    """Polls and the seconds that they took, by our own histogram."""
    lines = [line for line in text.splitlines() if line.startswith("ml_source_poll_duration_seconds_")]
    found = {line.partition("{")[0]: float(line.rpartition(" ")[2]) for line in lines}
    return int(found["ml_source_poll_duration_seconds_count"]), found["ml_source_poll_duration_seconds_sum"]


def _peer(folder: Path, server: PrefectServer, proxy: CountingProxy) -> Spent:
    port = scratch.free_port()
    with _started(shlex.split(os.environ[PEER]), proxy.url, port, folder / "peer.log") as pid:

        def one() -> tuple[int, float]:
            began = time.monotonic()
            if not _collect(port):
                raise RuntimeError("a scrape of the peer brought nothing")
            return 1, time.monotonic() - began

        return _measure(pid, server, proxy, one)


@contextmanager
def _started(command: list[str], url: str, port: int, log: Path) -> Iterator[int]:
    environment = {
        **os.environ,
        "PREFECT_API_URL": f"{url}/api",
        "PREFECT_API_AUTH_STRING": f"{USER}:{PASSWORD}",
        "PREFECT_CSRF_ENABLED": "True",
        "METRICS_ADDR": "127.0.0.1",
        "METRICS_PORT": str(port),
    }
    with log.open("wb") as out:
        started = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, env=environment)
    try:
        deadline = time.monotonic() + READY_WITHIN
        while not _listens(port):
            if started.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the peer did not get ready, its log is {log}")
            time.sleep(0.5)
        yield started.pid
    finally:
        started.terminate()
        with suppress(subprocess.TimeoutExpired):
            started.wait(10)
        started.kill()
        started.wait()


def _measure(pid: int, server: PrefectServer, proxy: CountingProxy, cycles: Callable[[], tuple[int, float]]) -> Spent:
    """What `cycles` costs; it gives their number and the seconds that each took."""
    leash = server.processes[0].pid  # the server is its only child
    server_pid = int(Path(f"/proc/{leash}/task/{leash}/children").read_text().split()[0])
    before = process.cpu(pid), process.cpu(server_pid), proxy.received
    count, wall = cycles()
    after = process.cpu(pid), process.cpu(server_pid), proxy.received
    own, served, received = ((late - early) / count for early, late in zip(before, after, strict=True))
    return Spent(wall, own, served, received, process.memory(pid)["VmRSS"])


def _listens(port: int) -> bool:
    """It does so after its first collection."""
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def _collect(port: int) -> str:
    """A scrape of the peer, which asks the server for everything meanwhile."""
    with suppress(requests.ConnectionError):
        answer = requests.get(f"http://127.0.0.1:{port}/metrics", timeout=READY_WITHIN)
        answer.raise_for_status()
        return answer.text
    return ""
