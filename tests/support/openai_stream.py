"""What an OpenAI-compatible server answers: whole, or as server-sent events, well or with faults."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from aiohttp import web

PROMPT_TOKENS = 5
DONE = b"[DONE]"


class Trick(Enum):
    """What is done instead of sending an event."""

    HANG = auto()
    BREAK_OFF = auto()


Event = dict[str, Any] | bytes | Trick


@dataclass(frozen=True)
class Manner:
    """How the server behaves; delays in seconds.

    `mode`: ok, wrong_value (another text), wrong_shape (chunks without choices), empty (not one token), error (500),
    not_ready, hang (nothing after the headers), hang_before (not even headers), hang_midway, error_midway (an error
    object after half the tokens), cut_off (ends after half of them, without `[DONE]`), broken_off (the same in the
    middle of a chunk), garbage (an event that is no JSON) or not_streamed (whole, though a stream was asked for).
    """

    mode: str = "ok"
    tokens: tuple[str, ...] = ("The", " sum", " is", " 3", ".")
    first: float = 0.0
    between: float = 0.0
    comments: bool = False
    """A comment before each event, as some send to keep the connection alive."""
    line_end: str = "\n"
    piece: int = 0
    """Bytes that are sent at a time; 0: an event."""
    counted: int | None = None
    """Tokens that `usage` tells; None: as many as there are chunks with text."""

    @property
    def texts(self) -> tuple[str, ...]:
        return {"empty": (), "wrong_value": ("No", " idea")}.get(self.mode, self.tokens)

    @property
    def usage(self) -> dict[str, int]:
        told = len(self.texts) if self.counted is None else self.counted
        return {"prompt_tokens": PROMPT_TOKENS, "completion_tokens": told, "total_tokens": PROMPT_TOKENS + told}


def failure(message: str, type_: str, code: int, param: str | None = None) -> dict[str, Any]:
    """An error as vLLM words it."""
    return {"error": {"message": message, "type": type_, "param": param, "code": code}}


_MIDWAY: dict[str, tuple[Event, ...]] = {
    "hang_midway": (Trick.HANG,),
    "error_midway": (failure("CUDA out of memory", "InternalServerError", 500), DONE),
    "cut_off": (),
    "broken_off": (Trick.BREAK_OFF,),
    "garbage": (b'{"id": "cmpl-', DONE),
}
"""What comes in place of the second half of the tokens, and all after it."""


def complete(manner: Manner, model: str, *, chat: bool) -> dict[str, Any]:
    """The whole answer at once."""
    text = "".join(manner.texts)
    said = {"message": {"role": "assistant", "content": text}} if chat else {"text": text}
    choice = {"index": 0, **said, "logprobs": None, "finish_reason": "stop"}
    kind = "chat.completion" if chat else "text_completion"
    return {**_head(kind, model), **_choices(manner, choice), "usage": manner.usage}


def _head(kind: str, model: str) -> dict[str, Any]:
    return {"id": "cmpl-6f1d", "object": kind, "created": 1_700_000_000, "model": model}


def _choices(manner: Manner, choice: dict[str, Any]) -> dict[str, Any]:
    return {"outputs": [choice]} if manner.mode == "wrong_shape" else {"choices": [choice]}


def chunks(manner: Manner, model: str, *, chat: bool, usage: bool) -> Iterator[tuple[float, Event]]:
    """Each event and the seconds to wait before it; the role comes at once in a chat, before any token is there."""
    head = _head("chat.completion.chunk" if chat else "text_completion", model)
    rest = {"usage": None} if usage else {}

    def chunk(said: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
        choice = {"index": 0, **said, "logprobs": None, "finish_reason": finish}
        return {**head, **_choices(manner, choice), **rest}

    if chat:
        yield 0.0, chunk({"delta": {"role": "assistant", "content": ""}})
    if manner.mode == "hang":
        yield 0.0, Trick.HANG
    for number, text in enumerate(manner.texts):
        if manner.mode in _MIDWAY and number == len(manner.texts) // 2:
            yield from ((manner.between, event) for event in _MIDWAY[manner.mode])
            return
        yield (
            manner.between if number else manner.first,
            chunk({"delta": {"content": text}} if chat else {"text": text}),
        )
    yield 0.0, chunk({"delta": {}} if chat else {"text": ""}, "stop")
    if usage:
        yield 0.0, {**head, "choices": [], "usage": manner.usage}
    yield 0.0, DONE


async def send(request: web.Request, manner: Manner, events: Iterable[tuple[float, Event]]) -> web.StreamResponse:
    """Answer with server-sent events."""
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream; charset=utf-8"})
    if manner.mode == "hang_before":
        await _hang()
    await response.prepare(request)
    for pause, event in events:
        await asyncio.sleep(pause)
        if event is Trick.HANG:
            await _hang()
        elif event is Trick.BREAK_OFF:
            await response.write(b'data: {"id": ')
            assert request.transport is not None
            request.transport.close()
            return response
        else:
            await _write(response, manner, event if isinstance(event, bytes) else _json(event))
    await response.write_eof()
    return response


async def _hang() -> None:
    """Until the client has gone."""
    await asyncio.Event().wait()


def _json(event: object) -> bytes:
    return json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode()


async def _write(response: web.StreamResponse, manner: Manner, data: bytes) -> None:
    end = manner.line_end.encode()
    sent = (b": keep-alive" + end * 2 if manner.comments else b"") + b"data: " + data + end * 2
    size = manner.piece or len(sent)
    for start in range(0, len(sent), size):
        await response.write(sent[start : start + size])
        if manner.piece:
            await asyncio.sleep(0.001)  # else they arrive as one
