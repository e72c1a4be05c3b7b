"""Regular expressions of the configuration, which are run on what somebody else's server answers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from re import _parser  # type: ignore[attr-defined]  # typeshed has no private modules
from typing import Any

from ml_exporter.errors import ConfigError

SEARCHED = 16_384
"""Characters of a text that are searched. `.*x` looks at each once for every other: 0.2 s; 3 s for 65,536 of them."""
_MANY = 10
_REPEATS = ("MAX_REPEAT", "MIN_REPEAT")


def compiled(pattern: str, where: str) -> re.Pattern[str]:
    """A pattern, ready for `found`. Raises `ConfigError`, which begins with `where`.

    One that repeats what itself can be repeated, as `(a+)+`, is refused: where it does not match, Python's engine
    tries all ways to divide the text, which takes for ever, and the exporter stands still meanwhile.
    """
    try:
        parsed = _parser.parse(pattern)
        found = re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        raise ConfigError(f"{where}: {pattern!r} is no regular expression (Python's): {error}") from None
    if _explodes(parsed):
        raise ConfigError(
            f"{where}: found {pattern!r}, which repeats a repeat or a choice and can take for ever; "
            "allowed is a possessive outer repeat, ')++' for ')+', or a simpler pattern"
        )
    return found


def found(pattern: re.Pattern[str], text: str) -> bool:
    """Whether the pattern is found in the first `SEARCHED` characters of a text."""
    return bool(pattern.search(text, 0, SEARCHED))


def _explodes(parsed: Any) -> bool:
    return any(
        (str(operator) in _REPEATS and argument[1] >= _MANY and _varies(argument[2]))
        or any(map(_explodes, _parts(argument)))
        for operator, argument in parsed
    )


def _varies(parsed: Any) -> bool:
    """Whether it can match the same text in several ways. What is possessive or atomic cannot."""
    for operator, argument in parsed:
        if str(operator) == "BRANCH" or (str(operator) in _REPEATS and argument[0] != argument[1]):
            return True
        if str(operator) not in ("POSSESSIVE_REPEAT", "ATOMIC_GROUP") and any(map(_varies, _parts(argument))):
            return True
    return False


def _parts(argument: Any) -> Iterator[Any]:
    if isinstance(argument, _parser.SubPattern):
        yield argument
    elif isinstance(argument, list | tuple):
        for item in argument:
            yield from _parts(item)
