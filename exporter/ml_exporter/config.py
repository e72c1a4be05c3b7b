"""The configuration file: YAML → settings, checked whole before anything starts.

Secrets come from files or from `${ENVIRONMENT}`; they are never part of the hash, of a label or of what Jsonnet sees.
"""

from __future__ import annotations

import dataclasses
import fnmatch
import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ml_exporter import discovery, endpoint_config, routing_config, schema, slo_config, yaml_file
from ml_exporter.backend_config import Kinds, parsed, relative
from ml_exporter.errors import ConfigError
from ml_exporter.settings import (
    DEFAULT_SERVICE,
    STAGES,
    Config,
    ConfiguredSource,
    Defaults,
    SourceConfig,
    Stack,
    StageItem,
)

_KINDS = Kinds(
    key="kind",
    form="a section with name, kind and url",
    names=discovery.kinds,
    options=discovery.options_of,
    auth=discovery.auth_of,
    no_user="username: missing; a password needs a user",
    no_proof="password_file: missing; a user needs a password (or a token_file without a user)",
    not_together="token_file: username is given too; allowed is a token or a user with a password",
)


def load(path: Path, environment: Mapping[str, str] = os.environ) -> Config:
    """Read and check a configuration file. Raises `ConfigError` that names the file."""
    data = yaml_file.read(path)
    try:
        return from_data(data, environment, path.parent)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error


def warnings(config: Config) -> list[str]:
    """What is allowed and probably not meant."""
    watched = config.sources or config.endpoints or config.probes.allow
    found = [] if watched else ["sources and endpoints: none, so there is nothing to watch"]
    found += endpoint_config.warnings(config.endpoints)
    found += config.slo_notes
    for index, endpoint in enumerate(config.endpoints if config.services else ()):
        name = endpoint.common.name
        if config.service_of_endpoint(name).service == DEFAULT_SERVICE:
            found.append(f"endpoints[{index}]: '{name}' belongs to no service, so nothing of it alerts")
    if not config.sources and any(endpoint.common.registered_model for endpoint in config.endpoints):
        found.append("endpoints: registered_model is compared with a registry, and sources has none")
    return found + routing_config.warnings(config.alerting)


def from_data(data: Any, environment: Mapping[str, str] = os.environ, folder: Path = Path()) -> Config:
    """Check a configuration that is plain data already. Relative paths are taken from `folder`."""
    if data is not None and not isinstance(data, Mapping):
        raise ConfigError(f"found {type(data).__name__}; allowed is a mapping with sources, services, …")
    data = dict(data or {})
    digest = hashlib.sha256(json.dumps(data, sort_keys=True, default=str).encode()).hexdigest()[:12]
    _refuse_plain_passwords(data)
    data = _expand(data, environment, "")
    raw = {section: data.pop(section, None) for section in ("sources", "endpoints", "probes", "slos")}
    defaults = schema.parse(Defaults, data.get("defaults"), "defaults")
    schema.reject_unknown_keys(data, {f.name for f in dataclasses.fields(Config)} - {"hash", "slo_notes"}, "")
    if "alerting" in data:
        data["alerting"] = routing_config.unreserve(data["alerting"])
    config = schema.parse(Config, {**data, "hash": digest})
    stack = data.get("stack")
    config = dataclasses.replace(
        config,
        stack=_reached(config, stack if isinstance(stack, Mapping) else {}),
    )
    config = dataclasses.replace(
        config,
        sources=_sources(raw["sources"], defaults, folder),
        endpoints=endpoint_config.endpoints(raw["endpoints"], defaults, folder),
        probes=endpoint_config.probes(raw["probes"], defaults, folder),
        tracing=relative(config.tracing, folder, "ca_file"),
        state=str(folder / config.state),
        server=relative(config.server, folder, "web_config"),
        stack=relative(config.stack, folder, "output"),
    )
    _check_services(config)
    _check_registered(config)
    _check_heartbeats(config)
    routing_config.check(config.alerting, config.services)
    if bool(config.stack.exporter_username) != bool(config.stack.exporter_password_file):
        raise ConfigError("stack.exporter_password_file: goes together with exporter_username; one of them is missing")
    return slo_config.with_slos(config, raw["slos"], folder)


def _reached(config: Config, given: Mapping[str, Any]) -> Stack:
    """Where the exporter is reached, if nothing else is said: where it listens; dashboards: where they are rendered."""
    host, _, port = config.server.listen.rpartition(":")
    address = f"{'127.0.0.1' if host in ('', '0.0.0.0', '[::]') else host}:{port}"  # noqa: S104 — compared, not bound
    stack = config.stack
    if "exporter_targets" not in given:
        stack = dataclasses.replace(stack, exporter_targets=(address,))
    if "exporter_url" not in given:
        stack = dataclasses.replace(stack, exporter_url=f"http://{address}")
    if "exporter_browser_url" not in given:
        stack = dataclasses.replace(stack, exporter_browser_url=stack.exporter_url)
    if "grafana_dashboards" not in given and stack.output and Path(stack.output).is_absolute():
        stack = dataclasses.replace(stack, grafana_dashboards=f"{stack.output.rstrip('/')}/grafana/dashboards")
    return stack


def _refuse_plain_passwords(data: Mapping[str, Any]) -> None:
    for path, section in _with_password(data):
        password = section.get("password") if isinstance(section, Mapping) else None
        if isinstance(password, str) and not re.search(r"\$\{\w+\}", password):
            raise ConfigError(
                f"{path}.password: a plain password has no place in a file that people share; "
                "allowed is ${NAME} from the environment, or password_file"
            )


