"""The configuration of endpoints and of /probe: options of the protocol, canaries, and what is asked in the end."""

from __future__ import annotations

import dataclasses
import fnmatch
import urllib.parse
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from ml_exporter import discovery, schema, targets
from ml_exporter.backend_config import Kinds, parsed
from ml_exporter.endpoint_settings import (
    Asked,
    CanaryConfig,
    ConfiguredEndpoint,
    ConfiguredModule,
    EndpointConfig,
    ProbeConfig,
    Probes,
)
from ml_exporter.errors import ConfigError
from ml_exporter.model import Check
from ml_exporter.ports import Call, Canary, Step, Target
from ml_exporter.settings import Defaults

LARGEST_CANARY = 10_000_000
_UNPAIRED = "missing; a user and a password go together"
_PROTOCOLS = Kinds(
    key="protocol",
    form="a section with protocol and more",
    names=discovery.protocols,
    options=discovery.protocol_options,
    no_user=f"username: {_UNPAIRED}",
    no_proof=f"password_file: {_UNPAIRED}",
    not_together=f"password_file: {_UNPAIRED}",
)


def endpoints(data: Any, defaults: Defaults, folder: Path) -> tuple[ConfiguredEndpoint, ...]:
    """The section `endpoints`. Raises `ConfigError`."""
    if data is None:
        return ()
    if not isinstance(data, list):
        raise ConfigError("endpoints: allowed is a list of endpoints, each with name, protocol and url")
    found = tuple(_endpoint(item, f"endpoints[{index}]", defaults, folder) for index, item in enumerate(data))
    seen: dict[str, int] = {}
    for index, endpoint in enumerate(found):
        first = seen.setdefault(endpoint.common.name, index)
        if first != index:
            raise ConfigError(f"endpoints[{index}].name: found '{endpoint.common.name}', which endpoints[{first}] has")
    return found


def warnings(endpoints: Iterable[ConfiguredEndpoint]) -> list[str]:
    """What is allowed and probably not meant."""
    return [
        f"endpoints[{index}].{note}" for index, endpoint in enumerate(endpoints) for note in _doubts(endpoint.common)
    ]


def _doubts(common: EndpointConfig) -> Iterator[str]:
    untold = not common.version and not discovery.tells_version(common.protocol)
    if common.registered_model and untold:
        yield (
            f"registered_model: {common.protocol} tells no version, and none is configured: nothing can be compared "
            "with the registry"
        )
    if common.server and not common.metrics_url:
        yield f"metrics_url: missing, so nobody scrapes what {common.server} says of itself, unless you do"
    if common.metrics_url and not common.server:
        yield "server: missing, so no rule reads what is found at metrics_url"
    if (common.canary or common.canaries) and "predict" not in common.checks:
        yield "checks: without predict the canary is never sent"


def probes(data: Any, defaults: Defaults, folder: Path) -> Probes:
    """The section `probes`. Raises `ConfigError`."""
    given = dict(data) if isinstance(data, Mapping) else data
    raw = given.pop("modules", None) if isinstance(given, dict) else None
    settings = schema.parse(Probes, given, "probes")
    try:
        targets.allow_list(settings.allow)
    except ConfigError as error:
        raise ConfigError(f"probes.allow{error}") from error
    if not settings.buckets or list(settings.buckets) != sorted({b for b in settings.buckets if 0 < b < 1e6}):
        raise ConfigError("probes.buckets: allowed are seconds above 0, each larger than the one before")
    if raw is not None and not isinstance(raw, Mapping):
        raise ConfigError("probes.modules: allowed is a mapping, {name: {protocol: …}}")
    modules = {
        str(name): _module(item, f"probes.modules.{name}", defaults, folder) for name, item in (raw or {}).items()
    }
    return dataclasses.replace(settings, modules=modules)


def asked(endpoint: ConfiguredEndpoint, model: str | None = None) -> Asked:
    """What is asked of one model: the configured one, or one that was discovered. Raises `ConfigError`."""
    common = endpoint.common
    canary = endpoint.canary
    if model is not None:
        canary = next((c for pattern, c in endpoint.canaries if fnmatch.fnmatchcase(model, pattern)), endpoint.canary)
    name = model if model is not None else common.model
    steps = steps_of(common, endpoint.options, name, canary)
    return Asked(name or "", common.version or "", steps)


