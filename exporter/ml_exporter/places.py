"""How many may begin at the same time, whatever those do that began earlier."""

from __future__ import annotations

import asyncio
from collections import deque


class Places:
    """A limit on what begins: a place is taken back after `hold` seconds even from what hangs, and the rest goes on."""

    # Not asyncio's semaphore: whenever one of many that wait is cancelled it looks at all of them, so that to end
    # 20,000 takes half a minute.

    def __init__(self, count: int, hold: float) -> None:
        self._free, self._hold = count, hold
        self._waiting: deque[asyncio.Future[None]] = deque()
        """The first to come first. Those that gave up stay until it is their turn."""
        self._held: dict[object, float] = {}
        """Since when, by the loop's clock; the oldest first."""
        self._timer: asyncio.TimerHandle | None = None

    async def take(self) -> object:
        """Wait for a place; what is returned is to be given back."""
        self._mind_the_others()
        if self._free:
            self._free -= 1
        else:
            await self._turn()
        place = object()
        self._held[place] = asyncio.get_running_loop().time()
        self._mind_the_others()
        return place

    def give_back(self, place: object) -> None:
        """Make room for the next one, if the place was not taken back already."""
        if self._held.pop(place, None) is not None:
            self._pass_on()

    async def _turn(self) -> None:
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():  # it had come in the same moment
                self._pass_on()
            raise

    def _pass_on(self) -> None:
        """Give a free place to the first who still waits for one."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1

    def _mind_the_others(self) -> None:
        """Only when somebody waits does it matter how long the others have been at it."""
        if self._timer is None and self._held and not self._free:
            oldest = next(iter(self._held.values()))
            self._timer = asyncio.get_running_loop().call_at(oldest + self._hold, self._take_back)

    def _take_back(self) -> None:
        now, self._timer = asyncio.get_running_loop().time(), None
        for place in [place for place, since in self._held.items() if since + self._hold <= now]:
            self.give_back(place)
        self._mind_the_others()
