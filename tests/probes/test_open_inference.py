"""Open Inference Protocol V2: what is asked, what is refused, and how answers are judged."""

from __future__ import annotations

import json
import tracemalloc
from typing import Any

import pytest

from ml_exporter.errors import ConfigError, Malformed, WrongPrediction
from ml_exporter.expectations import Expected
from ml_exporter.model import Check
from ml_exporter.ports import Answer, Canary, Finding, Target
from ml_exporter.probes.open_inference import DATATYPES, Options, index, steps

REQUEST = {"inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [1, 2]}]}
TRITON = (
    b'{"model_name":"sk","model_version":"1","outputs":[{"name":"y","datatype":"INT64","shape":[2,1],"data":[0,1]}]}'
)
"""As Triton 2.51.0 answered."""
MLSERVER = (
    b'{"model_name":"sk","model_version":"v1","id":"r1","parameters":{},"outputs":[{"name":"predict","shape":[2,1],'
    b'"datatype":"INT64","parameters":{"content_type":"np"},"data":[0,1]}]}'
)
"""As MLServer 1.7.1 answered."""
TRITON_INDEX = (
    b'[{"name":"broken","version":"1","state":"UNAVAILABLE","reason":"Internal: ModuleNotFoundError"},'
    b'{"name":"sk","version":"1","state":"READY"},{"name":"sk","version":"2","state":"READY"}]'
)
"""As Triton 2.51.0 answered, with a second version."""


def canary(request: Any = REQUEST, *expect: Expected, content_type: str = "application/json") -> Canary:
    body = request if isinstance(request, bytes) else json.dumps(request).encode()
    return Canary(body, content_type, expect)


def judge(body: bytes, *expect: Expected, version: str | None = None) -> Finding:
    step = steps(Target("sk", version, canary(REQUEST, *expect)))[-1]
    assert step.check is Check.PREDICT
    return step.judge(Answer(200, {"Content-Type": "application/json"}, body))


def reply(**output: Any) -> bytes:
    given = {"name": "y", "shape": [2], "datatype": "FP32", "data": [0.5, 1.5], **output}
    return json.dumps({"model_name": "sk", "outputs": [given]}).encode()


def wrong(body: bytes, *expect: Expected, version: str | None = None) -> str:
    with pytest.raises((WrongPrediction, Malformed)) as raised:
        judge(body, *expect, version=version)
    return str(raised.value)


def test_it_asks_whether_server_and_model_are_ready_and_for_a_prediction() -> None:
    asked = [(s.check, s.call.method, s.call.path) for s in steps(Target("sk", None, canary()))]
    assert asked == [
        (Check.LIVE, "GET", "/v2/health/live"),
        (Check.READY, "GET", "/v2/models/sk/ready"),
        (Check.PREDICT, "POST", "/v2/models/sk/infer"),
    ]


def test_a_version_and_a_name_that_is_no_path_stand_quoted_in_the_path() -> None:
    paths = [step.call.path for step in steps(Target("a/b c", "v 1", canary()))]
    assert paths[1:] == ["/v2/models/a%2Fb%20c/versions/v%201/ready", "/v2/models/a%2Fb%20c/versions/v%201/infer"]


def test_without_a_canary_no_prediction_is_asked_for() -> None:
    assert [step.check for step in steps(Target("sk"))] == [Check.LIVE, Check.READY]


def test_a_canary_is_sent_as_it_was_given() -> None:
    given = canary(content_type="application/json; charset=utf-8")
    call = steps(Target("sk", None, given))[-1].call
    assert (call.body, call.headers) == (given.body, {"Content-Type": "application/json; charset=utf-8"})


@pytest.mark.parametrize(("body", "name", "version"), [(TRITON, "y", "1"), (MLSERVER, "predict", "v1")])
def test_a_right_answer_of_a_real_server_tells_its_version(body: bytes, name: str, version: str) -> None:
    expected = Expected(name, datatype="INT64", shape=(2, 1), min=0, max=1, values=[[0], [1]])
    assert judge(body, expected) == Finding(version=version)


def test_nothing_is_kept_of_the_versions_that_a_server_names() -> None:
    tracemalloc.start()
    try:
        for number in range(20):
            version = f"{number}" + "x" * 200_000
            assert judge(json.dumps({**json.loads(TRITON), "model_version": version}).encode()).version == version
        assert tracemalloc.get_traced_memory()[0] < 2_000_000  # bytes
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("version", [None, ""])
def test_a_server_that_names_no_version_tells_none(version: str | None) -> None:
    body = json.dumps({**json.loads(TRITON), "model_version": version}).encode()
    assert judge(body, version="1") == Finding(version=None)


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ({"datatype": "BYTES", "data": ["a", "b"]}, {"datatype": "BYTES", "matches": "^[ab]$"}),
        ({"datatype": "BOOL", "data": [True, False]}, {"values": [True, False]}),
        ({"datatype": "BOOL", "data": [1, 0]}, {"values": [1, 0]}),
        ({"datatype": "FP16", "data": [1, 0.5]}, {"datatype": "FP16", "values": [1, 0.5]}),
        ({"datatype": "INT64", "data": [1.0, 2.0]}, {"values": [1, 2]}),
        ({"datatype": "UINT64", "data": [2**64 - 1, 0]}, {"values": [2**64 - 1, 0]}),
        ({"shape": [2, 2], "data": [[1, 2], [3, 4]]}, {"shape": (2, 2), "values": [1, 2, 3, 4]}),
        ({"shape": [2, 2], "data": [1, 2, 3, 4]}, {"shape": (-1, 2), "values": [[1, 2], [3, 4]]}),
        ({"shape": [0, 4], "data": []}, {"shape": (-1, 4)}),
        ({"shape": [0, 4], "data": None}, {"shape": (0, 4)}),
        ({"shape": [], "data": [7]}, {"shape": (), "values": 7}),
    ],
)
def test_outputs_of_every_form_are_read(output: dict[str, Any], expected: dict[str, Any]) -> None:
    judge(reply(**output), Expected("y", **expected))


