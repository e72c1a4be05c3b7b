"""OpenAI-compatible servers: what is sent, which requests are refused, and which models are there."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ml_exporter.errors import ConfigError, MlExporterError
from ml_exporter.expectations import Expected
from ml_exporter.model import Check
from ml_exporter.ports import Answer, Canary, Finding, Step, Target
from ml_exporter.probes.openai import Options, index, steps

MODEL = "llama3.2"
COMPLETION = {"prompt": "2+2=", "max_tokens": 4}
CHAT = {"messages": [{"role": "user", "content": "2+2?"}], "max_tokens": 4}


def asked(
    request: Any = COMPLETION, *, model: str | None = MODEL, stream: bool = True, expect: tuple[Expected, ...] = ()
) -> dict[Check, Step]:
    body = request if isinstance(request, bytes) else json.dumps(request).encode()
    canary = Canary(body, "application/json", expect)
    return {step.check: step for step in steps(Target(model, canary=canary, options=Options(stream)))}


def sent(request: Any = COMPLETION, **options: Any) -> Any:
    return json.loads(asked(request, **options)[Check.PREDICT].call.body)


def refusal(request: Any, **options: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        asked(request, **options)
    return str(caught.value)


def listed(body: bytes, model: str | None = MODEL) -> Finding:
    return steps(Target(model, options=Options()))[1].judge(Answer(200, {}, body))


@pytest.mark.parametrize(("request_", "path"), [(COMPLETION, "/v1/completions"), (CHAT, "/v1/chat/completions")])
def test_the_request_says_which_of_the_two_is_asked(request_: Any, path: str) -> None:
    calls = {check: (step.call.method, step.call.path) for check, step in asked(request_).items()}
    assert calls == {
        Check.LIVE: ("GET", "/health"),
        Check.READY: ("GET", "/v1/models"),
        Check.PREDICT: ("POST", path),
    }


def test_the_answer_is_streamed_with_its_usage() -> None:
    assert asked()[Check.PREDICT].stream
    assert sent() == {**COMPLETION, "model": MODEL, "stream": True, "stream_options": {"include_usage": True}}


def test_streaming_can_be_turned_off() -> None:
    assert not asked(stream=False)[Check.PREDICT].stream
    assert sent(stream=False) == {**COMPLETION, "model": MODEL, "stream": False}


def test_stream_options_of_the_request_are_left_as_they_are() -> None:
    """For a server that refuses those it does not know."""
    assert sent({**COMPLETION, "stream_options": None})["stream_options"] is None


def test_a_request_may_name_its_model_itself() -> None:
    assert sent({**COMPLETION, "model": "phi"}, model=None)["model"] == "phi"
    assert sent({**COMPLETION, "model": MODEL})["model"] == MODEL


def test_a_server_of_one_model_needs_no_name() -> None:
    assert "model" not in sent(model=None)


def test_without_a_canary_nothing_is_generated() -> None:
    assert [step.check for step in steps(Target(MODEL, options=Options()))] == [Check.LIVE, Check.READY]


@pytest.mark.parametrize(
    ("request_", "why"),
    [
        ({"max_tokens": 4}, "canary.request: found no prompt and no messages; allowed is one of the two"),
        ({**COMPLETION, **CHAT}, "canary.request: found prompt and messages; allowed is one of the two"),
        ([1], "canary.request: the reply is not what the API promises"),
        (b"{", "canary.request: truncated JSON"),
        ({**COMPLETION, "prompt": ["a", "b"]}, "canary.request.prompt: found ['a', 'b']; allowed is a text or a list"),
        ({**CHAT, "messages": []}, "canary.request.messages: found []; allowed is a list of {role"),
        ({**CHAT, "messages": ["hello"]}, "canary.request.messages: found ['hello']; allowed is a list of {role"),
        ({**COMPLETION, "n": 2}, "canary.request.n: found 2; allowed is one answer, 1"),
        ({**COMPLETION, "best_of": 3}, "canary.request.best_of: found 3"),
        ({**COMPLETION, "model": "phi"}, "canary.request.model: found 'phi'; asked is 'llama3.2': leave it out here"),
        ({**COMPLETION, "stream": False}, "canary.request.stream: found False; leave it out here"),
    ],
)
def test_what_does_not_fit_the_protocol_is_refused(request_: Any, why: str) -> None:
    assert refusal(request_).startswith(why)


def test_stream_options_need_a_stream() -> None:
    found = refusal({**COMPLETION, "stream_options": {}}, stream=False)
    assert found.startswith("canary.request.stream_options: allowed only with")


@pytest.mark.parametrize("request_", [COMPLETION, CHAT])
@pytest.mark.parametrize("limit", [None, 0, -1, 257, 10**400, 4.0, True, "4"])
def test_a_canary_that_could_generate_for_long_is_refused(request_: Any, limit: Any) -> None:
    assert refusal({**request_, "max_tokens": limit}).startswith("canary.request.max_tokens: ")


def test_a_chat_may_be_limited_by_the_newer_name() -> None:
    chat = {"messages": CHAT["messages"], "max_completion_tokens": 256}
    assert sent(chat)["max_completion_tokens"] == 256
    assert "max_tokens: missing" in refusal({"prompt": "2+2=", "max_completion_tokens": 256})
    assert refusal({**chat, "max_tokens": 1000}).startswith("canary.request.max_tokens: found 1000")


def test_what_is_expected_must_be_there() -> None:
    wrong = refusal(COMPLETION, expect=(Expected("tokens", min=1), Expected("txt", matches="4")))
    assert wrong == "canary.expect[1].name: found 'txt'; did you mean 'text'?"


OLLAMA = b'{"object":"list","data":[{"id":"llama3.2:latest","object":"model","created":1,"owned_by":"library"}]}'
LLAMA_CPP = b'{"models":[{"name":"/m/q.gguf"}],"object":"list","data":[{"id":"/m/q.gguf","meta":{"n_vocab":32000}}]}'
VLLM = b'{"object":"list","data":[{"id":"llama3.2","permission":[]},{"id":"lora-a","parent":"llama3.2"}]}'


@pytest.mark.parametrize(
    ("body", "model"),
    [(VLLM, MODEL), (VLLM, "lora-a"), (OLLAMA, MODEL), (OLLAMA, f"{MODEL}:latest"), (LLAMA_CPP, "/m/q.gguf")],
)
def test_a_model_that_is_listed_is_ready(body: bytes, model: str) -> None:
    assert listed(body, model) == Finding()


def test_without_a_name_any_model_will_do() -> None:
    assert listed(LLAMA_CPP, None) == Finding()


@pytest.mark.parametrize(
    ("body", "model", "why"),
    [
        (VLLM, "llama3", "the server has no model llama3; it has 'llama3.2', 'lora-a'"),
        (b'{"object":"list","data":null}', MODEL, "the server has no model llama3.2; it has none"),
        (b'{"data":[]}', None, "the server has no model at all; it has none"),
        (b'{"data":[%s]}' % b",".join(b'{"id":"m%d"}' % n for n in range(9)), MODEL, "'m4' and 4 more"),
        (b'{"object":"list"}', MODEL, "missing required field `data`"),
        (b'{"data":[{"id":7}]}', MODEL, "Expected `str`, got `int`"),
        (b"OK", MODEL, "not JSON"),
    ],
)
def test_a_model_that_is_not_listed_is_not_ready(body: bytes, model: str | None, why: str) -> None:
    with pytest.raises(MlExporterError) as caught:
        listed(body, model)
    assert why in str(caught.value)


def test_the_model_that_the_request_names_must_be_listed() -> None:
    ready = asked({**COMPLETION, "model": "phi"}, model=None)[Check.READY]
    with pytest.raises(MlExporterError, match="no model phi"):
        ready.judge(Answer(200, {}, VLLM))


def test_the_models_of_a_server_can_be_found() -> None:
    found = index(Options())
    assert (found.call.method, found.call.path) == ("GET", "/v1/models")
    assert found.models(Answer(200, {}, VLLM)) == ("llama3.2", "lora-a")
    assert found.models(Answer(200, {}, b'{"data":[{"id":"a"},{"id":"a"}]}')) == ("a",)
