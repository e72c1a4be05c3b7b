"""What a small language model's server would be busy with, and what it counts of it, by the names of vLLM's metrics.

Nothing is computed: tokens come from a list, at the pace of dice.
"""

from __future__ import annotations

import asyncio
import random
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence

SLOTS = 2
"""Answers that are generated together; other requests wait."""
_CACHE_OF_ONE = 0.35
_TIMES = (
    0.3,
    0.5,
    0.8,
    1.0,
    1.5,
    2.0,
    2.5,
    5.0,
    10.0,
    15.0,
    20.0,
    30.0,
    40.0,
    50.0,
    60.0,
    120.0,
    240.0,
    480.0,
    960.0,
    1920.0,
    7680.0,
)
_FIRST = (
    0.001,
    0.005,
    0.01,
    0.02,
    0.04,
    0.06,
    0.08,
    0.1,
    0.25,
    0.5,
    0.75,
    1.0,
    2.5,
    5.0,
    7.5,
    10.0,
    20.0,
    40.0,
    80.0,
    160.0,
    640.0,
    2560.0,
)
_BETWEEN = (0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 20.0, 40.0, 80.0)
"""Upper bounds of the histograms, in seconds."""


class Histogram:
    """As Prometheus has it."""

    def __init__(self, name: str, edges: Sequence[float]) -> None:
        self._name, self._edges = name, edges
        self._counts = [0] * (len(edges) + 1)
        self._sum = 0.0

    def observe(self, seconds: float) -> None:
        self._counts[bisect_left(self._edges, seconds)] += 1
        self._sum += seconds

    def lines(self, labels: str) -> Iterator[str]:
        yield f"# TYPE {self._name} histogram"
        below = 0
        for edge, count in zip((*self._edges, "+Inf"), self._counts, strict=True):
            below += count
            yield f'{self._name}_bucket{{{labels},le="{edge}"}} {below}'
        yield f"{self._name}_count{{{labels}}} {below}"
        yield f"{self._name}_sum{{{labels}}} {self._sum}"


class Engine:
    """Generates one token after the other, for as many requests as there are slots."""

    def __init__(self, model: str, dice: random.Random | None = None) -> None:
        self._model = model
        self._dice = dice or random.Random()
        self._free = asyncio.Semaphore(SLOTS)
        self._waiting = self._busy = 0
        self._asked = Counter[tuple[str, int]]()
        self._tokens = Counter({"prompt": 0, "generation": 0})
        self._queued = Histogram("vllm:request_queue_time_seconds", _TIMES)
        self._whole = Histogram("vllm:e2e_request_latency_seconds", _TIMES)
        self._first = Histogram("vllm:time_to_first_token_seconds", _FIRST)
        self._between = Histogram("vllm:inter_token_latency_seconds", _BETWEEN)

    def answered(self, path: str, status: int) -> None:
        """Count a request to predict."""
        self._asked[path, status // 100] += 1

    async def generate(self, prompt_tokens: int, words: Sequence[str]) -> AsyncIterator[str]:
        """The words, each when its time has come."""
        began = time.monotonic()
        self._waiting += 1
        try:
            await self._free.acquire()
        finally:
            self._waiting -= 1
        self._busy += 1
        try:
            self._queued.observe(time.monotonic() - began)
            self._tokens["prompt"] += prompt_tokens
            await asyncio.sleep(self._dice.uniform(0.03, 0.12))
            last = time.monotonic()
            self._first.observe(last - began)
            for number, word in enumerate(words):
                if number:
                    await asyncio.sleep(self._dice.uniform(0.01, 0.04))
                    self._between.observe(time.monotonic() - last)
                    last = time.monotonic()
                self._tokens["generation"] += 1
                yield word
            self._whole.observe(time.monotonic() - began)
        finally:
            self._busy -= 1
            self._free.release()

    def exposed(self) -> str:
        """The page that Prometheus reads."""
        labels = f'engine="0",model_name="{self._model}"'
        lines = ["# HELP python_info A stand-in of ml-exporter's demo: no vLLM, and no model."]
        lines += [
            f'http_requests_total{{handler="{path}",method="POST",status="{status}xx"}} {count}'
            for (path, status), count in self._asked.items()
        ]
        for name, value in (
            ("num_requests_waiting", self._waiting),
            ("kv_cache_usage_perc", self._busy * _CACHE_OF_ONE),
            *((f"{kind}_tokens_total", count) for kind, count in self._tokens.items()),
        ):
            lines.append(f"vllm:{name}{{{labels}}} {value}")
        for histogram in (self._queued, self._whole, self._first, self._between):
            lines += histogram.lines(labels)
        return "\n".join(lines) + "\n"
