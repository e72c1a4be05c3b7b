"""A web surface over a backend that says what a test tells it to, on a real socket."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
from collections.abc import AsyncIterator, Coroutine
from dataclasses import dataclass, field
from typing import Any, TypeVar

import aiohttp

from ml_exporter.web.app import application
from ml_exporter.web.backend import EndpointViews, ProbePage, ProbeRequest, SourceView
from ml_exporter.web.server import Runner, serve
from ml_exporter.web.toolkit import WebConfig

T = TypeVar("T")
NOW = 1_700_000_000.0


def run(test: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(asyncio.wait_for(test, 15))


@dataclass
class CannedBackend:
    """Answers from its fields."""

    config_hash: str = "abc123"
    version: str = "1.2.3"
    is_ready: tuple[bool, str] = (True, "ready")
    views: list[SourceView] = field(default_factory=list)
    reload_error: str | None = None
    reloads: int = 0
    failed_urls: dict[tuple[str, str], str] = field(default_factory=dict)
    pipeline_urls: dict[tuple[str, str], str] = field(default_factory=dict)
    source_urls: dict[str, str] = field(default_factory=dict)
    broken: bool = False
    endpoint_views: EndpointViews = field(default_factory=EndpointViews)
    probe_page: ProbePage = field(default_factory=lambda: ProbePage(b"up 1\n"))
    probes: list[ProbeRequest] = field(default_factory=list)
    hangs: bool = False
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when a probe that hung was cancelled."""

    async def metrics(self, openmetrics: bool, gzip: bool) -> tuple[bytes, ...]:
        if self.broken:
            raise RuntimeError("a bug with a secret in it")
        body = b"# EOF\n" if openmetrics else b"up 1\n"
        packed = _gzip(body) if gzip else body
        return packed[:3], packed[3:]

    def ready(self) -> tuple[bool, str]:
        return self.is_ready

    async def reload(self) -> str | None:
        self.reloads += 1
        return self.reload_error

    def sources(self) -> list[SourceView]:
        return self.views

    def debug(self, name: str) -> dict[str, Any] | None:
        return {"calls": [name]} if any(view.name == name for view in self.views) else None

    def endpoints(self) -> EndpointViews:
        return self.endpoint_views

    def debug_endpoint(self, name: str) -> dict[str, Any] | None:
        return {"models": [name]} if any(view.name == name for view in self.endpoint_views.shown) else None

    async def probe(self, request: ProbeRequest) -> ProbePage:
        self.probes.append(request)
        try:
            await asyncio.sleep(3600 if self.hangs else 0)
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        return self.probe_page

    def last_failed_url(self, source: str, pipeline: str) -> str | None:
        return self.failed_urls.get((source, pipeline))

    def pipeline_url(self, source: str, pipeline: str) -> str | None:
        return self.pipeline_urls.get((source, pipeline))

    def source_url(self, source: str) -> str | None:
        return self.source_urls.get(source)


def _gzip(body: bytes) -> bytes:
    return gzip.compress(body)


@contextlib.asynccontextmanager
async def serving(
    backend: CannedBackend | None = None, config: WebConfig | None = None
) -> AsyncIterator[tuple[Runner, aiohttp.ClientSession]]:
    """A listening web surface and a session that asks it, unpacking nothing and following nothing."""
    runner = await serve(application(backend or CannedBackend(), lambda: NOW), "127.0.0.1:0", config)
    scheme = "https" if config and config.tls else "http"
    try:
        async with aiohttp.ClientSession(f"{scheme}://{runner.address}", auto_decompress=False) as session:
            yield runner, session
    finally:
        await runner.stop()
