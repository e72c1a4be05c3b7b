"""The grid of every dashboard: filled without overlap or gap, and wide enough to be read at 1280 pixels."""

from __future__ import annotations

import itertools
import re
from typing import Any

import pytest
from tests.support.dashboards import DASHBOARDS, fields
from tests.support.grafana import panels

COLUMNS = 24
PIXELS = 1280
_SIDES, _BETWEEN, _FRAME = 32, 8, 2
"""Pixels beside all panels, between two, and of a panel's frame, as Grafana has them."""
_UNIT, _BESIDE_ROWS, _ROW = 38, 90, 18
"""Pixels of a unit of height, of what a timeline has beside its rows, and of a row with letters that can be read."""
SELDOM = {
    "ml-alerts: Firing now": ("model", "ml_endpoint"),
    "ml-overview: Alerts": ("model", "ml_endpoint"),
    "ml-service: Alerts": ("model", "ml_endpoint"),
    "ml-objectives: Objectives": ("ml_endpoint", "model", "version", "pipeline"),
}
"""Labels that few alerts or objectives have: where some of all kinds are shown, names are cut."""
A_NAME = 105
"""Pixels: some fifteen letters."""
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
def test_all_columns_of_a_table_are_in_sight_at_1280_pixels(name: str) -> None:
    for panel in panels(DASHBOARDS[name]):
        if panel["type"] == "table":
            columns = panel["gridPos"]["w"]
            column = (PIXELS - _SIDES + _BETWEEN) / COLUMNS
            within = columns * column - _BETWEEN - _FRAME
            fixed, shared = widths(panel)
            shared -= set(SELDOM.get(f"{name}: {panel['title']}", ()))
            assert shared, panel["title"]
            assert (within - sum(fixed)) / len(shared) >= A_NAME, f"{panel['title']}: {fixed} and {shared} in {within}"


def widths(panel: dict[str, Any]) -> tuple[list[float], set[str]]:
    """Of the columns that are shown: the widths of those that have one, and those that share what is left."""
    options = panel["transformations"][-1]["options"]
    shown = {options["renameByName"].get(n, n) if n.startswith("Value") else n for n in fields(panel)}
    said = {
        override["matcher"]["options"]: each["value"]
        for override in panel["fieldConfig"]["overrides"]
        for each in override["properties"]
        if each["id"] == "custom.width"
    }
    return [said[name] for name in shown & set(said)], shown - set(said)


@pytest.mark.parametrize("name", DASHBOARDS)
def test_rows_of_a_timeline_are_as_high_as_letters(name: str) -> None:
    for panel in panels(DASHBOARDS[name]):
        if panel["type"] == "state-timeline":
            counts = [re.findall(r"(?:top|bottom)k\((\d+),", target["expr"])[-1] for target in panel["targets"]]
            assert len(counts) == 1
            assert int(counts[0]) <= (panel["gridPos"]["h"] * _UNIT - _BESIDE_ROWS) / _ROW, panel["title"]


@pytest.mark.parametrize("name", DASHBOARDS)
def test_labels_in_a_table_are_text_and_figures_have_units(name: str) -> None:
    """A version of 20241101 would read "20.2 Mil" with any unit but this."""
    for panel in panels(DASHBOARDS[name]):
        if panel["type"] == "table":
            assert panel["fieldConfig"]["defaults"]["unit"] == "string"
            names = panel["transformations"][-1]["options"]["renameByName"]
            figures = {to for of, to in names.items() if of.startswith("Value") and of in fields(panel)}
            assert figures == {
                override["matcher"]["options"]
                for override in panel["fieldConfig"]["overrides"]
                if "unit" in {each["id"] for each in override["properties"]}
            }


@pytest.mark.parametrize("name", DASHBOARDS)
def test_a_heading_has_panels_under_it(name: str) -> None:
    kinds = [panel["type"] for panel in DASHBOARDS[name]["panels"]] + ["row"]
    assert ("row", "row") not in set(itertools.pairwise(kinds))
