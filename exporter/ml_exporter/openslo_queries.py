"""PromQL as OpenSLO documents hold it → as our objectives ask for it: per second, over `$window`."""

from __future__ import annotations

import re

from ml_exporter.errors import ConfigError

SLICE = "1m"
"""How long a slice of time is here."""

_PLACEHOLDER = re.compile(r"\{\{-?\s*\.[wW]indow\s*-?\}\}|\$window\b")
_QUOTED = r'"(?:\\.|[^"\\])*"|' + r"'(?:\\.|[^'\\])*'"
_SELECTOR = rf"[a-zA-Z_:][a-zA-Z0-9_:]*\s*(?:\{{(?:{_QUOTED}|[^{{}}\"'])*\}})?"
_BARE = re.compile(rf"(?:sum\s*\(\s*({_SELECTOR})\s*\)|({_SELECTOR}))")
_FIXED = re.compile(r"\[\s*(?:\d+(?:ms|[smhdwy]))+\s*\]")
_PER_SECOND = re.compile(r"\b(?:rate|irate)\s*\(")
_INCREASE = re.compile(r"\bincrease\s*\(")


def per_second(query: str, *, counter: bool, where: str) -> str:
    """A query for events → events per second over `$window`.

    A counter's selector gets its rate; ranges become `$window`, `increase` becomes `rate`. Raises `ConfigError`.
    """
    query = _INCREASE.sub("rate(", _PLACEHOLDER.sub("$window", query).strip())
    if _PER_SECOND.search(query):
        return _FIXED.sub("[$window]", query)
    bare = _BARE.fullmatch(query)
    if counter and bare:
        return f"sum(rate({(bare[1] or bare[2]).strip()}[$window]))"
    if counter and "$window" not in query:
        raise ConfigError(
            f"{where}: found '{' '.join(query.split())}'; allowed of a counter is a selector, its sum, or an "
            "expression with rate or increase over [{{.window}}]"
        )
    return query


def at_least(part: str, total: str, share: float, *, bad: bool) -> str:
    """1 in a slice in which the share of good events reached `share`, else 0; nothing where there were no events."""
    known = f"(({part}) or 0 * ({total})) / (({total}) > 0)".replace("$window", SLICE)
    return f"{f'1 - {known}' if bad else known} >= bool {share!r}"


def compared(query: str, operator: str, value: float) -> str:
    """1 where the query's value keeps the threshold, else 0."""
    return f"({_PLACEHOLDER.sub(SLICE, query).strip()}) {operator} bool {value!r}"
