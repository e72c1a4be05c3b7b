"""Probes every configured endpoint at its interval; what hangs or is dead holds up nothing else.

A model is one task, so it never has two probes under way. Results are counted on the loop, which costs microseconds;
pages are rendered in a thread, at most once a second for all of them.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Iterable

from ml_exporter import discovery
from ml_exporter.catalog import BY_NAME
from ml_exporter.endpoint_config import asked
from ml_exporter.endpoint_settings import Asked, ConfiguredEndpoint
from ml_exporter.endpoint_states import Histogram, Served
from ml_exporter.errors import MlExporterError, SourceError
from ml_exporter.exposition import Exposition
from ml_exporter.http.connections import raise_file_limit
from ml_exporter.http.otlp import SpanExporter
from ml_exporter.http.probing import ProbeClient
from ml_exporter.http.resolver import Resolver
from ml_exporter.model import HistogramSample, Outcome, Sample
from ml_exporter.places import Places
from ml_exporter.ports import Result
from ml_exporter.probe_pages import Pages
from ml_exporter.probed import Endpoint, Probed, settings_of, span_of, wanted
from ml_exporter.settings import Config

log = logging.getLogger(__name__)

ROOM = 1.0
"""Seconds after which a probe that is still under way makes room for the next one to begin."""
JITTER = 0.05
"""Share of the interval by which a probe may come earlier or later."""
FIRST_WITHIN = 1.0
PER_SECOND = 150.0
"""A new configuration is probed within a second, or at this rate if it is large: each first probe opens a connection,
which costs more than all later ones."""
PUBLISHED_EVERY = 1.0
SHARE = 0.2
"""Of a processor that publishing may take."""
VANISHED = 900.0
"""Seconds that a model is still asked for after it has left the index: what was unloaded by mistake must be seen."""

Told = Callable[[Endpoint, Served, Result], None]


class Prober:
    """All endpoints of a configuration. `apply` starts them, and takes another configuration while running."""

    def __init__(
        self,
        exposition: Exposition,
        resolver: Resolver,
        clock: Callable[[], float] = time.time,
        told: Told = lambda endpoint, served, result: None,
    ) -> None:
        """`told` hears of each probe when it has ended."""
        self._resolver, self._clock, self._told = resolver, clock, told
        self.endpoints: dict[str, Endpoint] = {}
        self._config = Config()
        self._places = Places(self._config.probes.concurrency, ROOM)
        self._lateness = Histogram(BY_NAME["ml_prober_lateness_seconds"].buckets)
        self._pages = Pages(exposition, self.endpoints, self._own)
        self._publisher: asyncio.Task[None] | None = None
        self._spans = SpanExporter(self._config.tracing)
        self._exporting: asyncio.Task[None] | None = None

    # Life

    def clients(self, config: Config) -> dict[str, ProbeClient]:
        """A client for each endpoint that is not running as configured. Raises `ConfigError` for unusable secrets."""
        SpanExporter(config.tracing)
        same = _shared(config) == _shared(self._config)
        return {
            endpoint.common.name: ProbeClient(
                settings_of(endpoint),
                self._resolver,
                fresh=endpoint.common.connection == "fresh",
                sample_ratio=config.tracing.sample_ratio,
                clock=self._clock,
            )
            for endpoint in config.endpoints
            if not same or not self._runs(endpoint, config)
        }

    def _runs(self, endpoint: ConfiguredEndpoint, config: Config) -> bool:
        running = self.endpoints.get(endpoint.common.name)
        claim = config.service_of_endpoint(endpoint.common.name)
        return running is not None and running.configured == endpoint and running.claim == claim

    async def apply(self, config: Config, clients: dict[str, ProbeClient]) -> None:
        """Start what has a new client, stop what is gone; the others go on undisturbed."""
        # Not while a page is being rendered: it would come back after it was removed.
        async with self._pages.rendering:
            kept = {endpoint.common.name for endpoint in config.endpoints} - clients.keys()
            await self._stop(*(name for name in list(self.endpoints) if name not in kept))
            raise_file_limit()
            await self._export_spans(config)
            self._config, self._pages.currency = config, config.costs.currency
            self._places = Places(config.probes.concurrency, ROOM)
            spread = FIRST_WITHIN + len(clients) / PER_SECOND
            for number, configured in enumerate(config.endpoints):
                name = configured.common.name
                if name in clients:
                    endpoint = Endpoint(configured, config.service_of_endpoint(name), clients[name])
                    self.endpoints[name] = endpoint
                    self._start(endpoint, spread)
                if number % 200 == 0:  # probes that are under way are being timed
                    await asyncio.sleep(0)
            for name in self.endpoints:
                self._pages.mark(name)
            await self._pages.render(self._clock())
        if self.endpoints and self._publisher is None:
            self._publisher = asyncio.create_task(self._publish_for_ever(), name="probes are published")

    async def close(self) -> None:
        """Stop everything; spans that wait are exported, if that takes no time."""
        self._pages.abandon()
        for endpoint in self.endpoints.values():  # not only when the rendering that is under way has ended
            endpoint.cancel()
        async with self._pages.rendering:
            await self._stop(*self.endpoints)
        tasks = [task for task in (self._publisher, self._exporting) if task is not None]
        self._publisher = self._exporting = None
        await _end(tasks)

    async def _stop(self, *names: str) -> None:
        gone = [self.endpoints.pop(name) for name in names]
        # All together: ended one after the other, each takes turns of the loop.
        tasks = [task for endpoint in gone for task in endpoint.cancel()]
        for endpoint in gone:
            endpoint.client.abort()
        await asyncio.gather(*tasks, return_exceptions=True)
        for endpoint in gone:
            await endpoint.client.close()
            self._pages.remove(endpoint)

    async def _export_spans(self, config: Config) -> None:
        if config.tracing != self._config.tracing or self._exporting is None:
            await _end([self._exporting] if self._exporting else [])
            self._spans = SpanExporter(config.tracing)
            self._exporting = asyncio.create_task(self._spans.run(), name="spans are exported")

    def _start(self, endpoint: Endpoint, spread: float) -> None:
        common = endpoint.configured.common
        self._pages.mark(endpoint.name)
        if common.discover:
            endpoint.index_task = asyncio.create_task(self._index_for_ever(endpoint), name=f"index of {endpoint.name}")
        else:
            self._watch(endpoint, asked(endpoint.configured), random.uniform(0.0, spread))
        log.info("endpoint started", extra={"endpoint": endpoint.name, "protocol": common.protocol, "url": common.url})

    def _watch(self, endpoint: Endpoint, wanted: Asked, delay: float) -> None:
        checks = [step.check for step in wanted.steps]
        gap = self._config.stack.scrape_interval * 1.2
        served = Served(wanted.model, wanted.version, checks, self._config.probes.buckets, gap, self._clock())
        probed = Probed(wanted, served, listed_at=self._clock())
        endpoint.models[wanted.model] = probed
        self._pages.mark(endpoint.name, wanted.model)
        probed.task = asyncio.create_task(self._probe_for_ever(endpoint, probed, delay), name=f"probe {endpoint.name}")

    # Probing

    async def _probe_for_ever(self, endpoint: Endpoint, probed: Probed, delay: float) -> None:
        loop, interval = asyncio.get_running_loop(), endpoint.configured.interval
        due = loop.time() + delay
        while True:
            await asyncio.sleep(due - loop.time())
            places = self._places
            place = await places.take()
            try:
                self._lateness.observe(max(0.0, loop.time() - due))
                await self.probe_once(endpoint, probed)
            finally:
                places.give_back(place)
            due = max(due + interval, loop.time()) + random.uniform(-JITTER, JITTER) * interval

    async def probe_once(self, endpoint: Endpoint, probed: Probed) -> None:
        """One probe, counted and told. Raises nothing."""
        served, before = probed.served, probed.served.failures
        try:
            result = await endpoint.client.probe(probed.asked.steps, endpoint.configured.timeout)
        except MlExporterError as error:
            log.error("probe could not be made", extra={"endpoint": endpoint.name, "error": str(error)})
            self._lose(endpoint, served)
            return
        except Exception:  # whatever goes wrong in one probe must not end the others
            log.exception("probe ended in a bug", extra={"endpoint": endpoint.name, "model": served.model})
            self._lose(endpoint, served)
            return
        now = self._clock()
        served.record(result, now)
        self._pages.mark(endpoint.name, served.model, served.ripe_at(now))
        if self._config.tracing.otlp_url is not None:
            self._spans.offer(span_of(endpoint, served, result))
        self._told(endpoint, served, result)
        about = {"endpoint": endpoint.name, "model": served.model}
        if result.outcome is not Outcome.OK and before == 0:
            log.warning("probe failed", extra={**about, "outcome": str(result.outcome), "error": result.problem})
        elif before and result.outcome is Outcome.OK:
            log.info("probe succeeds again", extra={**about, "failures": before})

    def _lose(self, endpoint: Endpoint, served: Served) -> None:
        """A state that nobody looked after is not shown."""
        served.lose()
        self._pages.mark(endpoint.name, served.model)

    # The index of models

    async def _index_for_ever(self, endpoint: Endpoint) -> None:
        while True:
            try:
                await self.read_index(endpoint)
            except Exception:  # it must go on, as probes do
                log.exception("reading an index ended in a bug", extra={"endpoint": endpoint.name})
                endpoint.index_up = None
            self._pages.mark(endpoint.name)
            await asyncio.sleep(self._config.probes.discovery_interval * random.uniform(1 - JITTER, 1 + JITTER))

    async def read_index(self, endpoint: Endpoint) -> None:
        """Ask the server which models it has, and probe those. A failure is shown, not raised."""
        common, options = endpoint.configured.common, endpoint.configured.options
        index = discovery.index(common.protocol, options)
        assert index is not None
        about = {"endpoint": endpoint.name}
        try:
            answer = await endpoint.client.read(index.call, endpoint.configured.timeout)
            listed = await asyncio.to_thread(index.models, answer)
        except SourceError as error:
            said = f"{error.reason}: {error}"
            if said != endpoint.index_error:
                log.warning("index of models cannot be read", extra={**about, "error": said})
            endpoint.index_up, endpoint.index_error = False, said
        except MlExporterError as error:
            log.error("index of models could not be asked for", extra={**about, "error": str(error)})
        else:
            endpoint.index_up, endpoint.index_error = True, None
            self._follow_index(endpoint, listed)

    def _follow_index(self, endpoint: Endpoint, listed: tuple[str, ...]) -> None:
        """Probe what is listed and wanted; what has left the list is asked for a while longer, if there is room."""
        common, now = endpoint.configured.common, self._clock()
        names = wanted(common, listed)
        endpoint.index_models = len(names)
        chosen = names[: common.max_models]
        for name in chosen:
            if name in endpoint.models:
                endpoint.models[name].listed_at = now
        room = common.max_models - len(chosen)
        unlisted = sorted(endpoint.models.keys() - chosen, key=lambda name: -endpoint.models[name].listed_at)
        for number, name in enumerate(unlisted):
            if number >= room or now - endpoint.models[name].listed_at > VANISHED:
                self._forget(endpoint, name)
        for name in chosen:
            if name not in endpoint.models:
                self._watch(endpoint, asked(endpoint.configured, name), random.uniform(0.0, FIRST_WITHIN))

    def _forget(self, endpoint: Endpoint, model: str) -> None:
        probed = endpoint.models.pop(model)
        if probed.task is not None:
            probed.task.cancel()
        endpoint.client.forget(probed.asked.steps)
        self._pages.mark(endpoint.name, model)

    # Publishing

    async def _publish_for_ever(self) -> None:
        while True:
            try:
                await self._pages.publish(self._clock, SHARE)
            except Exception:
                log.exception("probes could not be published")
            await asyncio.sleep(PUBLISHED_EVERY)

    async def publish(self) -> None:
        """Bring what changed since the last time to the exposition."""
        await self._pages.publish(self._clock)

    def _own(self) -> Iterable[Sample | HistogramSample]:
        yield self._lateness.sample("ml_prober_lateness_seconds", ())
        yield Sample("ml_prober_spans_dropped_total", (), self._spans.dropped)


def _shared(config: Config) -> tuple[object, ...]:
    """What all endpoints take from the rest of the configuration when they start."""
    return config.probes.buckets, config.stack.scrape_interval, config.tracing.sample_ratio


async def _end(tasks: Iterable[asyncio.Task[None]]) -> None:
    ending = list(tasks)
    for task in ending:
        task.cancel()
    await asyncio.gather(*ending, return_exceptions=True)
