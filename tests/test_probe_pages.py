"""How what probes showed comes to the page: in portions, so that probes go on meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from tests.support.running_prober import Running, live

from ml_exporter import probe_pages
from ml_exporter.exposition import Exposition
from ml_exporter.lines import Group
from ml_exporter.probe_pages import Pages

MANY = 20


class Heard(Exposition):
    """Tells of each page that is changed, and when what was changed is shown."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        super().__init__()
        self._tell = tell

    def update(self, page: str, changed: Mapping[str, Group | None], limit: int | None = None) -> Any:
        self._tell(page)
        return super().update(page, changed, limit)

    def publish(self) -> None:
        super().publish()
        self._tell("shown")


def running() -> Running:
    return Running(endpoints=[live(f"e{n}", "http://127.0.0.1:9", interval="1h") for n in range(MANY)])


def marked(prober: Any, tell: Callable[[str], None]) -> Pages:
    pages = Pages(Heard(tell), prober.endpoints, lambda: ())
    for name in prober.endpoints:
        pages.mark(name, "m")
    return pages


def rendered_when(then: Callable[[Pages], None]) -> list[str]:
    """What is rendered by publishing once, if that happens whenever something was."""
    rendered: list[str] = []

    async def run() -> None:
        async with running() as prober:

            def tell(what: str) -> None:
                rendered.append(what)
                then(pages)

            pages = marked(prober.prober, tell)
            await pages.publish(lambda: 0.0)

    asyncio.run(run())
    return rendered


def test_what_is_being_rendered_when_the_exporter_ends_is_left_half_done() -> None:
    assert len(rendered_when(Pages.abandon)) == 1


def test_the_page_of_many_endpoints_is_rendered_in_portions_and_shown_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe_pages, "PORTION", 3)
    rendered: list[tuple[str, int]] = []
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async def run() -> None:
        async with running() as prober:
            counting = asyncio.ensure_future(count())
            await marked(prober.prober, lambda what: rendered.append((what, turns))).publish(lambda: 0.0)
            counting.cancel()

    asyncio.run(run())
    pages = [what for what, _ in rendered]
    assert sorted(pages[:-2]) == sorted(f"endpoint e{n}" for n in range(MANY))
    assert pages[-2:] == ["prober", "shown"]
    assert len({turn for _, turn in rendered}) > MANY / 3, "others had their turn between the portions"


def test_what_is_marked_meanwhile_waits_for_the_next_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe_pages, "PORTION", 1)
    rendered = rendered_when(lambda pages: pages.mark("e0", "m"))
    assert rendered.count("shown") == 1
    assert len(rendered) == MANY + 2


def test_what_was_rendered_and_could_not_be_shown_is_shown_the_next_time() -> None:
    told: list[str] = []

    def tell(what: str) -> None:
        told.append(what)
        if told.count("prober") == 1 and what == "prober":
            raise RuntimeError("it cannot be joined")

    async def run() -> None:
        async with running() as prober:
            pages = marked(prober.prober, tell)
            with pytest.raises(RuntimeError, match="cannot be joined"):
                await pages.publish(lambda: 0.0)
            for _ in ("again", "with nothing new"):
                await pages.publish(lambda: 0.0)

    asyncio.run(run())
    assert told[MANY:] == ["prober", "prober", "shown"]
