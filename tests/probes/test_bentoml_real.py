"""A real BentoML: what it answers, what it counts of it, and what our probe says of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import requests
from tests.support import json_served
from tests.support.bentoml_server import BentomlServer, bentoml_server
from tests.support.json_served import LABELS
from tests.support.native import total
from tests.support.probed import checks, counted, up
from tests.support.probing import Probing
from tests.support.programs import wait_until
from tests.support.served import served

pytestmark = pytest.mark.servers

PATHS = {"live_path": "/livez", "ready_path": "/readyz", "predict_path": "/predict"}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BentomlServer]:
    with served(bentoml_server, tmp_path_factory) as server:
        yield server


@pytest.fixture
def server(running: BentomlServer) -> Iterator[BentomlServer]:
    yield running
    running.control.set("ok")


def endpoint(server: BentomlServer, **more: Any) -> dict[str, Any]:
    return json_served.endpoint(server, "http", **{**PATHS, **more})


def native(server: BentomlServer) -> dict[tuple[str, int], float]:
    """Its own count of requests, by path and status."""
    text, name = server.metrics(), "bentoml_service_request_total"
    asked = [("/livez", 200), ("/readyz", 200), ("/readyz", 503), ("/nope", 404)]
    asked += [("/predict", status) for status in (200, 400, 500)]
    return {(path, s): total(text, name, endpoint=path, http_response_code=str(s)) for path, s in asked}


def since(server: BentomlServer, before: dict[tuple[str, int], float]) -> dict[tuple[str, int], float]:
    return {key: now - before[key] for key, now in native(server).items() if now != before[key]}


def test_a_ready_server_is_well_by_all_checks(server: BentomlServer) -> None:
    json_served.does_well(endpoint(server))


@pytest.mark.parametrize("mode", json_served.FAULTS)
def test_each_fault_has_its_outcome_and_passes(server: BentomlServer, mode: str) -> None:
    json_served.fails_and_recovers(server, endpoint(server), mode)


def test_a_server_that_is_not_ready_may_predict_all_the_same(server: BentomlServer) -> None:
    server.control.set("not_ready")
    with Probing(endpoint(server)) as probing:
        result = probing.probe()
        series = probing.series()
    assert checks(result) == {"live": "ok", "ready": "http_error", "predict": "ok"}
    assert up(series, *LABELS) == {"live": 1, "ready": 0, "predict": 1}


def test_an_api_that_is_missing_is_an_http_error(server: BentomlServer) -> None:
    json_served.answers_with(endpoint(server, predict_path="/nope"), 404)


def test_a_slow_prediction_is_well_until_the_time_is_up(server: BentomlServer) -> None:
    json_served.is_slow(server, endpoint(server))


def test_a_server_that_hangs_as_a_whole_ends_in_timeout_at_the_first_check(server: BentomlServer) -> None:
    json_served.stands_still(server, endpoint(server))


def test_where_nothing_listens_every_check_is_down(server: BentomlServer) -> None:
    json_served.is_refused_beside(endpoint(server))


def test_what_we_counted_is_what_was_sent_and_what_the_server_counted(server: BentomlServer) -> None:
    before = native(server)
    modes = ("ok", "ok", "ok", "wrong_value", "wrong_shape", "error", "error", "not_ready")
    series = json_served.probe_each(server, endpoint(server), *modes)
    assert counted(series, *LABELS) == {"ok": 4, "bad_prediction": 2, "http_error": 2}
    assert series[f"ml_endpoint_probe_duration_seconds_count {' '.join(LABELS)}"] == 4
    assert since(server, before) == {
        ("/livez", 200): 8,  # probes of its health are counted, too
        ("/readyz", 200): 7,
        ("/readyz", 503): 1,
        ("/predict", 200): 6,  # a wrong prediction is a good one to the server
        ("/predict", 500): 2,
    }


def test_it_counts_what_clients_get_wrong_by_whatever_path_they_ask(server: BentomlServer) -> None:
    before = native(server)
    assert requests.post(f"{server.url}/predict", json={"y": 1}, timeout=10).status_code == 400
    assert requests.post(f"{server.url}/nope", json={}, timeout=10).status_code == 404
    assert since(server, before) == {("/predict", 400): 1, ("/nope", 404): 1}


def test_what_the_client_gave_up_counts_as_success(server: BentomlServer) -> None:
    before = native(server)
    server.control.set("hang")
    with Probing(endpoint(server, checks=["predict"], timeout="300ms")) as probing:
        assert probing.probe().outcome == "timeout"
    server.control.set("ok")
    wait_until(lambda: since(server, before) == {("/predict", 200): 1}, 10, "the request that hung has been counted")


def test_it_takes_our_trace_for_its_own(server: BentomlServer) -> None:
    with Probing(endpoint(server)) as probing:
        trace = f"trace={probing.probe().trace_id}"

    def logged() -> list[str]:
        return [line for line in server.process.log.read_text().splitlines() if trace in line]

    wait_until(logged, 10, "the request is in its log")
    assert "path=/predict" in logged()[0]
