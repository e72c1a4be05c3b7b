"""The rules of grafana/dashboard-linter, as far as they are ours: what it asks of variables, panels and PromQL.

Two of them are not: variables `job` and `instance`. What is shown has a source, a service, a pipeline, a model or an
endpoint; replicas of the exporter say the same of it, and queries fold them (tests/test_dashboard_queries.py).
"""

from __future__ import annotations

import re
from typing import Any

import pytest
from tests.support.dashboards import DASHBOARDS, expressions, metric_selectors, properties, targets
from tests.support.grafana import panels, variable_queries, variables

from ml_exporter.catalog import BY_NAME

UNITS = {"Bps", "bytes", "d", "dateTimeFromNow", "none", "ops", "percentunit", "reqps", "s", "short", "string"}
"""Of Grafana's own; any other is a suffix: prefix or suffix and a text."""
LABELS = {"service": "ml_service", "endpoint": "ml_endpoint"}
"""Variable → its label, where that is named otherwise."""
WINDOWS = {"1d": r"\bday\b|\bdays\b", "1h": r"\bhour\b", "$__range": r"time (?:that is )?shown", "30d": r"30 days"}
"""Window other than Grafana's → how a description says so."""
OF_ALL = {
    "ml-exporter: Version": "the exporter itself, of which there is one configuration",
    "ml-exporter: Last reload": "the exporter itself",
    "ml-exporter: Configuration since": "the exporter itself",
    "ml-exporter: State files kept aside": "the exporter itself",
    "ml-exporter: Lateness of probes": "the prober itself",
    "ml-exporter: Spans dropped": "the prober itself",
    "ml-exporter: Series left out": "endpoints belong to no source",
    "ml-overview: Sources unknown": "sources belong to no service",
    "ml-overview: Infrastructure": "sources and schedulers belong to no service",
}
"""Panels of what no variable chooses, and why."""
NOT_CHOSEN_BY = {
    "ml-pipeline": {"service": "narrows the list of pipelines; one that moves to another service keeps its past"},
}
"""Variables that no query asks for, and why they are there."""


def used(text: str) -> set[str]:
    return set(re.findall(r"\$\{?([A-Za-z]\w*)", text)) | set(re.findall(r"\$(__\w+)", text))


def where(panel: dict[str, Any], uid: str) -> str:
    return f"{uid}: {panel['title']}"


@pytest.mark.parametrize("name", DASHBOARDS)
def test_a_variable_chooses_the_data_source_for_everything(name: str) -> None:
    dashboard = DASHBOARDS[name]
    source = variables(dashboard)["datasource"]
    assert (source["type"], source["query"], source["label"]) == ("datasource", "prometheus", "Data source")
    asking = [panel for panel in panels(dashboard) if panel["type"] != "text"]
    asking += [target for _, target in targets(dashboard)] + dashboard["annotations"]["list"]
    asking += [variable for variable in variables(dashboard).values() if variable["type"] == "query"]
    assert {(each["datasource"]["type"], each["datasource"]["uid"]) for each in asking} == {
        ("prometheus", "${datasource}")
    }


@pytest.mark.parametrize("name", DASHBOARDS)
def test_nobody_edits_it_and_variables_refresh_when_the_time_changes(name: str) -> None:
    dashboard = DASHBOARDS[name]
    assert dashboard["editable"] is False
    assert {each["refresh"] for each in variables(dashboard).values() if each["type"] == "query"} <= {2}
    assert "job" not in variables(dashboard)
    assert "instance" not in variables(dashboard)


@pytest.mark.parametrize("name", DASHBOARDS)
def test_every_panel_has_title_description_unit_and_queries(name: str) -> None:
    for panel in panels(DASHBOARDS[name]):
        assert panel["title"]
        assert panel["description"], panel["title"]
        if panel["type"] == "text":
            continue
        assert panel["targets"], panel["title"]
        assert all(target["expr"] for target in panel["targets"])
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])
        assert "unit" in panel["fieldConfig"]["defaults"], panel["title"]
        for unit in properties(panel, "unit"):
            assert unit in UNITS or re.fullmatch(r"(?:prefix|suffix):.+", unit), f"{panel['title']}: {unit}"


