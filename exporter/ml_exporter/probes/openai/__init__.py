"""OpenAI-compatible servers: vLLM, SGLang, TGI, llama.cpp, Ollama. A canary is a request to complete or to chat."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import msgspec

from ml_exporter.decoding import decode, printable
from ml_exporter.errors import WrongPrediction
from ml_exporter.model import Check
from ml_exporter.plain_json import content_type
from ml_exporter.ports import Answer, Call, Finding, Index, Step, Target
from ml_exporter.probes.openai.answers import streamed, whole
from ml_exporter.probes.openai.request import checked, completed

MODELS = Call("GET", "/v1/models")
_PATHS = {"prompt": "/v1/completions", "messages": "/v1/chat/completions"}


@dataclass(frozen=True, slots=True)
class Options:
    stream: bool = True
    """Have the answer streamed, and time its tokens."""


class _Model(msgspec.Struct):
    id: str


class _Models(msgspec.Struct):
    data: list[_Model] | None
    """Null where Ollama has none."""


def steps(target: Target) -> tuple[Step, ...]:
    """What is asked of one model. Raises `ConfigError` for a canary that does not fit the protocol."""
    stream: bool = target.options.stream
    request: dict[str, Any] = checked(target.canary, target.model, stream) if target.canary else {}
    listed = functools.partial(_listed, target.model or request.get("model"))
    asked = [Step(Check.LIVE, Call("GET", "/health")), Step(Check.READY, MODELS, listed)]
    if target.canary:
        path = next(path for key, path in _PATHS.items() if key in request)
        body = msgspec.json.encode(completed(request, target.model, stream))
        call = Call("POST", path, headers={"Content-Type": "application/json"}, body=body)
        judge = functools.partial(streamed if stream else whole, target.canary.expect)
        asked.append(Step(Check.PREDICT, call, judge, stream, b"data: [DONE]" if stream else b""))
    return tuple(asked)


def index(_options: Options) -> Index:
    """The models that the server lists."""
    return Index(MODELS, _models)


def _models(answer: Answer) -> tuple[str, ...]:
    listed: _Models = decode(answer.body, _Models, content_type(answer))
    return tuple(dict.fromkeys(model.id for model in listed.data or ()))


def _listed(model: str | None, answer: Answer) -> Finding:
    names = _models(answer)
    # Ollama takes a name without a tag for its latest one, and lists it with the tag.
    if not names or (model and not {model, f"{model}:latest"} & set(names)):
        there = ", ".join(printable(repr(name), 80) for name in names[:5]) or "none"
        more = f" and {len(names) - 5} more" if len(names) > 5 else ""
        raise WrongPrediction(f"the server has no model {model or 'at all'}; it has {there}{more}")
    return Finding()
