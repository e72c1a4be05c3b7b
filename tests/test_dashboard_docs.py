"""docs/dashboards.md: what is generated from the dashboards, and that it is there whole."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from tests.support.dashboards import DASHBOARDS, expressions, targets
from tests.support.grafana import panels

from ml_exporter import dashboard_docs, render

PAGE = render.dashboards_markdown()


def panel(title: str, x: int, y: int, w: int, **more: Any) -> dict[str, Any]:
    return {"type": "stat", "title": title, "gridPos": {"x": x, "y": y, "w": w, "h": 4}, **more}


def drawn(*panels: dict[str, Any]) -> list[str]:
    return list(dashboard_docs.picture(panels))


def test_the_page_is_generated() -> None:
    page = Path(__file__).parents[1] / "docs/dashboards.md"
    assert page.read_text() == PAGE, "run `make generate`"


@pytest.mark.parametrize("name", DASHBOARDS)
def test_a_reader_finds_titles_descriptions_and_queries_of_a_dashboard(name: str) -> None:
    dashboard = DASHBOARDS[name]
    section = PAGE.partition(f"\n## {dashboard['title']}\n")[2].partition("\n## ")[0]
    assert dashboard["description"].partition(" Generated")[0] in section
    for each in panels(dashboard):
        assert f"**{each['title']}**" in section
        assert each["description"] in section
    assert [target["expr"] for _, target in targets(dashboard) if target["expr"] not in section] == []
    for note in dashboard["annotations"]["list"]:
        assert note["name"].lower() in section
    assert len(list(expressions(dashboard))) > 3


def test_the_overview_comes_first_and_every_link_within_the_page_leads_to_a_heading() -> None:
    headings = re.findall(r"^## (.*)$", PAGE, re.MULTILINE)
    assert sorted(headings) == sorted(dashboard["title"] for dashboard in DASHBOARDS.values())
    assert headings[0] == "ML / Overview"
    assert headings.index("ML / Pipeline") == headings.index("ML / Training pipelines") + 1
    anchors = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    assert set(re.findall(r"\]\(#([^)]*)\)", PAGE)) == anchors


def test_links_out_of_grafana_are_named() -> None:
    assert "Runbook ↗" in PAGE


def test_tables_of_the_page_are_whole() -> None:
    """A bar in a text would make a cell of the rest."""
    rows = [line for line in re.sub(r"```.*?```", "", PAGE, flags=re.DOTALL).splitlines() if line.startswith("| **")]
    assert len(rows) == sum(len(panels(dashboard)) for dashboard in DASHBOARDS.values())
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {4}
    overview: dict[str, Any] = {"uid": "ml-overview", "title": "t", "description": "a | b", "links": []}
    overview |= {"templating": {"list": []}, "annotations": {"list": []}}
    told = dashboard_docs.markdown([overview | {"panels": [panel("p | q", 0, 0, 24, description="c")]}], "mark")
    assert r"| a \| b |" in told
    assert r"| **p \| q** (stat) | c |" in told


def test_the_picture_has_a_box_for_a_panel_as_wide_as_the_panel() -> None:
    assert drawn(panel("Pages", 0, 0, 4), panel("Services", 4, 0, 20, type="table")) == [
        "+---------------+-------------------------------------------------------------------------------+",
        "| Pages         | Services                                                                      |",
        "| (stat)        | (table)                                                                       |",
        "+---------------+-------------------------------------------------------------------------------+",
    ]


def test_bands_share_the_line_between_them_and_a_heading_has_its_own() -> None:
    lines = drawn(panel("a", 0, 0, 24), panel("b", 0, 4, 12), panel("c", 12, 4, 12), panel("H", 0, 8, 24, type="row"))
    edges = [line for line in lines if line.startswith("+")]
    assert [edge.count("+") for edge in edges] == [2, 3, 3]
    assert lines[-1].startswith("── H ──")
    assert {len(line) for line in lines} == {97}


def test_a_long_title_goes_on_in_the_next_line() -> None:
    assert [line[:17] for line in drawn(panel("Pipelines failing", 0, 0, 4), panel("b", 4, 0, 20))][1:4] == [
        "| Pipelines     |",
        "| failing       |",
        "| (stat)        |",
    ]


def test_what_is_repeated_says_for_what() -> None:
    assert "(stat, for each service)" in "".join(drawn(panel("a", 0, 0, 24, repeat="service")))
