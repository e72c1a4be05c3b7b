"""What probes showed, brought to the exposition: marked when it changes, rendered together, in a thread."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from typing import TypeAlias

from ml_exporter.exposition import Exposition
from ml_exporter.lines import render_group
from ml_exporter.model import HistogramSample, Sample
from ml_exporter.probed import Endpoint, of_endpoint, of_registered

log = logging.getLogger(__name__)

Series: TypeAlias = list[Sample | HistogramSample]
Changes: TypeAlias = list[tuple[Endpoint, str, Series | None]]
"""Endpoint, part of its page, and what that holds now; None: it is gone."""


class Pages:
    """A page for each endpoint. `rendering` is held while pages are changed in a thread."""

    def __init__(
        self,
        exposition: Exposition,
        endpoints: Mapping[str, Endpoint],
        own: Callable[[], Iterable[Sample | HistogramSample]],
    ) -> None:
        """`endpoints`: those that there are, kept up to date by who gives them; `own`: the prober's own series."""
        self._exposition, self._endpoints, self._own = exposition, endpoints, own
        self.currency = ""
        self.rendering = asyncio.Lock()
        self._dirty: set[tuple[str, str]] = set()
        self._ripening: dict[tuple[str, str], float] = {}
        self._abandoned = False

    def mark(self, endpoint: str, model: str = "", ripe_at: float | None = None) -> None:
        """Something changed. `ripe_at`: when it has to be shown once more, in seconds since the epoch."""
        self._dirty.add((endpoint, model))
        if ripe_at is not None:
            self._ripening[(endpoint, model)] = ripe_at

    def remove(self, endpoint: Endpoint) -> None:
        """Nothing of it is to be shown any more. To be called while `rendering` is held."""
        self._exposition.remove(endpoint.page)
        self._dirty.add((endpoint.name, ""))

    def abandon(self) -> None:
        """The exporter ends: nothing more is rendered, and what is being rendered is left half done."""
        self._abandoned = True

    async def publish(self, now: float) -> None:
        """Bring what changed since the last time to the exposition."""
        async with self.rendering:
            await self.render(now)

    async def render(self, now: float) -> None:
        """As `publish`, for who holds `rendering`."""
        ripe = {key for key, at in self._ripening.items() if at <= now}
        self._ripening = {key: at for key, at in self._ripening.items() if key not in ripe}
        self._dirty |= ripe
        if not self._dirty:
            return
        marked = self._dirty
        try:
            await asyncio.to_thread(self._render, self._collect(now), list(self._own()))
        except Exception:
            # What was not shown is to be shown the next time.
            self._dirty |= marked
            for endpoint in self._endpoints.values():
                endpoint.shown = []
            raise

    def _collect(self, now: float) -> Changes:
        """The samples of what changed, taken on the loop, so that nothing moves while they are read."""
        dirty, self._dirty = self._dirty, set()
        changes: Changes = []
        for name, model in dirty:
            endpoint = self._endpoints.get(name)
            if endpoint is None:
                continue
            probed = endpoint.models.get(model)
            if probed is not None:
                samples = [*probed.served.samples(now), *of_registered(endpoint, probed.served)]
                changes.append((endpoint, f"model {model}", samples))
            elif model:
                changes.append((endpoint, f"model {model}", None))
            own = of_endpoint(endpoint, self.currency)
            if own != endpoint.shown:
                endpoint.shown = own
                changes.append((endpoint, "", [*own]))
        return changes

    def _render(self, changes: Changes, own: Series) -> None:
        for endpoint, part, samples in changes:
            if self._abandoned:
                return
            group = endpoint.lines_of(part).group(samples) if samples is not None else None
            if group is None:
                endpoint.lines.pop(part, None)
            page = self._exposition.update(endpoint.page, {part: group}, endpoint.configured.series_limit)
            if page.dropped != endpoint.dropped:
                endpoint.dropped = dict(page.dropped)
                left_out = {"families": ", ".join(page.dropped) or "none", "limit": page.limit}
                log.warning("series limit: families are left out", extra={"endpoint": endpoint.name, **left_out})
        self._exposition.update("prober", {"": render_group(own, {}) if self._endpoints else None})
        self._exposition.publish()
