"""A pass over all runs of some experiments, page by page, that goes on where it was cut.

The first pass is the backfill; experiments that turn up later with a history get one of their own; the daily pass
goes over everything, so that what it does not meet is known to be gone.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

from ml_exporter.model import Cursor, Json, Scan
from ml_exporter.sources.mlflow.api import MAX_IDS, START, Part, Position
from ml_exporter.sources.mlflow.roster import Experiment, Key, pack, unpack
from ml_exporter.sources.mlflow.runs import seconds
from ml_exporter.sources.mlflow.shapes import RunPage

ORDER = "start_time"


@dataclass(frozen=True, slots=True)
class Pass:
    """Where a pass stands. Experiments up to `done` are finished, those up to `until` are being walked."""

    number: int
    started_at: float
    backfill: bool
    done: Key | None = None
    until: Key | None = None
    position: Position = START
    oldest: float | None = None
    """Start of the first run of the current part, for the progress."""

    def part(self, cohort: Collection[Experiment]) -> tuple[Pass, Part | None]:
        """The experiments that the next page is about; none: all are finished."""
        left = sorted((e for e in cohort if self.done is None or e.key > self.done), key=lambda e: e.key)
        if self.until is not None:
            left = [e for e in left if e.key <= self.until and e.workspace == self.until[0]]
            if not left:  # all of them were deleted meanwhile
                return replace(self, done=self.until, until=None, position=START).part(cohort)
        if not left:
            return self, None
        chunk = [e for e in left if e.workspace == left[0].workspace][:MAX_IDS]
        started = self if self.until else replace(self, until=chunk[-1].key, oldest=None)
        return started, Part(chunk[0].workspace, tuple(e.id for e in chunk))

    def after(self, page: RunPage) -> Pass:
        position = self.position.after(page, ORDER)
        if position is None:
            return replace(self, done=self.until, until=None, position=START, oldest=None)
        oldest = self.oldest
        if oldest is None:
            oldest = next((s for r in page.runs if (s := seconds(r.info.start_time)) is not None), None)
        return replace(self, position=position, oldest=oldest)

    def progress(self, cohort: Collection[Experiment]) -> float:
        """Share of the pass that is done, 0–1: of the experiments, and of the time range within a part."""
        if not cohort:
            return 1.0
        done = sum(1 for e in cohort if self.done is not None and e.key <= self.done)
        walking = sum(1 for e in cohort if self.until is not None and e.key <= self.until) - done
        at = seconds(self.position.at)
        share = 0.0
        if at is not None and self.oldest is not None and self.started_at > self.oldest:
            share = min(1.0, max(0.0, (at - self.oldest) / (self.started_at - self.oldest)))
        return (done + max(0, walking) * share) / len(cohort)

    def scan(self, cohort: Collection[Experiment], finished: bool) -> Scan:
        return Scan(self.number, self.started_at, frozenset(e.name for e in cohort), finished)

    def to_json(self) -> Json:
        document: dict[str, Any] = {"n": self.number, "at": self.started_at, "backfill": self.backfill}
        document |= {"done": _listed(self.done), "until": _listed(self.until)}
        document |= {"from": self.position.at, "token": self.position.token, "oldest": self.oldest}
        return cast(Json, {key: value for key, value in document.items() if value not in (None, "")})

    @classmethod
    def from_json(cls, document: Json) -> Pass | None:
        if not isinstance(document, Mapping):
            return None
        d = cast("Mapping[str, Any]", document)
        return cls(
            d["n"],
            d["at"],
            d["backfill"],
            _key(d.get("done")),
            _key(d.get("until")),
            Position(d.get("from"), d.get("token", "")),
            d.get("oldest"),
        )


def current_pass(
    cursor: Cursor, everything: Collection[str], now: float, interval: float
) -> tuple[dict[str, Json], Pass | None]:
    """The pass to go on with, if any, and the cursor's changes if it is a new one.

    A backfill goes before a daily pass, which then starts again. `everything`: the ids of all experiments;
    `interval`: seconds between daily passes, 0 for none.
    """
    current = Pass.from_json(cursor.get("scan"))
    last = cursor.get("pass")
    number = (last if isinstance(last, int) else 0) + 1
    todo = unpack(cursor.get("todo"))
    if number == 1 or (todo and (current is None or not current.backfill)):
        changes: dict[str, Json] = {"pass": number, "cohort": pack(todo), "todo": []}
        return changes, Pass(number, now, backfill=True)
    reconciled = cursor.get("reconciled")
    is_early = isinstance(reconciled, float | int) and now - reconciled < interval
    if current is not None or interval <= 0 or is_early:
        return {}, current
    return {"pass": number, "cohort": pack(everything)}, Pass(number, now, backfill=False)


def _listed(key: Key | None) -> list[Any] | None:
    return None if key is None else [key[0], key[2]]


def _key(listed: list[str] | None) -> Key | None:
    return None if listed is None else (listed[0], len(listed[1]), listed[1])
