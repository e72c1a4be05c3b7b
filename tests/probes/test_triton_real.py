"""A real Triton on CPU: what it answers, and what it counts of it. test_open_inference_real.py has our probe on it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import requests
from tests.support.native import total
from tests.support.open_inference import MODEL, ask, being_loaded, obeys, ready, state
from tests.support.probed import checks
from tests.support.probing import Probing
from tests.support.programs import wait_until
from tests.support.served import served
from tests.support.triton_server import MODEL_VERSION, VERSION, TritonServer, triton

pytestmark = pytest.mark.servers

TOO_WIDE = {"inputs": [{"name": "x", "shape": [1, 3], "datatype": "FP32", "data": [1, 2, 3]}]}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TritonServer]:
    with served(triton, tmp_path_factory) as server:
        yield server


@pytest.fixture
def server(running: TritonServer) -> Iterator[TritonServer]:
    yield running
    running.control.set("ok")


@contextmanager
def unloaded(server: TritonServer) -> Iterator[None]:
    """The model is not ready within the block, and ready after it."""
    server.unload()
    try:
        wait_until(lambda: ready(server) == 400, 10, "the model is not ready")
        yield
    finally:
        server.load()


def counted(server: TritonServer) -> tuple[float, float]:
    """Its own counters of the model's requests: well, not well."""
    text = server.metrics()
    good, bad = (
        total(text, f"nv_inference_request_{what}", model=MODEL, version=MODEL_VERSION)
        for what in ("success", "failure")
    )
    return good, bad


def since(server: TritonServer, before: tuple[float, float]) -> tuple[float, float]:
    good, bad = counted(server)
    return good - before[0], bad - before[1]


def test_it_is_the_version_that_we_say(server: TritonServer) -> None:
    assert requests.get(f"{server.url}/v2", timeout=10).json()["version"] == VERSION


def test_the_model_obeys(server: TritonServer) -> None:
    obeys(server)


def test_a_model_that_is_not_there_is_not_ready_just_as_one_that_is_unloaded_or_being_loaded(
    server: TritonServer,
) -> None:
    assert (ready(server), ready(server, "made-up"), ready(server, f"{MODEL}/versions/9")) == (200, 400, 400)
    with unloaded(server):
        assert (ready(server), ask(server).status_code) == (400, 404)
    with being_loaded(server):
        assert state(server) == "LOADING"
        assert (ready(server), ask(server).status_code) == (400, 404)
    assert (ready(server), ask(server).status_code) == (200, 200)


def test_a_probe_that_keeps_its_connection_sees_at_the_latest_the_second_time_that_a_model_is_being_loaded(
    server: TritonServer,
) -> None:
    """A load by call holds up a thread of Triton's, and with it, mostly, the connections that were there before."""
    kept = {"name": "fraud", "protocol": "open_inference", "url": server.url, "model": MODEL, "timeout": "1s"}
    with Probing(kept) as probing:
        assert probing.probe().outcome == "ok"
        with being_loaded(server):
            assert probing.probe().outcome in ("timeout", "http_error")
            assert checks(probing.probe()) == {"live": "ok", "ready": "http_error"}
        assert probing.probe().outcome == "ok"


def test_an_error_of_its_model_is_a_500_and_counts_as_success(server: TritonServer) -> None:
    before = counted(server)
    server.control.set("error")
    assert [ask(server).status_code for _ in range(3)] == [500] * 3
    assert since(server, before) == (3, 0)


def test_what_it_refuses_is_not_counted(server: TritonServer) -> None:
    before = counted(server)
    refused = [
        ask(server, body=TOO_WIDE),
        ask(server, "made-up"),
        ask(server, f"{MODEL}/versions/9"),
        ask(server, body={}),
    ]
    assert [answer.status_code for answer in refused] == [400, 404, 404, 500]
    assert ask(server).status_code == 200
    assert since(server, before) == (1, 0)


def test_its_counters_begin_anew_when_the_model_is_loaded_again(server: TritonServer) -> None:
    ask(server)
    ask(server)
    assert counted(server)[0] >= 2
    with unloaded(server):
        pass
    ask(server)
    assert counted(server) == (1, 0)


def test_what_the_client_gave_up_counts_as_success(server: TritonServer) -> None:
    before = counted(server)
    server.control.set("hang")
    with pytest.raises(requests.Timeout):
        ask(server, timeout=0.5)
    server.control.set("ok")
    wait_until(lambda: since(server, before) == (1, 0), 10, "the request that hung has been counted")


def test_its_latency_is_a_sum_and_where_wanted_a_summary(server: TritonServer) -> None:
    name, labels = "nv_inference_request_summary_us", {"model": MODEL, "version": MODEL_VERSION}
    before = server.metrics()
    ask(server)
    after = server.metrics()
    assert total(after, f"{name}_count", **labels) == total(before, f"{name}_count", **labels) + 1
    assert total(after, f"{name}_sum", **labels) == total(after, "nv_inference_request_duration_us", **labels) > 0


def test_models_that_nobody_loaded_or_that_were_unloaded_are_not_found(server: TritonServer) -> None:
    """Both are in its index of models, beside one that is loaded."""
    for name in ("idle", "broken"):
        server.add(name, code="import not_there" if name == "broken" else "")
    assert requests.post(f"{server.url}/v2/repository/models/broken/load", json={}, timeout=60).status_code == 400

    def found() -> set[str]:
        discovering = {"name": "all", "protocol": "open_inference", "url": server.url, "discover": True}
        with Probing(discovering) as probing:
            endpoint = probing.prober.endpoints["all"]
            wait_until(lambda: endpoint.index_up, 10, "the index has been read")
            assert probing.series()["ml_endpoint_index_models all"] == len(endpoint.models)
            return set(endpoint.models)

    assert found() == {MODEL, "broken"}
    with unloaded(server):
        wait_until(lambda: state(server) == "UNAVAILABLE", 10, "the model is unloaded")
        assert found() == {"broken"}
