"""Objects of the Kubernetes API that say when runs are due (CronJobs and their like), as a roster with schedules."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from ml_exporter.model import Batch, Pipeline, PipelineInfo, Sample
from ml_exporter.reading import Cadence
from ml_exporter.timetable import Timetable, UnreadableTimetable, robfig, union
from ml_exporter.watching.collection import Collection, Listing, Steps, watch

T = TypeVar("T")

READ_EVERY = 240.0
TELL_EVERY = 600.0
"""Seconds between whole rosters, which let pipelines go that only their runs told of."""
_WAIT = 1.0


@dataclass(frozen=True, slots=True)
class Entry:
    """What an object says."""

    uid: str
    pipeline: Pipeline
    created_at: float | None
    expressions: tuple[str, ...]
    zone: str
    paused: bool
    tags: tuple[str, ...] = ()


@dataclass
class Roster(Generic[T]):
    """Knows all of them; lost with the process, so that the next one begins with a listing."""

    scopes: Mapping[str, Collection[T]]
    limit: int
    read: Callable[[T], Entry | None]
    """None for an object of no interest."""
    forget_after: float
    _entries: dict[str, dict[str, Entry]] = field(default_factory=dict)
    """By scope and uid."""
    _versions: dict[str, str] = field(default_factory=dict)
    _unreadable: dict[str, int] = field(default_factory=dict)
    """Objects of the last listing that are not what the API promises."""
    _timetables: dict[tuple[str, str, float], Timetable | None] = field(default_factory=dict)
    _told: dict[str, PipelineInfo] = field(default_factory=dict)
    _reading: Cadence = field(default_factory=lambda: Cadence(READ_EVERY))
    _telling: Cadence = field(default_factory=lambda: Cadence(TELL_EVERY))

    def update(self, now: float) -> Steps[None]:
        """Tell what is new, or whose due times have passed."""
        if self._reading.due(now):
            for scope, collection in self.scopes.items():
                yield from self._read(scope, collection)
            self._reading.done(now)
        entries = {e.pipeline.name: e for listed in self._entries.values() for e in listed.values()}
        infos = {name: self._info(entry, now) for name, entry in entries.items()}
        if infos.keys() != self._told.keys() or self._telling.due(now):
            yield Batch({}, roster=tuple(infos.values()), idle_since=now - self.forget_after)
            self._telling.done(now)
        elif news := tuple(info for name, info in infos.items() if self._told[name] != info):
            yield Batch({}, pipelines=news)
        self._told = infos

    def gauges(self) -> list[Sample]:
        """How many timetables, and objects that should hold one, cannot be read here."""
        used = {
            (text, entry.zone, entry.created_at or 0.0)
            for listed in self._entries.values()
            for entry in listed.values()
            for text in entry.expressions
        }
        bad = sum(1 for key in used if key in self._timetables and self._timetables[key] is None)
        return [Sample("ml_scheduler_load_errors", ("timetables",), bad + sum(self._unreadable.values()))]

    def _read(self, scope: str, collection: Collection[T]) -> Steps[None]:
        version = self._versions.get(scope)
        changes = (yield from watch(collection, version, _WAIT)) if version else None
        # What cannot be read has no name to be followed by: only a listing tells how many there are.
        if changes is None or changes.unreadable or (changes.events and self._unreadable[scope]):
            listing, listed = Listing(collection, self.limit), dict[str, Entry]()
            while not listing.done:
                read = [self.read(item) for item in (yield from listing.page())]
                listed |= {entry.uid: entry for entry in read if entry is not None}
            self._entries[scope], self._versions[scope] = listed, listing.version
            self._unreadable[scope] = listing.unreadable
            return
        for item, deleted in changes.events:
            entry = self.read(item)
            if entry is not None:
                self._entries[scope].pop(entry.uid, None)
                if not deleted:
                    self._entries[scope][entry.uid] = entry
        self._versions[scope] = changes.version

    def _info(self, entry: Entry, now: float) -> PipelineInfo:
        tables = [self._timetable(text, entry.zone, entry.created_at or 0.0) for text in entry.expressions]
        schedule = union(table.at(now) for table in tables if table is not None)
        return PipelineInfo(entry.pipeline, entry.uid, entry.created_at, schedule, entry.paused, entry.tags)

    def _timetable(self, text: str, zone: str, anchor: float) -> Timetable | None:
        key = (text, zone, anchor)
        if key not in self._timetables:
            try:
                self._timetables[key] = robfig(text, zone, anchor)
            except UnreadableTimetable:
                self._timetables[key] = None
        return self._timetables[key]
