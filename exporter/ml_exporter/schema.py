"""Checks plain data against dataclasses: every error gives the key path, what was found and what is allowed."""

from __future__ import annotations

import dataclasses
import difflib
import functools
import re
import reprlib
import types
import typing
from collections.abc import Mapping
from dataclasses import MISSING, dataclass
from typing import Any, TypeVar

from ml_exporter.errors import ConfigError

T = TypeVar("T")

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_SECRET = re.compile(r"password|token|secret|headers")
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d|w)")

_SHOWN = reprlib.Repr()
# An alias of YAML is a few bytes, and what it stands for may be without end.
_SHOWN.maxlevel, _SHOWN.maxstring, _SHOWN.maxother = 3, 60, 60


@dataclass(frozen=True, slots=True)
class Duration:
    """A time span in the configuration, `30s`, `1h30m`, `1d`; becomes seconds."""

    low: str
    high: str


@dataclass(frozen=True, slots=True)
class Between:
    """A number within limits, both included."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Matches:
    """Text of a given form; `form` says it in words."""

    pattern: str
    form: str


NAME = Matches(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,62}", "a name of letters, digits, '_', '.' and '-', at most 63 long")
URL = Matches(r"https?://[^\s/?#@]+(/[^\s?#]*)?", "http(s)://host[:port][/path] without user, query or fragment")
LINE = Matches(r"\S[^\n]*", "one sentence, on one line")
HOST_AND_PORT = Matches(r"(\[[0-9a-fA-F:]+\]|[^\s:]*):\d{1,5}", "host:port")


def seconds(text: str) -> float | None:
    """`1h30m` → 5400.0; None if the text is not a duration."""
    rest = text.strip()
    parts = _DURATION.findall(rest)
    if not parts or "".join(number + unit for number, unit in parts) != rest:
        return None
    return sum(float(number) * _UNITS[unit] for number, unit in parts)


def parse(cls: type[T], data: Any, path: str = "") -> T:
    """Build the dataclass `cls` from `data`. Raises `ConfigError` at the first thing that is not allowed."""
    if data is None:
        data = {}
    if not isinstance(data, Mapping):
        raise ConfigError(f"{_at(path)}: found {show(data, path)}; allowed is a section with keys {_keys(cls)}")
    fields = {field.name: field for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
    reject_unknown_keys(data, fields, path)
    hints = _hints(cls)  # type: ignore[arg-type]  # every class is hashable
    values = {}
    for name, field in fields.items():
        where = f"{path}.{name}" if path else name
        if name in data:
            values[name] = convert(hints[name], data[name], where)
        elif field.default is MISSING and field.default_factory is MISSING:
            raise ConfigError(f"{where}: missing; it must be given")
    try:
        return cls(**values)
    except ConfigError as error:
        # What a section says of its own keys together.
        raise ConfigError(f"{path}.{error}" if path else str(error)) from None


@functools.cache
def _hints(cls: Any) -> dict[str, Any]:
    return typing.get_type_hints(cls, include_extras=True)


def reject_unknown_keys(data: Mapping[Any, Any], allowed: Any, path: str) -> None:
    """Raise `ConfigError` for a key that is not in `allowed`, naming the nearest one that is."""
    for key in data:
        if key not in allowed:
            where = f"{path}.{key}" if path else str(key)
            raise ConfigError(f"{where}: unknown key{nearest(str(key), allowed)}")


def nearest(word: str, allowed: Any) -> str:
    """`; did you mean 'x'?` when something is close, else the list of what is allowed."""
    names = sorted(str(name) for name in allowed)
    close = difflib.get_close_matches(word, names, n=1)
    return f"; did you mean '{close[0]}'?" if close else f"; allowed are {', '.join(names)}"


def convert(hint: Any, value: Any, path: str) -> Any:
    """Turn a plain value into what the type hint asks for. Raises `ConfigError`."""
    origin = typing.get_origin(hint)
    if origin is typing.Annotated:
        return _constrained(*typing.get_args(hint), value=value, path=path)
    if origin in (types.UnionType, typing.Union):
        if value is None:
            return None
        inner = [arg for arg in typing.get_args(hint) if arg is not type(None)]
        return convert(inner[0], value, path)
    if origin is typing.Literal:
        return _choice(typing.get_args(hint), value, path)
    if origin is tuple:
        return _sequence(typing.get_args(hint)[0], value, path)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return _mapping(typing.get_args(hint)[1], value, path)
    if dataclasses.is_dataclass(hint):
        return parse(hint, value, path)  # type: ignore[arg-type]
    return _plain(hint, value, path)


def _constrained(base: Any, rule: Any, *, value: Any, path: str) -> Any:
    if value is None and type(None) in typing.get_args(base):
        return None
    match rule:
        case Duration():
            return _duration(rule, value, path)
        case Between():
            number = convert(base, value, path)
            if not rule.low <= number <= rule.high:
                raise ConfigError(f"{path}: found {number:g}; allowed are {rule.low:g} to {rule.high:g}")
            return number
        case Matches():
            text = convert(base, value, path)
            if not re.fullmatch(rule.pattern, text):
                raise ConfigError(f"{path}: found {show(text, path)}; allowed is {rule.form}")
            return text
    raise TypeError(f"no such rule: {rule!r}")


def _duration(rule: Duration, value: Any, path: str) -> float:
    # YAML reads a bare 0 or 30 as a number: a unit is asked for, except that nothing is nothing.
    found = 0.0 if value == 0 and not isinstance(value, bool) else seconds(value) if isinstance(value, str) else None
    low, high = seconds(rule.low), seconds(rule.high)
    assert low is not None
    assert high is not None
    if found is None or not low <= found <= high:
        raise ConfigError(
            f"{path}: found {show(value, path)}; "
            f"allowed is a duration from {rule.low} to {rule.high}, such as 30s or 1h30m"
        )
    return found


def _choice(allowed: tuple[Any, ...], value: Any, path: str) -> Any:
    if value in allowed:
        return value
    raise ConfigError(f"{path}: found {show(value, path)}{nearest(str(value), allowed)}")


def _sequence(inner: Any, value: Any, path: str) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        raise ConfigError(f"{path}: found {show(value, path)}; allowed is a list")
    return tuple(convert(inner, item, f"{path}[{index}]") for index, item in enumerate(value))


def _mapping(inner: Any, value: Any, path: str) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise ConfigError(f"{path}: found {show(value, path)}; allowed is a mapping, {{key: value}}")
    return {str(key): convert(inner, item, f"{path}.{key}") for key, item in value.items()}


def _plain(kind: Any, value: Any, path: str) -> Any:
    if kind is Any:
        return value
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if (isinstance(value, bool) and kind is not bool) or not isinstance(value, kind):
        words = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}
        quote = " (put it in quotes)" if kind is str and isinstance(value, int | float) else ""
        raise ConfigError(f"{path}: found {show(value, path)}; allowed is {words[kind]}{quote}")
    return value


def _keys(cls: Any) -> str:
    return ", ".join(field.name for field in dataclasses.fields(cls))


def _at(path: str) -> str:
    return path or "the file"


def show(value: Any, path: str = "") -> str:
    """What was found, for an error: cut, and without secrets."""
    if _SECRET.search(path) and not path.endswith("_file"):
        return "something that is not shown here"
    text = re.sub(r"//[^/@\s]+@", "//…@", repr(value[:1000]) if isinstance(value, str) else _SHOWN.repr(value))
    return text if len(text) <= 60 else text[:57] + "..."
