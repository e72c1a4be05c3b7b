"""Answers that no protocol promises. Protocols are found, not listed: a new one is held to this without being named."""

from __future__ import annotations

import functools
import json
import time
from typing import Any

import pytest

from ml_exporter import discovery
from ml_exporter.errors import ConfigError, Malformed, WrongPrediction
from ml_exporter.expectations import Expected
from ml_exporter.model import Check
from ml_exporter.ports import Answer, Canary, Finding, Step, Target

LARGE = 1_000_000
"""Bytes."""
WITHIN = 4.0
"""Seconds of CPU for the largest: some three times what linear work takes, a hundredth of what quadratic work does."""
PATIENCE = 300
"""Characters of an error; a server's text is cut before it is quoted."""

CANARIES: tuple[Any, ...] = (
    {"inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [1, 2]}]},
    {"instances": [[1, 2]]},
    {"model": "m", "messages": [{"role": "user", "content": "2 + 2 ="}], "max_tokens": 5, "stream": True},
    {"model": "m", "prompt": "2 + 2 =", "max_tokens": 5, "stream": True},
)
"""Requests, of which each protocol takes one."""
UNLIKELY = "an answer that no hostile server happens to give"

NESTED = b"[" * 100_000
NUMBER = b"9" * 1_000
VALUES: dict[str, bytes] = {
    "null": b"null",
    "true": b"true",
    "zero": b"0",
    "text": b'"x"',
    "empty text": b'""',
    "list": b"[]",
    "object": b"{}",
    "list of lists": b"[[[]]]",
    "nulls": b"[null, null]",
    "mixed": b'[1, "a", null, {"b": []}, [2], true]',
    "ragged": b"[[1], [1, 2], 3]",
    "NaN": b"NaN",
    "list of NaN": b"[NaN, Infinity, -Infinity]",
    "NaN inside": b'[{"score": NaN}]',
    "number of 1,000 digits": NUMBER,
    "list of such": b"[" + NUMBER + b", -" + NUMBER + b"]",
    "number beyond all floats": b"[1e999, -1e999]",
    "number of 10,000 digits": b"9" * 10_000,
    "half a surrogate pair": rb'"\ud83d"',
    "surrogate as a key": rb'{"\udc00": ["\ud83d"]}',
    "control characters": b'"\\u0000\\u001b[31m\\u2028"',
    "900 deep": b"[" * 900 + b"]" * 900,
    "100,000 deep": NESTED + b"]" * 100_000,
    "objects 900 deep": b'{"a":' * 900 + b"1" + b"}" * 900,
}
KEYS = (
    "outputs",
    "predictions",
    "choices",
    "data",
    "models",
    "model_version_status",
    "error",
    "status",
    "name",
    "ready",
)
"""Where protocols look."""
WRAPPED = {f"{key}: {name}": b'{"%s": %s}' % (key.encode(), value) for key in KEYS for name, value in VALUES.items()}
OUTPUT = b'"name":"y","shape":[1],"datatype":"FP32","data":[1]'
TENSORS = {
    f"{key} of an output: {name}": b'{"outputs": [{%s, "%s": %s}]}' % (OUTPUT, key.encode(), value)
    for key in ("name", "shape", "datatype", "data")
    for name, value in VALUES.items()
}
CHOICES = {
    f"{key} of a choice: {name}": b'{"choices": [{"index": 0, "%s": %s}]}' % (key.encode(), value)
    for key in ("text", "delta", "message", "finish_reason", "index")
    for name, value in VALUES.items()
}
BROKEN = {
    "nothing": b"",
    "blanks": b" \r\n\t",
    "half": b'{"outputs": [{"name": "y", "sha',
    "not closed": NESTED,
    "invalid UTF-8": b'{"predictions": ["\xff\xfe"], "outputs": "\xc3"}',
    "only invalid UTF-8": b"\xff\xfe\x00\x80",
    "NUL": b"\x00" * 100,
    "a page": b"<!doctype html><html><title>Please log in</title>",
    "XML": b"<?xml version='1.0'?><predictions/>",
    "duplicates": b'{"predictions": 1, "predictions": "x", "outputs": [], "outputs": {}, "choices": 1, "choices": []}',
    "duplicate outputs": b'{"outputs": [{%s}, {%s}]}' % (OUTPUT, OUTPUT),
    "two documents": b'{"predictions": [1]} {"predictions": [1]}',
    "events without an end": b'data: {"choices": [{"text": "a"}]}\n\n' * 3,
    "events of nonsense": b"data: [DONE]\ndata:\n: ping\nevent\ndata: {\ndata: [[[\n",
}
HUGE = {
    "zeros": b'{"predictions": [%s]}' % b",".join([b"0"] * (LARGE // 2)),
    "rows": b'{"predictions": [%s]}' % b",".join([b"[0]"] * (LARGE // 4)),
    "deep rows": b'{"predictions": [%s]}' % b",".join([b"[" * 30 + b"0" + b"]" * 30] * (LARGE // 62)),
    "objects": b'{"predictions": [%s]}' % b",".join([b'{"a":0}'] * (LARGE // 8)),
    "text": b'{"predictions": ["%s"]}' % (b"a" * LARGE),
    "a tensor": b'{"outputs":[{"name":"y","shape":[%d],"datatype":"FP32","data":[%s]}]}'
    % (LARGE // 2, b",".join([b"0"] * (LARGE // 2))),
    "a shape": b'{"outputs":[{"name":"y","shape":[%s],"datatype":"FP32","data":[]}]}'
    % b",".join([b"9223372036854775807"] * (LARGE // 20)),
    "outputs": b'{"outputs":[%s]}'
    % b",".join(b'{"name":"%d","shape":[1],"datatype":"FP32","data":[0]}' % n for n in range(LARGE // 60)),
    "a name": b'{"outputs":[{"name":"%s","shape":[1],"datatype":"FP32","data":[]}]}' % (b"a" * LARGE),
    "keys": b"{%s}" % b",".join(b'"%d":0' % n for n in range(LARGE // 10)),
    "an error": b'{"error": "%s"}' % (b"\xff" * LARGE),
    "versions": b'{"model_version_status": [%s]}' % b",".join([b'{"version":"1","state":"END"}'] * (LARGE // 30)),
    "choices": b'{"choices":[%s]}' % b",".join([b'{"index":0,"text":"a"}'] * (LARGE // 23)),
    "events": b'data: {"choices":[{"index":0,"text":"a","delta":{"content":"a"}}]}\n\n' * (LARGE // 70),
    "one long event": b'data: {"choices":[{"index":0,"text":"%s"}]}\n\n' % (b"a" * LARGE),
    "blanks": b" " * LARGE,
    "brackets": b"[" * LARGE,
    "surrogates": b'{"predictions": ["%s"]}' % (rb"\ud800" * (LARGE // 6)),
}
SMALL = {**VALUES, **WRAPPED, **TENSORS, **CHOICES, **BROKEN}
TYPES = ("application/json", "text/event-stream", "text/plain", "")

every_protocol = pytest.mark.parametrize("protocol", discovery.protocols())


@functools.cache
def steps(protocol: str) -> tuple[Step, ...]:
    """What a protocol asks with the first canary that it takes, whose answer has to be an unlikely one."""
    options = discovery.protocol_options(protocol)()
    refused = []
    for request in CANARIES:
        canary = Canary(json.dumps(request).encode(), "application/json", (Expected(values=UNLIKELY),))
        try:
            asked = discovery.steps(protocol, Target("m", None, canary, options))
        except ConfigError as error:
            refused.append(str(error))
        else:
            assert any(step.check is Check.PREDICT for step in asked), "a canary asks for no prediction"
            return asked
    pytest.fail(f"no canary for {protocol}, add one above: {refused}")


def answer(step: Step, body: bytes, content_type: str) -> Answer:
    lines = tuple((0.001 * n, line) for n, line in enumerate(body.split(b"\n")) if line.strip()) if step.stream else ()
    return Answer(200, {"Content-Type": content_type}, body, lines)


def judged(step: Step, given: Answer) -> Finding | str:
    """What was found, or what was said to be wrong. Raises anything else that the judge does."""
    try:
        return step.judge(given)
    except (WrongPrediction, Malformed) as error:
        return str(error)


def check_said(step: Step, name: str, said: Finding | str) -> None:
    """A hostile answer may pass for life, never for a prediction; what is said of it is fit for a log."""
    where = f"{step.check} of {name}: {str(said)[:PATIENCE]}"
    if isinstance(said, str):
        assert said.isprintable(), where
        assert 0 < len(said) <= PATIENCE, where
    else:
        assert step.check is not Check.PREDICT, where


@every_protocol
@pytest.mark.parametrize("content_type", TYPES)
def test_no_answer_however_strange_is_more_than_a_wrong_one(protocol: str, content_type: str) -> None:
    for name, body in SMALL.items():
        for step in steps(protocol):
            check_said(step, name, judged(step, answer(step, body, content_type)))


@every_protocol
def test_the_same_in_a_stream_of_events(protocol: str) -> None:
    for name, value in SMALL.items():
        body = b"data: " + value.replace(b"\n", b" ") + b"\n\ndata: [DONE]\n\n"
        for step in steps(protocol):
            check_said(step, name, judged(step, answer(step, body, "text/event-stream")))


@every_protocol
@pytest.mark.parametrize("name", HUGE)
def test_a_large_answer_is_judged_in_linear_time(protocol: str, name: str) -> None:
    for step in steps(protocol):
        content_type = "text/event-stream" if step.stream else "application/json"
        given = answer(step, HUGE[name], content_type)
        began = time.thread_time()
        said = judged(step, given)
        assert time.thread_time() - began < WITHIN
        check_said(step, name, said)


@every_protocol
def test_an_index_of_nonsense_is_malformed_or_names_models(protocol: str) -> None:
    index = discovery.index(protocol, discovery.protocol_options(protocol)())
    for name, body in SMALL.items() if index else ():
        try:
            found = index.models(Answer(200, {"Content-Type": "application/json"}, body))
        except Malformed:
            continue
        assert all(isinstance(model, str) and model for model in found), name
        assert len(set(found)) == len(found), name


@every_protocol
@pytest.mark.parametrize("content_type", ["application/json", "text/csv"])
def test_a_canary_of_nonsense_is_taken_or_refused_with_its_key(protocol: str, content_type: str) -> None:
    options = discovery.protocol_options(protocol)()
    for name, value in {**VALUES, **BROKEN}.items():
        for body in (
            value,
            *(b'{"%s": %s}' % (key, value) for key in (b"inputs", b"instances", b"messages", b"prompt")),
        ):
            said = "canary"
            try:
                discovery.steps(protocol, Target("m", None, Canary(body, content_type), options))
            except ConfigError as error:
                said = str(error)
            assert said.startswith("canary"), name
            assert len(said) <= 2 * PATIENCE, name
