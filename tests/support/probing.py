"""Probes endpoints as the exporter does, one probe at a time when a test says so, and reads what is exported."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, TypeVar

from prometheus_client.parser import text_string_to_metric_families

from ml_exporter import config
from ml_exporter.exposition import Exposition
from ml_exporter.http.resolver import Resolver
from ml_exporter.ports import Result
from ml_exporter.probed import Endpoint
from ml_exporter.prober import Prober

T = TypeVar("T")
NEVER = "1h"


class Probing:
    """A prober over `endpoints`, as the configuration has them. It probes when `probe` is called and at no other time,
    but for the very first probe of each endpoint, which `__enter__` makes if `first` is true."""

    def __init__(self, *endpoints: dict[str, Any], first: bool = False, **sections: Any) -> None:
        whole = [{"interval": NEVER, "timeout": "5s", **endpoint} for endpoint in endpoints]
        self.config = config.from_data({"endpoints": whole, **sections})
        self.results: dict[str, list[Result]] = {}
        self._first, self._later = first, 0.0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> Probing:
        self._thread.start()
        self.exposition, self.resolver = Exposition(), Resolver()
        self.prober = Prober(self.exposition, self.resolver, self.now, self._told)
        self.do(self._start())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.do(self.prober.close())
        self.resolver.shut_down()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _start(self) -> None:
        await self.prober.apply(self.config, self.prober.clients(self.config))
        for endpoint in self.prober.endpoints.values() if not self._first else ():
            for probed in endpoint.models.values():
                assert probed.task is not None
                probed.task.cancel()

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the prober's loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    def now(self) -> float:
        return time.time() + self._later

    def _told(self, endpoint: Endpoint, _served: object, result: Result) -> None:
        self.results.setdefault(endpoint.name, []).append(result)

    def probe(self, name: str | None = None, model: str | None = None) -> Result:
        """One probe of an endpoint (the only one by default) and a model of it."""
        endpoint = self.prober.endpoints[name or next(iter(self.prober.endpoints))]
        probed = endpoint.models[model if model is not None else next(iter(endpoint.models))]
        self.do(self.prober.probe_once(endpoint, probed))
        return self.results[endpoint.name][-1]

    def series(self) -> dict[str, float]:
        """Every exported series as `name value-of-label …` (the service left out) → value, once new counters count."""
        self._later += 60.0
        self.do(self.prober.publish())
        text = self.exposition.scrape(openmetrics=False, gzip=False)[0].decode()
        return {
            " ".join([s.name, *(v for k, v in s.labels.items() if k != "ml_service")]): s.value
            for family in text_string_to_metric_families(text)
            for s in family.samples
        }
