"""A real `mlflow models serve`: what it answers, and what our probe says of it. It has no metrics, but a log."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import requests
from tests.support import json_served
from tests.support.json_served import LABELS, WELL
from tests.support.mlflow_serving import MlflowServing, mlflow_serving
from tests.support.probed import checks, counted, up
from tests.support.probing import Probing

pytestmark = pytest.mark.servers

REQUEST = {"inputs": [[1, 2], [3, 4]]}
EXPECTED = {"shape": [2, 1], "values": [[3], [7]]}
CANARY = {"request": REQUEST, "expect": [EXPECTED]}
WHOLE = {"request": REQUEST, "expect": [{"name": "predictions", **EXPECTED}]}
"""In the style of SageMaker nothing is known of the answer."""
FAULTS = {
    **json_served.FAULTS,
    "error": ("http_error", "status 400"),
    "unserialisable": ("http_error", "status 500"),
}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServing]:
    with mlflow_serving(tmp_path_factory.mktemp("mlflow-serving")) as server:
        yield server


@pytest.fixture
def server(running: MlflowServing) -> Iterator[MlflowServing]:
    yield running
    running.control.set("ok")


def endpoint(server: MlflowServing, **more: Any) -> dict[str, Any]:
    """The server names neither its model nor the version: the configuration does."""
    return json_served.endpoint(server, **{"protocol": "mlflow_scoring", "canary": CANARY, **more})


def ask(server: MlflowServing, body: Any = REQUEST, timeout: float = 10) -> requests.Response:
    return requests.post(f"{server.url}/invocations", json=body, timeout=timeout)


def test_the_model_obeys(server: MlflowServing) -> None:
    found = {}
    for mode in ("ok", "wrong_value", "wrong_shape"):
        server.control.set(mode)
        found[mode] = ask(server).json()["predictions"]
    assert found == {"ok": [[3.0], [7.0]], "wrong_value": [[103.0], [107.0]], "wrong_shape": [[3.0, 3.0], [7.0, 7.0]]}


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


def test_a_ready_server_is_well_by_all_checks(server: MlflowServing) -> None:
    json_served.does_well(endpoint(server))


def test_in_the_style_of_sagemaker_it_is_well_too(server: MlflowServing) -> None:
    with Probing(endpoint(server, protocol="sagemaker", canary=WHOLE)) as probing:
        result = probing.probe()
        series = probing.series()
    assert (result.problem, checks(result)) == (None, {"live": "ok", "predict": "ok"})
    assert up(series, *LABELS) == {"live": 1, "predict": 1}


@pytest.mark.parametrize(
    "request_",
    [
        {"inputs": [[1, 2], [3, 4]]},
        {"instances": [[1, 2], [3, 4]]},
        {"dataframe_split": {"columns": ["a", "b"], "data": [[1, 2]]}},
        {"dataframe_records": [{"a": 1, "b": 2}]},
    ],
    ids=lambda request_: next(iter(request_)),
)
def test_a_canary_has_one_of_four_forms(server: MlflowServing, request_: dict[str, Any]) -> None:
    canary = {"request": request_, "expect": [{"shape": [-1, 1]}]}
    with Probing(endpoint(server, canary=canary)) as probing:
        result = probing.probe()
    assert (result.problem, checks(result)) == (None, WELL)


@pytest.mark.parametrize("mode", FAULTS)
def test_each_fault_has_its_outcome_and_passes(server: MlflowServing, mode: str) -> None:
    json_served.fails_and_recovers(server, endpoint(server), mode, FAULTS)


def test_a_model_that_is_not_there_lives_and_predicts_nothing(server: MlflowServing) -> None:
    """The server knows no names of models; what can be missing is the path."""
    json_served.answers_with(endpoint(server, predict_path="/models/made-up/invocations"), 404)


def test_a_slow_prediction_is_well_until_the_time_is_up(server: MlflowServing) -> None:
    json_served.is_slow(server, endpoint(server))


def test_a_server_that_hangs_as_a_whole_ends_in_timeout_at_the_first_check(server: MlflowServing) -> None:
    json_served.stands_still(server, endpoint(server))


def test_where_nothing_listens_as_before_a_model_is_loaded_every_check_is_down(server: MlflowServing) -> None:
    """Until its model is loaded this server listens to nobody: that is its way not to be ready."""
    json_served.is_refused_beside(endpoint(server))


def test_what_we_counted_is_what_was_sent_and_what_the_server_logged(server: MlflowServing) -> None:
    before = server.logged()
    plan = {"ok": 5, "wrong_value": 3, "wrong_shape": 2, "error": 4, "unserialisable": 1}
    modes = [mode for mode, times in plan.items() for _ in range(times)]
    series = json_served.probe_each(server, endpoint(server), *modes)
    assert counted(series, *LABELS) == {"ok": 5, "bad_prediction": 5, "http_error": 5}
    assert series[f"ml_endpoint_probe_duration_seconds_count {' '.join(LABELS)}"] == 5
    assert server.logged() - before == {
        ("/ping", 200): 15,
        ("/health", 200): 15,
        ("/invocations", 200): 10,
        ("/invocations", 400): 4,
        ("/invocations", 500): 1,
    }