def steps_of(common: ProbeConfig, options: Any, model: str | None, canary: Canary | None) -> tuple[Step, ...]:
    """The protocol's steps, at the configured paths, of the checks that are wanted. Raises `ConfigError`."""
    target = Target(model, common.version, canary, options)
    steps = {step.check: step for step in discovery.steps(common.protocol, target)}
    paths = {Check.LIVE: common.live_path, Check.READY: common.ready_path, Check.PREDICT: common.predict_path}
    for check, path in paths.items():
        if path and check in steps:
            steps[check] = dataclasses.replace(steps[check], call=_at(steps[check].call, path))
        elif path and check is Check.PREDICT:
            raise ConfigError("predict_path: nothing is predicted there; give a canary")
        elif path:
            steps[check] = Step(check, _at(Call("GET", "/"), path))
    wanted = tuple(steps[check] for check in Check if check in steps and check in common.checks)
    if not wanted:
        raise ConfigError(
            "checks: nothing is left to ask; "
            + (f"there are {', '.join(steps)}" if steps else "give a canary, or live_path or ready_path")
        )
    return wanted


def _at(call: Call, path: str) -> Call:
    """A call at another path, which may have a query."""
    bare, _, query = path.partition("?")
    return dataclasses.replace(call, path=bare, params=tuple(urllib.parse.parse_qsl(query, keep_blank_values=True)))


def _endpoint(data: Any, path: str, defaults: Defaults, folder: Path) -> ConfiguredEndpoint:
    common, options = parsed(_PROTOCOLS, EndpointConfig, data, path, folder)
    timeout, interval = common.timeout or defaults.timeout, common.interval or defaults.interval
    if timeout > interval:
        raise ConfigError(f"{path}.timeout: found {timeout:g} s; allowed is at most the interval, {interval:g} s")
    canaries = tuple(
        (pattern, canary(config, folder, f"{path}.canaries.{pattern}")) for pattern, config in common.canaries.items()
    )
    endpoint = ConfiguredEndpoint(
        common=common,
        options=options,
        interval=interval,
        timeout=timeout,
        series_limit=defaults.series_limit,
        canary=canary(common.canary, folder, f"{path}.canary") if common.canary else None,
        canaries=canaries,
    )
    _check_discovery(endpoint, path)
    try:
        if not common.discover:
            asked(endpoint)
        for pattern, _ in canaries:
            asked(endpoint, pattern)
        if common.discover:
            # Any model may be listed, one without a canary too.
            steps_of(common, options, "any", dict(canaries).get("*"))
    except ConfigError as error:
        raise ConfigError(f"{path}.{error}") from error
    return endpoint


def _check_discovery(endpoint: ConfiguredEndpoint, path: str) -> None:
    common = endpoint.common
    if not common.discover:
        defaults = {field.name: field.default for field in dataclasses.fields(common)}
        given = [key for key in ("include", "exclude", "max_models") if getattr(common, key) != defaults[key]]
        for key in (*given, *(["canaries"] if common.canaries else [])):
            raise ConfigError(f"{path}.{key}: allowed only with discover: true")
        return
    if discovery.index(common.protocol, endpoint.options) is None:
        able = [name for name in discovery.protocols() if discovery.index(name, discovery.protocol_options(name)())]
        raise ConfigError(f"{path}.discover: {common.protocol} has no index of models; {', '.join(able)} have")
    for key in ("model", "version", "canary", "registered_model"):
        if getattr(common, key):
            raise ConfigError(f"{path}.{key}: not allowed with discover: true; canaries: gives canaries by model")


def _module(data: Any, path: str, defaults: Defaults, folder: Path) -> ConfiguredModule:
    common, options = parsed(_PROTOCOLS, ProbeConfig, data, path, folder)
    prediction = canary(common.canary, folder, f"{path}.canary") if common.canary else None
    module = ConfiguredModule(common, options, common.timeout or defaults.timeout, prediction)
    try:
        # The model may come with the request: any name shows whether the canary fits.
        steps_of(common, options, common.model or "any", module.canary)
    except ConfigError as error:
        raise ConfigError(f"{path}.{error}") from error
    return module


def canary(config: CanaryConfig, folder: Path, path: str) -> Canary:
    """A canary, its file read. Raises `ConfigError`."""
    if (config.request is None) == (config.file is None):
        raise ConfigError(f"{path}: allowed is one of request and file")
    if config.file is None:
        body = config.request.encode() if isinstance(config.request, str) else msgspec.json.encode(config.request)
    else:
        try:
            body = (folder / config.file).read_bytes()
        except OSError as error:
            raise ConfigError(f"{path}.file: {folder / config.file} cannot be read: {error.strerror}") from error
    if len(body) > LARGEST_CANARY:
        raise ConfigError(f"{path}: {len(body)} bytes; allowed are {LARGEST_CANARY}")
    return Canary(body, config.content_type, config.expect)
