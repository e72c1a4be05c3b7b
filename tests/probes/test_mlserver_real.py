"""A real MLServer: what it answers, and what it counts of it. test_open_inference_real.py has our probe on it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import requests
from tests.support.mlserver_server import MODEL_VERSION, MlserverServer, mlserver
from tests.support.native import total
from tests.support.open_inference import MODEL, ask, being_loaded, obeys, ready
from tests.support.programs import wait_until
from tests.support.served import served

pytestmark = pytest.mark.servers


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlserverServer]:
    with served(mlserver, tmp_path_factory) as server:
        yield server


@pytest.fixture
def server(running: MlserverServer) -> Iterator[MlserverServer]:
    yield running
    running.control.set("ok")


def counted(server: MlserverServer, model: str = MODEL) -> tuple[float, float]:
    """Its own counters of a model's requests: well, not well."""
    text = server.metrics()
    good, bad = (total(text, f"model_infer_request_{what}_total", model=model) for what in ("success", "failure"))
    return good, bad


def since(server: MlserverServer, before: tuple[float, float]) -> tuple[float, float]:
    good, bad = counted(server)
    return good - before[0], bad - before[1]


def test_the_model_obeys(server: MlserverServer) -> None:
    obeys(server)


def test_a_model_that_is_being_loaded_is_there_and_not_ready(server: MlserverServer) -> None:
    with being_loaded(server):
        assert ask(server).status_code == 400
    assert ask(server).status_code == 200
    server.unload()
    assert (ready(server), ask(server).status_code) == (404, 404)
    server.load()
    assert ready(server) == 200


def test_its_counters_hold_a_404_and_no_422(server: MlserverServer) -> None:
    before = counted(server)
    assert [ask(server).status_code for _ in range(3)] == [200] * 3
    server.control.set("error")
    assert [ask(server).status_code for _ in range(2)] == [500] * 2
    assert since(server, before) == (3, 2)
    assert ask(server, body={}).status_code == 422
    assert since(server, before) == (3, 2)
    server.unload()
    assert ask(server).status_code == 404
    assert since(server, before) == (3, 3)
    server.load()


def test_its_version_is_what_the_address_says(server: MlserverServer) -> None:
    def by_version() -> dict[str, float]:
        text = server.metrics()
        name = "model_infer_request_success_total"
        return {version: total(text, name, model=MODEL, version=version) for version in ("None", MODEL_VERSION)}

    before = by_version()
    ask(server)
    ask(server, f"{MODEL}/versions/{MODEL_VERSION}")
    ask(server, f"{MODEL}/versions/{MODEL_VERSION}")
    assert by_version() == {"None": before["None"] + 1, MODEL_VERSION: before[MODEL_VERSION] + 2}


def test_a_client_makes_series_of_models_that_are_not_there(server: MlserverServer) -> None:
    assert counted(server, "made-up") == (0, 0)
    assert ask(server, "made-up").status_code == 404
    assert counted(server, "made-up") == (0, 1)


def test_what_the_client_gave_up_counts_as_success(server: MlserverServer) -> None:
    before = counted(server)
    server.control.set("hang")
    with pytest.raises(requests.Timeout):
        ask(server, timeout=0.5)
    server.control.set("ok")
    wait_until(lambda: since(server, before) == (1, 0), 10, "the request that hung has been counted")
