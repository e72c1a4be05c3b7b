"""/probe: from a request of Prometheus' multi-target kind to what the backend is asked."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Coroutine
from typing import Any, TypeVar

from aiohttp import web

from ml_exporter import schema
from ml_exporter.errors import ConfigError
from ml_exporter.web import negotiation
from ml_exporter.web.backend import ProbePage, ProbeRequest

T = TypeVar("T")

LOOKED_AFTER = 0.2
"""Seconds between looks at whether who asked is still there."""
_TIMEOUT = "X-Prometheus-Scrape-Timeout-Seconds"
_TEXTS = ("target", "protocol", "model", "version", "module")
_TRUTH = {"true": True, "1": True, "false": False, "0": False, "": False}


def asked(request: web.Request) -> ProbeRequest:
    """What a request asks for. Raises `ConfigError` that begins with the name of a parameter."""
    given: dict[str, str] = {}
    for name, value in request.query.items():
        if name in given:
            raise ConfigError(f"{name[:60]}: given twice")
        given[name] = value
    debug = given.pop("debug", "").lower()
    if debug not in _TRUTH:
        raise ConfigError("debug: allowed are true and false")
    for name in given:
        if name not in _TEXTS:
            raise ConfigError(f"{name[:60]}: unknown parameter{schema.nearest(name[:60], (*_TEXTS, 'debug'))}")
    content_type = negotiation.content_type(",".join(request.headers.getall("Accept", [])))
    return ProbeRequest(
        target=given.get("target", ""),
        protocol=given.get("protocol", ""),
        model=given.get("model", ""),
        version=given.get("version", ""),
        module=given.get("module", ""),
        debug=_TRUTH[debug],
        scrape_timeout=_seconds(request.headers.get(_TIMEOUT, "")),
        openmetrics=negotiation.is_openmetrics(content_type),
    )


def headers(request: web.Request, wanted: ProbeRequest, page: ProbePage) -> dict[str, str]:
    """Those of the answer."""
    if page.status == 200 and not wanted.debug:
        content_type = negotiation.content_type(",".join(request.headers.getall("Accept", [])))
    else:
        content_type = "text/plain; charset=utf-8"
    waiting = {"Retry-After": "1"} if page.status == 503 else {}
    return {"Content-Type": content_type, "Vary": "Accept", "Cache-Control": "no-store", **waiting}


async def while_connected(request: web.Request, work: Coroutine[Any, Any, T]) -> T:
    """The result of `work`, which is cancelled when who asked has gone. Raises `asyncio.CancelledError` then."""
    task = asyncio.create_task(work)
    try:
        while not task.done():
            await asyncio.wait((task,), timeout=LOOKED_AFTER)
            if request.transport is None or request.transport.is_closing():
                task.cancel()
    finally:
        task.cancel()
    return await task


def _seconds(text: str) -> float | None:
    """A time-out; None for nonsense."""
    try:
        seconds = float(text)
    except ValueError:
        return None
    return seconds if math.isfinite(seconds) and seconds > 0 else None
