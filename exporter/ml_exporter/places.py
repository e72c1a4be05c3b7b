"""How many may begin at the same time, whatever those do that began earlier."""

from __future__ import annotations

import asyncio


class Places:
    """A limit on what begins: a place is taken back after `hold` seconds even from what hangs, and the rest goes on."""

    def __init__(self, count: int, hold: float) -> None:
        self._free, self._hold = asyncio.Semaphore(count), hold
        self._held: dict[object, float] = {}
        """Since when, by the loop's clock; the oldest first."""
        self._timer: asyncio.TimerHandle | None = None

    async def take(self) -> object:
        """Wait for a place; what is returned is to be given back."""
        self._mind_the_others()
        await self._free.acquire()
        place = object()
        self._held[place] = asyncio.get_running_loop().time()
        self._mind_the_others()
        return place

    def give_back(self, place: object) -> None:
        """Make room for the next one, if the place was not taken back already."""
        if self._held.pop(place, None) is not None:
            self._free.release()

    def _mind_the_others(self) -> None:
        """Only when somebody waits does it matter how long the others have been at it."""
        if self._timer is None and self._held and self._free.locked():
            oldest = next(iter(self._held.values()))
            self._timer = asyncio.get_running_loop().call_at(oldest + self._hold, self._take_back)

    def _take_back(self) -> None:
        now, self._timer = asyncio.get_running_loop().time(), None
        for place in [place for place, since in self._held.items() if since + self._hold <= now]:
            self.give_back(place)
        self._mind_the_others()
