"""A file in `sources/` is a kind: it has an `Options` dataclass and `create(name, options, url) -> Source`.

It may have `auth(options) -> Auth`, where its backend takes credentials in a way of its own, and
`validate(options, timeout)`, where options must go together.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
from types import ModuleType
from typing import Any

from ml_exporter import sources
from ml_exporter.ports import Auth, Source


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
