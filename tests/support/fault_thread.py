"""A fault server on a loop of its own, for tests whose own thread is busy with what they test."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

from tests.support.fault_server import Behaviour, FaultServer


@contextmanager
def server_of(*script: Behaviour) -> Iterator[FaultServer]:
    """Running while the context lasts."""
    loop, server = asyncio.new_event_loop(), FaultServer(*script)
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    def do(work: Coroutine[Any, Any, object]) -> None:
        asyncio.run_coroutine_threadsafe(work, loop).result(10)

    do(server.__aenter__())
    try:
        yield server
    finally:
        do(server.__aexit__(None, None, None))
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
