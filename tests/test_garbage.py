"""When garbage in cycles is looked for: by its cost, and never in a way that keeps it."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator

import pytest

from ml_exporter import garbage


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    threshold = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*threshold)
    gc.enable()


class Pace:
    """A clock that moves by the pauses, and by what each look is to take; after the last one all ends."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *take: float) -> None:
        self.now, self.pauses, self.kept, self._take = 0.0, list[float](), list[bool](), list(take)
        monkeypatch.setattr("ml_exporter.garbage.time.monotonic", lambda: self.now)
        monkeypatch.setattr("ml_exporter.garbage.asyncio.sleep", self._sleep)
        monkeypatch.setattr("ml_exporter.garbage.gc.collect", self._collect)

    async def _sleep(self, pause: float) -> None:
        self.pauses.append(pause)
        self.kept.append(gc.get_freeze_count() > 0)
        gc.unfreeze()
        if not self._take:
            raise asyncio.CancelledError
        self.now += pause

    def _collect(self) -> None:
        self.now += self._take.pop(0)

    def run(self, *, anew: bool = False) -> None:
        coroutine = garbage.collect_for_ever(anew=anew)
        with pytest.raises(asyncio.CancelledError):
            coroutine.send(None)


def test_a_look_at_everything_takes_a_small_share_of_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    pace = Pace(monkeypatch, 0.001, 1.5, 1.5, 0.3)
    pace.run()
    assert pace.pauses == pytest.approx([10, 10, 1.5 / 0.015, 1.5 / 0.015, 0.3 / 0.015])
    later = Pace(monkeypatch, *[0.001] * 40, 1.5, 0.001)
    later.run()
    assert later.pauses[-2:] == pytest.approx([1.5 / 0.003, 10])


def test_what_a_long_look_found_in_use_is_left_out_while_the_exporter_still_grows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pace = Pace(monkeypatch, 0.1, 0.5, 0.1)
    pace.run()
    assert pace.kept == [True, False, True, False], "from the start on, and after the long one"
    grown = Pace(monkeypatch, *[0.1] * 40, 0.5)
    grown.run()
    assert grown.kept == [True] + [False] * 41


def test_after_a_reload_everything_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    gc.freeze()
    pace = Pace(monkeypatch, 0.1)
    pace.run(anew=True)
    assert pace.kept == [False, False]


def test_python_itself_looks_at_what_is_young_only() -> None:
    async def begun() -> None:
        task = asyncio.ensure_future(garbage.collect_for_ever())
        await asyncio.sleep(0)
        task.cancel()

    before = gc.get_threshold()
    asyncio.run(begun())
    assert gc.isenabled()
    assert gc.get_threshold()[:2] == before[:2]
    assert gc.get_threshold()[2] > 10**9
    garbage.leave()
    assert not gc.isenabled()
