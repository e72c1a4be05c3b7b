"""What an OpenAI-compatible server generated, streamed or whole, and when.

No such server can be had without a large model: chunks are those of vLLM, unless a test names another server.
"""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from ml_exporter.errors import MlExporterError
from ml_exporter.expectations import Expected
from ml_exporter.ports import Answer, Canary, Finding, Target
from ml_exporter.probes.openai import Options, steps
from ml_exporter.probes.openai.answers import MOST_CHUNKS

DONE = b"data: [DONE]"
ROLE = {"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}], "usage": None}
STOP = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "usage": None}


def delta(**fields: Any) -> dict[str, Any]:
    return {"model": "m", "choices": [{"index": 0, "delta": fields, "logprobs": None, "finish_reason": None}]}


def said(text: str) -> dict[str, Any]:
    return delta(content=text)


def usage(tokens: Any) -> dict[str, Any]:
    return {"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": tokens}}


def line(event: Any) -> bytes:
    return event if isinstance(event, bytes) else b"data: " + json.dumps(event).encode()


def judged(*events: Any, expect: tuple[Expected, ...] = (), times: tuple[float, ...] = ()) -> Finding:
    """Of a stream whose lines came at the given times, or each second."""
    moments = times or tuple(float(second) for second in range(len(events)))
    lines = tuple(zip(moments, map(line, events), strict=True))
    return _predict(expect, stream=True).judge(Answer(200, {}, b"", lines))


def whole(body: bytes | dict[str, Any], *expect: Expected, content_type: str = "application/json") -> Finding:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return _predict(expect, stream=False).judge(Answer(200, {"Content-Type": content_type}, data))


def _predict(expect: tuple[Expected, ...], *, stream: bool) -> Any:
    canary = Canary(b'{"prompt": "2+2=", "max_tokens": 4}', "application/json", expect)
    return steps(Target("m", canary=canary, options=Options(stream)))[-1]


def complaint(*events: Any, expect: tuple[Expected, ...] = ()) -> str:
    with pytest.raises(MlExporterError) as caught:
        judged(*events, expect=expect)
    return str(caught.value)


def test_the_first_token_comes_after_the_role() -> None:
    found = judged(ROLE, said("2+2"), said(" is"), said(" 4"), STOP, DONE, times=(0.1, 0.5, 0.75, 1.5, 1.6, 1.7))
    assert found == Finding(version=None, tokens=3, first_token=0.5, gaps=(0.25, 0.75))


def test_a_completion_is_timed_as_a_chat_is() -> None:
    pieces = [{"choices": [{"index": 0, "text": text, "finish_reason": None}]} for text in ("4", "!", "")]
    expect = (Expected(values="4!"),)
    assert judged(*pieces, STOP, DONE, expect=expect) == Finding(tokens=2, first_token=0.0, gaps=(1.0,))


def test_tokens_are_those_that_the_server_counts() -> None:
    """Several tokens may come in one chunk. Ollama has a usage of 0 in each chunk but the last."""
    assert judged(said("2+2 is 4"), STOP, usage(5), DONE).tokens == 5
    assert judged(said("4") | {"usage": {"completion_tokens": 0}}, STOP, usage(5), DONE).tokens == 5


@pytest.mark.parametrize("tokens", [None, 0])
def test_a_server_that_counts_no_tokens_has_as_many_as_chunks(tokens: int | None) -> None:
    assert judged(said("2"), said("+"), STOP, usage(tokens), DONE).tokens == 2


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning"])
def test_a_thought_is_a_token_and_no_text(name: str) -> None:
    found = judged(ROLE, delta(**{name: "Hm"}), said("4"), STOP, DONE, expect=(Expected("text", values="4"),))
    assert (found.tokens, found.first_token, found.gaps) == (2, 1.0, (1.0,))


def test_the_call_of_a_tool_is_output() -> None:
    call = delta(tool_calls=[{"index": 0, "function": {"name": "add", "arguments": ""}}])
    assert judged(ROLE, call, STOP, DONE).first_token == 1.0


def test_comments_and_fields_of_events_are_passed_over() -> None:
    assert judged(b": ping", b"event: message", b"id: 7", b"retry: 100", b"data:", said("4"), STOP, DONE).tokens == 1


def test_a_line_may_have_no_blank_after_the_colon_and_a_carriage_return() -> None:
    """TGI leaves the blank out."""
    assert judged(b'data:{"choices":[{"delta":{"content":"4"}}]}\r', b"data:[DONE]\r").tokens == 1


def test_one_of_the_two_ends_is_enough() -> None:
    assert judged(said("4"), DONE).tokens == 1
    assert judged(said("4"), STOP).tokens == 1


def test_what_comes_after_the_end_is_not_read() -> None:
    assert judged(said("4"), STOP, DONE, b"garbage").tokens == 1


