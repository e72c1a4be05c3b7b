"""What changed since a watermark, page by page, over as many polls as it takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from ml_exporter.model import Json
from ml_exporter.ports import Call
from ml_exporter.sources.airflow.api import Api, Steps, refused
from ml_exporter.sources.airflow.walk import Position, Walk

PAGES_A_POLL = 20
"""A longer catch-up goes on in the next poll, half a second later."""

TimeOf = Callable[[Any], "float | None"]
CallFor = Callable[[float, Position], Call]
"""Makes the request for what changed since an instant, from a position on."""


def read_page(api: Api, what: str, call: Call) -> Steps[tuple[list[Any], int, Mapping[str, str]]]:
    """Items of a page, how many there are in all, and the headers. Raises `Rejected` where it is not understood."""
    reply = yield call
    if reply.status != 200:
        yield from refused(api, what, reply)
    return reply.value.items, reply.value.total_entries, reply.headers


class Feed:
    """The walk that moves a watermark of the cursor (`mark`)."""

    def __init__(self, api: Api, mark: str, call: CallFor, time_of: TimeOf, walk: Walk, now: float) -> None:
        self.api, self.mark, self.now = api, mark, now
        self.call, self.time_of, self.walk = call, time_of, walk
        self.pages = 0
        self.finished = False

    @property
    def progress(self) -> float:
        return 1.0 if self.finished else self.walk.progress

    def next(self) -> Steps[list[Any] | None]:
        """The items of the next page; None after the last, or after as many as one poll may read."""
        if self.finished or self.pages >= PAGES_A_POLL:
            return None
        place = self.walk.position
        items, total, headers = yield from read_page(self.api, self.mark, self.call(self.walk.since, place))
        times = [self.time_of(item) for item in items]
        walk = self.walk.started(self.now, headers, times)
        onward = place.after(self.mark, times, total)
        self.pages += 1
        self.finished = onward is None
        self.walk = walk if onward is None else replace(walk, position=onward)
        return items

    def cursor(self) -> dict[str, Json]:
        """What is to be remembered once the page is committed."""
        if not self.finished:
            return {f"{self.mark}_walk": self.walk.to_json()}
        return {self.mark: self.walk.began, f"{self.mark}_walk": None}
