"""The grid of every dashboard: filled without overlap or gap, and wide enough to be read at 1280 pixels."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from tests.support.dashboards import DASHBOARDS
from tests.support.grafana import panels

COLUMNS = 24
LEAST = {"timeseries": 6, "state-timeline": 12, "bargauge": 8, "table": 8}
"""Columns of the grid, of which there are 24: at 1280 pixels one is about 50 wide. Any other panel: 4."""


def cells(panel: dict[str, Any]) -> set[tuple[int, int]]:
    place = panel["gridPos"]
    return set(
        itertools.product(range(place["x"], place["x"] + place["w"]), range(place["y"], place["y"] + place["h"]))
    )


@pytest.mark.parametrize("name", DASHBOARDS)
def test_panels_fill_the_grid_without_overlap_or_gap(name: str) -> None:
    taken: dict[tuple[int, int], str] = {}
    for panel in DASHBOARDS[name]["panels"]:
        for cell in cells(panel):
            assert cell not in taken, f"{panel['title']} lies on {taken[cell]}"
            taken[cell] = panel["title"]
    height = max(y for _, y in taken) + 1
    gaps = set(itertools.product(range(COLUMNS), range(height))) - set(taken)
    assert not gaps, f"a gap at {min(gaps)}"
    assert max(x for x, _ in taken) < COLUMNS


@pytest.mark.parametrize("name", DASHBOARDS)
def test_panels_side_by_side_are_of_one_height(name: str) -> None:
    for y, band in itertools.groupby(DASHBOARDS[name]["panels"], key=lambda panel: panel["gridPos"]["y"]):
        assert len({panel["gridPos"]["h"] for panel in band}) == 1, y


@pytest.mark.parametrize("name", DASHBOARDS)
def test_panels_are_numbered_in_the_order_in_which_they_are_read(name: str) -> None:
    found = DASHBOARDS[name]["panels"]
    assert [panel["id"] for panel in found] == list(range(1, len(found) + 1))
    places = [(panel["gridPos"]["y"], panel["gridPos"]["x"]) for panel in found]
    assert places == sorted(places)


@pytest.mark.parametrize("name", DASHBOARDS)
def test_panels_are_wide_enough_at_1280_pixels(name: str) -> None:
    for panel in panels(DASHBOARDS[name]):
        assert panel["gridPos"]["w"] >= LEAST.get(panel["type"], 4), panel["title"]


@pytest.mark.parametrize("name", DASHBOARDS)
def test_a_table_of_many_columns_is_as_wide_as_the_page(name: str) -> None:
    for panel in panels(DASHBOARDS[name]):
        if panel["type"] == "table" and len(panel["transformations"][-1]["options"]["indexByName"]) > 6:
            assert panel["gridPos"]["w"] == COLUMNS, panel["title"]


@pytest.mark.parametrize("name", DASHBOARDS)
def test_a_heading_has_panels_under_it(name: str) -> None:
    kinds = [panel["type"] for panel in DASHBOARDS[name]["panels"]] + ["row"]
    assert ("row", "row") not in set(itertools.pairwise(kinds))
