"""A walk over a listing in order of a time that its items carry, so that no page lies behind a deep offset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from itertools import pairwise
from typing import cast

from ml_exporter.errors import Malformed
from ml_exporter.model import Json
from ml_exporter.reading import iso

MICROSECOND = 1e-6

Params = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Position:
    """The next page: items whose time is `at` (seconds; None: from the start) or later.

    A page whose items all have one time says nothing of where the next one begins: they are then read by themselves
    (`tied`), in order of their ids and with an offset, which is never larger than their number.
    """

    at: float | None = None
    tied: bool = False
    offset: int = 0
    glance: bool = False
    """A first page in no order of times, which is enough when little has changed: to walk by a time, a database
    may have to go through all runs that there ever were (500,000: 1.2 s in SQLite, and 0.8 s without)."""

    def params(self, key: str) -> Params:
        if self.glance:
            return (("order_by", "id"),)
        if self.at is None:
            return (("order_by", key),)
        since = (f"{key}_gte", iso(self.at))
        if not self.tied:
            return (("order_by", key), since)
        return (("order_by", "id"), since, (f"{key}_lte", iso(self.at)), ("offset", str(self.offset)))

    def after(self, what: str, times: Sequence[float | None], total: int) -> Position | None:
        """Where to go on after a page of items with these `times`, out of `total`; None: that was all.

        Raises `Malformed` for a page that is missing, and for an order that would make the walk turn in circles.
        """
        count = len(times)
        if self.offset + count >= total:
            return Position((self.at or 0.0) + MICROSECOND) if self.tied else None
        if not count:
            raise Malformed(f"{what}: an empty page, though {total} items are announced")
        if self.glance:
            return Position()
        if self.tied:
            return replace(self, offset=self.offset + count)
        known = [at for at in times if at is not None]
        if not known:
            raise Malformed(f"{what}: a page of {count} items, none of which has the time they are ordered by")
        if any(a > b for a, b in pairwise(known)) or known[0] < (self.at or 0.0) - MICROSECOND / 2:
            raise Malformed(f"{what}: not in the order that was asked for, from {iso(self.at or 0.0)} on")
        return Position(known[-1], tied=known[0] == known[-1])


@dataclass(frozen=True, slots=True)
class Walk:
    """A walk over what changed since an instant, which may take several polls. Times in seconds."""

    since: float
    began: float | None = None
    """By the server's clock, when the first page was read: what changes later is for the next walk."""
    first: float | None = None
    """The earliest time on the first page, for the progress."""
    position: Position = Position()

    def started(self, now: float, headers: Mapping[str, str], times: Sequence[float | None]) -> Walk:
        """The walk once its first page is there."""
        if self.began is not None:
            return self
        # Our own clock may be ahead; what is written meanwhile with the server's would lie before the watermark.
        began = min(now, server_time(headers) or now)
        return replace(self, began=began, first=min((at for at in times if at is not None), default=None))

    @property
    def progress(self) -> float:
        """Share of the time range that is done, 0–1."""
        at, first, began = self.position.at, self.first, self.began
        if at is None or first is None or began is None or began <= first:
            return 0.0
        return min(1.0, max(0.0, (at - first) / (began - first)))

    def to_json(self) -> Json:
        place = self.position
        return [self.since, self.began, self.first, place.at, place.tied, place.offset]

    @staticmethod
    def from_json(stored: Json) -> Walk | None:
        if not isinstance(stored, list) or len(stored) != 6:
            return None
        since, began, first, at, tied, offset = stored
        place = Position(cast("float | None", at), bool(tied), cast("int", offset))
        return Walk(cast("float", since), cast("float | None", began), cast("float | None", first), place)


def server_time(headers: Mapping[str, str]) -> float | None:
    """The server's clock as its reply tells it."""
    try:
        return parsedate_to_datetime(headers.get("Date") or headers.get("date") or "").timestamp()
    except (ValueError, TypeError, OverflowError):
        return None
