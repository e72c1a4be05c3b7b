"""Containers in SageMaker's manner: any body there, JSON or text back. Answers are written from the contract."""

from __future__ import annotations

from typing import Any

import pytest

from ml_exporter.errors import ConfigError, Malformed, WrongPrediction
from ml_exporter.expectations import Expected
from ml_exporter.model import Check
from ml_exporter.ports import Answer, Canary, Finding, Target
from ml_exporter.probes.sagemaker import steps


def judge(body: bytes, content_type: str | None = "application/json", **expected: Any) -> Finding:
    canary = Canary(b"1,2\n", "text/csv", (Expected(**expected),) if expected else ())
    headers = {"Content-Type": content_type} if content_type else {}
    return steps(Target(canary=canary))[-1].judge(Answer(200, headers, body))


def wrong(body: bytes, content_type: str | None = "application/json", **expected: Any) -> str:
    with pytest.raises((WrongPrediction, Malformed)) as raised:
        judge(body, content_type, **expected)
    return str(raised.value)


def test_it_asks_ping_and_sends_any_body() -> None:
    live, predict = steps(Target(canary=Canary(b"\x93NUMPY", "application/x-npy")))
    assert (live.check, live.call.method, live.call.path) == (Check.LIVE, "GET", "/ping")
    assert (predict.call.method, predict.call.path, predict.call.body) == ("POST", "/invocations", b"\x93NUMPY")
    assert predict.call.headers == {"Content-Type": "application/x-npy"}
    assert [step.check for step in steps(Target())] == [Check.LIVE]


@pytest.mark.parametrize(
    "content_type", ["application/json", "application/json; charset=utf-8", "", None, "application/octet-stream"]
)
def test_json_is_judged_by_its_fields(content_type: str | None) -> None:
    body = b'{"predictions": [{"score": 0.9, "reason": null}]}'
    assert judge(body, content_type, name="predictions[0].score", min=0, max=1) == Finding()
    said = wrong(body, content_type, name="predictions[0].score", max=0.5)
    assert said == "'predictions[0].score' holds 0.9; expected is to 0.5"


@pytest.mark.parametrize("content_type", ["text/csv", "text/plain; charset=utf-8", "application/jsonlines"])
def test_a_text_is_judged_as_a_whole(content_type: str) -> None:
    judge(b"0.93,0.07\n", content_type, matches=r"^0\.9\d,")
    judge(b"0.93,0.07\n", content_type, values="0.93,0.07")
    assert "expected is a text that matches" in wrong(b"0.11,0.89\n", content_type, matches=r"^0\.9\d,")


def test_a_text_without_a_type_is_a_text_unless_it_is_json() -> None:
    judge(b"spam", None, values="spam")
    judge(b"0.5", None, values=0.5)
    judge(b'"spam"', None, values="spam")


@pytest.mark.parametrize(
    ("body", "content_type", "said"),
    [
        (b"", "application/json", "an empty reply"),
        (b" \n", "text/csv", "the prediction is empty"),
        (b"null", "application/json", "the prediction is empty"),
        (b'{"score": NaN}', "application/json", "the prediction holds nan at 0; expected is a finite value"),
        (b"NaN", None, "the prediction holds nan at 0"),
        (b'{"score": 0.5', None, "truncated JSON"),
        (b"[" * 100_000, None, "nested too deeply"),
        (b"<html>Sign in</html>", None, "an HTML page"),
        (b"<html>Sign in</html>", "text/html", "an HTML page"),
        (b"0.5,0.7", "application/json", "not JSON"),
        (b"\x93NUMPY", "application/x-npy", "neither JSON nor text, but application/x-npy"),
        (b"\xff", "text/plain", "neither JSON nor text, but text/plain"),
    ],
)
def test_what_is_no_prediction_is_wrong_without_any_expectation(
    body: bytes, content_type: str | None, said: str
) -> None:
    assert said in wrong(body, content_type)


def test_expectations_that_fit_no_json_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"^canary.expect\[0\].datatype: found 'FP32'"):
        steps(Target(canary=Canary(b"1", "text/csv", (Expected(datatype="FP32"),))))
