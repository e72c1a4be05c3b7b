"""TensorFlow Serving, whose answers are written from its published API, and KServe V1, as its version 0.21 answers."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ml_exporter.errors import ConfigError, Malformed, WrongPrediction
from ml_exporter.expectations import Expected
from ml_exporter.model import Check
from ml_exporter.ports import Answer, Canary, Finding, Step, Target
from ml_exporter.probes.tensorflow_serving import Options, index, steps

ROWS = {"instances": [[1, 2], [3, 4]]}
COLUMNS = {"inputs": {"x": [[1, 2], [3, 4]]}, "signature_name": "serving_default"}


def asked(request: Any = ROWS, *expect: Expected, version: str | None = None) -> dict[Check, Step]:
    canary = Canary(json.dumps(request).encode(), "application/json", expect)
    return {step.check: step for step in steps(Target("fraud", version, canary))}


def judge(step: Step, body: Any, status: int = 200) -> Finding:
    given = body if isinstance(body, bytes) else json.dumps(body).encode()
    return step.judge(Answer(status, {"Content-Type": "application/json"}, given))


def wrong(step: Step, body: Any) -> str:
    with pytest.raises((WrongPrediction, Malformed)) as raised:
        judge(step, body)
    return str(raised.value)


def status(*versions: tuple[str, str]) -> dict[str, Any]:
    """As TensorFlow Serving writes it."""
    said = {"error_code": "OK", "error_message": ""}
    return {"model_version_status": [{"version": v, "state": state, "status": said} for v, state in versions]}


def test_the_status_of_the_model_is_asked_for_and_a_prediction() -> None:
    calls = {check: (step.call.method, step.call.path) for check, step in asked(version="3").items()}
    assert calls == {
        Check.LIVE: ("GET", "/v1/models/fraud/versions/3"),
        Check.READY: ("GET", "/v1/models/fraud/versions/3"),
        Check.PREDICT: ("POST", "/v1/models/fraud/versions/3:predict"),
    }
    assert asked()[Check.PREDICT].call.path == "/v1/models/fraud:predict"


@pytest.mark.parametrize(
    "body",
    [
        status(("1", "LOADING")),
        {"error": "Could not find any versions of model fraud"},
        {"error": "Model with name fraud is not ready."},
    ],
)
def test_a_server_that_answers_in_json_lives_whatever_it_says_of_the_model(body: Any) -> None:
    live = asked()[Check.LIVE]
    assert live.call.accept == {200, 404, 503}
    judge(live, body, status=404)


def test_an_error_of_what_stands_before_the_server_is_no_life() -> None:
    assert "not JSON" in wrong(asked()[Check.LIVE], b"no healthy upstream")


@pytest.mark.parametrize(
    ("versions", "answers"),
    [
        ([("1", "AVAILABLE")], "1"),
        ([("9", "AVAILABLE"), ("10", "AVAILABLE"), ("2", "AVAILABLE")], "10"),
        ([("3", "LOADING"), ("2", "AVAILABLE"), ("1", "END")], "2"),
        ([(4, "AVAILABLE")], "4"),
    ],
)
def test_the_newest_version_that_is_loaded_is_the_one_that_answers(versions: Any, answers: str) -> None:
    assert judge(asked()[Check.READY], status(*versions)) == Finding(version=answers)


@pytest.mark.parametrize("state", ["UNKNOWN", "START", "LOADING", "UNLOADING", "END"])
def test_a_model_of_which_no_version_is_loaded_is_not_ready(state: str) -> None:
    said = wrong(asked()[Check.READY], status(("3", state)))
    assert said == f"no version is AVAILABLE: 3 is {state}"


def test_only_the_version_that_was_asked_for_counts() -> None:
    ready = asked(version="2")[Check.READY]
    assert judge(ready, status(("2", "AVAILABLE"), ("3", "AVAILABLE"))) == Finding(version="2")
    assert wrong(ready, status(("3", "AVAILABLE"))) == "version 2 is not AVAILABLE: 3 is AVAILABLE"
    assert wrong(ready, status()) == "version 2 is not AVAILABLE: there is none"


@pytest.mark.parametrize("ready", [True, "True"])
def test_kserve_says_ready_without_a_version(ready: Any) -> None:
    assert judge(asked()[Check.READY], {"name": "fraud", "ready": ready}) == Finding()


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"name": "fraud", "ready": False}, "the model is not ready"),
        ({"name": "fraud", "ready": "False"}, "the model is not ready"),
        ({"name": "other", "ready": True}, "the model 'other' answered; asked was 'fraud'"),
        ({}, "there is no model_version_status and no ready; is this a server of this protocol?"),
        ({"model_version_status": [{"version": "1"}]}, "missing required field `state`"),
        ({"ready": 1}, "Expected `bool | str | null`, got `int`"),
    ],
)
def test_what_says_nothing_of_readiness_is_not_ready(body: Any, said: str) -> None:
    assert said in wrong(asked()[Check.READY], body).replace("`str | bool | null`", "`bool | str | null`")


@pytest.mark.parametrize(
    ("request_", "reply", "expected"),
    [
        (ROWS, {"predictions": [[3.0], [7.0]]}, {"shape": (2, 1), "values": [3, 7], "datatype": "number"}),
        (ROWS, {"predictions": [{"p": 0.1, "q": "a"}, {"p": 0.9, "q": "b"}]}, {"name": "p", "min": 0, "max": 1}),
        (ROWS, {"predictions": [{"p": 0.1}, {"p": 0.9}]}, {"name": "[1].p", "values": 0.9}),
        (ROWS, {"predictions": [[1], [2, 3]]}, {"name": "[1]", "values": [2, 3]}),
        (COLUMNS, {"outputs": [[3.0], [7.0]]}, {"shape": (2, 1)}),
        (COLUMNS, {"outputs": {"y": [3.0, 7.0], "z": [1]}}, {"name": "y", "values": [3, 7]}),
        (COLUMNS, {"predictions": [3.0]}, {"values": [3]}),
    ],
)
def test_a_right_prediction_by_rows_or_by_columns(request_: Any, reply: Any, expected: dict[str, Any]) -> None:
    assert judge(asked(request_, Expected(**expected))[Check.PREDICT], reply) == Finding()


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        ({"predictions": [[3.0]]}, "there are 1 predictions; the request has 2 rows"),
        ({"predictions": None}, "there is no predictions in it, but nothing"),
        ({"outputs": [[3.0], [7.0]]}, "there is no predictions in it, but outputs"),
        ({"error": "Servable not found"}, "it answers with an error: Servable not found"),
        ({"predictions": [1.0, float("nan")]}, "the prediction holds nan at 1; expected is a finite value"),
        ({"predictions": [[1.0], [None]]}, "the prediction holds nothing at 1; expected is a finite value"),
        ({"predictions": [{"p": 1.0}, {"p": float("inf")}]}, "the prediction holds inf at 1; expected is a finite"),
        ([1, 2], "Expected `object`, got `array`"),
    ],
)
def test_a_prediction_that_cannot_be_right_is_wrong_without_any_expectation(reply: Any, said: str) -> None:
    assert said in wrong(asked()[Check.PREDICT], reply)


def test_a_prediction_that_is_not_as_expected_is_wrong() -> None:
    assert wrong(asked(ROWS, Expected(max=5))[Check.PREDICT], {"predictions": [3, 7]}).startswith(
        "the prediction holds 7"
    )


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        ({**ROWS, **COLUMNS}, "canary.request: found instances, inputs; allowed is exactly one of instances, inputs"),
        ({"x": [1]}, "canary.request: found x; allowed is exactly one of instances, inputs"),
        ({}, "canary.request: found nothing; allowed is exactly one of"),
        ([[1, 2]], "canary.request: Expected `object`, got `array`; wanted is an object with one of instances, inputs"),
        ({"instances": []}, "canary.request.instances: empty; wanted is at least one row"),
        ({"instances": {"x": [1]}}, "canary.request.instances: allowed is a list of rows; inputs takes columns"),
        ({"inputs": None}, "canary.request.inputs: empty"),
    ],
)
def test_a_canary_that_does_not_fit_is_refused_with_the_reason(request_: Any, said: str) -> None:
    with pytest.raises(ConfigError) as raised:
        asked(request_)
    assert str(raised.value).startswith(said)


def test_another_content_type_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^canary.content_type: found 'text/csv'; allowed is application/json"):
        steps(Target("fraud", None, Canary(b"1,2", "text/csv")))


def test_a_model_must_be_named() -> None:
    with pytest.raises(ConfigError, match=r"^model: missing"):
        steps(Target(None))


def test_kserve_lists_its_models() -> None:
    assert index(Options()).call.path == "/v1/models"
    assert index(Options()).models(Answer(200, {}, b'{"models":["a","b","a",""]}')) == ("a", "b")
    with pytest.raises(Malformed):
        index(Options()).models(Answer(200, {}, b'{"error":"Malformed request"}'))
