"""Dashboards of large installations: no panel asks for more than a person can read, or than a browser draws."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from tests.support import installed
from tests.support.grafana import Choice, Prometheus, chosen, queries
from tests.support.installation import Installation

pytestmark = pytest.mark.system

_AS_SCRAPED = {"__rate_interval": f"{4 * installed.SCRAPED}s"}
MOST = 1000
"""Series that a query may return."""
INSTALLATIONS = {
    "500 services": Installation(services=500, pipelines=5000, endpoints=1000, firing=1.0),
    # Where no services are configured, all belongs to one; just more than may be returned, for that is quicker.
    "one service": Installation(services=1, pipelines=1500, endpoints=1100, firing=1.0),
}

_RANKED = re.compile(r"\b(?:top|bottom)k\(")


@dataclass(frozen=True)
class Watched:
    """Dashboards, and the Prometheus of an installation that they ask."""

    server: Prometheus
    dashboards: list[dict[str, Any]]


@pytest.fixture(scope="module", params=INSTALLATIONS)
def watched(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    installation = INSTALLATIONS[request.param]
    files = installed.rendered(installation)
    with installed.running(installation, files, tmp_path_factory.mktemp("large")) as server:
        yield Watched(server, installed.dashboards(files))


def test_what_a_panel_shows_over_time_is_ranked_once_for_all_of_it(watched: Watched) -> None:
    """Picked at every step, the first thirty would be others each time, and together all there are."""
    panels_only = [{**dashboard, "annotations": {"list": []}} for dashboard in watched.dashboards]
    over_time = [
        query
        for dashboard in panels_only
        for query in queries(dashboard, chosen(dashboard, watched.server, "all"))
        if not query.instant and _RANKED.search(query.expr)
    ]

    assert over_time
    assert [query.where for query in over_time if "@ end()" not in query.expr] == []


@pytest.mark.parametrize("choice", ["all", "one"])
def test_no_query_returns_more_than_a_thousand_series(watched: Watched, choice: Choice) -> None:
    counts = {
        query.where: len(watched.server.ask(query, time.time(), seconds=60.0))
        for dashboard in watched.dashboards
        for query in queries(dashboard, chosen(dashboard, watched.server, choice) | _AS_SCRAPED)
    }

    assert {where: count for where, count in counts.items() if count > MOST} == {}
    assert any(counts.values())
