"""A real `mlflow models serve`: what it answers, and what our probe says of it. It has no metrics, but a log."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import requests
from tests.support.frozen import frozen
from tests.support.mlflow_serving import MlflowServing, mlflow_serving
from tests.support.probed import checks, counted, slower, up
from tests.support.probing import Probing
from tests.support.programs import free_port

pytestmark = pytest.mark.servers

REQUEST = {"inputs": [[1, 2], [3, 4]]}
EXPECTED = {"shape": [2, 1], "values": [[3], [7]]}
CANARY = {"request": REQUEST, "expect": [EXPECTED]}
WHOLE = {"request": REQUEST, "expect": [{"name": "predictions", **EXPECTED}]}
"""In the style of SageMaker nothing is known of the answer."""
WELL = {"live": "ok", "ready": "ok", "predict": "ok"}
MODEL, VERSION = "churn", "7"
"""By the configuration: the server names neither."""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServing]:
    with mlflow_serving(tmp_path_factory.mktemp("mlflow-serving")) as server:
        yield server


@pytest.fixture
def server(running: MlflowServing) -> Iterator[MlflowServing]:
    yield running
    running.control.set("ok")


@pytest.fixture
def probing(server: MlflowServing) -> Iterator[Probing]:
    """`fraud`, others on the same server that are less patient or ask elsewhere, and a dead one."""
    with Probing(
        endpoint(server, "fraud"),
        endpoint(server, "impatient", timeout="1s"),
        endpoint(server, "elsewhere", predict_path="/models/made-up/invocations"),
        endpoint(server, "sagemaker", protocol="sagemaker", canary=WHOLE),
        endpoint(server, "dead", url=f"http://127.0.0.1:{free_port()}"),
    ) as probing:
        yield probing


def endpoint(server: MlflowServing, name: str, **more: Any) -> dict[str, Any]:
    whole = {"protocol": "mlflow_scoring", "url": server.url, "model": MODEL, "version": VERSION, "canary": CANARY}
    return {"name": name, "timeout": "20s", **whole, **more}


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


@pytest.mark.parametrize(
    ("name", "asked"), [("fraud", ("live", "ready", "predict")), ("sagemaker", ("live", "predict"))]
)
def test_a_ready_server_is_well_by_all_checks(probing: Probing, name: str, asked: tuple[str, ...]) -> None:
    result = probing.probe(name)
    assert (result.problem, checks(result)) == (None, dict.fromkeys(asked, "ok"))
    series = probing.series()
    assert up(series, name, MODEL, VERSION) == dict.fromkeys(asked, 1)
    assert counted(series, name, MODEL, VERSION) == {"ok": 1}


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
    with Probing(endpoint(server, "fraud", canary=canary)) as probing:
        result = probing.probe()
    assert (result.problem, checks(result)) == (None, WELL)


@pytest.mark.parametrize(
    ("mode", "outcome", "problem"),
    [
        ("wrong_shape", "bad_prediction", "the prediction has the shape [2, 2]; expected is [2, 1]"),
        ("wrong_value", "bad_prediction", "the prediction holds 103.0 at 0; expected is 3"),
        ("error", "http_error", "status 400"),
        ("unserialisable", "http_error", "status 500"),
    ],
)
def test_a_model_that_answers_wrong_is_told_from_one_that_fails(
    probing: Probing, server: MlflowServing, mode: str, outcome: str, problem: str
) -> None:
    server.control.set(mode)
    result = probing.probe("fraud")
    assert checks(result) == {**WELL, "predict": outcome}
    assert result.problem is not None
    assert problem in result.problem
    series = probing.series()
    assert up(series, "fraud", MODEL, VERSION) == {"live": 1, "ready": 1, "predict": 0}
    assert counted(series, "fraud", MODEL, VERSION) == {outcome: 1}


def test_a_model_that_is_not_there_lives_and_predicts_nothing(probing: Probing) -> None:
    """The server knows no names of models; what can be missing is the path."""
    result = probing.probe("elsewhere")
    assert checks(result) == {**WELL, "predict": "http_error"}
    assert result.problem is not None
    assert "status 404" in result.problem


def test_a_slow_answer_is_well_and_its_time_is_kept(probing: Probing, server: MlflowServing) -> None:
    probing.probe("fraud")
    server.control.set("slow", seconds=0.6)
    result = probing.probe("fraud")
    assert result.outcome == "ok"
    assert 0.6 <= result.steps[-1].seconds < 5
    assert slower(probing.series(), "0.5", "fraud", MODEL, VERSION) == 1


def test_a_model_that_hangs_ends_in_timeout_while_its_server_is_ready(probing: Probing, server: MlflowServing) -> None:
    server.control.set("hang")
    result = probing.probe("impatient")
    assert checks(result) == {**WELL, "predict": "timeout"}
    assert 0.5 < result.seconds < 5
    server.control.set("ok")
    assert probing.probe("fraud").outcome == "ok"


def test_a_server_that_hangs_as_a_whole_ends_in_timeout_at_the_first_check(
    probing: Probing, server: MlflowServing
) -> None:
    with frozen(server.process):
        result = probing.probe("impatient")
    assert checks(result) == {"live": "timeout"}
    assert up(probing.series(), "impatient", MODEL, VERSION) == {"live": 0, "ready": 0, "predict": 0}
    assert probing.probe("fraud").outcome == "ok"


def test_where_nothing_listens_as_before_a_model_is_loaded_every_check_is_down(probing: Probing) -> None:
    """Until its model is loaded this server listens to nobody: that is its way not to be ready."""
    assert checks(probing.probe("dead")) == {"live": "unreachable"}
    series = probing.series()
    assert up(series, "dead", MODEL, VERSION) == {"live": 0, "ready": 0, "predict": 0}
    assert counted(series, "dead", MODEL, VERSION) == {"unreachable": 1}


def test_what_we_counted_is_what_was_sent_and_what_the_server_logged(probing: Probing, server: MlflowServing) -> None:
    before = server.logged()
    plan = {"ok": 5, "wrong_value": 3, "wrong_shape": 2, "error": 4, "unserialisable": 1}
    for mode, times in plan.items():
        server.control.set(mode)
        for _ in range(times):
            probing.probe("fraud")
    series = probing.series()
    assert counted(series, "fraud", MODEL, VERSION) == {"ok": 5, "bad_prediction": 5, "http_error": 5}
    assert series[f"ml_endpoint_probe_duration_seconds_count fraud {MODEL} {VERSION}"] == 5
    assert server.logged() - before == {
        ("/ping", 200): 15,
        ("/health", 200): 15,
        ("/invocations", 200): 10,
        ("/invocations", 400): 4,
        ("/invocations", 500): 1,
    }
