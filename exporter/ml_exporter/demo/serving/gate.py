"""Where requests come in: handed to the application of the moment, refused while there is none."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

_Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[_Message]]
Send = Callable[[_Message], Awaitable[None]]
Application = Callable[[_Message, Receive, Send], Awaitable[None]]
"""As ASGI has it."""
_REFUSAL = b"no version of the model is loaded yet\n"


class Gate:
    """An ASGI application. `behind` may be replaced at any time: what was begun is ended by the one before."""

    def __init__(self) -> None:
        self.behind: Application | None = None

    async def __call__(self, scope: _Message, receive: Receive, send: Send) -> None:
        behind = self.behind or _refuse
        await behind(scope, receive, send)


async def _refuse(_scope: _Message, _receive: Receive, send: Send) -> None:
    """503, to /ping and /health as well: without a model nobody is ready."""
    headers = [(b"content-type", b"text/plain"), (b"content-length", str(len(_REFUSAL)).encode())]
    await send({"type": "http.response.start", "status": 503, "headers": headers})
    await send({"type": "http.response.body", "body": _REFUSAL})
