"""A walk over the runs that ended, from the newest back to the watermark: the only order that Prefect has for ends."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from ml_exporter.errors import Malformed
from ml_exporter.model import Json
from ml_exporter.reading import epoch, iso
from ml_exporter.sources.prefect.runs import moment
from ml_exporter.sources.prefect.shapes import FlowRun

TICK = 1e-6
"""Prefect's times are microseconds; `before_` and `after_` include their instant."""


@dataclass(frozen=True, slots=True)
class Walk:
    """Where a walk stands: it goes down from `top` to `low`, and has come to `at` (seconds; None: not begun).

    It goes on from the last end it saw; an offset counts only while a whole page shares one end.
    """

    low: float
    top: float | None = None
    at: float | None = None
    offset: int = 0

    def body(self) -> dict[str, Any]:
        ends = {"after_": iso(self.low)}
        if self.at is not None:
            ends["before_"] = iso(self.at + TICK)
        return {"flow_runs": {"end_time": ends}, "sort": "END_TIME_DESC"}

    def after(self, page: Sequence[FlowRun]) -> Walk:
        """The position after a full page. Raises `Malformed` if the walk would not get on."""
        ends = [end for run in page if (end := moment(run.end_time)) is not None]
        if not ends:
            raise Malformed("/flow_runs/filter: a page of runs without an end, though it was asked for by end")
        top, last = self.top or ends[0], ends[-1]
        bounds = ends if self.at is None else [self.at + TICK, *ends]
        for earlier, later in itertools.pairwise(bounds):
            if later > earlier:
                raise Malformed(
                    f"/flow_runs/filter: {iso(later)} after {iso(earlier)}, though the newest ends come first"
                )
        if self.at is None or last < self.at:
            return replace(self, top=top, at=last, offset=0)
        return replace(self, top=top, offset=self.offset + len(page))

    def progress(self) -> float:
        """Share of the time range that is done, 0–1."""
        if self.top is None or self.at is None or self.top <= self.low:
            return 0.0
        return min(1.0, max(0.0, (self.top - self.at) / (self.top - self.low)))

    def to_json(self) -> Json:
        return {"low": self.low, "top": self.top, "at": self.at, "offset": self.offset}

    @classmethod
    def from_json(cls, document: Json) -> Walk | None:
        if not isinstance(document, Mapping):
            return None
        d = cast("Mapping[str, Any]", document)
        low = epoch(d.get("low"))
        return None if low is None else cls(low, epoch(d.get("top")), epoch(d.get("at")), int(d.get("offset") or 0))
