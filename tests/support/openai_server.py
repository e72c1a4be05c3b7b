"""A small server that speaks the OpenAI protocol as vLLM does: it stands for vLLM, SGLang, TGI, llama.cpp and Ollama.

Those need a GPU, or gigabytes of a model, and none of them fails to order. What it answers is in `openai_stream.py`.
It runs in a thread of its own, so that a client's delays are the client's.
"""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Any

from aiohttp import web
from tests.support.openai_stream import Manner, chunks, complete, failure, send

MODEL = "tiny-instruct"
ENDPOINTS = ("/v1/completions", "/v1/chat/completions")
STARTS_WITHIN = 10.0
"""Seconds."""


@dataclass(frozen=True)
class Asked:
    """One request as it arrived; header names in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: Any


@dataclass
class OpenAiServer:
    """Serves one model on 127.0.0.1; a context manager. `set` tells it how to behave from the next request on."""

    api_key: str = ""
    asked: list[Asked] = field(default_factory=list)
    manner: Manner = field(default_factory=Manner)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def set(self, mode: str = "ok", **values: Any) -> None:
        """`mode` and what `Manner` has beside it; all that is not named is as in the beginning."""
        self.manner = replace(Manner(), mode=mode, **values)

    def predictions(self) -> list[Any]:
        """Bodies of the requests to predict, in order."""
        return [asked.body for asked in self.asked if asked.path in ENDPOINTS]

    def __enter__(self) -> OpenAiServer:
        self._loop = asyncio.new_event_loop()
        self._done = asyncio.Event()
        started = threading.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(started),), daemon=True)
        self._thread.start()
        assert started.wait(STARTS_WITHIN), "the OpenAI-compatible server did not start"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._done.set)
        self._thread.join()
        self._loop.close()

    async def _serve(self, started: threading.Event) -> None:
        application = web.Application(middlewares=[self._note])
        application.router.add_get("/health", self._health)
        application.router.add_get("/v1/models", self._models)
        for path in ENDPOINTS:
            application.router.add_post(path, self._predict)
        runner = web.AppRunner(application, handler_cancellation=True, shutdown_timeout=0.1, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", self.port).start()
        self.port = runner.addresses[0][1]
        started.set()
        await self._done.wait()
        await runner.cleanup()

    @web.middleware
    async def _note(self, request: web.Request, handler: Any) -> web.StreamResponse:
        body = await request.json() if request.can_read_body else None
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.asked.append(Asked(request.method, request.path, headers, body))
        if (
            self.api_key
            and request.path.startswith("/v1/")
            and headers.get("authorization") != f"Bearer {self.api_key}"
        ):
            return web.json_response({"error": "Unauthorized"}, status=401)
        answered: web.StreamResponse = await handler(request)
        return answered

    async def _health(self, request: web.Request) -> web.Response:
        """An empty body, as vLLM's."""
        return web.Response(status=503 if self.manner.mode == "not_ready" else 200)

    async def _models(self, request: web.Request) -> web.Response:
        served = {"id": MODEL, "object": "model", "created": 1_700_000_000, "owned_by": "vllm"}
        listed = [] if self.manner.mode == "not_ready" else [served]
        return web.json_response({"object": "list", "data": listed})

    async def _predict(self, request: web.Request) -> web.StreamResponse:
        manner, body, chat = self.manner, await request.json(), "chat" in request.path
        refused = _refusal(body, "messages" if chat else "prompt")
        if refused or manner.mode == "error":
            status, error = refused or (500, failure("Internal server error", "InternalServerError", 500))
            return web.json_response(error, status=status)
        if not body.get("stream") or manner.mode == "not_streamed":
            await asyncio.sleep(manner.first)
            return web.json_response(complete(manner, body["model"], chat=chat))
        usage = (body.get("stream_options") or {}).get("include_usage", False)
        return await send(request, manner, chunks(manner, body["model"], chat=chat, usage=usage))


def _refusal(body: dict[str, Any], wanted: str) -> tuple[int, dict[str, Any]] | None:
    model = body.get("model")
    if model != MODEL:
        return 404, failure(f"The model `{model}` does not exist.", "NotFoundError", 404, "model")
    if wanted not in body:
        return 400, failure(f"Field required: {wanted}", "BadRequestError", 400, wanted)
    return None
