"""A YAML file as plain data: quick where it is right, and where it is not, explained in one line."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from ml_exporter.errors import ConfigError


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
        return _parsed(text, load)
    except yaml.MarkedYAMLError as error:
        raise ConfigError(f"{path}: not YAML: {_explain(error, text)}") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not YAML: {' '.join(str(error).split())}") from error


def _parsed(text: str, load: Callable[[str, Any], Any]) -> Any:
    """Raises `yaml.YAMLError`. The quick parser where there is one; a mistake is left to the one that explains it."""
    try:
        return load(text, _Quick)
    except yaml.YAMLError:
        return load(text, _Explaining)


class _EachKeyOnce:
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
        mapping: dict[Any, Any] = super().construct_mapping(node, deep)  # type: ignore[misc]  # of the loader beside
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
