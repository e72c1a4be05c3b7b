import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from ml_exporter.demo.serving.gate import Application, Gate


def answering(body: bytes, first: Callable[[], Awaitable[object]] | None = None) -> Application:
    """An application that answers 200, after it has waited for `first`."""

    async def application(_scope: Any, _receive: Any, send: Any) -> None:
        if first is not None:
            await first()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})

    return application


async def ask(gate: Gate, path: str = "/invocations") -> tuple[int, bytes]:
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    await gate({"type": "http", "method": "GET", "path": path, "headers": []}, receive, send)
    return sent[0]["status"], sent[1]["body"]


@pytest.mark.parametrize("path", ["/ping", "/health", "/version", "/invocations"])
def test_without_a_model_everything_is_refused(path: str) -> None:
    status, body = asyncio.run(ask(Gate(), path))
    assert status == 503
    assert b"no version" in body


def test_a_request_under_way_is_ended_by_the_model_that_began_it() -> None:
    async def scenario() -> list[tuple[int, bytes]]:
        gate, begun, go_on = Gate(), asyncio.Event(), asyncio.Event()

        async def held() -> None:
            begun.set()
            await go_on.wait()

        gate.behind = answering(b"old", held)
        slow = asyncio.create_task(ask(gate))
        await begun.wait()
        gate.behind = answering(b"new")
        next_one = await ask(gate)
        go_on.set()
        return [await slow, next_one]

    assert asyncio.run(scenario()) == [(200, b"old"), (200, b"new")]
