"""Samples → bytes. What a scrape gets is joined and compressed beforehand, so a scrape costs a copy.

A group (a pipeline, a model, a source's own series) is rendered when it changes; a page joins the groups of a source
by family; a scrape joins the pages. The only importer of prometheus_client: its collectors tell of our own process.
"""

from __future__ import annotations

import threading
import time
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.exposition import generate_latest as text_of
from prometheus_client.openmetrics.exposition import generate_latest as openmetrics_of

from ml_exporter.catalog import FAMILIES
from ml_exporter.lines import Group, header

WARM = 120.0
"""Seconds that a format is prepared ahead after it was last asked for."""


@dataclass(slots=True)
class Page:
    """The groups of one source, and what of them is shown under the series limit."""

    limit: int | None = None
    groups: dict[str, Group] = field(default_factory=dict)
    bodies: dict[str, bytes] = field(default_factory=dict)
    """Family → its lines, all groups joined; families left out have none."""
    exemplified: dict[str, bytes] = field(default_factory=dict)
    """The same with exemplars, of families that have any."""
    counts: dict[str, int] = field(default_factory=dict)
    """Family → series, left out or not."""
    dropped: dict[str, int] = field(default_factory=dict)
    """Family → series left out because of the limit."""

    @property
    def series(self) -> int:
        """Series shown."""
        return sum(self.counts.values()) - sum(self.dropped.values())

    def update(self, changed: Mapping[str, Group | None]) -> None:
        """Replace, add or (None) remove groups, and join anew the families that they touch."""
        stale: set[str] = set()
        for key, group in changed.items():
            for name, piece in self.groups.pop(key, {}).items():
                self.counts[name] -= piece.series
                stale.add(name)
            if group is not None:
                self.groups[key] = group
            for name, piece in (group or {}).items():
                self.counts[name] = self.counts.get(name, 0) + piece.series
                stale.add(name)
        before, self.dropped = self.dropped, self._over_limit()
        for name in stale.union(before, self.dropped):
            self._join(name)

    def _join(self, name: str) -> None:
        pieces = [group[name] for group in self.groups.values() if name in group and name not in self.dropped]
        self.bodies.pop(name, None)
        self.exemplified.pop(name, None)
        if pieces:
            self.bodies[name] = b"".join(piece.text for piece in pieces)
        if any(piece.openmetrics is not piece.text for piece in pieces):
            self.exemplified[name] = b"".join(piece.openmetrics for piece in pieces)

    def body(self, name: str, openmetrics: bool) -> bytes:
        """The lines of a family; empty where there are none."""
        plain = self.bodies.get(name, b"")
        return self.exemplified.get(name, plain) if openmetrics else plain

    def _over_limit(self) -> dict[str, int]:
        """Whole families to leave out, in the catalogue's order of shedding, until the rest fits."""
        total, dropped = sum(self.counts.values()), {}
        for family in SHEDDABLE if self.limit else ():
            if total > (self.limit or 0) and self.counts.get(family.name):
                dropped[family.name] = self.counts[family.name]
                total -= dropped[family.name]
        return dropped


SHEDDABLE = sorted((family for family in FAMILIES if family.shed), key=lambda family: family.shed or 0)


@dataclass(frozen=True, slots=True)
class Scrape:
    """What one format's scrapes share until something changes: the body, and a compressor that has read it."""

    body: bytes
    deflater: Any
    compressed: bytes


class Exposition:
    """All pages, and the scrapes made from them. Methods may be called from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pages: dict[str, Page] = {}
        self._scrapes: dict[bool, Scrape] = {}
        self._asked: dict[bool, float] = {}
        self._own = CollectorRegistry()
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self._own)

    def update(self, page: str, changed: Mapping[str, Group | None], limit: int | None = None) -> Page:
        """Change groups of a page, whole; shown from the next `publish` on."""
        with self._lock:
            current = self._pages.setdefault(page, Page())
            current.limit = limit
            current.update(changed)
            return current

    def publish(self) -> None:
        """Show what was updated. Formats that somebody scrapes are prepared now, so that no scrape waits."""
        with self._lock:
            warm = [form for form, asked_at in self._asked.items() if time.monotonic() - asked_at < WARM]
            self._scrapes = {openmetrics: self._prepare(openmetrics) for openmetrics in warm}

    def remove(self, page: str) -> None:
        """Show nothing of a page, from the next `publish` on."""
        with self._lock:
            self._pages.pop(page, None)

    def scrape(self, *, openmetrics: bool, gzip: bool) -> tuple[bytes, bytes]:
        """A whole answer to a scrape, in two parts: joining them would copy megabytes each time."""
        scrape = self._scrapes.get(openmetrics)
        if scrape is None:
            with self._lock:
                scrape = self._scrapes.get(openmetrics) or self._prepare(openmetrics)
                self._scrapes = {**self._scrapes, openmetrics: scrape}
        self._asked[openmetrics] = time.monotonic()
        own: bytes = openmetrics_of(self._own) if openmetrics else text_of(self._own)  # type: ignore[no-untyped-call]
        if not gzip:
            return scrape.body, own
        # The compressor stands behind the shared body: a copy of it goes on with our own process's lines.
        tail = scrape.deflater.copy()
        return scrape.compressed, tail.compress(own) + tail.flush()

    def _prepare(self, openmetrics: bool) -> Scrape:
        parts: list[bytes] = []
        for family in FAMILIES:
            name = family.name
            bodies = [page.body(name, openmetrics) for page in self._pages.values() if name in page.bodies]
            if bodies:
                parts.append(header(family, openmetrics))
                parts.extend(bodies)
        body = b"".join(parts)
        deflater = zlib.compressobj(level=1, wbits=31)
        compressed = deflater.compress(body) + deflater.flush(zlib.Z_SYNC_FLUSH)
        return Scrape(body, deflater, compressed)
