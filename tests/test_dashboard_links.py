"""Links: they lead to what is there, with what it needs; from the overview or an alert to the cause in two clicks."""

from __future__ import annotations

import re

import pytest
from tests.support.dashboards import DASHBOARDS, fields, links, rules
from tests.support.grafana import variables
from tests.support.slos import BASE, EVERY_KIND, sli, slo

from ml_exporter import config, render

LINKS = [link for dashboard in DASHBOARDS.values() for link in links(dashboard)]
INSIDE = [link for link in LINKS if link.target]
OF_ONE = {"ml-service": {"service"}, "ml-pipeline": {"source", "pipeline"}}
"""Dashboards of one thing, and what names it."""
CAUSES = ("ml-pipeline", "ml-models", "ml-endpoints", "ml-exporter", "ml-schedulers")


def several(uid: str, name: str) -> bool:
    return bool(variables(DASHBOARDS[uid])[name].get("multi"))


def clicks(start: str) -> dict[str, int]:
    """Dashboard → how many clicks it is away."""
    away, waiting = {start: 0}, [start]
    for page in waiting:
        for target in {link.target for link in INSIDE if link.page == page and link.target}:
            if target not in away:
                away[target] = away[page] + 1
                waiting.append(target)
    return away


def alerts() -> dict[str, str]:
    """Every alert that ships, those of objectives too → the dashboard that it leads to."""
    objectives = [slo(name=kind.replace("_", "-"), **sli(kind, **how)) for kind, how in EVERY_KIND.items() if how]
    with_objectives = render.generate(config.from_data({**BASE, "slos": objectives}))
    return {
        rule["alert"]: rule["annotations"]["dashboard_url"]
        for rule in rules() + rules(with_objectives)
        if "alert" in rule
    }


ALERTS = alerts()


def page_of(url: str) -> str:
    return url.partition("/d/")[2].partition("?")[0]


def test_at_the_top_of_every_dashboard_are_all_the_others_except_that_of_one_pipeline() -> None:
    for uid, dashboard in DASHBOARDS.items():
        tops = [link.target for link in links(dashboard) if link.panel is None]
        assert sorted(map(str, tops)) == sorted(set(DASHBOARDS) - {uid, "ml-pipeline"}), uid


def test_a_link_leads_to_a_dashboard_and_sets_variables_that_it_has() -> None:
    for link in INSIDE:
        assert link.target in DASHBOARDS, link
        assert link.given <= set(variables(DASHBOARDS[str(link.target)])), link


def test_a_link_between_dashboards_carries_data_source_and_time_range() -> None:
    assert [link.where for link in INSIDE if "${datasource:queryparam}" not in link.url] == []
    assert [link.where for link in INSIDE if not link.url.endswith("&${__url_time_range}")] == []


def test_a_link_takes_along_all_that_is_chosen() -> None:
    """`var-x=$x` writes several values as {a,b}, which the other takes for one; `${x:queryparam}` does not."""
    assert [link.where for link in INSIDE if re.search(r"=\$\w", link.url)] == []
    for link in INSIDE:
        for name in link.along - {"datasource"}:
            assert name in variables(DASHBOARDS[link.page]), link
            assert several(str(link.target), name) or not several(link.page, name), f"{link}: {name} can only be one"


def test_a_link_of_a_row_asks_for_columns_that_the_row_has() -> None:
    of_rows = [link for link in LINKS if link.fields]
    assert len(of_rows) > 20
    for link in of_rows:
        assert link.panel is not None, link
        assert link.fields <= fields(link.panel), link


def test_what_a_row_hands_to_a_dashboard_may_hold_any_character() -> None:
    assert [link.where for link in INSIDE if re.search(r"=\$\{__data\.fields\.\w+\}", link.url)] == []


def test_links_out_of_grafana_open_beside_it_and_the_others_in_its_place() -> None:
    outside = [link for link in LINKS if not link.target]
    assert outside
    assert [link for link in outside if not link.beside or not re.match(r"https?://\w", link.url)] == []
    assert [link.where for link in INSIDE if link.beside] == []


@pytest.mark.parametrize("target", ["ml-service", "ml-pipeline", "ml-models", "ml-endpoints", "ml-objectives"])
def test_from_the_overview_a_row_leads_to_the_one_in_at_most_two_clicks(target: str) -> None:
    away = clicks("ml-overview")
    rows = [
        link for link in INSIDE if link.target == target and link.fields and OF_ONE.get(target, set()) <= link.given
    ]
    assert rows, "no row of a table leads there and says to which one"
    assert min(away[link.page] for link in rows) + 1 <= 2


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_leads_to_a_dashboard_with_what_it_needs_and_to_the_cause_in_at_most_two_clicks(name: str) -> None:
    page = page_of(ALERTS[name])
    given = set(re.findall(r"var-(\w+)=", ALERTS[name]))
    assert given <= set(variables(DASHBOARDS[page]))
    assert OF_ONE.get(page, set()) <= given
    assert min(clicks(page).get(cause, 9) for cause in CAUSES) <= 1


def test_alerts_lead_to_every_dashboard_of_a_cause_and_to_objectives() -> None:
    assert {page_of(url) for url in ALERTS.values()} >= {*CAUSES, "ml-objectives"}
