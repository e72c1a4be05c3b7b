"""A file in `sources/` is a kind: it has an `Options` dataclass and `create(name, options, url) -> Source`.

It may have `auth(options) -> Auth`, where its backend takes credentials in a way of its own, and
`validate(options, timeout)`, where options must go together.

A file in `probes/` is a protocol: it has `Options` and `steps(target) -> tuple[Step, ...]`; where a server tells which
models it has, `index(options) -> Index` too; where answers name the version, `TELLS_VERSION`.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
from types import ModuleType
from typing import Any

from ml_exporter import probes, sources
from ml_exporter.ports import Auth, Index, Source, Step, Target


@functools.cache
def kinds() -> tuple[str, ...]:
    """The kinds of source there are, in order."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(sources.__path__)))


@functools.cache
def _module(kind: str) -> ModuleType:
    return importlib.import_module(f"{sources.__name__}.{kind}")


def options_of(kind: str) -> Any:
    """The dataclass of the options that a kind takes beside the common ones."""
    return _module(kind).Options


def auth_of(kind: str, options: Any) -> Auth:
    """How a kind takes credentials: what its `auth(options)` says, if it has one."""
    given = getattr(_module(kind), "auth", None)
    auth: Auth = given(options) if given else Auth()
    return auth


def validate(kind: str, options: Any, timeout: float) -> None:
    """Check options that a type cannot, by the kind's `validate(options, timeout)`, if it has one.

    `timeout`: seconds for one request. Raises `ConfigError` that begins with the option's name.
    """
    check = getattr(_module(kind), "validate", None)
    if check:
        check(options, timeout)


def create(kind: str, name: str, options: Any, url: str) -> Source:
    """A source of the given kind."""
    source: Source = _module(kind).create(name, options, url)
    return source


@functools.cache
def protocols() -> tuple[str, ...]:
    """The protocols of endpoints there are, in order."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(probes.__path__)))


@functools.cache
def _protocol(name: str) -> ModuleType:
    return importlib.import_module(f"{probes.__name__}.{name}")


def protocol_options(protocol: str) -> Any:
    """The dataclass of the options that a protocol takes beside what every endpoint has."""
    return _protocol(protocol).Options


def steps(protocol: str, target: Target) -> tuple[Step, ...]:
    """What a protocol asks of an endpoint. Raises `ConfigError` that begins with a key of the endpoint."""
    asked: tuple[Step, ...] = _protocol(protocol).steps(target)
    return asked


def tells_version(protocol: str) -> bool:
    """Whether answers of this protocol name the version of the model."""
    return bool(getattr(_protocol(protocol), "TELLS_VERSION", False))


def index(protocol: str, options: Any) -> Index | None:
    """How a server is asked for its models; None where the protocol has no way."""
    given = getattr(_protocol(protocol), "index", None)
    return given(options) if given else None
