"""How connections are made, and what is done with a server that says everything twice."""

from __future__ import annotations

import asyncio
import functools
import re
import ssl
from pathlib import Path

import aiohttp
from aiohttp.client_proto import ResponseHandler

from ml_exporter.errors import ConfigError

CONNECTIONS = 8
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d{1,15})(?=\r\n|$)", re.IGNORECASE)


def connector(unix_socket: str | None, context: ssl.SSLContext | bool) -> aiohttp.BaseConnector:
    """A connector to a socket of this machine, or to wherever a URL leads. Needs a running loop."""
    made: aiohttp.BaseConnector = (
        aiohttp.UnixConnector(unix_socket, limit=CONNECTIONS)
        if unix_socket
        else aiohttp.TCPConnector(limit=CONNECTIONS, ssl=context)
    )
    factory = functools.partial(_OneAnswer, loop=asyncio.get_running_loop())
    made._factory = factory  # type: ignore[assignment]  # aiohttp has no public place for it
    return made


def ssl_context(ca_file: str | None) -> ssl.SSLContext | bool:
    """What certificates are checked against; True: the system's authorities. Raises `ConfigError`."""
    if not ca_file:
        return True
    try:
        stat = Path(ca_file).stat()
        return _context(ca_file, (stat.st_mtime_ns, stat.st_size, stat.st_ino))
    except (OSError, ValueError) as error:
        raise ConfigError(f"ca_file {ca_file}: cannot be used: {error}") from error


@functools.lru_cache(maxsize=64)
def _context(ca_file: str, _stamp: tuple[int, int, int]) -> ssl.SSLContext:
    """Made once for all who name the file, for as long as it stays as it is: a large one takes a tenth of a second."""
    return ssl.create_default_context(cafile=ca_file)


class _OneAnswer(ResponseHandler):
    """slurmrestd 26.05 sends each refusal twice; what comes after an answer that closes the connection is nobody's."""

    def data_received(self, data: bytes) -> None:
        super().data_received(first_answer(data))


def first_answer(data: bytes) -> bytes:
    """The first of two answers that came as one, if it says that it is the last on its connection."""
    head, end, _ = data.partition(b"\r\n\r\n")
    if not end or not head.startswith(b"HTTP/1.") or b"\r\nconnection: close" not in head.lower():
        return data
    length = _LENGTH.search(head)
    return data[: len(head) + 4 + int(length[1])] if length else data
