"""An exporter of spans that runs, and the collector that it posts to."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import Any

from tests.support.fault_server import Behaviour, FaultServer, answer_json
from tests.support.http_backend import NOW, run
from tests.support.otlp_schema import parsed

from ml_exporter.endpoint_settings import Tracing
from ml_exporter.http.otlp import Span, SpanExporter

TAKEN = answer_json({"partialSuccess": {}})
SPAN = Span("ab" * 16, "cd" * 8, "probe fraud", NOW, NOW + 0.25, {"ml.model": "fraud"}, None)
BAD = replace(SPAN, error="answers, but wrong")
MANY = [replace(SPAN, trace_id=f"{n * 0x9E3779B97F4A7C15 % 2**128:032x}") for n in range(1, 1001)]


@asynccontextmanager
async def exporting(
    *script: Behaviour, tls: ssl.SSLContext | None = None, **settings: Any
) -> AsyncIterator[tuple[SpanExporter, FaultServer, list[float]]]:
    """An exporter that runs, its collector, and the pauses before its repetitions, which are noted and not slept."""
    async with FaultServer(*script, tls=tls) as collector:
        pauses: list[float] = []

        async def note(seconds: float) -> None:
            pauses.append(seconds)

        tracing = Tracing(**{"otlp_url": collector.url, **settings})
        exporter = SpanExporter(tracing, sleep=note, rng=lambda: 0.5, clock=lambda: NOW)
        task = asyncio.create_task(exporter.run())
        try:
            yield exporter, collector, pauses
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


async def until(condition: Callable[[], object]) -> None:
    while not condition():  # noqa: ASYNC110 — it looks at what no event tells of
        await asyncio.sleep(0.005)


def after(spans: list[Span], *script: Behaviour, **settings: Any) -> tuple[SpanExporter, FaultServer, list[float]]:
    """How things stand once the spans are exported or dropped."""

    async def test() -> tuple[SpanExporter, FaultServer, list[float]]:
        async with exporting(*script, **settings) as (exporter, collector, pauses):
            for span in spans:
                exporter.offer(span)
            await until(lambda: not exporter._queue)
        return exporter, collector, pauses

    return run(test())


def spans_of(collector: FaultServer) -> list[Any]:
    return [s for a in collector.asked for s in parsed(a.body).scope_spans[0].spans]
