"""The web configuration file: TLS, basic auth and headers, in the format that Prometheus' exporters share.

https://github.com/prometheus/exporter-toolkit/blob/master/docs/web-configuration.md
"""

from __future__ import annotations

import dataclasses
import logging
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from ml_exporter import schema
from ml_exporter.errors import ConfigError
from ml_exporter.web import tls
from ml_exporter.web.tls import TlsConfig

HEADERS = (
    "Content-Security-Policy",
    "X-Frame-Options",
    "X-Content-Type-Options",
    "X-XSS-Protection",
    "Strict-Transport-Security",
)
_HEADER_VALUES = {"X-Frame-Options": ("deny", "sameorigin"), "X-Content-Type-Options": ("nosniff",)}
_BCRYPT = re.compile(r"\$2[aby]\$(0[4-9]|[12]\d|3[01])\$[./A-Za-z0-9]{53}")

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class HttpServerConfig:
    http2: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _File:
    tls_server_config: TlsConfig | None = None
    http_server_config: HttpServerConfig = field(default_factory=HttpServerConfig)


@dataclass(frozen=True, slots=True)
class WebConfig:
    """How the web surface is protected. The default is not at all."""

    tls: TlsConfig | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    users: Mapping[str, str] = field(default_factory=dict, repr=False)
    """User → bcrypt hash; empty: everybody may read."""
    path: Path | None = None
    """The file it was read from, and is read from again on a reload."""


def load(path: Path | str) -> WebConfig:
    """Read and check a web configuration, its certificates included. Raises `ConfigError` that names the file."""
    path = Path(path)
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not YAML: {_place(error)}") from None
    try:
        config = dataclasses.replace(_parse(data, path.parent), path=path)
        ssl_context(config)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error
    return config


def ssl_context(config: WebConfig) -> ssl.SSLContext | None:
    """The TLS context as its files are now; None without TLS. Raises `ConfigError`."""
    return tls.context(config.tls) if config.tls is not None else None


def _parse(data: Any, folder: Path) -> WebConfig:
    if data is not None and not isinstance(data, Mapping):
        raise ConfigError(
            f"found {type(data).__name__}; allowed is a mapping with tls_server_config, basic_auth_users, …"
        )
    data = dict(data or {})
    known = {item.name for item in dataclasses.fields(_File)} | {"basic_auth_users"}
    schema.reject_unknown_keys(data, known, "")
    users = _users(data.pop("basic_auth_users", None))
    file = schema.parse(_File, data)
    if file.http_server_config.http2:
        _log.warning("http_server_config.http2 is ignored: HTTP/2 is not spoken here")
    _check_headers(file.http_server_config.headers)
    return WebConfig(_in_folder(file.tls_server_config, folder), file.http_server_config.headers, users)


def _users(data: Any) -> dict[str, str]:
    """Checked here, because an error must not show what may be a password."""
    if data is None:
        return {}
    if not isinstance(data, Mapping):
        raise ConfigError("basic_auth_users: allowed is a mapping of users to bcrypt hashes")
    for user, value in data.items():
        if not isinstance(value, str) or not _BCRYPT.fullmatch(value):
            raise ConfigError(
                f"basic_auth_users.{user}: found something else than a bcrypt hash; allowed is the output of "
                "`htpasswd -nBC 10 USER` after the colon, such as $2y$10$…"
            )
    return {str(user): value for user, value in data.items()}


def _check_headers(headers: Mapping[str, str]) -> None:
    path = "http_server_config.headers"
    schema.reject_unknown_keys(headers, HEADERS, path)
    for name, value in headers.items():
        allowed = _HEADER_VALUES.get(name)
        if value and allowed and value.lower() not in allowed:
            raise ConfigError(f"{path}.{name}: found '{value}'; allowed are {', '.join(allowed)}")
        if not value.isprintable():
            raise ConfigError(f"{path}.{name}: holds a line break; allowed is one line")


def _in_folder(config: TlsConfig | None, folder: Path) -> TlsConfig | None:
    if config is None:
        return None
    ca = config.client_ca_file
    return dataclasses.replace(
        config,
        cert_file=str(folder / config.cert_file),
        key_file=str(folder / config.key_file),
        client_ca_file=str(folder / ca) if ca else None,
    )


def _place(error: yaml.YAMLError) -> str:
    """Where it broke; not the line itself, which may be a hash."""
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or "unreadable"
    return f"line {mark.line + 1}, column {mark.column + 1}: {problem}" if mark else str(problem)
