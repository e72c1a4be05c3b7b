"""A real TorchServe: what it answers, what it counts of it, and what our probe says of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from tests.support import json_served
from tests.support.native import total
from tests.support.probed import checks, counted, up
from tests.support.probing import Probing
from tests.support.served import served
from tests.support.torchserve_server import MODEL, MODEL_VERSION, TorchServer, torchserve

pytestmark = pytest.mark.servers


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TorchServer]:
    with served(torchserve, tmp_path_factory) as server:
        yield server


@pytest.fixture
def server(running: TorchServer) -> Iterator[TorchServer]:
    yield running
    running.control.set("ok")


def endpoint(server: TorchServer, **more: Any) -> dict[str, Any]:
    return json_served.endpoint(server, "torchserve", **more)


def native(server: TorchServer) -> dict[str, float]:
    """Its own counts: predictions asked of the model, by the version in the address, and all requests by status."""
    text, name = server.metrics(), "ts_inference_requests_total"
    by_version = {v: total(text, name, model_name=MODEL, model_version=v) for v in (MODEL_VERSION, "default")}
    return {**by_version, **{what: total(text, f"Requests{what}") for what in ("2XX", "4XX", "5XX")}}


def since(server: TorchServer, before: dict[str, float]) -> dict[str, float]:
    """What has been counted, but for the reading of it, which counts as 2XX."""
    changed = {key: now - before[key] for key, now in native(server).items()}
    changed["2XX"] -= 1
    return {key: change for key, change in changed.items() if change}


def test_a_ready_server_is_well_by_all_checks(server: TorchServer) -> None:
    json_served.does_well(endpoint(server))


@pytest.mark.parametrize("mode", json_served.FAULTS)
def test_each_fault_has_its_outcome_and_passes(server: TorchServer, mode: str) -> None:
    json_served.fails_and_recovers(server, endpoint(server), mode)


def test_an_error_of_its_model_is_a_503(server: TorchServer) -> None:
    server.control.set("error")
    json_served.answers_with(endpoint(server), 503)


def test_a_model_without_workers_shows_in_the_prediction_alone(server: TorchServer) -> None:
    with Probing(endpoint(server)) as probing:
        server.scale(0)
        try:
            result = probing.probe()
            series = probing.series()
        finally:
            server.scale(1)
        assert checks(result) == {"live": "ok", "ready": "ok", "predict": "http_error"}
        assert "no worker" in str(result.problem)
        assert up(series, *json_served.LABELS) == {"live": 1, "ready": 1, "predict": 0}
        assert probing.probe().outcome == "ok"


@pytest.mark.parametrize("missing", [{"model": "made-up"}, {"version": "9"}])
def test_a_model_or_a_version_that_is_not_there_is_not_ready(server: TorchServer, missing: dict[str, str]) -> None:
    with Probing(endpoint(server, **missing)) as probing:
        result = probing.probe()
    assert checks(result) == {"live": "ok", "ready": "http_error", "predict": "http_error"}
    assert [step.status for step in result.steps] == [200, 404, 404]


def test_a_slow_prediction_is_well_until_the_time_is_up(server: TorchServer) -> None:
    json_served.is_slow(server, endpoint(server))


def test_a_server_that_hangs_as_a_whole_ends_in_timeout_at_the_first_check(server: TorchServer) -> None:
    json_served.stands_still(server, endpoint(server))


def test_where_nothing_listens_every_check_is_down(server: TorchServer) -> None:
    json_served.is_refused_beside(endpoint(server))


def test_what_we_counted_is_what_was_sent_and_what_the_server_counted(server: TorchServer) -> None:
    before = native(server)
    modes = ("ok", "ok", "ok", "wrong_value", "wrong_shape", "error", "error")
    series = json_served.probe_each(server, endpoint(server), *modes)
    assert counted(series, *json_served.LABELS) == {"ok": 3, "bad_prediction": 2, "http_error": 2}
    # Live and ready are counted with the rest where no model is named, and not as predictions of the model.
    assert since(server, before) == {MODEL_VERSION: 7, "2XX": 7 + 7 + 5, "5XX": 2}


def test_its_version_is_what_the_address_says(server: TorchServer) -> None:
    before = native(server)
    json_served.probe_each(server, endpoint(server, version=None, checks=["predict"]), "ok", "ok")
    assert since(server, before) == {"default": 2, "2XX": 2}


def test_what_the_client_gave_up_counts_as_a_prediction(server: TorchServer) -> None:
    before = native(server)
    server.control.set("hang")
    with Probing(endpoint(server, checks=["predict"], timeout="300ms")) as probing:
        assert probing.probe().outcome == "timeout"
    assert since(server, before) == {MODEL_VERSION: 1}
