"""How many may begin at the same time, whatever those do that began earlier."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Places:
    """A limit on what begins: a place is given back after `hold` seconds even by what hangs, and the rest goes on."""

    def __init__(self, count: int, hold: float) -> None:
        self._free, self._hold = asyncio.Semaphore(count), hold

    async def take(self) -> Callable[[], None]:
        """Wait for a place; what is returned gives it back, if it was not given back already."""
        await self._free.acquire()
        held = [self._free]

        def give_back() -> None:
            timer.cancel()
            while held:
                held.pop().release()

        timer = asyncio.get_running_loop().call_later(self._hold, give_back)
        return give_back
