"""What Grafana asks of Prometheus when a dashboard is open: variables filled in as it does, and every query."""

from __future__ import annotations

import json
import re
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

Choice: TypeAlias = Literal["one", "several", "all"]
CHOICES: tuple[Choice, ...] = ("one", "several", "all")
GLOBALS = {"__rate_interval": "1m", "__range": "1h", "__interval": "30s"}
_LABEL_VALUES = re.compile(r"label_values\((?P<selector>.+), (?P<label>\w+)\)", re.DOTALL)
_USED = re.compile(r"\$(?:\{(?P<braced>[A-Za-z_]\w*)(?P<format>:\w+)?\}|(?P<plain>[A-Za-z_]\w*))")
_SPECIAL = re.compile(r"[\\^$.*+?()\[\]{}|/]")


@dataclass(frozen=True)
class Query:
    """A query of a dashboard, with its variables filled in."""

    where: str
    """Dashboard, panel and the query's letter, or what else asks."""
    expr: str
    instant: bool


@dataclass(frozen=True)
class Prometheus:
    """The server that dashboards ask."""

    url: str

    def values(self, selector: str, label: str) -> list[str]:
        """As a variable of Grafana asks for the values of a label."""
        parameters = urllib.parse.urlencode({"match[]": selector})
        answer: list[str] = self._ask(f"label/{label}/values?{parameters}")
        return sorted(answer)

    def ask(self, query: Query, end: float, seconds: float = 3600.0, step: float = 30.0) -> list[Any]:
        """The series that a panel gets, those of an hour if it shows time."""
        if query.instant:
            parameters = {"query": query.expr, "time": str(end)}
            return list(self._ask(f"query?{urllib.parse.urlencode(parameters)}")["result"])
        parameters = {"query": query.expr, "start": str(end - seconds), "end": str(end), "step": str(step)}
        return list(self._ask(f"query_range?{urllib.parse.urlencode(parameters)}")["result"])

    def _ask(self, path: str) -> Any:
        try:
            with urllib.request.urlopen(f"{self.url}/api/v1/{path}", timeout=60) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{path}: {error.read().decode()}") from error


def panels(dashboard: Mapping[str, Any]) -> list[dict[str, Any]]:
    """All but the headings."""
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def variables(dashboard: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    return {variable["name"]: variable for variable in dashboard["templating"]["list"]}


def chosen(dashboard: Mapping[str, Any], server: Prometheus, choice: Choice) -> dict[str, str]:
    """Variable → what is filled in for it: the first of its values, the first two, or All."""
    filled: dict[str, str] = {}
    for name, variable in variables(dashboard).items():
        if variable["type"] == "datasource":
            continue
        if choice == "all" and variable.get("includeAll"):
            filled[name] = variable["allValue"]
            continue
        values = _values(variable, server, filled)
        assert values, f"{dashboard['uid']}: variable {name} has no value"
        if variable.get("multi"):
            filled[name] = _joined(values[: 2 if choice == "several" else 1])
        else:
            filled |= single(name, values[0])
    for name in {panel["repeat"] for panel in panels(dashboard) if "repeat" in panel}:
        filled[_each(name)] = _joined(_values(variables(dashboard)[name], server, filled)[:1])
    return filled


def fillings(dashboard: Mapping[str, Any], server: Prometheus, choice: Choice) -> list[dict[str, str]]:
    """Variables → what is filled in for them: each value by itself, all values by their names, or All.

    Where only one may be chosen, and for the copies of a panel, it is each value by itself. A variable without a value
    leaves nothing to be asked.
    """
    found: list[dict[str, str]] = [{}]
    for variable in variables(dashboard).values():
        if variable["type"] != "datasource":
            found = [before | more for before in found for more in _fillings(variable, server, before, choice)]
    for name in {panel["repeat"] for panel in panels(dashboard) if "repeat" in panel}:
        variable = variables(dashboard)[name]
        found = [f | {_each(name): _joined([value])} for f in found for value in _values(variable, server, f)]
    return found


def _fillings(
    variable: Mapping[str, Any], server: Prometheus, filled: Mapping[str, str], choice: Choice
) -> Iterator[dict[str, str]]:
    name = variable["name"]
    if choice == "all" and variable.get("includeAll"):
        yield {name: variable["allValue"]}
        return
    values = _values(variable, server, filled)
    if not variable.get("multi"):
        yield from (single(name, value) for value in values)
    elif choice == "several":
        yield from [{name: _joined(values)}] if values else []
    else:
        yield from ({name: _joined([value])} for value in values)


def single(name: str, value: str) -> dict[str, str]:
    """What Grafana writes for a variable of which one value may be chosen: as it is used alone, and as `${name:regex}`.

    Alone, the Prometheus data source escapes what it should not: an apostrophe gets two backslashes
    (prometheusRegularEscape in its escaping.ts).
    """
    alone = value.replace("\\", "\\\\").replace("'", "\\\\'")
    return {name: alone, f"{name}:regex": _SPECIAL.sub(r"\\\g<0>", value)}


def _each(name: str) -> str:
    """Where the value is kept that one of a repeated panel's copies has."""
    return f"each {name}"


def _values(variable: Mapping[str, Any], server: Prometheus, filled: Mapping[str, str]) -> list[str]:
    if variable["type"] == "custom":
        return str(variable["query"]).split(",")
    found = _LABEL_VALUES.fullmatch(variable["query"]["query"])
    assert found, variable["query"]
    return server.values(fill(found["selector"], filled), found["label"])


def _joined(values: Sequence[str]) -> str:
    """As Grafana's Prometheus data source writes what is chosen of several: escaped, more than one as a group."""
    escaped = [_SPECIAL.sub(r"\\\\\g<0>", value) for value in values]
    return escaped[0] if len(escaped) == 1 else f"({'|'.join(escaped)})"


def fill(text: str, values: Mapping[str, str]) -> str:
    """With all variables replaced. Raises `KeyError` for one that is not there."""
    known = {**GLOBALS, **values}

    def value(used: re.Match[str]) -> str:
        name = used["braced"] or used["plain"]
        return known.get(f"{name}{used['format'] or ''}", known[name])

    return _USED.sub(value, text)


def queries(dashboard: Mapping[str, Any], values: Mapping[str, str]) -> Iterator[Query]:
    """Those of its panels, then those of its annotations."""
    uid = dashboard["uid"]
    for panel in panels(dashboard):
        copy = {panel["repeat"]: values[_each(panel["repeat"])]} if "repeat" in panel else {}
        for target in panel.get("targets", ()):
            where = f"{uid}: {panel['title']}: {target['refId']}"
            yield Query(where, fill(target["expr"], {**values, **copy}), bool(target.get("instant")))
    for note in dashboard["annotations"]["list"]:
        yield Query(f"{uid}: annotation {note['name']}", fill(note["expr"], values), instant=False)


def variable_queries(dashboard: Mapping[str, Any]) -> list[str]:
    return [v["query"]["query"] for v in variables(dashboard).values() if v["type"] == "query"]
