"""Pages of runs, newest first: a listing that ends when it is whole, and goes on where it was cut."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ml_exporter.errors import Malformed
from ml_exporter.model import Json
from ml_exporter.reading import PageGuard, epoch
from ml_exporter.sources.dagster import api
from ml_exporter.sources.dagster.api import Server, Steps, expect
from ml_exporter.sources.dagster.shapes import RunRecord


@dataclass(frozen=True, slots=True)
class Position:
    """After the run `run`, which was created at `created` (seconds; None: unknown); `seen` of `total` were read."""

    run: str
    created: float | None
    seen: int
    total: int

    @property
    def progress(self) -> float:
        return min(1.0, self.seen / max(1, self.total))

    def to_json(self) -> Json:
        return [self.run, self.created, self.seen, self.total]

    @classmethod
    def from_json(cls, value: Json) -> Position | None:
        match value:
            case [str(run), float() | int() | None as created, int(seen), int(total)]:
                return cls(run, created, seen, total)
        return None


def page(
    server: Server, filter_: Mapping[str, Any], size: int, at: Position | None, guard: PageGuard
) -> Steps[tuple[list[RunRecord], Position | None]]:
    """The page at a position, and the next position; None at the end.

    A server may give fewer runs than were asked for, so the end is where all that it counted were seen, or an empty
    page. Raises `Malformed` for a listing that would not end.
    """
    if at is None:
        data = yield from api.runs(server, filter_, size)
        found, seen, total = data.runs.results or [], 0, data.runs.count
        if not found and total > 0:
            raise Malformed(f"runsOrError: {total} runs are counted, but none is listed")
    else:
        found = yield from _after(server, filter_, size, at)
        seen, total = at.seen, at.total
    seen += len(found)
    if not found or seen >= total:
        return found, None
    last = found[-1]
    guard.check(last.run_id, len(found))
    return found, Position(last.run_id, epoch(last.creation_time), seen, total)


def _after(server: Server, filter_: Mapping[str, Any], size: int, at: Position) -> Steps[list[RunRecord]]:
    data = yield from api.runs(server, filter_, size, at.run)
    if data.anchor is not None and data.anchor.typename == "Run":
        return data.runs.results or []
    if data.anchor is None:
        raise Malformed("runOrError: no answer")
    expect(data.anchor, "RunNotFoundError", "runOrError")
    # The run that the page should follow was deleted. Dagster then gives an empty page, which is not the end.
    if at.created is None:
        raise Malformed(f"the run {at.run[:60]!r} was deleted while runs were listed")
    data = yield from api.runs(server, {**filter_, "createdBefore": at.created + 0.001}, size)
    return data.runs.results or []
