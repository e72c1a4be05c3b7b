"""Listens: one socket for each address, whose TLS and users can change while it stays open."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import re
import socket
import ssl

from aiohttp import web, web_response

from ml_exporter.errors import ConfigError
from ml_exporter.web import toolkit
from ml_exporter.web.auth import Guard
from ml_exporter.web.toolkit import WebConfig

STOP_WITHIN = 5.0
"""Seconds that requests in progress get, at most, when the exporter stops."""
_GRACE = STOP_WITHIN / 2 - 0.5  # aiohttp takes it twice: to wait, then to cancel
_LISTEN = re.compile(r"(?:\[(?P<v6>[0-9a-fA-F:.]+)\]|(?P<host>[^\s:\[\]]*)):(?P<port>\d{1,5})")
_ADVICE = {
    errno.EADDRINUSE: "another program listens there; stop it or choose another port",
    errno.EADDRNOTAVAIL: "this machine has no such address; use one of its own, or none for all of them",
    errno.EACCES: "not allowed; ports below 1024 need special rights, choose a higher one",
}

_log = logging.getLogger(__name__)


class Runner:
    """A listening web surface."""

    def __init__(self, runner: web.AppRunner, sockets: list[socket.socket], guard: Guard, config: WebConfig) -> None:
        self._path = config.path
        self._runner = runner
        self._sockets = sockets
        self._guard = guard
        self._sites: list[web.SockSite] = []
        self.addresses = tuple(_shown(listening) for listening in sockets)
        """host:port of every socket, with the port that was really taken."""
        self.port: int = sockets[0].getsockname()[1]

    @property
    def address(self) -> str:
        """The first of the addresses."""
        return self.addresses[0]

    async def reload(self) -> None:
        """Read the web configuration and its certificates again. Raises `ConfigError`, and keeps what was."""
        if self._path is not None:
            await self.use(await asyncio.to_thread(toolkit.load, self._path))

    async def use(self, config: WebConfig) -> None:
        """Change TLS, users and headers: at once for new connections, users and headers for open ones too.

        Raises `ConfigError`, and keeps what was, when the TLS files cannot be used.
        """
        context = await asyncio.to_thread(toolkit.ssl_context, config)
        await self._listen(context)
        self._guard.use(config)
        self._path = config.path

    async def _listen(self, context: ssl.SSLContext | None) -> None:
        # Each site has a copy of the socket: the old ones go when the new ones are there, no connection is refused.
        old, self._sites = self._sites, []
        for listening in self._sockets:
            site = web.SockSite(self._runner, listening.dup(), ssl_context=context)
            await site.start()
            self._sites.append(site)
        for site in old:
            await site.stop()

    async def stop(self) -> None:
        """Stop listening, let requests in progress end, for at most `STOP_WITHIN` seconds."""
        for listening in self._sockets:
            listening.close()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._runner.cleanup(), STOP_WITHIN)


async def serve(app: web.Application, listen: str, web_config: WebConfig | None = None) -> Runner:
    """Serve `app` at `host:port`, `[v6]:port` or `:port` (all addresses; port 0: any free one).

    Raises `ConfigError` for an address that cannot be listened at, or TLS files that cannot be used.
    """
    config = web_config or WebConfig()
    host, port = parse_listen(listen)
    context = await asyncio.to_thread(toolkit.ssl_context, config)
    sockets = await _open(host, port, listen)
    guard = Guard(config)
    app.middlewares.insert(0, guard.middleware())
    app.on_response_prepare.append(guard.add_headers)
    # Without this, answers to requests that are not even HTTP would name the versions of Python and aiohttp.
    web_response.SERVER_SOFTWARE = "ml-exporter"  # type: ignore[attr-defined]
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=_GRACE)
    await runner.setup()
    result = Runner(runner, sockets, guard, config)
    await result._listen(context)
    _log.info("listening", extra={"addresses": ",".join(result.addresses), "tls": context is not None})
    return result


def parse_listen(listen: str) -> tuple[str | None, int]:
    """`[::1]:9840` → ("::1", 9840); no host means all addresses. Raises `ConfigError`."""
    match = _LISTEN.fullmatch(listen)
    if match is None or int(match["port"]) > 65535:
        raise ConfigError(f"server.listen: found '{listen}'; allowed is host:port, [IPv6]:port or :port, up to 65535")
    return match["v6"] or match["host"] or None, int(match["port"])


async def _open(host: str | None, port: int, listen: str) -> list[socket.socket]:
    if host is None and socket.has_dualstack_ipv6():
        return [_bind(socket.AF_INET6, ("::", port), listen, dual=True)]
    try:
        found = await asyncio.get_running_loop().getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except (OSError, UnicodeError) as error:
        raise ConfigError(f"server.listen: '{listen}': the host name cannot be resolved: {error}") from error
    sockets: list[socket.socket] = []
    for family, _, _, _, address in found:
        # Every address of the name, with one port: what was free for the first one.
        taken = sockets[0].getsockname()[1] if sockets else port
        try:
            sockets.append(_bind(family, (str(address[0]), taken), listen))
        except ConfigError as error:
            if not _is_absent(error) or (address == found[-1][4] and not sockets):
                for opened in sockets:
                    opened.close()
                raise
    return sockets


def _is_absent(error: ConfigError) -> bool:
    """localhost has an IPv6 address in /etc/hosts even where the machine has none."""
    return isinstance(error.__cause__, OSError) and error.__cause__.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)


def _bind(family: int, address: tuple[str, int], listen: str, *, dual: bool = False) -> socket.socket:
    try:
        return socket.create_server(address, family=family, backlog=128, dualstack_ipv6=dual)
    except OSError as error:
        why = _ADVICE.get(error.errno or 0) or error.strerror
        raise ConfigError(f"server.listen: cannot listen at '{listen}': {why}") from error


def _shown(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
