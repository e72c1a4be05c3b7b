"""Plain HTTP with assertions on status, headers, text and JSON."""

from __future__ import annotations

from typing import Any

import pytest

from ml_exporter import schema
from ml_exporter.errors import ConfigError, MlExporterError
from ml_exporter.expectations import Expected
from ml_exporter.model import Check
from ml_exporter.ports import Answer, Call, Canary, Finding, Step, Target
from ml_exporter.probes.http import Options, steps

CANARY = Canary(b'{"x": [[1, 2]]}', "application/json")
PAGE = b"<html><title>Models</title><p>3 models</p></html>"


def only(canary: Canary | None = None, **options: Any) -> Step:
    (step,) = steps(Target(canary=canary, options=Options(**options)))
    return step


def judged(body: bytes = PAGE, headers: dict[str, str] | None = None, **options: Any) -> Finding:
    return only(**options).judge(Answer(200, headers or {}, body))


def complaint(body: bytes = PAGE, headers: dict[str, str] | None = None, **options: Any) -> str:
    with pytest.raises(MlExporterError) as caught:
        judged(body, headers, **options)
    return str(caught.value)


def test_a_canary_is_posted() -> None:
    step = only(CANARY)
    headers = {"Content-Type": "application/json"}
    assert step.check is Check.PREDICT
    assert step.call == Call("POST", "/", headers=headers, body=CANARY.body, accept=frozenset(range(200, 300)))


def test_with_neither_a_canary_nor_options_nothing_is_asked() -> None:
    assert steps(Target(options=Options())) == ()


@pytest.mark.parametrize(
    "options", [{"method": "GET"}, {"accept": (200,)}, {"body_matches": ("x",)}, {"expect": (Expected(),)}]
)
def test_without_a_canary_the_options_have_the_page_read(options: dict[str, Any]) -> None:
    call = only(**options).call
    assert (call.method, call.path, call.body, call.headers) == ("GET", "/", None, {})


def test_a_post_needs_no_body() -> None:
    assert (only(method="POST").call.method, only(method="POST").call.body) == ("POST", None)


def test_statuses_that_are_right_can_be_named() -> None:
    assert only(accept=(204, 404)).call.accept == {204, 404}


def test_a_canary_cannot_be_sent_with_get() -> None:
    with pytest.raises(ConfigError, match=r"^method: found GET"):
        only(CANARY, method="GET")


def test_without_assertions_the_status_says_all() -> None:
    assert judged(b"\xff\x00", method="GET") == Finding()


def test_the_body_must_match_every_pattern() -> None:
    assert judged(body_matches=("<title>Models", r"\d+ models")) == Finding()
    wrong = complaint(body_matches=("<title>Models", "4 models"))
    assert wrong == "the body, '<html><title>Models</title><p>3 models</p></html>', does not match 4 models"


def test_the_body_may_match_none_of_the_other_patterns() -> None:
    assert judged(body_not_matches=("0 models", "degraded")) == Finding()
    assert complaint(body_not_matches=("degraded", "3 models")).endswith("matches 3 models")


def test_a_long_body_is_searched_to_its_end() -> None:
    assert judged(b"-" * 5_000_000 + b"x", body_matches=("x$",)) == Finding()
    assert "does not match y" in complaint(b"-" * 5_000_000 + b"x", body_matches=("y",))


def test_a_header_is_found_whatever_its_case() -> None:
    assert judged(headers={"X-Model": "fraud:7"}, header_matches={"x-model": r":7$"}) == Finding()
    assert "the header x-model, 'fraud:7', does not match :8" in complaint(
        headers={"X-Model": "fraud:7"}, header_matches={"x-model": r":8"}
    )


def test_a_header_that_is_not_there_is_wrong_where_it_must_match() -> None:
    assert complaint(header_matches={"X-Model": "."}) == "there is no header X-Model"
    assert judged(header_not_matches={"X-Model": "."}) == Finding()


def test_a_header_must_not_match() -> None:
    wrong = complaint(headers={"Server": "debug/1"}, header_not_matches={"Server": "debug"})
    assert wrong == "the header Server, 'debug/1', matches debug"


def test_expectations_are_those_of_the_canary_and_of_the_options() -> None:
    canary = Canary(b"{}", "application/json", (Expected("y[0]", values=3.0),))
    step = only(canary, expect=(Expected("model", matches="^sums$"),))
    step.judge(Answer(200, {}, b'{"y": [3.0], "model": "sums"}'))
    for body in (b'{"y": [4.0], "model": "sums"}', b'{"y": [3.0], "model": "other"}', b'{"y": [3.0]}'):
        with pytest.raises(MlExporterError, match=r"'(y\[0\]|model)'"):
            step.judge(Answer(200, {}, body))


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b'{"y": NaN}', "the answer holds NaN"),
        (b'{"y": [3.0', "truncated JSON"),
        (PAGE, "an HTML page"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"y": ' + b"9" * 1_000 + b"}", "holds 9999"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_be_what_is_expected_is_told(body: bytes, why: str) -> None:
    assert why in complaint(body, expect=(Expected("y", values=3.0),))


def test_a_worker_of_torchserve_that_does_not_come_up_is_seen_by_its_management_api() -> None:
    """From a real TorchServe 0.12.0 whose worker crashes again and again, shortened; its /ping says Healthy."""
    body = b'[{"modelName": "sk", "minWorkers": 1, "workers": [{"id": "9000", "status": "UNLOADING", "pid": -1}]}]'
    wrong = complaint(body, expect=(Expected("[0].workers[0].status", values="READY"),))
    assert wrong == "'[0].workers[0].status' holds 'UNLOADING' at 0; expected is 'READY'"


@pytest.mark.parametrize(
    ("options", "where"),
    [
        ({"body_matches": ("ok", "(")}, r"^body_matches\[1\]: "),
        ({"body_not_matches": ("(?=lookahead)",)}, r"^body_not_matches\[0\]: .*RE2"),
        ({"header_matches": {"Server": "["}}, r"^header_matches\.Server: "),
        ({"header_not_matches": {"Server": "*"}}, r"^header_not_matches\.Server: "),
        ({"expect": (Expected(datatype="FP32"),)}, r"^expect\[0\]\.datatype: found 'FP32'"),
    ],
)
def test_what_cannot_be_asserted_is_refused_with_its_place(options: dict[str, Any], where: str) -> None:
    with pytest.raises(ConfigError, match=where):
        only(**options)


def test_an_expectation_of_a_canary_is_refused_with_its_place() -> None:
    with pytest.raises(ConfigError, match=r"^canary\.expect\[0\]\.datatype"):
        only(Canary(b"{}", "application/json", (Expected(datatype="FP32"),)))


@pytest.mark.parametrize(
    ("given", "where"),
    [
        ({"accept": [99]}, r"accept\[0\]: found 99"),
        ({"accept": 200}, "accept: "),
        ({"method": "get"}, "allowed are GET, POST"),
    ],
)
def test_options_are_checked(given: dict[str, Any], where: str) -> None:
    with pytest.raises(ConfigError, match=where):
        schema.parse(Options, given)