def _with_password(data: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """What may have a password, by its key path."""
    for name in ("sources", "endpoints"):
        items = data.get(name)
        yield from ((f"{name}[{index}]", item) for index, item in enumerate(items if isinstance(items, list) else ()))
    probes = data.get("probes")
    modules = probes.get("modules") if isinstance(probes, Mapping) else None
    for name, module in modules.items() if isinstance(modules, Mapping) else ():
        yield f"probes.modules.{name}", module


def _expand(value: Any, environment: Mapping[str, str], path: str) -> Any:
    if isinstance(value, Mapping):
        return {k: _expand(v, environment, f"{path}.{k}" if path else str(k)) for k, v in value.items()}
    if isinstance(value, list):
        return [_expand(item, environment, f"{path}[{index}]") for index, item in enumerate(value)]
    if not isinstance(value, str):
        return value

    def fill(match: re.Match[str]) -> str:
        if match[1] not in environment:
            raise ConfigError(f"{path}: ${{{match[1]}}} is not set in the environment")
        return environment[match[1]]

    return re.sub(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}", fill, value)


def _sources(data: Any, defaults: Defaults, folder: Path) -> tuple[ConfiguredSource, ...]:
    if data is None:
        return ()
    if not isinstance(data, list):
        raise ConfigError("sources: allowed is a list of sources, each with name, kind and url")
    sources = tuple(_source(item, f"sources[{index}]", defaults, folder) for index, item in enumerate(data))
    seen: dict[str, int] = {}
    for index, source in enumerate(sources):
        name = source.common.name
        if name in seen:
            raise ConfigError(f"sources[{index}].name: found '{name}', which sources[{seen[name]}] has already")
        seen[name] = index
    return sources


def _source(data: Any, path: str, defaults: Defaults, folder: Path) -> ConfiguredSource:
    common, options = parsed(_KINDS, SourceConfig, data, path, folder)
    timeout = common.timeout or defaults.timeout
    try:
        discovery.validate(common.kind, options, timeout)
        discovery.create(common.kind, common.name, options, common.url)
    except ConfigError as error:
        raise ConfigError(f"{path}.{error}") from error
    return ConfiguredSource(
        common=common,
        options=options,
        interval=common.interval or defaults.interval,
        timeout=timeout,
        series_limit=common.series_limit or defaults.series_limit,
    )


def _check_heartbeats(config: Config) -> None:
    """What is read every few minutes looks that old just before the next reading."""
    after = config.alerting.thresholds.scheduler_heartbeat_after
    for index, source in enumerate(config.sources):
        every = getattr(source.options, "heartbeats_every", 0.0)
        if after < 2 * every:
            raise ConfigError(
                f"alerting.thresholds.scheduler_heartbeat_after: found {after:g} s; allowed is at least {2 * every:g} "
                f"s, twice the time between two readings of the heartbeats of sources[{index}] ('{source.common.name}')"
            )


def _check_registered(config: Config) -> None:
    names = [source.common.name for source in config.sources]
    for index, endpoint in enumerate(config.endpoints):
        source = (endpoint.common.registered_model or "").partition("/")[0]
        if source and names and source not in names:
            raise ConfigError(
                f"endpoints[{index}].registered_model: no source is called '{source}'{schema.nearest(source, names)}"
            )


def _check_services(config: Config) -> None:
    names = [service.name for service in config.services]
    for index, service in enumerate(config.services):
        path = f"services[{index}]"
        if names.index(service.name) != index:
            raise ConfigError(f"{path}.name: found '{service.name}', which an earlier service has already")
        if service.name == DEFAULT_SERVICE:
            raise ConfigError(
                f"{path}.name: '{DEFAULT_SERVICE}' is what unclaimed pipelines are called; choose another"
            )
        schema.reject_unknown_keys(service.stages, STAGES, f"{path}.stages")
        for stage, items in service.stages.items():
            for number, item in enumerate(items):
                _check_item(item, config, f"{path}.stages.{stage}[{number}]")


def _check_item(item: StageItem, config: Config, path: str) -> None:
    if (item.pipeline is None) == (item.endpoint is None):
        raise ConfigError(f"{path}: allowed is one of pipeline and endpoint")
    if item.pipeline is not None:
        _check_pattern(item.pipeline, config, f"{path}.pipeline")
        return
    for key in ("every", "cost_per_hour"):
        if getattr(item, key) is not None:
            hint = "; endpoints have it in endpoints:" if key == "cost_per_hour" else ""
            raise ConfigError(f"{path}.{key}: allowed only beside pipeline{hint}")
    names = [endpoint.common.name for endpoint in config.endpoints]
    if names and not fnmatch.filter(names, item.endpoint or ""):
        raise ConfigError(
            f"{path}.endpoint: found '{item.endpoint}', and no endpoint is called so"
            f"{schema.nearest(item.endpoint or '', names)}"
        )


def _check_pattern(pattern: str, config: Config, path: str) -> None:
    """A pattern for a source that does not exist would claim nothing, and so nothing would alert."""
    sources = [source.common.name for source in config.sources]
    wanted = pattern.partition("/")[0]
    if sources and not any(fnmatch.fnmatchcase(name, wanted) for name in sources):
        raise ConfigError(
            f"{path}: found '{pattern}', and no source is called '{wanted}'{schema.nearest(wanted, sources)}"
        )
