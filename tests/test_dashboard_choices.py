"""What is filled in for the variables of a dashboard, and which of its queries have answered."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.grafana import Query, fillings
from tests.support.live_dashboards import Unanswered


class Server:
    """Two services, of which one has a model; `ask` answers the queries that are listed."""

    def __init__(self, *answered: str) -> None:
        self.answered = answered

    def values(self, selector: str, _label: str) -> list[str]:
        return {"info": ["a", "b.c"], 'models{s=~"a"}': []}.get(selector, ["m"])

    def ask(self, query: Query, _end: float) -> list[Any]:
        return [query.expr] if query.expr in self.answered else []


def variable(name: str, query: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "type": "query", "query": {"query": query}, **more}


def dashboard(*expressions: str, several: bool = True) -> dict[str, Any]:
    many = {"multi": True, "includeAll": True, "allValue": ".*"} if several else {}
    service = variable("service", "label_values(info, s)", **many)
    model = variable("model", 'label_values(models{s=~"$service"}, m)', **many)
    targets = [{"refId": str(number), "expr": each} for number, each in enumerate(expressions)]
    return {
        "uid": "it",
        "panels": [{"type": "timeseries", "title": "P", "targets": targets}],
        "annotations": {"list": []},
        "templating": {"list": [service, model]},
    }


@pytest.mark.parametrize(
    ("choice", "several", "filled"),
    [
        ("one", True, [("b\\\\.c", "m")]),
        ("several", True, [("(a|b\\\\.c)", "m")]),
        ("all", True, [(".*", ".*")]),
        ("all", False, [("b.c", "m")]),
    ],
)
def test_each_value_several_or_all_are_filled_in_where_there_is_something_to_choose(
    choice: Any, several: bool, filled: list[tuple[str, str]]
) -> None:
    found = fillings(dashboard(several=several), Server(), choice)  # type: ignore[arg-type] - a stand-in
    assert [(each["service"], each["model"]) for each in found] == filled


def left(server: Server, choice: Any, *expressions: str) -> set[str]:
    unanswered = Unanswered([dashboard(*expressions)], server)  # type: ignore[arg-type] - a stand-in
    unanswered.ask(choice)
    return unanswered.left[choice]


def test_a_query_is_answered_when_it_returns_something_for_one_of_the_values() -> None:
    assert left(Server('x{s=~"b\\\\.c"}'), "one", 'x{s=~"$service"}', "y") == {"it: P: 1"}


def test_a_query_that_answers_for_all_is_not_answered_for_one() -> None:
    server = Server('x{s=~".*"}')
    assert left(server, "all", 'x{s=~"$service"}') == set()
    assert left(server, "one", 'x{s=~"$service"}') == {"it: P: 0"}


def test_a_variable_without_values_and_all_that_needs_it_are_left() -> None:
    class Empty(Server):
        def values(self, selector: str, label: str) -> list[str]:
            return []

    assert left(Empty("x"), "several", "x") == {"it: variable service", "it: variable model", "it: P: 0"}
