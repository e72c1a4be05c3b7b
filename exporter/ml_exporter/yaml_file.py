"""A YAML file as plain data: quick where it is right, and where it is not, explained in one line."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from ml_exporter.errors import ConfigError

_DEEPEST = 100
"""Levels of lists and sections. libyaml's own limit is the stack, which it overruns at some ten thousand."""
_MOST = 1_000_000
"""Values, each as often as aliases repeat it."""
_MOST_MERGED = 10_000
_MOST_BITS = 1000
"""Of a whole number: larger ones become neither decimals nor text."""
_TOO_DEEP = f"lists and sections within each other, more than {_DEEPEST} levels"


def read(path: Path) -> Any:
    """What a file holds. Raises `ConfigError` that names the file, the line and the mend for what people run into."""
    return _read(path, yaml.load)


def read_all(path: Path) -> list[Any]:
    """The documents of a file, which `---` parts. Raises `ConfigError` as `read` does."""
    found: list[Any] = _read(path, lambda text, loader: list(yaml.load_all(text, loader)))
    return found


def _read(path: Path, load: Callable[[str, Any], Any]) -> Any:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from error
    try:
        data = _parsed(text, load)
        _weigh(data, {})
        return data
    except yaml.MarkedYAMLError as error:
        raise ConfigError(f"{path}: not YAML: {_explain(error, text)}") from error
    except RecursionError as error:
        raise ConfigError(f"{path}: not YAML: {_TOO_DEEP}") from error
    except (yaml.YAMLError, ValueError) as error:
        # A date that no calendar has is a `ValueError`.
        raise ConfigError(f"{path}: not YAML: {' '.join(str(error).split())}") from error


def _parsed(text: str, load: Callable[[str, Any], Any]) -> Any:
    """Raises `yaml.YAMLError`. The quick parser where there is one; a mistake is left to the one that explains it."""
    try:
        return load(text, _Quick)
    except yaml.YAMLError:
        return load(text, _Explaining)


def _weigh(data: Any, known: dict[int, tuple[int, int]]) -> tuple[int, int]:
    """How many values and levels there are, with every alias written out. Raises `yaml.YAMLError` if too many."""
    if isinstance(data, int) and data.bit_length() > _MOST_BITS:
        raise yaml.YAMLError("a number that nothing can count to")
    if not isinstance(data, dict | list | tuple):
        return 1, 0
    if id(data) not in known:
        # What holds itself is without end.
        known[id(data)] = (1, _DEEPEST)
        parts = [_weigh(part, known) for part in (data.values() if isinstance(data, dict) else data)]
        known[id(data)] = 1 + sum(size for size, _ in parts), 1 + max((levels for _, levels in parts), default=0)
    size, levels = known[id(data)]
    if size > _MOST:
        raise yaml.YAMLError(f"aliases make more than {_MOST:,} values of it")
    if levels > _DEEPEST:
        raise yaml.YAMLError(_TOO_DEEP)
    return size, levels


class _Bounded:
    """A file of a few bytes may neither overrun the stack nor fill the memory."""

    _level = 0

    def descend_resolver(self, node: yaml.Node | None, index: Any) -> None:
        self._level += 1
        if self._level > _DEEPEST and node is not None:
            raise yaml.MarkedYAMLError(problem=_TOO_DEEP, problem_mark=node.start_mark)
        super().descend_resolver(node, index)  # type: ignore[misc]  # the loader's, in _Quick and _Explaining

    def ascend_resolver(self) -> None:
        self._level -= 1
        super().ascend_resolver()  # type: ignore[misc]  # the loader's, in _Quick and _Explaining

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """What `<<` merges, which may merge in turn."""
        own = len(node.value)
        super().flatten_mapping(node)  # type: ignore[misc]  # the loader's, in _Quick and _Explaining
        if len(node.value) > own + _MOST_MERGED:
            raise yaml.MarkedYAMLError(problem=f"more than {_MOST_MERGED:,} merged keys", problem_mark=node.start_mark)


class _EachKeyOnce(_Bounded):
    """YAML lets a later key replace an earlier one in silence; here it is an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: dict[Any, int] = {}
        for key, _ in node.value:
            name, line = key.value, key.start_mark.line + 1
            if isinstance(name, str) and name in seen:
                problem = f"the key '{name}' is given twice, first in line {seen[name]}"
                raise yaml.MarkedYAMLError(problem=problem, problem_mark=key.start_mark)
            if isinstance(name, str):
                seen[name] = line
        mapping: dict[Any, Any] = super().construct_mapping(node, deep)  # type: ignore[misc]  # the loader's, in _Quick and _Explaining
        return mapping


class _Explaining(_EachKeyOnce, yaml.SafeLoader):
    pass


class _Quick(_EachKeyOnce, getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # if PyYAML has libyaml
    pass


def _explain(error: yaml.MarkedYAMLError, text: str) -> str:
    """One line: where, what, and the mend for what people run into."""
    mark = error.problem_mark or error.context_mark
    line = text.splitlines()[mark.line] if mark and mark.line < len(text.splitlines()) else ""
    hint = "; indent with spaces, not tabs" if "\t" in line else ""
    near = " ".join(text.splitlines()[max(0, mark.line - 3) : mark.line + 1]) if mark else ""
    if not hint and re.search(r"[:\[{,]\s*#", near):
        hint = '; a text that begins with # needs quotes: "#channel"'
    where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
    return f"{where}{error.problem or error.context}{hint}"
