"""Places: no more begin at once than there are, and what hangs holds up nobody for long."""

from __future__ import annotations

import asyncio

from ml_exporter.places import Places


def test_no_more_begin_at_once_than_there_are_places() -> None:
    async def run() -> int:
        places, under_way, most = Places(3, 60.0), 0, 0

        async def work() -> None:
            nonlocal under_way, most
            place = await places.take()
            under_way += 1
            most = max(most, under_way)
            await asyncio.sleep(0)
            under_way -= 1
            places.give_back(place)

        await asyncio.gather(*(work() for _ in range(50)))
        return most

    assert asyncio.run(run()) == 3


def test_what_hangs_loses_its_place_when_somebody_waits() -> None:
    async def run() -> None:
        places = Places(2, 0.05)
        held = [await places.take() for _ in range(2)]
        # Three rounds, in which nobody gives anything back.
        held += await asyncio.wait_for(asyncio.gather(*(places.take() for _ in range(6))), 5)
        for place in held:
            places.give_back(place)
        # Two places, however often they were taken back and given back.
        await places.take()
        await places.take()
        waiting = asyncio.ensure_future(places.take())
        await asyncio.sleep(0)
        assert not waiting.done()
        await waiting

    asyncio.run(run())


def test_who_gives_up_waiting_takes_no_place() -> None:
    async def run() -> None:
        places = Places(1, 60.0)
        place = await places.take()
        waiting = asyncio.ensure_future(places.take())
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        places.give_back(place)
        await asyncio.wait_for(places.take(), 5)

    asyncio.run(run())


def test_the_turn_of_who_has_given_up_goes_to_the_next() -> None:
    async def run() -> None:
        places = Places(1, 60.0)
        place = await places.take()
        gone, gone_late, next_one = (asyncio.ensure_future(places.take()) for _ in range(3))
        await asyncio.sleep(0)
        gone.cancel()
        places.give_back(place)
        gone_late.cancel()  # its turn had come, and it had not yet heard of it
        await asyncio.wait_for(next_one, 5)
        assert gone_late.cancelled()

    asyncio.run(run())
