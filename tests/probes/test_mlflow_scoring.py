"""MLflow's scoring server: what is asked, what is refused, and how answers are judged."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ml_exporter.errors import ConfigError, Malformed, WrongPrediction
from ml_exporter.expectations import Expected
from ml_exporter.model import Check
from ml_exporter.ports import Answer, Canary, Finding, Step, Target
from ml_exporter.probes.mlflow_scoring import steps

INPUTS = {"inputs": [[0.1, 0.2, 0.3, 0.4], [0.9, 0.2, 0.3, 0.4]]}
MLFLOW = b'{"predictions": [0, 1]}'
"""As MLflow 3.17.2 answered to these."""
SPLIT = {"dataframe_split": {"columns": ["a", "b"], "data": [[1, 2], [3, 4]]}}
RECORDS = {"dataframe_records": [{"a": 1, "b": 2}, {"a": 3, "b": 4}]}


def predicting(request: Any = INPUTS, *expect: Expected) -> Step:
    return steps(Target(canary=Canary(json.dumps(request).encode(), "application/json", expect)))[-1]


def judge(step: Step, body: Any) -> Finding:
    given = body if isinstance(body, bytes) else json.dumps(body).encode()
    return step.judge(Answer(200, {"Content-Type": "application/json"}, given))


def wrong(step: Step, body: Any) -> str:
    with pytest.raises((WrongPrediction, Malformed)) as raised:
        judge(step, body)
    return str(raised.value)


def test_it_asks_ping_health_and_for_a_prediction() -> None:
    canary = Canary(json.dumps(INPUTS).encode(), "application/json")
    asked = [(step.check, step.call.method, step.call.path) for step in steps(Target(canary=canary))]
    assert asked == [
        (Check.LIVE, "GET", "/ping"),
        (Check.READY, "GET", "/health"),
        (Check.PREDICT, "POST", "/invocations"),
    ]
    assert [step.check for step in steps(Target())] == [Check.LIVE, Check.READY]


def test_a_right_answer_of_a_real_server_tells_nothing_of_its_version() -> None:
    assert judge(predicting(INPUTS, Expected(datatype="integer", shape=(2,), values=[0, 1])), MLFLOW) == Finding()


@pytest.mark.parametrize(
    "request_",
    [
        SPLIT,
        {"dataframe_split": {"data": [[1, 2], [3, 4]]}},
        RECORDS,
        {"instances": [1, 2]},
        {"instances": [{"a": 1}, {"a": 2}]},
        INPUTS,
        {"inputs": {"a": [1, 2], "b": [3, 4]}},
        {"inputs": ["one", "two"], "params": {"temperature": 0}},
    ],
)
def test_there_must_be_a_prediction_for_every_row(request_: Any) -> None:
    step = predicting(request_)
    judge(step, {"predictions": [[1], [2]]})
    judge(step, {"predictions": {"label": "of all"}})
    for found in ([1], [1, 2, 3], []):
        said = wrong(step, {"predictions": found})
        assert said == f"there are {len(found)} predictions; the request has 2 rows"


@pytest.mark.parametrize(
    "request_", [{"inputs": [1, 2]}, {"inputs": "text"}, {"inputs": {"a": [1, 2], "b": [3]}}, {"inputs": {"a": 1}}]
)
def test_where_only_the_model_knows_the_rows_any_number_of_predictions_will_do(request_: Any) -> None:
    judge(predicting(request_), {"predictions": [1, 2, 3]})


def test_columns_of_a_data_frame_are_found_by_name() -> None:
    step = predicting(RECORDS, Expected("score", min=0, max=1, values=[0.1, 0.9]))
    judge(step, {"predictions": [{"score": 0.1, "label": "a"}, {"score": 0.9, "label": None}]})
    assert wrong(step, {"predictions": [{"label": "a"}] * 2}) == "'score' is missing: there is no 'score'"


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        ({"outputs": [0, 1]}, "there is no predictions in it, but outputs"),
        (b'{"predictions": [0.5, NaN]}', "the prediction holds nan at 1; expected is a finite value"),
        (b'{"predictions": [0.5, Infinity]}', "the prediction holds inf at 1; expected is a finite value"),
        ({"predictions": [0.5, None]}, "the prediction holds nothing at 1; expected is a finite value"),
        (b"<!doctype html><title>Sign in", "an HTML page"),
        (b"[0, 1]", "Expected `object`, got `array`"),
    ],
)
def test_a_prediction_that_cannot_be_right_is_wrong_without_any_expectation(reply: Any, said: str) -> None:
    assert said in wrong(predicting(), reply)


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        ({**INPUTS, **SPLIT}, "canary.request: found dataframe_split, inputs; allowed is exactly one of"),
        ({"columns": ["a"], "data": [[1]]}, "canary.request: found columns, data; allowed is exactly one of"),
        ({"dataframe_split": [[1, 2]]}, "canary.request.dataframe_split: allowed is {columns: […], data: [[…], …]}"),
        ({"dataframe_split": {"columns": ["a"], "data": []}}, "canary.request.dataframe_split: allowed is"),
        (
            {"dataframe_split": {"columns": ["a", "b"], "data": [[1, 2], [3]]}},
            "canary.request.dataframe_split.data: found a row of 1; there are 2 columns",
        ),
        ({"dataframe_records": [[1, 2]]}, "canary.request.dataframe_records: allowed is a list of objects"),
        ({"instances": []}, "canary.request.instances: empty"),
    ],
)
def test_a_canary_that_does_not_fit_is_refused_with_the_reason(request_: Any, said: str) -> None:
    with pytest.raises(ConfigError) as raised:
        predicting(request_)
    assert str(raised.value).startswith(said)
