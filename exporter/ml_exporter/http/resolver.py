"""Names → addresses for probes: in threads of its own, each name asked once at a time, answers kept for a while.

A name server that hangs holds a thread; the threads that decode and render are others. Enough names that hang hold all
of them: a name that was known goes on with what it led to.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from aiohttp.abc import AbstractResolver, ResolveResult

THREADS = 16
KEPT = 30.0
"""Seconds that an answer is used without asking again; a failure is not kept."""
PATIENCE = 0.2
"""Seconds that a new answer is waited for where there is an old one."""
OLDEST = 3600.0
"""Seconds after which an old answer is no better than none."""
LARGEST = 50_000

Lookup = Callable[[str, int, socket.AddressFamily], list[ResolveResult]]


class Resolver(AbstractResolver):
    """Shared by all probes of a process."""

    def __init__(self, lookup: Lookup | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._lookup = lookup or look_up
        self._clock = clock
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="resolver")
        self._known: dict[tuple[str, int, int], tuple[float, list[ResolveResult]]] = {}
        self._asked: dict[tuple[str, int, int], asyncio.Future[list[ResolveResult]]] = {}

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Addresses of a name. Raises `OSError` where there are none."""
        key = (host, port, int(family))
        kept = self._known.get(key)
        age = self._clock() - kept[0] if kept else OLDEST
        if kept and age < KEPT:
            return kept[1]
        asked = self._asked.get(key)
        if asked is None:
            asked = asyncio.get_running_loop().run_in_executor(self._threads, self._lookup, host, port, family)
            self._asked[key] = asked
            asked.add_done_callback(lambda future: self._answered(key, future))
        if kept and age < OLDEST:
            await asyncio.wait([asked], timeout=PATIENCE)
            if not asked.done():
                return kept[1]
        # Who asked first may give up; the others still want to know.
        return await asyncio.shield(asked)

    def _answered(self, key: tuple[str, int, int], future: asyncio.Future[list[ResolveResult]]) -> None:
        self._asked.pop(key, None)
        if len(self._known) > LARGEST:
            self._known.clear()
        if not future.cancelled() and future.exception() is None:
            self._known[key] = (self._clock(), future.result())

    async def close(self) -> None:
        """The process ends; a session that ends does not end what others share."""

    def shut_down(self) -> None:
        """Let go of the threads; one that hangs ends by itself."""
        self._threads.shutdown(wait=False, cancel_futures=True)


class Permitted(AbstractResolver):
    """Of what a name leads to, only the addresses that `permits` allows: asked when connecting, so no later answer of
    a name server can lead elsewhere."""

    def __init__(self, resolver: Resolver, permits: Callable[[str], bool]) -> None:
        self._resolver, self._permits = resolver, permits

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """As `Resolver.resolve`; raises `OSError` where none is permitted."""
        found = await self._resolver.resolve(host, port, family)
        allowed = [result for result in found if self._permits(result["host"])]
        if not allowed:
            raise OSError(None, f"{host} leads to {found[0]['host']}, which is not allowed")
        return allowed

    async def close(self) -> None:
        """Nothing of its own."""


def look_up(host: str, port: int, family: socket.AddressFamily) -> list[ResolveResult]:
    """What the system's resolver says; blocks."""
    infos: Sequence[tuple[socket.AddressFamily, int, int, str, tuple[object, ...]]]
    infos = socket.getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
    return [
        ResolveResult(
            hostname=host,
            host=str(address[0]),
            port=port,
            family=found,
            proto=proto,
            flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
        )
        for found, _, proto, _, address in infos
    ]
