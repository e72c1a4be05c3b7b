"""All kinds in one process: a scheduler that is slow or dead changes nothing for the others, and nothing for itself."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, fields
from pathlib import Path

import pytest
from tests.support.fault_server import FaultServer, drip, hang
from tests.support.recorded import Recorded, Watched, fixture

from ml_exporter import discovery
from ml_exporter.ports import Call, Reply

INTERVAL, TIMEOUT, WATCHED_FOR = 1.0, 1.2, 5.0
"""Seconds."""


@dataclass
class Counted:
    """A client that knows how many of its calls are under way at once."""

    watched: Watched
    busy: int = 0
    most: int = 0
    began: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.send, self.watched.client.send = self.watched.client.send, self.counting  # type: ignore[method-assign]

    async def counting(self, call: Call) -> Reply:
        self.busy += 1
        self.most = max(self.most, self.busy)
        self.began.append(time.monotonic())
        try:
            return await self.send(call)
        finally:
            self.busy -= 1


@pytest.fixture
def opened() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def watched(kind: str, url: str, folder: Path, opened: ExitStack, **settings: str) -> Counted:
    folder.mkdir()
    data = fixture(kind)
    watch = {"watch": "1s"} if "watch" in {field.name for field in fields(discovery.options_of(kind))} else {}
    options = {**data.get("options", {}), **watch, "interval": f"{INTERVAL:g}s", **settings}
    return Counted(opened.enter_context(Watched(kind, url, folder, data["now"], options)))


async def run_for(seconds: float, *sources: Counted) -> float:
    """Poll all of them as the exporter does; the longest that the loop kept anybody waiting, in seconds."""
    tasks = [asyncio.create_task(source.watched.poller.run()) for source in sources]
    longest, until = 0.0, time.monotonic() + seconds
    while time.monotonic() < until:
        before = time.monotonic()
        await asyncio.sleep(0.01)
        longest = max(longest, time.monotonic() - before)
    for task in tasks:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
    for source in sources:
        await source.watched.client.close()
    return longest


@pytest.mark.parametrize("behaviour", [hang, drip], ids=["hangs", "drips"])
def test_schedulers_that_never_end_an_answer_disturb_no_other_and_are_asked_once_at_a_time(
    behaviour: object, tmp_path: Path, opened: ExitStack
) -> None:
    async def test() -> None:
        good = []
        for kind in discovery.kinds():
            backend = opened.enter_context(Recorded(fixture(kind)["exchanges"]))
            good.append(watched(kind, backend.url, tmp_path / f"good-{kind}", opened))
        async with FaultServer(behaviour) as server:  # type: ignore[arg-type]
            bad = [
                watched(kind, server.url, tmp_path / f"bad-{kind}", opened, timeout=f"{TIMEOUT * 1000:.0f}ms")
                for kind in discovery.kinds()
            ]
            longest = await run_for(WATCHED_FOR, *good, *bad)
        for source in good:
            health = source.watched.poller.health
            assert health.polls.keys() == {("ok", "none")}, (source.watched.kind, health.last_error)
            assert health.polls[("ok", "none")] >= WATCHED_FOR / INTERVAL / 1.05 - 1.5, source.watched.kind
        for source in bad:
            health = source.watched.poller.health
            assert health.polls.keys() <= {("failed", "timeout")}, (source.watched.kind, health.last_error)
            assert source.most == 1, source.watched.kind
        assert longest < 1.0, "the loop, and so every scrape, was held up"

    asyncio.run(asyncio.wait_for(test(), 60))
