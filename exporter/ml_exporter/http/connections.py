"""Connections of probes: kept for a while or fresh for each, and what they tell of the server's certificate."""

from __future__ import annotations

import asyncio
import functools
import resource
import time
from collections.abc import Callable
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass

import aiohttp
from aiohttp.abc import AbstractResolver
from aiohttp.client_proto import ResponseHandler

from ml_exporter.http import answers
from ml_exporter.http.client import HttpSettings
from ml_exporter.http.connector import ssl_context

OLDEST = 600.0
"""Seconds after which kept connections are replaced: names move, certificates are renewed."""
IDLE = 55.0
"""Seconds that a connection is kept without use. Balancers drop what is idle for 60 s or longer, some without telling
either side; it is more than the usual interval, 30 s. Probes at longer intervals open a connection each."""
_TIMEOUT = aiohttp.ClientTimeout(total=None)


def raise_file_limit() -> None:
    """Take as many file descriptors as the system gives: each endpoint may keep a connection."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


class Own:
    """What one exchange did about its connection."""

    opened = False
    """Whether it opened one; else it was given one that had been kept."""


_own: ContextVar[Own | None] = ContextVar("own", default=None)


def watch() -> Own:
    """What the next exchange of this task does about its connection."""
    # A connection is made in a copy of its task's context. aiohttp's traces would tell the same, at a higher price.
    own = Own()
    _own.set(own)
    return own


class Connections:
    """The connections to one endpoint."""

    def __init__(self, settings: HttpSettings, resolver: AbstractResolver, *, fresh: bool) -> None:
        """Raises `ConfigError` for a CA file that cannot be used."""
        self._unix_socket, self._resolver, self._fresh = settings.unix_socket, resolver, fresh
        self._ssl = ssl_context(settings.ca_file)
        self._shared: Session | None = None
        self._retired: Session | None = None
        self._idle: list[Session] = []
        """Without connections; making a session costs nearly as much as a connection."""
        self._since = 0.0
        self.not_after: float | None = None

    async def take(self, *, alone: bool = False) -> Session:
        """For one probe: without connections yet where they are to be fresh or it is to be `alone`, else the one that
        all share."""
        if not (self._fresh or alone):
            return await self._current()
        return self._idle.pop() if self._idle else self._open(alone=True)

    def give_back(self, session: Session) -> None:
        """The probe has ended; its connections are closed if they were for it alone."""
        if session.alone:
            session.hang_up()
            self._idle.append(session)

    def abort(self) -> None:
        """Drop what is open, without TLS's farewell: a server that hangs would make it wait."""
        for session in self._sessions():
            session.abort()

    async def close(self) -> None:
        """Close what is open; the object may be used again."""
        sessions = self._sessions()
        self._shared, self._retired, self._idle = None, None, []
        for session in sessions:
            await session.http.close()

    def _sessions(self) -> list[Session]:
        return [session for session in (self._shared, self._retired, *self._idle) if session is not None]

    async def _current(self) -> Session:
        if time.monotonic() - self._since > OLDEST:
            # Probes of other models may still be using the one: it hangs up when its turn comes again.
            self._shared, self._retired, self._since = self._retired, self._shared, time.monotonic()
            if self._shared is not None:
                self._shared.hang_up()
        if self._shared is None:
            self._shared = self._open(alone=False)
        return self._shared

    def _open(self, *, alone: bool) -> Session:
        connector, opened = self._connector(), list[ResponseHandler]()
        factory = functools.partial(_Telling, self._connected, opened, asyncio.get_running_loop())
        connector._factory = factory  # type: ignore[assignment]  # aiohttp has no public place for it
        http = aiohttp.ClientSession(
            connector=connector, timeout=_TIMEOUT, auto_decompress=False, cookie_jar=aiohttp.DummyCookieJar()
        )
        # It would ask a server that hangs up a second time, on a new connection too.
        http._retry_connection = False
        return Session(http, opened, alone)

    def _connector(self) -> aiohttp.BaseConnector:
        # No limit here: the prober has one, and a model that hangs must not hold up the others of its server.
        made: aiohttp.BaseConnector
        if self._unix_socket:
            made = aiohttp.UnixConnector(self._unix_socket, limit=0, keepalive_timeout=IDLE)
        else:
            made = aiohttp.TCPConnector(
                limit=0, keepalive_timeout=IDLE, ssl=self._ssl, resolver=self._resolver, use_dns_cache=False
            )
        return made

    def _connected(self, transport: asyncio.BaseTransport) -> None:
        certificate = transport.get_extra_info("peercert")
        if certificate:
            self.not_after = answers.not_after(certificate)


@dataclass(frozen=True, slots=True)
class Session:
    """An HTTP session, and the connections that it opened."""

    http: aiohttp.ClientSession
    opened: list[ResponseHandler]
    """Its connections since it last hung up."""
    alone: bool
    """Whether it is for one probe at a time."""

    def hang_up(self) -> None:
        """Close its connections; it may open new ones."""
        for connection in self.opened:
            connection.close()
        self.opened.clear()

    def abort(self) -> None:
        """Drop its connections, whatever state they are in; it may open new ones."""
        for connection in self.opened:
            if connection.transport is not None:
                connection.transport.abort()
        self.hang_up()


class _Telling(ResponseHandler):
    """Tells of each new connection."""

    def __init__(
        self,
        connected: Callable[[asyncio.BaseTransport], None],
        opened: list[ResponseHandler],
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        super().__init__(loop)
        self._tell, self._opened = connected, opened

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._opened.append(self)
        if own := _own.get():
            own.opened = True
        self._tell(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        super().connection_lost(exc)
        if self in self._opened:
            self._opened.remove(self)
