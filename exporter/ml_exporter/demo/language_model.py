"""A stand-in for a server of a language model: speaks the OpenAI protocol and exposes metrics as vLLM does.

No model: vLLM wants a GPU, or gigabytes. Whatever it is asked, it says the same sentence, word by word. So that there
is something to see, it asks itself in the name of users who come and go.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import random
from collections.abc import AsyncIterator, Sequence
from typing import Any

from aiohttp import web

from ml_exporter.demo.engine import Engine

MODEL = "tiny-instruct"
ADAPTERS = ("tiny-instruct-returns", "tiny-instruct-invoices")
"""Listed beside the model, as vLLM lists what was fine-tuned for one task each."""
SENTENCE = ("A", " stand-in", " answers", ":", " nothing", " was", " computed", ".")
PROMPT_TOKENS = 5
_CHAT, _COMPLETIONS = "/v1/chat/completions", "/v1/completions"
_USERS = 3
_PAUSE = 1.0
"""Seconds, on average, from a user's answer to their next question."""
_FAILING = 0.01
"""Share of the users' requests that end with status 500."""


class Server:
    """The application, its engine and its users."""

    def __init__(self) -> None:
        self.engine = Engine(MODEL)
        self._dice = random.Random()

    def application(self, users: int = _USERS) -> web.Application:
        application = web.Application()
        application.router.add_get("/health", self._health)
        application.router.add_get("/v1/models", self._models)
        application.router.add_get("/metrics", self._metrics)
        for path in (_CHAT, _COMPLETIONS):
            application.router.add_post(path, self._predict)
        application.cleanup_ctx.append(lambda _application: self._visited(users))
        return application

    async def _health(self, _request: web.Request) -> web.Response:
        return web.Response()

    async def _models(self, _request: web.Request) -> web.Response:
        listed = [{"id": name, "object": "model", "owned_by": "demo"} for name in (MODEL, *ADAPTERS)]
        return web.json_response({"object": "list", "data": listed})

    async def _metrics(self, _request: web.Request) -> web.Response:
        return web.Response(text=self.engine.exposed())

    async def _predict(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        if body.get("model") not in (MODEL, *ADAPTERS):
            self.engine.answered(request.path, 404)
            return web.json_response({"error": {"message": "there is no such model", "code": 404}}, status=404)
        self.engine.answered(request.path, 200)
        said = SENTENCE[: body.get("max_tokens") or None]
        words = self.engine.generate(PROMPT_TOKENS, said)
        if not body.get("stream"):
            text = "".join([word async for word in words])
            return web.json_response(_chunk(body, request.path, text, _finish(said)) | {"usage": _usage(said)})
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream; charset=utf-8"})
        await response.prepare(request)
        async for event in _events(body, request.path, said, words):
            await response.write(b"data: " + event + b"\n\n")
        return response

    # Users

    @contextlib.asynccontextmanager
    async def _visited(self, users: int) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(self._user()) for _ in range(users)]
        yield
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _user(self) -> None:
        """Asks, reads, and asks again."""
        while True:
            await asyncio.sleep(self._dice.expovariate(1 / _PAUSE))
            if self._dice.random() < _FAILING:
                self.engine.answered(_CHAT, 500)
                continue
            self.engine.answered(_CHAT, 200)
            async for _word in self.engine.generate(self._dice.randint(5, 50), SENTENCE * self._dice.randint(1, 4)):
                pass


async def _events(
    body: dict[str, Any], path: str, said: Sequence[str], words: AsyncIterator[str]
) -> AsyncIterator[bytes]:
    async for word in words:
        yield _json(_chunk(body, path, word, None))
    yield _json(_chunk(body, path, "", _finish(said)))
    if (body.get("stream_options") or {}).get("include_usage"):
        yield _json({"choices": [], "usage": _usage(said)})
    yield b"[DONE]"


def _finish(said: Sequence[str]) -> str:
    return "stop" if len(said) == len(SENTENCE) else "length"


def _chunk(body: dict[str, Any], path: str, text: str, finish: str | None) -> dict[str, Any]:
    streamed = "delta" if body.get("stream") else "message"
    said = {streamed: {"role": "assistant", "content": text}} if path == _CHAT else {"text": text}
    return {"model": body["model"], "choices": [{"index": 0, **said, "finish_reason": finish}]}


def _usage(said: Sequence[str]) -> dict[str, int]:
    tokens = len(said)
    return {"prompt_tokens": PROMPT_TOKENS, "completion_tokens": tokens, "total_tokens": PROMPT_TOKENS + tokens}


def _json(event: object) -> bytes:
    return json.dumps(event).encode()


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="language-model", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=9844)
    options = parser.parse_args(arguments)
    web.run_app(Server().application(), host=options.host, port=options.port, print=None, access_log=None)


if __name__ == "__main__":
    main()
