"""A real Ray Serve: what it answers, what it counts of it, and what our probe says of it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from tests.support import json_served
from tests.support.debian import Unavailable
from tests.support.json_served import LABELS
from tests.support.native import total
from tests.support.probed import counted
from tests.support.probing import Probing
from tests.support.programs import wait_until
from tests.support.ray_serve_server import ROUTE, RayServeServer, ray_serve

from ml_exporter.ports import Result

pytestmark = pytest.mark.servers

PATHS = {"live_path": "/-/healthz", "ready_path": "/-/routes", "predict_path": ROUTE}
LATE = 3.0
"""Seconds by which its counters may be."""


@dataclass(frozen=True)
class Running:
    server: RayServeServer
    early: Result
    """Of the probe before there was any application."""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    try:
        with ray_serve(tmp_path_factory.mktemp("ray-serve"), deployed=False) as server:
            with Probing(endpoint(server)) as probing:
                early = probing.probe()
            server.deploy()
            wait_until(lambda: native(server)["requests"], 30, "its own metrics are there")
            yield Running(server, early)
    except Unavailable as reason:
        pytest.skip(str(reason))


@pytest.fixture
def server(running: Running) -> Iterator[RayServeServer]:
    yield running.server
    running.server.control.set("ok")


def endpoint(server: RayServeServer, **more: Any) -> dict[str, Any]:
    return json_served.endpoint(server, "http", **{**PATHS, **more})


def statuses(result: Result) -> list[int | None]:
    return [step.status for step in result.steps]


PROXY = "ray_serve_num_http_requests_total"
REQUESTS, ERRORS = (f"ray_serve_deployment_{what}_counter_total" for what in ("request", "error"))


def native(server: RayServeServer) -> dict[str, float]:
    """Its own counters: of the application, from its proxy and its deployment, and of what has no route."""
    # Of half a megabyte, which takes seconds to parse.
    lines = [line for line in server.metrics().splitlines() if line.startswith((PROXY, REQUESTS, ERRORS))]
    text = "".join(f"{line}\n" for line in lines)
    by_status = {str(s): total(text, PROXY, route=ROUTE, status_code=str(s)) for s in (200, 499, 500)}
    return {
        **by_status,
        "requests": total(text, REQUESTS, application="sums"),
        "errors": total(text, ERRORS, application="sums"),
        "404": total(text, PROXY, route="", application="", status_code="404"),
    }


def settled(server: RayServeServer) -> dict[str, float]:
    """The same once nothing of earlier requests is still to come: its counters are late."""
    seen = [(time.monotonic(), native(server))]

    def stand_still() -> bool:
        now = native(server)
        if now != seen[-1][1]:
            seen.append((time.monotonic(), now))
        return time.monotonic() > seen[-1][0] + LATE

    wait_until(stand_still, 60, "its counters stand still")
    return seen[-1][1]


def since(server: RayServeServer, before: dict[str, float]) -> dict[str, float]:
    return {name: now - before[name] for name, now in native(server).items() if now != before[name]}


def test_before_its_first_application_it_is_neither_live_nor_ready(running: Running) -> None:
    assert statuses(running.early) == [503, 503, 404]
    assert running.early.outcome == "http_error"


def test_a_ready_server_is_well_by_all_checks(server: RayServeServer) -> None:
    json_served.does_well(endpoint(server))


@pytest.mark.parametrize("mode", json_served.FAULTS)
def test_each_fault_has_its_outcome_and_passes(server: RayServeServer, mode: str) -> None:
    json_served.fails_and_recovers(server, endpoint(server), mode)


def test_an_application_that_is_gone_shows_in_the_prediction_alone(server: RayServeServer) -> None:
    with Probing(endpoint(server)) as probing:
        server.undeploy()
        try:
            result = probing.probe()
        finally:
            server.deploy()
        assert (result.outcome, statuses(result)) == ("http_error", [200, 200, 404])
        assert probing.probe().outcome == "ok"


def test_a_slow_prediction_is_well_until_the_time_is_up(server: RayServeServer) -> None:
    json_served.is_slow(server, endpoint(server))


def test_a_server_that_hangs_as_a_whole_ends_in_timeout_at_the_first_check(server: RayServeServer) -> None:
    json_served.stands_still(server, endpoint(server))


def test_where_nothing_listens_every_check_is_down(server: RayServeServer) -> None:
    json_served.is_refused_beside(endpoint(server))


def test_what_we_counted_is_what_was_sent_and_what_the_server_counted(server: RayServeServer) -> None:
    before = settled(server)
    modes = ("ok", "ok", "ok", "wrong_value", "wrong_shape", "error", "error")
    series = json_served.probe_each(server, endpoint(server), *modes)
    assert counted(series, *LABELS) == {"ok": 3, "bad_prediction": 2, "http_error": 2}
    # A wrong prediction is a good one to the server; its deployment's requests leave out the errors.
    theirs = {"200": 5, "500": 2, "requests": 5, "errors": 2}
    wait_until(lambda: since(server, before) == theirs, 20, f"its counters show {theirs}")


def test_what_the_client_gave_up_is_499_to_its_proxy_and_an_error_to_its_deployment(server: RayServeServer) -> None:
    before = settled(server)
    server.control.set("hang")
    with Probing(endpoint(server, checks=["predict"], timeout="500ms")) as probing:
        assert probing.probe().outcome == "timeout"
    theirs = {"499": 1, "errors": 1}
    wait_until(lambda: since(server, before) == theirs, 20, f"its counters show {theirs}")


def test_a_path_that_it_does_not_serve_has_no_route_in_its_counters(server: RayServeServer) -> None:
    before = settled(server)
    json_served.answers_with(endpoint(server, predict_path="/nope", checks=["predict"]), 404)
    wait_until(lambda: since(server, before) == {"404": 1}, 20, "it has been counted")
