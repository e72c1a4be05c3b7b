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
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ml_exporter import discovery, endpoint_config, schema, yaml_file
from ml_exporter.alerting_settings import RECEIVERS, Alerting
from ml_exporter.errors import ConfigError
from ml_exporter.ports import Auth
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
    for index, endpoint in enumerate(config.endpoints if config.services else ()):
        name = endpoint.common.name
        if config.service_of_endpoint(name) == DEFAULT_SERVICE:
            found.append(f"endpoints[{index}]: '{name}' belongs to no service, so nothing of it alerts")
    if not config.sources and any(endpoint.common.registered_model for endpoint in config.endpoints):
        found.append("endpoints: registered_model is compared with a registry, and sources has none")
    for severity in ("page", "ticket", "info", "watchdog"):
        route = getattr(config.alerting, severity)
        if not any(getattr(route, kind) for kind in RECEIVERS):
            found.append(f"alerting.{severity}: no receiver, so such alerts reach nobody")
    return found


def from_data(data: Any, environment: Mapping[str, str] = os.environ, folder: Path = Path()) -> Config:
    """Check a configuration that is plain data already. Relative paths are taken from `folder`."""
    if data is not None and not isinstance(data, Mapping):
        raise ConfigError(f"found {type(data).__name__}; allowed is a mapping with sources, services, …")
    data = dict(data or {})
    digest = hashlib.sha256(json.dumps(data, sort_keys=True, default=str).encode()).hexdigest()[:12]
    for section in ("sources", "endpoints"):
        _refuse_plain_passwords(data.get(section), section)
    data = _expand(data, environment, "")
    raw = {section: data.pop(section, None) for section in ("sources", "endpoints", "probes")}
    defaults = schema.parse(Defaults, data.get("defaults"), "defaults")
    schema.reject_unknown_keys(data, {f.name for f in dataclasses.fields(Config)} - {"hash"}, "")
    _unreserve(data)
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
        tracing=_relative(config.tracing, folder, "ca_file"),
        state=str(folder / config.state),
        server=_relative(config.server, folder, "web_config"),
        stack=_relative(config.stack, folder, "output"),
    )
    _check_services(config)
    _check_registered(config)
    _check_routes(config.alerting)
    if bool(config.stack.exporter_username) != bool(config.stack.exporter_password_file):
        raise ConfigError("stack.exporter_password_file: goes together with exporter_username; one of them is missing")
    return config


def _reached(config: Config, given: Mapping[str, Any]) -> Stack:
    """Where the exporter is reached, if nothing else is said: where it listens."""
    host, _, port = config.server.listen.rpartition(":")
    address = f"{'127.0.0.1' if host in ('', '0.0.0.0', '[::]') else host}:{port}"  # noqa: S104 — compared, not bound
    stack = config.stack
    if "exporter_targets" not in given:
        stack = dataclasses.replace(stack, exporter_targets=(address,))
    if "exporter_url" not in given:
        stack = dataclasses.replace(stack, exporter_url=f"http://{address}")
    return stack


def _refuse_plain_passwords(items: Any, section: str) -> None:
    for index, source in enumerate(items if isinstance(items, list) else ()):
        password = source.get("password") if isinstance(source, Mapping) else None
        if isinstance(password, str) and not re.search(r"\$\{\w+\}", password):
            raise ConfigError(
                f"{section}[{index}].password: a plain password has no place in a file that people share; "
                "allowed is ${NAME} from the environment, or password_file"
            )


def _unreserve(data: dict[str, Any]) -> None:
    """`from` is a word of Python; the field is called `from_`."""
    alerting = data.get("alerting")
    for route in alerting.values() if isinstance(alerting, Mapping) else ():
        email = route.get("email") if isinstance(route, Mapping) else None
        if isinstance(email, dict) and "from" in email:
            email["from_"] = email.pop("from")


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
    if not isinstance(data, Mapping):
        raise ConfigError(f"{path}: allowed is a section with name, kind and url")
    kinds = discovery.kinds()
    kind = data.get("kind")
    if kind is None:
        raise ConfigError(f"{path}.kind: missing; allowed are {', '.join(kinds)}")
    if kind not in kinds:
        raise ConfigError(f"{path}.kind: found '{kind}'{schema.nearest(str(kind), kinds)}")
    options_type = discovery.options_of(kind)
    common_names = {f.name for f in dataclasses.fields(SourceConfig)}
    option_names = {f.name for f in dataclasses.fields(options_type)}
    schema.reject_unknown_keys(data, common_names | option_names, path)
    common = schema.parse(SourceConfig, {k: v for k, v in data.items() if k in common_names}, path)
    common = dataclasses.replace(
        _relative(common, folder, "password_file", "token_file", "ca_file", "unix_socket"), url=common.url.rstrip("/")
    )
    options = schema.parse(options_type, {k: v for k, v in data.items() if k in option_names}, path)
    _check_credentials(common, discovery.auth_of(kind, options), path)
    timeout = common.timeout or defaults.timeout
    try:
        discovery.validate(kind, options, timeout)
        discovery.create(kind, common.name, options, common.url)
    except ConfigError as error:
        raise ConfigError(f"{path}.{error}") from error
    return ConfiguredSource(
        common=common,
        options=options,
        interval=common.interval or defaults.interval,
        timeout=timeout,
        series_limit=common.series_limit or defaults.series_limit,
    )


def _check_credentials(source: SourceConfig, auth: Auth, path: str) -> None:
    ways = [name for name in ("token_file", "password_file", "password") if getattr(source, name)]
    if len(ways) > 1:
        raise ConfigError(f"{path}.{ways[1]}: {ways[0]} is given too; allowed is one of them")
    if source.username and ways and ways[0] == "token_file" and not auth.user_header:
        raise ConfigError(f"{path}.token_file: username is given too; allowed is a token or a user with a password")
    if (source.password or source.password_file) and not source.username:
        raise ConfigError(f"{path}.username: missing; a password needs a user")
    if source.username and not ways and not auth.user_header:
        raise ConfigError(f"{path}.password_file: missing; a user needs a password (or a token_file without a user)")


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


def _check_routes(alerting: Alerting) -> None:
    for severity in ("page", "ticket", "info", "watchdog"):
        webhook = getattr(alerting, severity).webhook
        if webhook and bool(webhook.url) == bool(webhook.url_file):
            raise ConfigError(f"alerting.{severity}.webhook: allowed is one of url and url_file")


def _relative(section: Any, folder: Path, *names: str) -> Any:
    changes = {name: str(folder / getattr(section, name)) for name in names if getattr(section, name)}
    return dataclasses.replace(section, **changes)