@pytest.mark.parametrize(
    ("output", "said"),
    [
        ({"data": [1.0]}, "output 'y': it has 1 elements; its shape [2] wants 2"),
        ({"data": [1, 2, 3]}, "output 'y': it has 3 elements; its shape [2] wants 2"),
        ({"data": None}, "output 'y': it has no data in the JSON; data elsewhere (binary, shared memory) is not read"),
        ({"data": [1, None]}, "output 'y': it holds nothing at 1; expected is a finite value"),
        ({"data": [1, float("nan")]}, "output 'y': it holds nan at 1; expected is a finite value"),
        ({"data": [float("-inf"), 1]}, "output 'y': it holds -inf at 0; expected is a finite value"),
        ({"data": ["1", "2"]}, "output 'y': it holds something that is no FP32"),
        ({"data": [True, False]}, "output 'y': it holds something that is no FP32"),
        ({"data": {"a": 1}}, "output 'y': it has 1 elements; its shape [2] wants 2"),
        ({"datatype": "INT32"}, "output 'y': it holds something that is no INT32"),
        ({"datatype": "BYTES"}, "output 'y': it holds something that is no BYTES"),
        ({"datatype": "BYTES", "data": ["a", {"b": 1}]}, "output 'y': it holds something that is no BYTES"),
        ({"datatype": "float"}, "output 'y': its datatype is 'float'; allowed are BF16, BOOL, BYTES"),
        ({"shape": [-2, -1]}, "output 'y': its shape is [-2, -1], which no tensor has"),
        ({"shape": [2**63]}, "which no tensor has"),
        ({"shape": [10**9, 10**9]}, "it has 2 elements; its shape [1000000000, 1000000000] wants 1000000000000000000"),
        ({"shape": [1] * 33}, "which no tensor has"),
        ({"shape": [2**62] * 32}, "it has 2 elements; its shape [4611686018427387904, 46"),
        ({"shape": [10**18] * 250_000}, "which no tensor has"),
        ({"shape": [2, 2], "data": [[1, 2, 3, 4]]}, "output 'y': it is nested as [1, 4]; its shape is [2, 2]"),
        ({"shape": [3], "data": [[1, 2], [3]]}, "output 'y': the prediction is no tensor: its rows differ in length"),
        ({"shape": [2.5]}, "Expected `int`, got `float`"),
        ({"name": None}, "Expected `str`, got `null`"),
    ],
)
def test_an_output_that_cannot_be_right_is_wrong_without_any_expectation(output: dict[str, Any], said: str) -> None:
    found = wrong(reply(**output))
    assert said in found
    assert len(found) < 300


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"model_name":"sk","outputs":[]}', "there are no outputs"),
        (b'{"error":"Model sk not found"}', "missing required field `outputs`"),
        (TRITON.replace(b'"sk"', b'"other"'), "the model 'other' answered; asked was 'sk'"),
        (TRITON.replace(b'"sk"', b'"sk_b"'), "the model 'sk_b' answered; asked was 'sk'"),
        (TRITON[:40], "truncated JSON"),
        (b"", "an empty reply"),
    ],
)
def test_an_answer_that_is_none_of_this_model_says_why(body: bytes, said: str) -> None:
    assert said in wrong(body)


