"""A fault server with a client for it, and the two ways a call can end."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any, TypeVar

import msgspec
import pytest
from tests.support.fault_server import Behaviour, FaultServer, answer_json

from ml_exporter.errors import SourceError
from ml_exporter.http import Client, HttpSettings
from ml_exporter.ports import Call, Reply

T = TypeVar("T")
NOW = 1_700_000_000.0


class Run(msgspec.Struct):
    name: str
    value: float = 0.0


CALL = Call("GET", "/api/runs", reply=Run)
GOOD = answer_json({"name": "nightly", "value": 1.5})


def run(test: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(asyncio.wait_for(test, 15))


class Backend:
    """A fault server with a client for it; pauses are noted, not slept."""

    def __init__(self, *script: Behaviour, tls: ssl.SSLContext | None = None, **settings: Any) -> None:
        self.server = FaultServer(*script, tls=tls)
        self.settings = HttpSettings(**{"url": "", "timeout": 5.0, **settings})
        self.pauses: list[float] = []

    async def __aenter__(self) -> Backend:
        await self.server.__aenter__()

        async def note(seconds: float) -> None:
            self.pauses.append(seconds)

        settings = replace(self.settings, url=self.settings.url or self.server.url)
        self.client = Client(settings, sleep=note, rng=lambda: 0.5, clock=lambda: NOW)
        return self

    async def __aexit__(self, *error: Any) -> None:
        await self.client.close()
        await self.server.__aexit__(None, None, None)


def reply_of(*script: Behaviour, call: Call = CALL, **settings: Any) -> tuple[Reply, Backend]:
    async def test() -> tuple[Reply, Backend]:
        async with Backend(*script, **settings) as backend:
            return await backend.client.send(call), backend

    return run(test())


def error_of(*script: Behaviour, call: Call = CALL, **settings: Any) -> tuple[SourceError, Backend]:
    async def test() -> tuple[SourceError, Backend]:
        async with Backend(*script, **settings) as backend:
            with pytest.raises(SourceError) as caught:
                await backend.client.send(call)
            return caught.value, backend

    return run(test())
