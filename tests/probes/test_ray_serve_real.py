"""A real Ray Serve: what it answers, what it counts of it, and what our probe says of it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from tests.support.debian import Unavailable
from tests.support.native import total
from tests.support.probing import Probing
from tests.support.programs import free_port, wait_until
from tests.support.ray_serve_server import ROUTE, RayServeServer, ray_serve

from ml_exporter.model import Check, Outcome
from ml_exporter.ports import Result

pytestmark = pytest.mark.servers

CANARY = {"request": {"x": [[1, 2], [3, 4]]}, "expect": [{"shape": [2, 1], "values": [[3], [7]]}]}
SERIES = "sums fraud 1"
"""Endpoint, model and version, as labels."""
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
            wait_until(lambda: counted(server)["requests"], 30, "its own metrics are there")
            yield Running(server, early)
    except Unavailable as reason:
        pytest.skip(str(reason))


@pytest.fixture
def server(running: Running) -> Iterator[RayServeServer]:
    yield running.server
    running.server.control.set("ok")


def endpoint(server: RayServeServer, **changes: Any) -> dict[str, Any]:
    whole = {
        "name": "sums",
        "protocol": "http",
        "url": server.url,
        "model": "fraud",
        "version": "1",
        "timeout": "2s",
        "live_path": "/-/healthz",
        "ready_path": "/-/routes",
        "predict_path": ROUTE,
        "canary": CANARY,
    }
    return {**whole, **changes}


def statuses(result: Result) -> list[int | None]:
    return [step.status for step in result.steps]


PROXY = "ray_serve_num_http_requests_total"
REQUESTS, ERRORS = (f"ray_serve_deployment_{what}_counter_total" for what in ("request", "error"))


def counted(server: RayServeServer) -> dict[str, float]:
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
    seen = [(time.monotonic(), counted(server))]

    def stand_still() -> bool:
        now = counted(server)
        if now != seen[-1][1]:
            seen.append((time.monotonic(), now))
        return time.monotonic() > seen[-1][0] + LATE

    wait_until(stand_still, 60, "its counters stand still")
    return seen[-1][1]


def since(server: RayServeServer, before: dict[str, float]) -> dict[str, float]:
    return {name: now - before[name] for name, now in counted(server).items() if now != before[name]}


def test_before_its_first_application_it_is_neither_live_nor_ready(running: Running) -> None:
    assert statuses(running.early) == [503, 503, 404]
    assert running.early.outcome is Outcome.HTTP_ERROR


def test_an_endpoint_that_does_well_is_up_in_every_check(server: RayServeServer) -> None:
    with Probing(endpoint(server)) as probing:
        assert probing.probe().outcome is Outcome.OK
        series = probing.series()
    assert {check: series[f"ml_endpoint_up {SERIES} {check}"] for check in Check} == dict.fromkeys(Check, 1)


@pytest.mark.parametrize(
    ("mode", "outcome", "said"),
    [
        ("wrong_value", Outcome.BAD_PREDICTION, "holds 103"),
        ("wrong_shape", Outcome.BAD_PREDICTION, "has the shape [2, 2]"),
        ("error", Outcome.HTTP_ERROR, "status 500"),
        ("hang", Outcome.TIMEOUT, "none began"),
    ],
)
def test_each_fault_has_its_outcome_and_passes(server: RayServeServer, mode: str, outcome: Outcome, said: str) -> None:
    with Probing(endpoint(server)) as probing:
        server.control.set(mode)
        result = probing.probe()
        assert (result.outcome, said in str(result.problem)) == (outcome, True), result.problem
        failed = probing.series()
        server.control.set("ok")
        assert probing.probe().outcome is Outcome.OK
        passed = probing.series()
    checks = [Check.LIVE, Check.READY, Check.PREDICT]
    assert [failed[f"ml_endpoint_up {SERIES} {check}"] for check in checks] == [1, 1, 0]
    assert [passed[f"ml_endpoint_up {SERIES} {check}"] for check in checks] == [1, 1, 1]
    assert passed[f"ml_endpoint_probes_total {SERIES} {outcome}"] == 1
    assert passed[f"ml_endpoint_probes_total {SERIES} ok"] == 1


def test_an_application_that_is_gone_shows_in_the_prediction_alone(server: RayServeServer) -> None:
    with Probing(endpoint(server)) as probing:
        server.undeploy()
        try:
            result = probing.probe()
        finally:
            server.deploy()
        assert (result.outcome, statuses(result)) == (Outcome.HTTP_ERROR, [200, 200, 404])
        assert probing.probe().outcome is Outcome.OK


def test_a_slow_prediction_is_well_until_the_time_is_up(server: RayServeServer) -> None:
    server.control.set("slow", seconds=0.6)
    quick = endpoint(server, name="quick", timeout="400ms")
    with Probing(endpoint(server, timeout="5s"), quick, probes={"buckets": [0.5, 5]}) as probing:
        assert probing.probe("sums").outcome is Outcome.OK
        assert probing.probe("quick").outcome is Outcome.TIMEOUT
        series = probing.series()
    name = "ml_endpoint_probe_duration_seconds"
    assert [series[f"{name}_bucket {SERIES} {le}"] for le in ("0.5", "5.0", "+Inf")] == [0, 1, 1]
    assert 0.6 <= series[f"{name}_sum {SERIES}"] < 5
    assert series[f"{name}_count quick fraud 1"] == 0


def test_a_refused_connection_is_unreachable_and_disturbs_no_other(server: RayServeServer) -> None:
    gone = endpoint(server, name="gone", url=f"http://127.0.0.1:{free_port()}")
    with Probing(endpoint(server), gone) as probing:
        assert probing.probe("gone").outcome is Outcome.UNREACHABLE
        assert probing.probe("sums").outcome is Outcome.OK
        series = probing.series()
    assert [series[f"ml_endpoint_up gone fraud 1 {check}"] for check in Check] == [0, 0, 0]
    assert [series[f"ml_endpoint_up {SERIES} {check}"] for check in Check] == [1, 1, 1]


def test_the_probes_that_we_count_are_the_requests_that_it_counts(server: RayServeServer) -> None:
    before = settled(server)
    with Probing(endpoint(server, timeout="10s")) as probing:
        for mode in ("ok", "ok", "ok", "wrong_value", "wrong_shape", "error", "error"):
            server.control.set(mode)
            probing.probe()
        series = probing.series()
    ours = {outcome: series[f"ml_endpoint_probes_total {SERIES} {outcome}"] for outcome in Outcome}
    assert {outcome: count for outcome, count in ours.items() if count} == {
        Outcome.OK: 3,
        Outcome.BAD_PREDICTION: 2,
        Outcome.HTTP_ERROR: 2,
    }
    # A wrong prediction is a good one to the server; its deployment's requests leave out the errors.
    theirs = {"200": 5, "500": 2, "requests": 5, "errors": 2}
    wait_until(lambda: since(server, before) == theirs, 20, f"its counters show {theirs}")


def test_what_the_client_gave_up_is_499_to_its_proxy_and_an_error_to_its_deployment(server: RayServeServer) -> None:
    before = settled(server)
    server.control.set("hang")
    with Probing(endpoint(server, checks=["predict"], timeout="300ms")) as probing:
        assert probing.probe().outcome is Outcome.TIMEOUT
    theirs = {"499": 1, "errors": 1}
    wait_until(lambda: since(server, before) == theirs, 20, f"its counters show {theirs}")


def test_a_path_that_it_does_not_serve_has_no_route_in_its_counters(server: RayServeServer) -> None:
    before = settled(server)
    with Probing(endpoint(server, predict_path="/nope", checks=["predict"])) as probing:
        result = probing.probe()
    assert (result.outcome, statuses(result)) == (Outcome.HTTP_ERROR, [404])
    wait_until(lambda: since(server, before) == {"404": 1}, 20, "it has been counted")