@pytest.mark.parametrize("name", DASHBOARDS)
def test_what_is_used_is_a_variable_and_what_is_a_variable_is_used(name: str) -> None:
    dashboard = DASHBOARDS[name]
    known = set(variables(dashboard))
    texts = [expr for _, expr in expressions(dashboard)]
    asked = set().union(*map(used, texts))
    offered = set().union(*map(used, variable_queries(dashboard)))
    assert {each for each in asked | offered if not each.startswith("__")} <= known
    assert known - asked - {"datasource"} == set(NOT_CHOSEN_BY.get(name, ()))


@pytest.mark.parametrize("name", DASHBOARDS)
def test_queries_ask_for_what_the_variables_choose(name: str) -> None:
    dashboard = DASHBOARDS[name]
    alone = {
        where(panel, name)
        for panel, target in targets(dashboard)
        if not {each for each in used(target["expr"]) if not each.startswith("__")}
    }
    assert alone == {each for each in OF_ALL if each.startswith(f"{name}:")}


@pytest.mark.parametrize("name", DASHBOARDS)
def test_a_matcher_of_a_variable_is_of_its_label_and_takes_several_where_several_can_be_chosen(name: str) -> None:
    dashboard = DASHBOARDS[name]
    known = {variable: bool(about.get("multi")) for variable, about in variables(dashboard).items()}
    # A panel that is repeated for each value of a variable has one of them.
    asked = [(target["expr"], known | {panel.get("repeat", ""): False}) for panel, target in targets(dashboard)]
    asked += [(note["expr"], known) for note in dashboard["annotations"]["list"]]
    asked += [(query, known) for query in variable_queries(dashboard)]
    for expr, several in asked:
        quoted = re.findall(r'(\w+)\s*(=~|!~|!=|=)\s*"\$(\w+)"', expr)
        patterns = re.findall(r"(\w+)\s*(=~)\s*`\$\{(\w+):regex\}`", expr)
        asking = len(re.findall(r"\$\{?[A-Za-z]", expr))
        assert len(quoted) + len(patterns) == asking, f"a variable that is no whole matcher: {expr}"
        for label, operator, variable in quoted:
            assert label == LABELS.get(variable, variable), expr
            assert operator == ("=~" if several[variable] else "="), expr
        for label, _, variable in patterns:
            assert label == LABELS.get(variable, variable), expr


@pytest.mark.parametrize("name", DASHBOARDS)
def test_counters_are_read_as_rates_before_anything_else(name: str) -> None:
    for place, expr in expressions(DASHBOARDS[name]):
        for metric, _ in metric_selectors(expr):
            family = BY_NAME.get(metric) or BY_NAME.get(metric.removesuffix("_bucket"))
            if family and (family.type == "counter" or metric != family.name):
                bare = re.sub(rf"\b(?:rate|irate|increase)\(\s*{metric}(?:\{{(?:[^}}`]|`[^`]*`)*\}})?\[", "", expr)
                assert not re.search(rf"\b{metric}\b", bare), f"{place}: {metric}"


@pytest.mark.parametrize("name", DASHBOARDS)
def test_rates_over_time_are_of_grafanas_interval_and_other_windows_are_told(name: str) -> None:
    found = 0
    for panel, target in targets(DASHBOARDS[name]):
        for function, window in re.findall(r"\b(i?rate|increase)\([^\[]*\[([^\]]+)\]", target["expr"]):
            found += 1
            if window == "$__rate_interval":
                assert function in ("rate", "irate"), panel["title"]
            elif panel["type"] != "table":
                # Columns of a table are too many for its description: their names say it.
                assert re.search(WINDOWS[window], f"{panel['title']} {panel['description']}"), (
                    f"{panel['title']}: {window}"
                )
    assert found or name in ("ml-overview", "ml-service", "ml-models", "ml-objectives", "ml-schedulers", "ml-alerts")


@pytest.mark.parametrize("name", DASHBOARDS)
def test_no_query_chooses_a_replica(name: str) -> None:
    for place, expr in expressions(DASHBOARDS[name]):
        assert not re.search(r"\b(?:instance|job)\s*(?:=|!)", expr), place
