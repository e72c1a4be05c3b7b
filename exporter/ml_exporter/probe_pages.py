"""What probes showed, brought to the exposition: marked when it changes, rendered together, in a thread."""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from typing import TypeAlias

from ml_exporter.exposition import Exposition
from ml_exporter.lines import render_group
from ml_exporter.model import HistogramSample, Sample
from ml_exporter.probed import Endpoint, of_endpoint, of_registered

log = logging.getLogger(__name__)

PORTION = 100
"""Endpoints whose samples are taken at once: some milliseconds, in which nothing is probed."""

Key: TypeAlias = tuple[str, str]
"""Endpoint and model; of the endpoint itself the model is empty."""
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
        self._dirty: dict[Key, None] = {}
        """The longest marked first."""
        self._ripening: dict[Key, float] = {}
        self._shown = True
        """Whether all that was rendered is shown."""
        self._abandoned = False

    def mark(self, endpoint: str, model: str = "", ripe_at: float | None = None) -> None:
        """Something changed. `ripe_at`: when it has to be shown once more, in seconds since the epoch."""
        self._dirty[(endpoint, model)] = None
        if ripe_at is not None:
            self._ripening[(endpoint, model)] = ripe_at

    def remove(self, endpoint: Endpoint) -> None:
        """Nothing of it is to be shown any more. To be called while `rendering` is held."""
        self._exposition.remove(endpoint.page)
        self._dirty[(endpoint.name, "")] = None

    def abandon(self) -> None:
        """The exporter ends: nothing more is rendered, and what is being rendered is left half done."""
        self._abandoned = True

    async def publish(self, clock: Callable[[], float], share: float = 1.0) -> None:
        """Bring what changed since the last time to the exposition.

        `share`: of a processor that this may take; it pauses in between. Probes go on meanwhile.
        """
        left = self._ripened(clock())
        if not left and self._shown:
            return
        while portion := self._portion(left):
            left -= len(portion)
            async with self.rendering:
                took = await self._bring(portion, clock())
            await asyncio.sleep(took * (1 - share) / share)
        async with self.rendering:
            took = await self._show()
        await asyncio.sleep(took * (1 - share) / share)

    async def render(self, now: float) -> None:
        """As `publish`, for who holds `rendering`."""
        left = self._ripened(now)
        while portion := self._portion(left):
            left -= len(portion)
            await self._bring(portion, now)
        await self._show()

    def _ripened(self, now: float) -> int:
        """How many are marked, with those that have become ripe."""
        for key in [key for key, at in self._ripening.items() if at <= now]:
            del self._ripening[key]
            self._dirty[key] = None
        return len(self._dirty)

    def _portion(self, left: int) -> list[Key]:
        portion = list(itertools.islice(self._dirty, min(left, PORTION)))
        for key in portion:
            del self._dirty[key]
        return portion

    async def _bring(self, portion: list[Key], now: float) -> float:
        """Render a part of what is marked; the seconds of a processor that it took."""
        self._shown = False
        try:
            return await asyncio.to_thread(self._render, self._collect(portion, now))
        except Exception:
            # What was not shown is to be shown the next time.
            self._dirty |= dict.fromkeys(portion)
            for name, _ in portion:
                if name in self._endpoints:
                    self._endpoints[name].shown = []
            raise

    async def _show(self) -> float:
        took = 0.0 if self._abandoned else await asyncio.to_thread(self._join, list(self._own()))
        self._shown = True
        return took

    def _collect(self, portion: list[Key], now: float) -> Changes:
        """The samples of what changed, taken on the loop, so that nothing moves while they are read."""
        changes: Changes = []
        for name, model in portion:
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

    def _render(self, changes: Changes) -> float:
        began = time.thread_time()
        for endpoint, part, samples in changes:
            if self._abandoned:
                break
            group = endpoint.lines_of(part).group(samples) if samples is not None else None
            if group is None:
                endpoint.lines.pop(part, None)
            page = self._exposition.update(endpoint.page, {part: group}, endpoint.configured.series_limit)
            if page.dropped != endpoint.dropped:
                endpoint.dropped = dict(page.dropped)
                left_out = {"families": ", ".join(page.dropped) or "none", "limit": page.limit}
                log.warning("series limit: families are left out", extra={"endpoint": endpoint.name, **left_out})
        return time.thread_time() - began

    def _join(self, own: Series) -> float:
        began = time.thread_time()
        self._exposition.update("prober", {"": render_group(own, {}) if self._endpoints else None})
        self._exposition.publish()
        return time.thread_time() - began
