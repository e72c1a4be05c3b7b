"""Our exporter's poller against a real MLflow, with a clock that is advanced instead of waited for."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from bench.proxy import CountingProxy
from ml_exporter import discovery
from ml_exporter.app import settings_of
from ml_exporter.config import from_data
from ml_exporter.exposition import Exposition
from ml_exporter.http import Client
from ml_exporter.poller import Poller
from ml_exporter.store import Store

DAY = 86_400.0


@dataclass
class Clock:
    now: float

    def __call__(self) -> float:
        return self.now


@dataclass(frozen=True)
class Cost:
    """Of one poll or several: seconds on the wall, of this process's CPU, bytes and requests on the wire."""

    wall: float = 0.0
    cpu: float = 0.0
    received: int = 0
    requests: int = 0

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            self.wall + other.wall,
            self.cpu + other.cpu,
            self.received + other.received,
            self.requests + other.requests,
        )


class Ours:
    """One source of kind mlflow behind the counting proxy; `poll` is one whole cycle, publishing included."""

    def __init__(self, state: Path, proxy: CountingProxy, now: float) -> None:
        source = {
            "name": "tracking",
            "kind": "mlflow",
            "url": proxy.url,
            "timeout": "2m",  # the machine may be busy; a retry would count twice
            "metrics": {"val_auc": "higher", "val_loss": "lower"},
        }
        config = from_data({"state": str(state), "sources": [source]})
        configured = config.sources[0]
        self.clock, self.proxy = Clock(now), proxy
        self.client = Client(settings_of(configured))
        self.store, self.exposition = Store(state), Exposition()
        reader = discovery.create("mlflow", "tracking", configured.options, proxy.url)
        self.poller = Poller(configured, config, reader, self.client, self.store, self.exposition, self.clock)

    async def close(self) -> None:
        await self.client.close()
        self.store.close()

    async def poll(self) -> Cost:
        self.exposition.scrape(openmetrics=True, gzip=True)  # as a Prometheus would, so that publishing compresses too
        before, requests = self.proxy.received, self.client.requests
        wall, cpu = time.perf_counter(), time.process_time()
        error = await self.poller.poll_once()
        spent = time.perf_counter() - wall, time.process_time() - cpu
        if error is not None:
            raise error
        return Cost(*spent, self.proxy.received - before, self.client.requests - requests)

    async def backfill(self) -> Cost:
        """Read the whole history."""
        total = Cost()
        while not self.poller.ledger.source.backfill_complete:
            total += await self.poll()
            self.clock.now += 0.1
        return total

    async def deletions(self, seconds: float) -> Cost:
        """The daily pass over the whole history, one page a poll, with all else that these polls do."""
        self.clock.now += DAY
        total = await self.poll()
        while "scan" in self.poller.cursor:
            self.clock.now += seconds
            total += await self.poll()
        return total
