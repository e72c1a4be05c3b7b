"""Where requests come in: handed to the application of the moment, refused while there is none."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from ml_exporter.demo.faults import SLOW, WRONG, Faults

_Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[_Message]]
Send = Callable[[_Message], Awaitable[None]]
Application = Callable[[_Message, Receive, Send], Awaitable[None]]
"""As ASGI has it."""
_REFUSAL = b"no version of the model is loaded yet\n"
_IMPOSSIBLE = b'{"predictions": [100000.0]}'
_DELAY = 0.5
"""Seconds that a slow answer takes longer: over the demo's `latency_limit`, under its `timeout`."""


class Gate:
    """An ASGI application. `behind` may be replaced at any time: what was begun is ended by the one before."""

    def __init__(self, faults: Faults | None = None) -> None:
        self.behind: Application | None = None
        self._faults = faults or Faults(None)

    async def __call__(self, scope: _Message, receive: Receive, send: Send) -> None:
        behind = self.behind or _refuse
        if scope.get("path") == "/invocations" and self.behind:
            if self._faults.there(SLOW):
                await asyncio.sleep(_DELAY)
            if self._faults.there(WRONG):
                behind = _lie
        await behind(scope, receive, send)


async def _refuse(_scope: _Message, _receive: Receive, send: Send) -> None:
    """503, to /ping and /health as well: without a model nobody is ready."""
    await _answer(send, 503, b"text/plain", _REFUSAL)


async def _lie(_scope: _Message, _receive: Receive, send: Send) -> None:
    """200, in the right form, with what cannot be true."""
    await _answer(send, 200, b"application/json", _IMPOSSIBLE)


async def _answer(send: Send, status: int, kind: bytes, body: bytes) -> None:
    headers = [(b"content-type", kind), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
