"""A prober in the test's own loop, which probes by itself as the exporter does."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from ml_exporter import config
from ml_exporter.exposition import Exposition
from ml_exporter.http.resolver import Resolver
from ml_exporter.ports import Result
from ml_exporter.probed import Endpoint
from ml_exporter.prober import Prober


class Running:
    """A prober in this loop, and all that it told."""

    def __init__(self, **data: Any) -> None:
        self.told: list[tuple[str, str, Result]] = []
        self.exposition, self.resolver = Exposition(), Resolver()
        self.later = 0.0
        self.prober = Prober(self.exposition, self.resolver, lambda: time.time() + self.later, self._tell)
        self._data = data

    def _tell(self, endpoint: Endpoint, served: Any, result: Result) -> None:
        self.told.append((endpoint.name, served.model, result))

    async def apply(self, **data: Any) -> None:
        loaded = config.from_data(data)
        await self.prober.apply(loaded, self.prober.clients(loaded))

    async def __aenter__(self) -> Running:
        await self.apply(**self._data)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.prober.close()
        self.resolver.shut_down()

    async def until(self, holds: Callable[[], object], within: float = 10.0) -> None:
        async with asyncio.timeout(within):
            while not holds():  # noqa: ASYNC110 — what it waits for has no event
                await asyncio.sleep(0.01)

    def outcomes(self, name: str) -> list[str]:
        return [str(result.outcome) for endpoint, _, result in self.told if endpoint == name]

    def page(self) -> str:
        return self.exposition.scrape(openmetrics=False, gzip=False)[0].decode()


def live(name: str, url: str, **keys: Any) -> dict[str, Any]:
    """An endpoint that is only asked whether it lives."""
    defaults = {"protocol": "open_inference", "model": "m", "checks": ["live"], "interval": "1s", "timeout": "1s"}
    return {"name": name, "url": url, **defaults, **keys}
