"""What sources of every kind need: names that are wanted, listings that end, times that can be true."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import Annotated, Any

from ml_exporter.errors import Malformed
from ml_exporter.schema import Duration

MAX_PAGES = 10_000
LATEST = 4_102_444_800.0
"""1 January 2100: a later time is a mistake or a mark for "never"."""
MAX_TAGS = 20


@dataclass(frozen=True, slots=True)
class SchedulerOptions:
    """Settings that every job scheduler has; times in seconds."""

    include: tuple[str, ...] = ("*",)
    """Names of pipelines to watch, with wildcards."""
    exclude: tuple[str, ...] = ()
    history: Annotated[float, Duration("0s", "366d")] = 14 * 86400.0
    """How far back to read when a source is new."""
    forget_after: Annotated[float, Duration("1h", "366d")] = 30 * 86400.0
    """A pipeline that only its runs tell of is gone when nothing was heard of it for so long."""

    @property
    def heartbeats_every(self) -> float:
        """Seconds between two readings of the scheduler's heartbeats, at most."""
        return 300.0

    def wants(self, name: str) -> bool:
        return chosen(name, self.include, self.exclude)


def chosen(name: str, include: Sequence[str], exclude: Sequence[str]) -> bool:
    """Whether a name is wanted: it matches one of `include` and none of `exclude`."""
    return any(fnmatchcase(name, p) for p in include) and not any(fnmatchcase(name, p) for p in exclude)


class PageGuard:
    """Ends every page loop: a page must bring something new and point somewhere new."""

    def __init__(self, what: str, token: str = "") -> None:
        self._what = what
        self._seen = {token}

    def check(self, token: str | None, items: int) -> str:
        """The token of the next page, "" after the last; `items` is how many this page held.

        Raises `Malformed` for a loop that would not end.
        """
        if not token:
            return ""
        if not items:
            raise Malformed(f"{self._what}: an empty page that announces another one")
        if token in self._seen:
            raise Malformed(f"{self._what}: the page token {token[:80]!r} came twice, so the listing has no end")
        if len(self._seen) >= MAX_PAGES:
            raise Malformed(f"{self._what}: more than {MAX_PAGES} pages")
        self._seen.add(token)
        return token


@dataclass(slots=True)
class Cadence:
    """A reading that is made now and then. Lost with the process: the next one begins with a reading."""

    every: float
    """Seconds."""
    done_at: float | None = None

    def due(self, now: float) -> bool:
        return self.done_at is None or not 0 <= now - self.done_at < self.every

    def done(self, now: float) -> None:
        """Note a reading that succeeded."""
        self.done_at = now


def epoch(value: Any, unit: float = 1.0) -> float | None:
    """A number of seconds (`unit` 0.001: milliseconds) since 1970 as an instant; None if it cannot be one."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    # A huge integer overflows a float: compare first.
    if not 0 < value < LATEST / unit or not math.isfinite(value):
        return None
    return float(value * unit)


def instant(text: str | None) -> float | None:
    """An ISO 8601 time as seconds since the epoch, UTC where it names no zone; None if it cannot be one."""
    if not text or len(text) > 64:
        return None
    try:
        parsed = datetime.fromisoformat(text)
        return epoch((parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp())
    except (ValueError, OverflowError):
        return None


def iso(seconds: float) -> str:
    """An instant as backends take it in a query: UTC, with microseconds and Z."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def in_order(*times: float | None) -> bool:
    """Whether the known ones of these instants do not run backwards."""
    known = [at for at in times if at is not None]
    return all(earlier <= later for earlier, later in itertools.pairwise(known))


def tags(*candidates: object) -> tuple[str, ...]:
    """Names that may be a service's, from whatever a backend holds: text only, few and short, each once."""
    words = dict.fromkeys(c for c in candidates if isinstance(c, str) and 0 < len(c) <= 63)
    return tuple(words)[:MAX_TAGS]
