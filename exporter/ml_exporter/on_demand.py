"""/probe: one probe of a target that a request names, if the allow-list has it, and the page that tells of it."""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Callable

from ml_exporter import discovery, probe_debug, probe_page, schema, targets
from ml_exporter.decoding import printable
from ml_exporter.endpoint_config import steps_of
from ml_exporter.endpoint_settings import Asked, ConfiguredModule, ProbeConfig
from ml_exporter.errors import ConfigError, MlExporterError
from ml_exporter.http.probing import ProbeClient
from ml_exporter.http.resolver import Permitted, Resolver
from ml_exporter.lines import document
from ml_exporter.model import Outcome
from ml_exporter.ports import Result
from ml_exporter.probed import reached
from ml_exporter.settings import Config
from ml_exporter.targets import AllowList, Destination, Verdict
from ml_exporter.web.backend import ProbePage, ProbeRequest

log = logging.getLogger(__name__)

AT_ONCE = 100
"""Probes that may be under way; each may hold an answer of up to `max_response_bytes`."""
MARGIN = 0.5
"""Seconds of a scrape's time-out that are left for the way back; of a short one, half of it."""
LONGEST_NAME = 200


@dataclasses.dataclass(frozen=True, slots=True)
class _Plan:
    """A request that was found to be right."""

    destination: Destination
    module: ConfiguredModule
    asked: Asked
    timeout: float


class OnDemand:
    """Makes the probes of /probe, each with connections of its own."""

    def __init__(self, resolver: Resolver, clock: Callable[[], float] = time.time) -> None:
        """`resolver` should be nobody else's: who asks chooses the names, and each that hangs holds a thread."""
        self._resolver, self._clock = resolver, clock
        self._under_way = 0

    def close(self) -> None:
        """Nothing more will be asked."""
        self._resolver.shut_down()

    async def page(self, request: ProbeRequest, config: Config) -> ProbePage:
        """The answer to a request; its status says whether a probe was made."""
        try:
            plan = _plan(request, config)
        except ConfigError as error:
            return _refused(str(error), 400)
        if self._under_way >= AT_ONCE:
            return _refused(f"{AT_ONCE} probes are under way; ask again later", 503)
        self._under_way += 1
        try:
            return await self._probed(plan, request, config)
        finally:
            self._under_way -= 1

    async def _probed(self, plan: _Plan, request: ProbeRequest, config: Config) -> ProbePage:
        allowed = targets.allow_list(config.probes.allow)
        verdict, guard = allowed.verdict(plan.destination), _Guard(self._resolver, allowed)
        if verdict is Verdict.NO:
            return _forbidden(plan.destination, config)
        resolver = guard if verdict is Verdict.BY_ADDRESS else self._resolver
        try:
            ratio = config.tracing.sample_ratio
            settings = reached(plan.module.common, plan.destination.url, plan.timeout)
            client = ProbeClient(settings, resolver, fresh=True, sample_ratio=ratio, clock=self._clock)
        except ConfigError as error:
            return _refused(f"module: {error}", 500)
        try:
            result = await client.probe(plan.asked.steps, plan.timeout)
        except MlExporterError as error:
            return _refused(str(error), 503)
        finally:
            await client.close()
        if result.outcome is Outcome.UNREACHABLE and guard.stopped:
            return _forbidden(plan.destination, config)
        log.debug(
            "probed on request",
            extra={"target": plan.destination.url, "model": plan.asked.model, "outcome": str(result.outcome)},
        )
        return ProbePage(_body(plan, request, result, client))


class _Guard(Permitted):
    """Lets a name lead only to addresses of the allow-list, and remembers whether it led to nothing else."""

    def __init__(self, resolver: Resolver, allowed: AllowList) -> None:
        super().__init__(resolver, self._permit)
        self._allowed = allowed
        self._verdicts: set[bool] = set()

    def _permit(self, address: str) -> bool:
        fine = self._allowed.contains(address)
        self._verdicts.add(fine)
        return fine

    @property
    def stopped(self) -> bool:
        """Whether there were addresses, and none was allowed."""
        return self._verdicts == {False}


def _plan(request: ProbeRequest, config: Config) -> _Plan:
    """Raises `ConfigError` that begins with the name of a parameter."""
    destination = targets.destination(request.target)
    module = _module(request, config)
    for name in ("model", "version"):
        value = getattr(request, name)
        if len(value) > LONGEST_NAME or not value.isprintable():
            raise ConfigError(f"{name}: allowed are {LONGEST_NAME} printable characters")
    common = dataclasses.replace(
        module.common,
        model=request.model or module.common.model,
        version=request.version or module.common.version,
    )
    steps = steps_of(common, module.options, common.model, module.canary)
    asked = Asked(common.model or "", common.version or "", steps)
    return _Plan(destination, module, asked, _timeout(module.timeout, request.scrape_timeout))


def _module(request: ProbeRequest, config: Config) -> ConfiguredModule:
    """How to ask: the module that is named, else the protocol with nothing but its defaults."""
    protocols, modules = discovery.protocols(), config.probes.modules
    protocol, name = request.protocol, request.module
    if protocol and protocol not in protocols:
        raise ConfigError(f"protocol: found '{printable(protocol, 60)}'{schema.nearest(protocol[:60], protocols)}")
    if not name:
        if not protocol:
            raise ConfigError(f"protocol: missing, as module is; allowed are {', '.join(protocols)}")
        options = discovery.protocol_options(protocol)()
        return ConfiguredModule(ProbeConfig(protocol=protocol), options, config.defaults.timeout, None)
    module = modules.get(name)
    if module is None:
        hint = schema.nearest(name[:60], modules) if modules else "; probes.modules has none"
        raise ConfigError(f"module: found '{printable(name, 60)}'{hint}")
    if protocol not in ("", module.common.protocol):
        raise ConfigError(f"protocol: found '{protocol}'; the module '{name}' has {module.common.protocol}")
    return module


def _timeout(configured: float, scrape: float | None) -> float:
    return configured if scrape is None else min(configured, scrape - min(MARGIN, scrape / 2))


def _body(plan: _Plan, request: ProbeRequest, result: Result, client: ProbeClient) -> bytes:
    asked, checks = plan.asked, [step.check for step in plan.asked.steps]
    samples = probe_page.samples(result, asked.model, asked.version, checks, client.not_after)
    openmetrics = request.openmetrics and not request.debug
    metrics = document(samples, probe_page.PROBE_FAMILIES, openmetrics=openmetrics)
    if not request.debug:
        return metrics
    name, url = plan.module.common.protocol, plan.destination.url
    about = [f"Probe of {url} with {name}{f' (module {request.module})' if request.module else ''}"]
    about += [f"Model '{asked.model}'{f', version {asked.version}' if asked.version else ''}"] if asked.model else []
    about += [f"Time-out {plan.timeout:g} s"]
    described = probe_debug.described(result, url, client)
    return probe_debug.page(about, described, checks, metrics.decode()).encode("utf-8", "replace")


def _refused(why: str, status: int) -> ProbePage:
    return ProbePage(f"{why}\n".encode("utf-8", "replace"), status)


def _forbidden(destination: Destination, config: Config) -> ProbePage:
    empty = "" if config.probes.allow else ", which is empty"
    shown = destination.shown
    return _refused(f"target: {shown} is not allowed; to allow it, put '{shown}' into probes.allow{empty}", 403)