def test_two_outputs_of_one_name_are_wrong() -> None:
    given = json.loads(TRITON)
    assert wrong(json.dumps({**given, "outputs": given["outputs"] * 2}).encode()) == "two outputs have the same name"


def test_a_generation_of_a_model_in_seldon_core_2_is_that_model() -> None:
    assert judge(TRITON.replace(b'"sk"', b'"sk_1"')).version == "1"


def test_another_version_than_the_one_that_was_asked_for_is_wrong() -> None:
    assert wrong(TRITON, version="2") == "version '1' answered; asked was '2'"


def test_a_wrong_prediction_tells_the_version_that_made_it() -> None:
    with pytest.raises(WrongPrediction) as raised:
        judge(TRITON, Expected("y", max=0))
    assert raised.value.version == "1"


def test_an_output_that_is_missing_names_those_there_are() -> None:
    assert wrong(TRITON, Expected("scores", min=0)) == "there is no output 'scores'; there are 'y'"


def test_the_only_output_needs_no_name_and_one_of_several_does() -> None:
    judge(TRITON, Expected(max=1))
    given = json.loads(TRITON)
    two = json.dumps({**given, "outputs": [*given["outputs"], {**given["outputs"][0], "name": "z"}]}).encode()
    judge(two, Expected("z", max=1))
    assert wrong(two, Expected(max=1)) == "there is no output ''; there are 'y', 'z'"


def request_with(**changes: Any) -> dict[str, Any]:
    return {"inputs": [{**REQUEST["inputs"][0], **changes}]}


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        (
            {"instances": [[1, 2]]},
            "canary.request: Object missing required field `inputs`; wanted is {inputs: [{name, shape, datatype,",
        ),
        (b"{", "canary.request: truncated JSON"),
        ({"inputs": []}, "canary.request.inputs: empty; wanted is at least one input"),
        (request_with(datatype="FLOAT"), "canary.request.inputs[0]: its datatype is 'FLOAT'; allowed are BF16, BOOL"),
        (request_with(shape=[2, 2]), "canary.request.inputs[0]: it has 2 elements; its shape [2, 2] wants 4"),
        (request_with(shape=[-1, 2]), "canary.request.inputs[0]: its shape is [-1, 2], which no tensor has"),
        (request_with(data=None), "canary.request.inputs[0]: it has no data in the JSON"),
        (request_with(data=["1", "2"]), "canary.request.inputs[0]: it holds something that is no FP32"),
        (request_with(data=[1, None]), "canary.request.inputs[0]: it holds nothing at 1"),
        ({**REQUEST, "parameters": {"binary_data_output": True}}, "canary.request: asks for binary_data_output"),
        (
            {**REQUEST, "outputs": [{"name": "y", "parameters": {"binary_data": True}}]},
            "canary.request: asks for binary_data; only outputs in the JSON are read",
        ),
    ],
)
def test_a_canary_that_does_not_fit_is_refused_with_the_reason(request_: Any, said: str) -> None:
    with pytest.raises(ConfigError) as raised:
        steps(Target("sk", None, canary(request_)))
    assert str(raised.value).startswith(said)


def test_an_expectation_of_no_datatype_of_the_protocol_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"canary.expect\[0\].datatype: found 'FP31'; did you mean 'FP32'"):
        steps(Target("sk", None, canary(REQUEST, Expected("y", datatype="FP31"))))
    steps(Target("sk", None, canary(REQUEST, *(Expected("y", datatype=datatype) for datatype in DATATYPES))))


def test_a_model_must_be_named() -> None:
    with pytest.raises(ConfigError, match=r"^model: missing"):
        steps(Target(None))


def listed(body: bytes) -> tuple[str, ...]:
    return index(Options()).models(Answer(200, {}, body))


def test_the_index_names_each_model_once_broken_ones_too() -> None:
    call = index(Options()).call
    assert (call.method, call.path, call.body) == ("POST", "/v2/repository/index", {})
    assert listed(TRITON_INDEX) == ("broken", "sk")


def test_what_lies_in_the_repository_unloaded_is_not_served() -> None:
    never, gone, broken = {"name": "a"}, {"name": "b", "state": "UNAVAILABLE", "reason": "unloaded"}, {"name": ""}
    ready = {"name": "c", "state": "READY", "reason": ""}
    assert listed(json.dumps([never, gone, broken, ready]).encode()) == ("c",)


def test_an_index_without_states_names_all() -> None:
    assert listed(b'[{"name":"a"},{"name":"b"}]') == ("a", "b")


@pytest.mark.parametrize("body", [b"{}", b'[{"model":"a"}]', b"[1]", b"<html>", b""])
def test_an_index_that_is_none_is_malformed(body: bytes) -> None:
    with pytest.raises(Malformed):
        listed(body)
