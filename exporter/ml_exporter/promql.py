"""PromQL that people write, as far as it can be checked without Prometheus: one wrong expression breaks every rule.

Checked are brackets, quotes, escapes and comments, and where `$window` stands. Not checked are grammar, the names and
types of functions, labels and matchers, regular expressions, and whether any such series exists: `promtool check rules`
and Prometheus itself do that. Events per second are only told from events per window where `increase` or `delta` stand
directly around `[$window]`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from ml_exporter.errors import ConfigError

_ESCAPE = r"\\(?:[abfnrtv\\{quote}]|[0-3][0-7]{{2}}|x[0-9a-fA-F]{{2}}|u[0-9a-fA-F]{{4}}|U[0-9a-fA-F]{{8}})"
_QUOTED = r"{quote}(?:[^{quote}\\\n]|" + _ESCAPE + ")*{quote}"
_STRING = "|".join([*(_QUOTED.format(quote=quote) for quote in "\"'"), "`[^`]*`"])
_TOKEN = re.compile(
    rf"(?P<comment>#[^\n]*)|(?P<string>{_STRING})|(?P<sign>[()\[\]{{}}\"'`])|(?P<code>[^#\"'`()\[\]{{}}]+)"
)
_CLOSES = {")": "(", "]": "[", "}": "{"}
_WINDOW = re.compile(r"\[ ?\$window ?(?=[\]:])")
_AROUND_WINDOW = re.compile(rf"(?:\b([a-zA-Z_]\w*) ?)?\(|\)|{_WINDOW.pattern}")
_PER_WINDOW = ("increase", "delta", "idelta")


def without_comments(query: str, where: str) -> str:
    """The query as it is asked. Raises `ConfigError`, which begins with `where`, for what no parser would read."""
    return "".join(text for kind, text in _tokens(query, where) if kind != "comment").strip()


def check_events(query: str, where: str) -> None:
    """Events per second over `[$window]`, or raises `ConfigError`."""
    code = _code(query, where)
    if "$" in _WINDOW.sub("", code):
        raise ConfigError(f"{where}: $ stands outside of a range; allowed is [$window]")
    if not _WINDOW.search(code):
        raise ConfigError(
            f"{where}: no [$window], so a day could not be told from five minutes; allowed are events per second, "
            "such as sum(rate(x_total[$window]))"
        )
    for function in _functions_of_window(code):
        if function in _PER_WINDOW:
            raise ConfigError(f"{where}: {function} over [$window] is events per window; allowed is per second: rate")


def check_value(query: str, where: str) -> None:
    """A value at an instant, or raises `ConfigError`."""
    if "$" in _code(query, where):
        raise ConfigError(f"{where}: found $; a value of each minute has no $window: give a duration, such as [5m]")


def _code(query: str, where: str) -> str:
    """In one line, without comments, and with nothing in its strings."""
    tokens = _tokens(query, where)
    return " ".join("".join('""' if kind == "string" else text for kind, text in tokens if kind != "comment").split())


def _tokens(query: str, where: str) -> list[tuple[str | None, str]]:
    """Kinds and texts, of brackets that match."""
    found = []
    opened: list[tuple[str, int]] = []
    for token in _TOKEN.finditer(query):
        kind, text, at = token.lastgroup, token[0], token.start() + 1
        if kind == "sign" and text in "\"'`":
            raise ConfigError(
                f"{where}: {text} (character {at}) is not closed, or there is an escape that PromQL has not"
            )
        if kind == "sign" and text in _CLOSES:
            if not opened or opened.pop()[0] != _CLOSES[text]:
                raise ConfigError(f"{where}: {text} (character {at}) closes nothing")
        elif kind == "sign":
            opened.append((text, at))
        found.append((kind, text))
    if opened:
        raise ConfigError(f"{where}: {opened[-1][0]} (character {opened[-1][1]}) is not closed")
    if all(kind == "comment" or not text.strip() for kind, text in found):
        raise ConfigError(f"{where}: nothing but a comment")
    return found


def _functions_of_window(code: str) -> Iterator[str]:
    """For each `[$window]` the function whose argument it is; "" if there is none."""
    around = [""]
    for match in _AROUND_WINDOW.finditer(code):
        if match[0] == ")":
            around.pop()
        elif match[0].endswith("("):
            # Brackets without a name belong to the function around them.
            around.append(match[1] or around[-1])
        else:
            yield around[-1]
