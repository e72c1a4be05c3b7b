"""A server that misbehaves to order: raw sockets, because no proper server can be made to do most of this."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any


@dataclass(frozen=True)
class Asked:
    """One request as it arrived; header names in lower case."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes
    connection: int


Behaviour = Callable[[asyncio.StreamWriter], Awaitable[None]]


class FaultServer:
    """Behaves as `script` says, one entry a request, the last one for ever. Use as an async context manager."""

    def __init__(self, *script: Behaviour, tls: ssl.SSLContext | None = None) -> None:
        self.script, self.tls = list(script), tls
        self.asked: list[Asked] = []
        self.port = 0
        self._connections: set[asyncio.Task[None]] = set()
        self._count = 0

    async def __aenter__(self) -> FaultServer:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port, ssl=self.tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.refuse()
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    def refuse(self) -> None:
        """Stop listening: new connections are refused."""
        self._server.close()

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        self._count += 1
        try:
            await self._converse(reader, writer, self._count)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the client gave up, or the test is over
        finally:
            self._connections.discard(task)
            writer.close()
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await writer.wait_closed()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, connection: int) -> None:
        while not writer.is_closing():
            self.asked.append(await _read_request(reader, connection))
            behave = self.script[min(len(self.asked), len(self.script)) - 1]
            await behave(writer)
            await writer.drain()


async def _read_request(reader: asyncio.StreamReader, connection: int) -> Asked:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    method, target, _ = head[0].split(" ")
    pairs = (line.partition(":") for line in head[1:] if line)
    headers = {name.lower(): value.strip() for name, _, value in pairs}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Asked(method, target, headers, body, connection)


def answer(status: int = 200, body: bytes = b"{}", **headers: str) -> Behaviour:
    """A proper answer; underscores in header names become hyphens."""
    named = {"Content-Type": "application/json", **{k.replace("_", "-"): v for k, v in headers.items()}}
    lines = "".join(f"{name}: {value}\r\n" for name, value in named.items())

    async def behave(writer: asyncio.StreamWriter) -> None:
        writer.write(f"HTTP/1.1 {status} Whatever\r\n{lines}Content-Length: {len(body)}\r\n\r\n".encode() + body)

    return behave


def answer_json(value: Any, status: int = 200, **headers: str) -> Behaviour:
    return answer(status, json.dumps(value).encode(), **headers)


def page(status: int = 200, html: bytes = b"<!doctype html><title>Please log in</title>") -> Behaviour:
    return answer(status, html, Content_Type="text/html; charset=utf-8")


def redirect(location: str, status: int = 302) -> Behaviour:
    return answer(status, b"", Location=location)


def gzip_bomb(unpacked: int = 50_000_000) -> Behaviour:
    return answer(200, gzip.compress(b" " * unpacked), Content_Encoding="gzip")


def raw(data: bytes) -> Behaviour:
    """These bytes, then the end of the connection."""

    async def behave(writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await writer.drain()
        writer.close()

    return behave


def cut_off(body: bytes = b'{"runs": [') -> Behaviour:
    """Promises more than it sends."""
    return raw(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n" + body)


def huge_headers() -> Behaviour:
    return raw(b"HTTP/1.1 200 OK\r\nX-Big: " + b"a" * 100_000 + b"\r\n\r\n{}")


async def hang(writer: asyncio.StreamWriter) -> None:
    """Never answers."""
    await asyncio.Event().wait()


async def hang_up(writer: asyncio.StreamWriter) -> None:
    """Closes the connection without a word."""
    writer.close()


async def drip(writer: asyncio.StreamWriter) -> None:
    """A byte now and then, for ever: every single wait is short."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000000\r\n\r\n")
    while True:
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.02)


async def endless(writer: asyncio.StreamWriter) -> None:
    """Chunk after chunk, for ever, as fast as they are taken."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        writer.write(b"1000\r\n" + b" " * 0x1000 + b"\r\n")
        await writer.drain()
