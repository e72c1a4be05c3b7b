"""Dashboards on a Prometheus that is being filled: which of their queries have not returned anything yet."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.support.grafana import CHOICES, Choice, Prometheus, Query, fillings, queries, variables


def rendered(folder: Path) -> list[dict[str, Any]]:
    """The dashboards in a folder of rendered files."""
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))]


class Unanswered:
    """For each way to choose, the queries that have returned nothing yet, whatever was chosen."""

    def __init__(self, dashboards: Sequence[Mapping[str, Any]], server: Prometheus) -> None:
        self._dashboards, self._server = dashboards, server
        every = {where for dashboard in dashboards for where in _wheres(dashboard)}
        self.count = len(every)
        self.left: dict[Choice, set[str]] = {choice: set(every) for choice in CHOICES}

    def ask(self, choice: Choice) -> None:
        """Ask what is left once more. Raises `AssertionError` for a query that Prometheus refuses."""
        left = self.left[choice]
        for dashboard in self._dashboards:
            if not any(where in left for where in _wheres(dashboard)):
                continue
            for filled in fillings(dashboard, self._server, choice):
                left -= {_variable(dashboard, name) for name in filled}
                for query in queries(dashboard, filled):
                    if query.where in left and self._answers(query):
                        left.discard(query.where)

    def wait(self, but: set[str], within: float, every: float = 10.0) -> None:
        """Ask again and again, at most so many seconds, until no more are left than these."""
        deadline = time.monotonic() + within
        while True:
            for choice in CHOICES:
                self.ask(choice)
            if time.monotonic() > deadline or all(left <= but for left in self.left.values()):
                return
            time.sleep(every)

    def _answers(self, query: Query) -> bool:
        return bool(self._server.ask(query, time.time()))


def _wheres(dashboard: Mapping[str, Any]) -> Iterator[str]:
    names = [name for name, variable in variables(dashboard).items() if variable["type"] != "datasource"]
    yield from (_variable(dashboard, name) for name in names)
    nothing = dict.fromkeys([*names, *(f"each {name}" for name in names)], "")
    yield from (query.where for query in queries(dashboard, nothing))


def _variable(dashboard: Mapping[str, Any], name: str) -> str:
    return f"{dashboard['uid']}: variable {name.removeprefix('each ')}"
