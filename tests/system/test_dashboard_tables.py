"""Tables of dashboards, made by Grafana's own code: a line a thing, the columns that were meant, links that hold."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from tests.support import debian, grafana_tables, installed
from tests.support.grafana import Prometheus, Query, chosen, panels, queries
from tests.support.grafana_tables import Field, Frame
from tests.support.installation import Installation
from tests.support.programs import wait_until

pytestmark = pytest.mark.system

SMALL = Installation(services=3, pipelines=12, endpoints=6)
VERSIONS = ("9.5.21", "13.2.3")
"""The oldest Grafana that is supported, and the newest there is of it on npm."""

BY_MINUTE = Query("alerts by the minute", "count_over_time(ALERTS[1h:1m])", instant=True)

EMPTY = {"ml-overview: Endpoints in trouble", "ml-overview: Models in trouble", "ml-pipeline: Versions trained here"}
"""Tables that this installation has nothing for."""


@dataclass(frozen=True)
class Asked:
    """A table panel, and what its queries return."""

    panel: dict[str, Any]
    frames: list[Frame]


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Asked]]:
    files = installed.rendered(SMALL)
    with installed.running(SMALL, files, tmp_path_factory.mktemp("tables"), scraped=2) as server:
        # How often alerts fired is looked at by the minute: one must have begun since.
        wait_until(lambda: bool(server.ask(BY_MINUTE, time.time())), 90.0, "alerts of a whole minute", every=1.0)
        yield {
            f"{dashboard['uid']}: {panel['title']}": Asked(panel, _answers(dashboard, panel, server))
            for dashboard in installed.dashboards(files)
            for panel in panels(dashboard)
            if panel["type"] == "table"
        }


def _answers(dashboard: dict[str, Any], panel: dict[str, Any], server: Prometheus) -> list[Frame]:
    values = {**chosen(dashboard, server, "all")}
    if dashboard["uid"] == "ml-service":
        values["service"] = "service-0"
    now = time.time()
    alone = {**dashboard, "panels": [panel], "annotations": {"list": []}}
    return grafana_tables.frames(
        {query.where.rpartition(" ")[2]: server.ask(query, now) for query in queries(alone, values)}
    )


@pytest.fixture(scope="module", params=VERSIONS)
def made(request: pytest.FixtureRequest, asked: dict[str, Asked]) -> dict[str, tuple[Asked, list[Field]]]:
    """Where → what was asked, and the table that Grafana makes of it."""
    try:
        home = grafana_tables.installed(request.param)
    except debian.Unavailable as reason:
        pytest.skip(str(reason))
    wanted = [{"transformations": each.panel["transformations"], "frames": each.frames} for each in asked.values()]
    tables = grafana_tables.tables(home, wanted)
    return {where: (each, table) for (where, each), table in zip(asked.items(), tables, strict=True)}


def test_columns_have_the_names_and_the_order_that_were_meant(made: dict[str, tuple[Asked, list[Field]]]) -> None:
    for where, (each, table) in made.items():
        options = each.panel["transformations"][1]["options"]
        meant = sorted(options["indexByName"], key=options["indexByName"].__getitem__)
        there = [field["name"] for field in table]
        meant = [name for name in meant if not options["excludeByName"].get(name)]
        assert there == [name for name in meant if name in there], where
        unnamed = [field for field in table if field["name"].startswith("Value") and field["shown"] == field["name"]]
        assert unnamed == [], where
        assert "Time" not in there, where


def test_a_thing_is_one_line(made: dict[str, tuple[Asked, list[Field]]]) -> None:
    for where, (each, table) in made.items():
        if not any(map(_rows, each.frames)):
            continue
        shared = set.intersection(*({name for name, _ in frame} for frame in _named(each.frames)))
        keys = {tuple(sorted(row)) for frame in _named(each.frames) for row in _tuples(frame, shared)}
        lines = len(table[0]["values"])
        widest = max(_rows(frame) for frame in each.frames)
        assert lines == max(widest, len(keys)), f"{where}: {lines} lines of {len(keys)} things"


def _rows(frame: Frame) -> int:
    return len(frame["fields"][0]["values"])


def _named(frames: list[Frame]) -> list[list[tuple[str, list[Any]]]]:
    """The labels of each frame that has lines: name and values."""
    return [
        [(field["name"], field["values"]) for field in frame["fields"] if field["type"] == "string"]
        for frame in frames
        if _rows(frame)
    ]


def _tuples(frame: list[tuple[str, list[Any]]], shared: set[str]) -> Iterator[list[tuple[str, Any]]]:
    columns = [[(name, value) for value in values] for name, values in frame if name in shared]
    yield from map(list, zip(*columns, strict=True))


def test_what_is_said_of_a_column_finds_it(made: dict[str, tuple[Asked, list[Field]]]) -> None:
    for where, (each, table) in made.items():
        labels = {name for frame in _named(each.frames) for name, _ in frame}
        names = set(each.panel["transformations"][1]["options"]["renameByName"].values())
        for override in each.panel["fieldConfig"]["overrides"]:
            name = override["matcher"]["options"]
            found = [field for field in table if name in (field["name"], field["shown"])]
            if name in labels or (name in names and any(map(_rows, each.frames))):
                assert len(found) == 1, f"{where}: {name}"


def test_links_name_fields_that_are_there(made: dict[str, tuple[Asked, list[Field]]]) -> None:
    """Those of columns that are there: which labels alerts have depends on what fires."""
    for where, (each, table) in made.items():
        if not any(map(_rows, each.frames)):
            continue
        said = each.panel["fieldConfig"]
        there = {field["name"] for field in table}
        columns = there | {field["shown"] for field in table}
        shown = [over for over in said["overrides"] if over["matcher"]["options"] in columns]
        for place in (said["defaults"], *shown):
            assert _of_links(place) <= there, f"{where}: {place.get('matcher', 'every column')}"


def test_whatever_an_alert_is_about_its_column_and_its_link_are_there(
    made: dict[str, tuple[Asked, list[Field]]],
) -> None:
    """The installation has an alert of each thing."""
    each, table = made["ml-alerts: Firing now"]
    assert _of_links(each.panel["fieldConfig"]) <= {field["name"] for field in table}


def _of_links(said: Mapping[str, Any]) -> set[str]:
    """The fields that links name."""
    return set(re.findall(r"__data\.fields\.(\w+)", json.dumps(said)))


def test_most_tables_have_lines(asked: dict[str, Asked]) -> None:
    """Else the tests above would say nothing."""
    empty = [where for where, each in asked.items() if not any(map(_rows, each.frames))]
    assert len(asked) > 15
    assert set(empty) <= EMPTY
