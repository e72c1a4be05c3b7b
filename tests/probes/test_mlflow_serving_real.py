"""A real `mlflow models serve`: what it answers, and what our probe says of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import requests
from tests.support.mlflow_serving import MlflowServing, mlflow_serving

pytestmark = pytest.mark.servers

CANARY = {"inputs": [[1, 2], [3, 4]]}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServing]:
    with mlflow_serving(tmp_path_factory.mktemp("mlflow-serving")) as server:
        yield server


@pytest.fixture
def server(running: MlflowServing) -> Iterator[MlflowServing]:
    yield running
    running.control.set("ok")


def ask(server: MlflowServing, body: Any = CANARY, timeout: float = 10) -> requests.Response:
    return requests.post(f"{server.url}/invocations", json=body, timeout=timeout)


def test_the_model_obeys(server: MlflowServing) -> None:
    found = {}
    for mode in ("ok", "wrong_value", "wrong_shape"):
        server.control.set(mode)
        found[mode] = ask(server).json()["predictions"]
    assert found == {"ok": [[3.0], [7.0]], "wrong_value": [[103.0], [107.0]], "wrong_shape": [[3.0, 3.0], [7.0, 7.0]]}


@pytest.mark.parametrize(
    "body",
    [
        {"inputs": [[1, 2]]},
        {"instances": [[1, 2]]},
        {"dataframe_split": {"columns": ["a", "b"], "data": [[1, 2]]}},
        {"dataframe_records": [{"a": 1, "b": 2}]},
    ],
    ids=lambda body: next(iter(body)),
)
def test_it_takes_four_forms_of_a_request(server: MlflowServing, body: dict[str, Any]) -> None:
    assert ask(server, body).json() == {"predictions": [[3.0]]}


def test_an_error_of_its_model_is_a_400(server: MlflowServing) -> None:
    before = server.logged()
    server.control.set("error")
    answer = ask(server)
    assert (answer.status_code, answer.json()["error_code"]) == (400, "BAD_REQUEST")
    server.control.set("unserialisable")
    assert ask(server).status_code == 500
    assert server.logged() - before == {("/invocations", 400): 1, ("/invocations", 500): 1}


def test_it_has_no_metrics(server: MlflowServing) -> None:
    assert requests.get(f"{server.url}/metrics", timeout=10).status_code == 404
