"""TorchServe's own inference API. Replies are those of a real 0.12.0."""

from __future__ import annotations

import pytest

from ml_exporter.errors import ConfigError, MlExporterError
from ml_exporter.expectations import Expected
from ml_exporter.model import Check
from ml_exporter.ports import Answer, Call, Canary, Finding, Step, Target
from ml_exporter.probes.torchserve import Options, steps

SUMS = b"[\n  [\n    3.0\n  ],\n  [\n    7.0\n  ]\n]"
"""Sent without a Content-Type."""


def asked(*expect: Expected, version: str | None = None) -> dict[Check, Step]:
    canary = Canary(b'{"x": [[1, 2], [3, 4]]}', "application/json", expect)
    return {step.check: step for step in steps(Target("sums", version, canary, Options()))}


def judged(body: bytes, *expect: Expected, content_type: str | None = None) -> Finding:
    headers = {"content-type": content_type} if content_type else {}
    return asked(*expect)[Check.PREDICT].judge(Answer(200, headers, body))


def complaint(body: bytes, *expect: Expected, content_type: str | None = None) -> str:
    with pytest.raises(MlExporterError) as caught:
        judged(body, *expect, content_type=content_type)
    return str(caught.value)


def test_the_model_is_asked_for_by_its_name() -> None:
    calls = {check: (step.call.method, step.call.path) for check, step in asked().items()}
    assert calls == {
        Check.LIVE: ("GET", "/ping"),
        Check.READY: ("OPTIONS", "/predictions/sums"),
        Check.PREDICT: ("POST", "/predictions/sums"),
    }


def test_a_version_is_part_of_the_path() -> None:
    paths = {check: step.call.path for check, step in asked(version="1.0").items()}
    assert paths[Check.READY] == paths[Check.PREDICT] == "/predictions/sums/1.0"


def test_a_name_cannot_leave_its_place_in_the_path() -> None:
    made = steps(Target("../a b?c", options=Options()))
    assert made[1].call.path == "/predictions/..%2Fa%20b%3Fc"


def test_the_canary_is_sent_as_it_is_with_its_content_type() -> None:
    image = Canary(b"\x89PNG\x00", "image/png")
    made = steps(Target("cats", canary=image, options=Options()))
    assert made[-1].call == Call("POST", "/predictions/cats", headers={"Content-Type": "image/png"}, body=image.body)


def test_without_a_canary_no_prediction_is_asked_for() -> None:
    assert [step.check for step in steps(Target("sums", options=Options()))] == [Check.LIVE, Check.READY]


def test_without_a_model_nothing_can_be_asked() -> None:
    with pytest.raises(ConfigError, match=r"^model: missing"):
        steps(Target(options=Options()))


def test_json_is_recognised_though_the_server_does_not_say_so() -> None:
    assert judged(SUMS, Expected(shape=(2, 1), datatype="number", values=[[3.0], [7.0]])) == Finding()


def test_a_wrong_value_is_told() -> None:
    assert "holds 3.0 at 0; expected is 4.0" in complaint(SUMS, Expected(values=[[4.0], [7.0]]))


@pytest.mark.parametrize("content_type", [None, "text/plain; charset=utf-8"])
def test_a_text_is_a_prediction(content_type: str | None) -> None:
    tabby = Expected(datatype="text", matches="^tabby")
    assert judged(b"tabby cat", tabby, content_type=content_type) == Finding()
    assert "'red panda'" in complaint(b"red panda", tabby, content_type=content_type)


def test_a_text_that_begins_as_json_does_is_a_text_where_the_server_says_so() -> None:
    assert judged(b"[1] see below", Expected(matches="below"), content_type="text/plain") == Finding()


def test_bytes_of_another_kind_are_a_prediction_of_which_nothing_is_known() -> None:
    assert judged(b"\x89PNG\xff", content_type="image/png") == Finding()


@pytest.mark.parametrize("body", [b"", b" \n"])
def test_an_empty_answer_is_no_prediction(body: bytes) -> None:
    assert "an empty answer" in complaint(body)


@pytest.mark.parametrize(
    ("body", "content_type", "why"),
    [
        (b"[[3.0], [7.0", None, "truncated JSON"),
        (b"oops", "application/json", "not JSON"),
        (b"[[NaN]]", None, "holds NaN"),
        (b"[" * 100_000, None, "nested too deeply"),
        (b"<!doctype html><title>Log in</title>", "text/html", "an HTML page"),
    ],
)
def test_broken_answers_are_told_without_any_expectation(body: bytes, content_type: str | None, why: str) -> None:
    assert why in complaint(body, content_type=content_type)
