"""What comes back, whole or as a stream of events: text, tokens and the times of its chunks."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import Annotated, Any

import msgspec

from ml_exporter import expectations
from ml_exporter.decoding import decode, printable, text_of
from ml_exporter.errors import WrongPrediction
from ml_exporter.expectations import Expected, Tensor
from ml_exporter.plain_json import content_type
from ml_exporter.ports import Answer, Finding
from ml_exporter.probes.openai.request import MOST_TOKENS, PREDICTION

MOST_CHUNKS = 16 * MOST_TOKENS
"""Chunks with text, after which a stream is taken for one without end: some servers send a letter at a time."""
_FAILED = ("abort", "error")
"""What servers give as the reason when generation did not come to its end."""


class _Piece(msgspec.Struct):
    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: list[Any] | None = None


class _Choice(msgspec.Struct):
    text: str | None = None
    delta: _Piece | None = None
    message: _Piece | None = None
    finish_reason: str | None = None


class _Usage(msgspec.Struct):
    completion_tokens: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] | None = None


class _Reply(msgspec.Struct):
    """A whole answer, or a chunk of a streamed one."""

    choices: list[_Choice] | None = None
    usage: _Usage | None = None
    error: Any = None


@dataclass(slots=True)
class _Generated:
    """What was generated so far. `moments`: seconds at which a chunk with output came."""

    texts: list[str] = field(default_factory=list)
    moments: list[float] = field(default_factory=list)
    finish_reason: str | None = None
    tokens: int = 0


def streamed(expected: tuple[Expected, ...], answer: Answer) -> Finding:
    """Judge a stream of events. Raises `WrongPrediction` or `Malformed`."""
    generated, ended = _Generated(), False
    for moment, line in answer.lines:
        data = _data(line)
        if data == b"[DONE]":
            ended = True
            break
        if data:
            _take(generated, _reply(data), moment)
    if not ended and generated.finish_reason is None:
        raise WrongPrediction(
            f"the stream ends after {len(generated.moments)} chunks with text, without finish_reason and [DONE]"
        )
    tokens = generated.tokens or len(generated.moments)
    _hold(expected, generated, tokens)
    gaps = tuple(later - earlier for earlier, later in itertools.pairwise(generated.moments))
    return Finding(tokens=tokens, first_token=generated.moments[0], gaps=gaps)


def whole(expected: tuple[Expected, ...], answer: Answer) -> Finding:
    """Judge an answer that came whole. Raises `WrongPrediction` or `Malformed`."""
    generated = _Generated()
    _take(generated, _reply(answer.body, content_type(answer)), 0.0)
    _hold(expected, generated, generated.tokens)
    return Finding(tokens=generated.tokens)


def _data(line: bytes) -> bytes:
    """What a line of the event stream carries; empty for comments and for fields that are no data."""
    name, _, value = line.partition(b":")
    match name.strip():
        case b"data":
            return value.strip()
        case b"error":  # llama.cpp's name for it, beside those of the standard
            raise WrongPrediction(f"the server ends with an error: {printable(text_of(value))}")
        case b"" | b"event" | b"id" | b"retry":
            return b""
    raise WrongPrediction(f"the answer is no stream of events: '{printable(text_of(line), 120)}'")


def _reply(data: bytes, kind: str = "") -> _Reply:
    reply: _Reply = decode(data, _Reply, kind)
    if reply.error is not None:
        message = reply.error.get("message") if isinstance(reply.error, dict) else reply.error
        said = message if isinstance(message, str) else text_of(data)
        raise WrongPrediction(f"the server answers with an error: {printable(said)}")
    return reply


def _take(generated: _Generated, reply: _Reply, moment: float) -> None:
    carries = False
    for choice in reply.choices or ():
        piece = choice.delta or choice.message or _Piece()
        text = choice.text or piece.content or ""
        carries = carries or bool(text or piece.reasoning_content or piece.reasoning or piece.tool_calls)
        generated.texts.append(text)
        generated.finish_reason = choice.finish_reason or generated.finish_reason
    if carries:
        generated.moments.append(moment)
    if len(generated.moments) > MOST_CHUNKS:
        raise WrongPrediction(f"more than {MOST_CHUNKS} chunks; asked were at most {MOST_TOKENS} tokens")
    if reply.usage:
        generated.tokens = reply.usage.completion_tokens or 0


def _hold(expected: tuple[Expected, ...], generated: _Generated, tokens: int) -> None:
    if generated.finish_reason in _FAILED:
        raise WrongPrediction(f"the server ended it with finish_reason '{generated.finish_reason}'")
    if not generated.moments:
        raise WrongPrediction("there is no text, not one token")
    told = ("".join(generated.texts), tokens or None, generated.finish_reason)
    prediction = dict(zip(PREDICTION, told, strict=True))

    def find(name: str) -> Tensor:
        return expectations.tensor_of(expectations.at(prediction, name or "text"), name)

    expectations.hold(expected, prediction, find)
