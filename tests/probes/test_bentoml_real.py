"""A real BentoML: what it answers, what it counts of it, and what our probe says of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import requests
from tests.support.bentoml_server import BentomlServer, bentoml_server
from tests.support.debian import Unavailable
from tests.support.native import total
from tests.support.probing import Probing
from tests.support.programs import free_port, wait_until

from ml_exporter.model import Check, Outcome

pytestmark = pytest.mark.servers

CANARY = {"request": {"x": [[1, 2], [3, 4]]}, "expect": [{"shape": [2, 1], "values": [[3], [7]]}]}
SERIES = "sums fraud 1"
"""Endpoint, model and version, as labels."""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BentomlServer]:
    try:
        with bentoml_server(tmp_path_factory.mktemp("bentoml")) as server:
            yield server
    except Unavailable as reason:
        pytest.skip(str(reason))


@pytest.fixture
def server(running: BentomlServer) -> Iterator[BentomlServer]:
    yield running
    running.control.set("ok")


def endpoint(server: BentomlServer, **changes: Any) -> dict[str, Any]:
    whole = {
        "name": "sums",
        "protocol": "http",
        "url": server.url,
        "model": "fraud",
        "version": "1",
        "timeout": "1s",
        "live_path": "/livez",
        "ready_path": "/readyz",
        "predict_path": "/predict",
        "canary": CANARY,
    }
    return {**whole, **changes}


class Counted:
    """Its own count of requests since now, by path and status."""

    def __init__(self, server: BentomlServer) -> None:
        self._server = server
        self._before: dict[tuple[str, int], float] = {}
        self._before = self.since()

    def since(self) -> dict[tuple[str, int], float]:
        text, name = self._server.metrics(), "bentoml_service_request_total"
        asked = [("/livez", 200), ("/readyz", 200), ("/readyz", 503), ("/nope", 404)]
        asked += [("/predict", status) for status in (200, 400, 500)]
        now = {(p, s): total(text, name, endpoint=p, http_response_code=str(s)) for p, s in asked}
        return {key: now[key] - self._before.get(key, 0) for key in asked if now[key] != self._before.get(key, 0)}


def test_an_endpoint_that_does_well_is_up_in_every_check(server: BentomlServer) -> None:
    with Probing(endpoint(server)) as probing:
        assert probing.probe().outcome is Outcome.OK
        series = probing.series()
    assert {check: series[f"ml_endpoint_up {SERIES} {check}"] for check in Check} == dict.fromkeys(Check, 1)
    assert series["ml_endpoint_info sums http "] == 1


@pytest.mark.parametrize(
    ("mode", "outcome", "said"),
    [
        ("wrong_value", Outcome.BAD_PREDICTION, "holds 103"),
        ("wrong_shape", Outcome.BAD_PREDICTION, "has the shape [2, 2]"),
        ("error", Outcome.HTTP_ERROR, "status 500"),
        ("hang", Outcome.TIMEOUT, "none began"),
    ],
)
def test_each_fault_has_its_outcome_and_passes(server: BentomlServer, mode: str, outcome: Outcome, said: str) -> None:
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


def test_a_server_that_is_not_ready_may_predict_all_the_same(server: BentomlServer) -> None:
    server.control.set("not_ready")
    with Probing(endpoint(server)) as probing:
        result = probing.probe()
        series = probing.series()
    assert result.outcome is Outcome.OK
    assert {check: series[f"ml_endpoint_up {SERIES} {check}"] for check in Check} == {
        Check.LIVE: 1,
        Check.READY: 0,
        Check.PREDICT: 1,
    }
    assert [step.status for step in result.steps] == [200, 503, 200]


def test_an_api_that_is_missing_is_an_http_error(server: BentomlServer) -> None:
    with Probing(endpoint(server, predict_path="/nope")) as probing:
        result = probing.probe()
    assert (result.outcome, result.steps[-1].status) == (Outcome.HTTP_ERROR, 404)


def test_a_slow_prediction_is_well_until_the_time_is_up(server: BentomlServer) -> None:
    server.control.set("slow", seconds=0.4)
    quick = endpoint(server, name="quick", timeout="200ms")
    with Probing(endpoint(server, timeout="5s"), quick, probes={"buckets": [0.3, 5]}) as probing:
        assert probing.probe("sums").outcome is Outcome.OK
        assert probing.probe("quick").outcome is Outcome.TIMEOUT
        series = probing.series()
    name = "ml_endpoint_probe_duration_seconds"
    assert [series[f"{name}_bucket {SERIES} {le}"] for le in ("0.3", "5.0", "+Inf")] == [0, 1, 1]
    assert 0.4 <= series[f"{name}_sum {SERIES}"] < 5
    assert series[f"{name}_count quick fraud 1"] == 0


def test_a_refused_connection_is_unreachable_and_disturbs_no_other(server: BentomlServer) -> None:
    gone = endpoint(server, name="gone", url=f"http://127.0.0.1:{free_port()}")
    with Probing(endpoint(server), gone) as probing:
        assert probing.probe("gone").outcome is Outcome.UNREACHABLE
        assert probing.probe("sums").outcome is Outcome.OK
        series = probing.series()
    assert [series[f"ml_endpoint_up gone fraud 1 {check}"] for check in Check] == [0, 0, 0]
    assert [series[f"ml_endpoint_up {SERIES} {check}"] for check in Check] == [1, 1, 1]


def test_the_probes_that_we_count_are_the_requests_that_it_counts(server: BentomlServer) -> None:
    counted = Counted(server)
    with Probing(endpoint(server)) as probing:
        for mode in ("ok", "ok", "ok", "wrong_value", "wrong_shape", "error", "error", "not_ready"):
            server.control.set(mode)
            probing.probe()
        series = probing.series()
    ours = {outcome: series[f"ml_endpoint_probes_total {SERIES} {outcome}"] for outcome in Outcome}
    assert {outcome: count for outcome, count in ours.items() if count} == {
        Outcome.OK: 4,
        Outcome.BAD_PREDICTION: 2,
        Outcome.HTTP_ERROR: 2,
    }
    assert counted.since() == {
        ("/livez", 200): 8,
        ("/readyz", 200): 7,
        ("/readyz", 503): 1,
        ("/predict", 200): 6,  # a wrong prediction is a good one to the server
        ("/predict", 500): 2,
    }
    assert series[f"ml_endpoint_probe_duration_seconds_count {SERIES}"] == 4


def test_it_counts_what_clients_get_wrong_by_whatever_path_they_ask(server: BentomlServer) -> None:
    counted = Counted(server)
    assert requests.post(f"{server.url}/predict", json={"y": 1}, timeout=10).status_code == 400
    assert requests.post(f"{server.url}/nope", json={}, timeout=10).status_code == 404
    assert counted.since() == {("/predict", 400): 1, ("/nope", 404): 1}


def test_what_the_client_gave_up_counts_as_success(server: BentomlServer) -> None:
    counted = Counted(server)
    server.control.set("hang")
    with Probing(endpoint(server, checks=["predict"], timeout="300ms")) as probing:
        assert probing.probe().outcome is Outcome.TIMEOUT
    server.control.set("ok")
    wait_until(lambda: counted.since() == {("/predict", 200): 1}, 10, "the request that hung has been counted")


def test_it_takes_our_trace_for_its_own(server: BentomlServer) -> None:
    with Probing(endpoint(server)) as probing:
        trace = f"trace={probing.probe().trace_id}"

    def logged() -> list[str]:
        return [line for line in server.process.log.read_text().splitlines() if trace in line]

    wait_until(logged, 10, "the request is in its log")
    assert "path=/predict" in logged()[0]
