"""Composition: configuration + state + one poller per source + the prober + the web surface. Open this first."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ml_exporter import __version__, backend_pages, discovery, endpoint_views, garbage
from ml_exporter.errors import ConfigError, MlExporterError
from ml_exporter.exposition import Exposition
from ml_exporter.http import Client, HttpSettings
from ml_exporter.http.resolver import Resolver
from ml_exporter.lines import render_group
from ml_exporter.model import Sample
from ml_exporter.on_demand import OnDemand
from ml_exporter.poller import Health, Poller
from ml_exporter.prober import Prober
from ml_exporter.settings import Config, ConfiguredSource
from ml_exporter.store import Store
from ml_exporter.web.app import application
from ml_exporter.web.backend import EndpointViews, ProbePage, ProbeRequest, SourceView, State
from ml_exporter.web.server import Runner, serve
from ml_exporter.web.toolkit import load as load_web_config

log = logging.getLogger(__name__)


@dataclasses.dataclass(slots=True)
class Running:
    """A poller at work."""

    poller: Poller
    client: Client
    task: asyncio.Task[None]


class App:
    """The exporter as one object; it is also what the web surface asks. `load` gives the configuration anew."""

    def __init__(self, load: Callable[[], Config], clock: Callable[[], float] = time.time) -> None:
        self.load, self.clock = load, clock
        self.config = load()
        self.exposition = Exposition()
        self.store = Store(Path(self.config.state))
        self.version = __version__
        self.resolver = Resolver()
        self.prober = Prober(self.exposition, self.resolver, clock)
        self._on_demand = OnDemand(Resolver(), clock)
        self._running: dict[str, Running] = {}
        self._reloading = asyncio.Lock()
        self._collecting: asyncio.Task[None] | None = None
        self._hang_ups: set[asyncio.Task[str | None]] = set()
        self._accepted_at, self._accepted = clock(), True
        self._ready = False

    @property
    def config_hash(self) -> str:
        return self.config.hash

    # Life

    async def run(self, ready: Callable[[str], None] = lambda address: None) -> None:
        """Serve and poll until SIGTERM or SIGINT; SIGHUP reloads. `ready` is told the address."""
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        loop.add_signal_handler(signal.SIGHUP, self._hang_up)
        web_config = self.config.server.web_config
        server: Runner | None = None
        try:
            self._show_own()
            # State first: a scrape that came before it would show Prometheus that every series has gone.
            for name, client in self._clients(self.config).items():
                await self._start(name, client, self.config)
            await self.prober.apply(self.config, self.prober.clients(self.config))
            self._server = server = await serve(
                application(self), self.config.server.listen, load_web_config(Path(web_config)) if web_config else None
            )
            self._ready = True
            self._collect_garbage(anew=False)
            ready(server.address)
            await stop.wait()
            log.info("stopping")
        finally:
            if self._collecting:
                self._collecting.cancel()
            garbage.leave()
            self._ready = False
            await self._stop(*self._running)
            await self.prober.close()
            if server:
                await server.stop()
            self.resolver.shut_down()
            self._on_demand.close()
            self.store.close()

    def _collect_garbage(self, *, anew: bool) -> None:
        if self._collecting:
            self._collecting.cancel()
        self._collecting = asyncio.create_task(garbage.collect_for_ever(anew=anew), name="garbage is collected")

    def _clients(self, config: Config) -> dict[str, Client]:
        """A client for every source that is not running as configured. Raises `ConfigError` for unusable secrets."""
        same_services = (config.services, config.costs) == (self.config.services, self.config.costs)
        running = {name: r.poller.configured for name, r in self._running.items()}
        return {
            source.common.name: Client(settings_of(source))
            for source in config.sources
            if not same_services or running.get(source.common.name) != source
        }

    async def _start(self, name: str, client: Client, config: Config, health: Health | None = None) -> None:
        """Start polling a source; `health` is what is known of it from before a reload."""
        configured = next(source for source in config.sources if source.common.name == name)
        common = configured.common
        source = discovery.create(common.kind, name, configured.options, common.url)
        poller = Poller(configured, config, source, client, self.store, self.exposition, self.clock)
        poller.health = health or poller.health
        await asyncio.to_thread(poller.restore)
        self._running[name] = Running(poller, client, asyncio.create_task(poller.run(), name=name))
        log.info("source started", extra={"source": name, "kind": common.kind, "url": common.url})

    async def _stop(self, *names: str) -> None:
        stopping = [self._running.pop(name) for name in names]
        for running in stopping:
            running.task.cancel()
        for running in stopping:
            with contextlib.suppress(asyncio.CancelledError):
                await running.task
            await running.client.close()

    # Reload

    def _hang_up(self) -> None:
        task = asyncio.ensure_future(self.reload())
        self._hang_ups.add(task)  # the loop itself keeps only a weak reference
        task.add_done_callback(self._hang_ups.discard)

    async def reload(self) -> str | None:
        """Take a new configuration; None if it was accepted, else why not (the old one keeps running)."""
        async with self._reloading:
            try:
                config = await asyncio.to_thread(self.load)
                self._check_fixed(config)
                clients, probing = self._clients(config), self.prober.clients(config)
                await self._server.reload()
            except MlExporterError as error:
                self._accepted = False
                self._show_own()
                log.error("reload refused, the old configuration keeps running", extra={"error": str(error)})
                return str(error)
            await self._replace(config, clients)
            await self.prober.apply(config, probing)
            self._accepted, self._accepted_at = True, self.clock()
            self._show_own()
            self._collect_garbage(anew=True)
            log.info("configuration reloaded", extra={"hash": config.hash})
            return None

    def _check_fixed(self, config: Config) -> None:
        for key, old, new in (
            ("state", self.config.state, config.state),
            ("server.listen", self.config.server.listen, config.server.listen),
            ("server.web_config", self.config.server.web_config, config.server.web_config),
        ):
            if old != new:
                raise ConfigError(f"{key}: changed from '{old}' to '{new}'; this needs a restart, not a reload")

    async def _replace(self, config: Config, clients: dict[str, Client]) -> None:
        """Restart the sources that have a new client, stop those that are gone; the others go on undisturbed."""
        wanted = {source.common.name for source in config.sources}
        gone = self._running.keys() - wanted
        health = {name: running.poller.health for name, running in self._running.items()}
        await self._stop(*gone, *(clients.keys() & self._running.keys()))
        for name in gone:
            self.exposition.remove(name)
            self.exposition.remove(f"source {name}")
        for running in self._running.values():
            running.poller.config = config
        for name, client in clients.items():
            await self._start(name, client, config, health.get(name))
        self.config = config

    def _show_own(self) -> None:
        own = (
            Sample("ml_exporter_build_info", (__version__,), 1),
            Sample("ml_exporter_config_info", (self.config.hash,), 1),
            Sample("ml_exporter_config_last_reload_successful", (), int(self._accepted)),
            Sample("ml_exporter_config_last_reload_success_timestamp_seconds", (), self._accepted_at),
            Sample("ml_exporter_state_kept_aside", (), self.store.kept_aside()),
        )
        services = (
            Sample("ml_service_info", (service.name, service.owner, str(service.tier)), 1)
            for service in self.config.services
        )
        self.exposition.update("exporter", {"own": render_group((*own, *services), {})})
        self.exposition.publish()

    # What the web surface asks

    async def metrics(self, openmetrics: bool, gzip: bool) -> tuple[bytes, bytes]:
        """A scrape, in two parts."""
        return await asyncio.to_thread(self.exposition.scrape, openmetrics=openmetrics, gzip=gzip)

    def ready(self) -> tuple[bool, str]:
        return (True, "ready") if self._ready else (False, "starting or stopping")

    def sources(self) -> list[SourceView]:
        return [_view(running.poller) for running in self._running.values()]

    def debug(self, name: str) -> dict[str, Any] | None:
        """What the last poll of a source asked and got."""
        running = self._running.get(name)
        if running is None:
            return None
        return {
            "source": dataclasses.asdict(_view(running.poller)),
            "cursor": running.poller.cursor,
            "calls": [dataclasses.asdict(exchange) for exchange in running.client.trace],
        }

    def endpoints(self) -> EndpointViews:
        return endpoint_views.views(self.prober.endpoints.values())

    def debug_endpoint(self, name: str) -> dict[str, Any] | None:
        """What the last probe of each model of an endpoint asked and got."""
        endpoint = self.prober.endpoints.get(name)
        return endpoint_views.debug(endpoint) if endpoint else None

    async def probe(self, request: ProbeRequest) -> ProbePage:
        return await self._on_demand.page(request, self.config)

    def last_failed_url(self, source: str, pipeline: str) -> str | None:
        """The page of a pipeline's last failed run in its backend."""
        running = self._running.get(source)
        return backend_pages.of_last_failed(running.poller, pipeline) if running else None

    def pipeline_url(self, source: str, pipeline: str) -> str | None:
        """The page of a pipeline in its backend."""
        running = self._running.get(source)
        return backend_pages.of_pipeline(running.poller, pipeline) if running else None

    def source_url(self, source: str) -> str | None:
        """Where the backend's own pages begin."""
        running = self._running.get(source)
        return backend_pages.of_backend(running.poller) if running else None


def settings_of(configured: ConfiguredSource) -> HttpSettings:
    """How the backend of a configured source is reached."""
    names = {field.name for field in dataclasses.fields(HttpSettings)} - {"timeout", "auth"}
    common = {name: getattr(configured.common, name) for name in names}
    auth = discovery.auth_of(configured.common.kind, configured.options)
    return HttpSettings(timeout=configured.timeout, auth=auth, **common)


def _view(poller: Poller) -> SourceView:
    health, source = poller.health, poller.ledger.source
    state: State = "up" if health.up else "down" if health.failures else "starting"
    return SourceView(
        name=poller.name,
        kind=poller.configured.common.kind,
        url=poller.configured.common.url,
        state=state,
        last_success=source.last_success_at,
        last_error=health.last_error,
        backfill_progress=source.progress,
        series=health.series,
        pipelines=sum(1 for state in poller.ledger.pipelines.values() if state.gone_at is None),
    )