def test_text_tokens_and_reason_are_what_can_be_expected() -> None:
    events = (said("It is"), said(" 4."), STOP, usage(4), DONE)
    good = (
        Expected(matches=r"\b4\b"),
        Expected("text", datatype="text", values="It is 4."),
        Expected("tokens", min=1, max=4),
        Expected("finish_reason", values="stop"),
    )
    assert judged(*events, expect=good).tokens == 4
    wrong = [Expected(matches="5"), Expected("tokens", max=3), Expected("finish_reason", values="length")]
    assert [complaint(*events, expect=(each,)).split(" holds ")[1][:10] for each in wrong] == [
        "'It is 4.'",
        "4; expecte",
        "'stop' at ",
    ]


def test_a_reason_that_is_expected_must_be_given() -> None:
    assert "'finish_reason' holds nothing" in complaint(
        said("4"), DONE, expect=(Expected("finish_reason", values="stop"),)
    )


@pytest.mark.parametrize(
    ("events", "why"),
    [
        ((), "the stream ends after 0 chunks with text, without finish_reason and [DONE]"),
        ((ROLE, said("2"), said("+")), "the stream ends after 2 chunks with text"),
        ((ROLE, STOP, DONE), "there is no text, not one token"),
        ((b": ping", DONE), "there is no text"),
        (({"outputs": []}, DONE), "there is no text"),
        ((said("4"), b'data: {"id": "cmpl-', DONE), "truncated JSON"),
        ((said("4"), b"data: oops", DONE), "not JSON"),
        ((delta(content=7), DONE), "Expected `str | null`, got `int`"),
        ((delta(content=["4"]), DONE), "Expected `str | null`, got `array`"),
        (({"choices": {}}, DONE), "Expected `array | null`, got `object`"),
        ((b"data: 7", DONE), "Expected `object`, got `int`"),
        ((said("4"), usage(-1), DONE), "Expected `int` >= 0"),
        ((said("4"), usage(10**300), DONE), "Expected `int` <= 1000000"),
        ((said("4"), b'data: {"usage": {"completion_tokens": NaN}}', DONE), "got `float`"),
        ((b"data: " + b'{"error":' * 100_000, DONE), "nested too deeply"),
        ((b"<html>", b"</html>"), "the answer is no stream of events: '<html>'"),
        ((b'{"choices": [{"text": "4"}]}',), 'the answer is no stream of events: \'{"choices"'),
        ((b"\xff\xfe\x00",), "the answer is no stream of events"),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else "",
)
def test_a_stream_that_is_none_is_told(events: tuple[Any, ...], why: str) -> None:
    found = complaint(*events)
    assert why in found
    assert found.isprintable()


@pytest.mark.parametrize(
    ("event", "why"),
    [
        (
            {"error": {"message": "CUDA out of memory", "type": "InternalServerError", "code": 500}},
            "CUDA out of memory",
        ),
        ({"error": "Request failed during generation", "error_type": "generation"}, "failed during generation"),
        (b'error: {"code":400,"message":"the request exceeds the context"}', "exceeds the context"),
        ({"error": {"code": 7}}, '{"error": {"code": 7}}'),
        ({"choices": [{"delta": {}, "finish_reason": "abort"}]}, "finish_reason 'abort'"),
    ],
    ids=["vLLM", "TGI", "llama.cpp", "without a message", "SGLang"],
)
def test_an_error_in_the_middle_of_a_stream_is_told(event: Any, why: str) -> None:
    assert why in complaint(ROLE, said("2"), event, DONE)


def test_a_stream_that_does_not_end_is_not_read_for_ever() -> None:
    assert judged(*[said("a")] * MOST_CHUNKS, STOP, DONE).tokens == MOST_CHUNKS
    assert f"more than {MOST_CHUNKS} chunks" in complaint(*[said("a")] * (MOST_CHUNKS + 1), STOP, DONE)


def test_ten_megabytes_of_one_stream_are_judged_soon() -> None:
    events = [b": " + b"-" * 98] * 50_000 + [said("a" * 2_000)] * 2_500
    started = time.process_time()
    judged(*events, STOP, DONE)
    assert time.process_time() - started < 2


CHAT = {"choices": [{"message": {"role": "assistant", "content": "4", "tool_calls": None}, "finish_reason": "stop"}]}


def test_an_answer_that_comes_whole_has_no_times() -> None:
    body = {**CHAT, "usage": {"prompt_tokens": 5, "completion_tokens": 3}}
    assert whole(body, Expected(values="4"), Expected("tokens", values=3)) == Finding(tokens=3)
    assert whole({"choices": [{"text": "4", "finish_reason": "length"}]}, Expected(values="4")) == Finding()


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ({"choices": []}, "there is no text"),
        ({"choices": [{"message": {"content": None}}]}, "there is no text"),
        ({"error": {"message": "overloaded"}}, "the server answers with an error: overloaded"),
        ({**CHAT, "choices": [{"text": "4", "finish_reason": "error"}]}, "finish_reason 'error'"),
        (b'{"error":' * 100_000, "nested too deeply"),
        (b"{", "truncated JSON"),
        (b"", "an empty reply"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_whole_answer_that_is_none_is_told(body: Any, why: str) -> None:
    with pytest.raises(MlExporterError, match=why):
        whole(body)


def test_a_login_page_is_told() -> None:
    with pytest.raises(MlExporterError, match="an HTML page"):
        whole(b"<!doctype html>", content_type="text/html")
