"""Spans of probes → an OpenTelemetry collector: OTLP/JSON over HTTP, in batches, without ever making a probe wait.

A collector that is away, slow or wrong costs spans, which are counted, and nothing else.
"""

from __future__ import annotations

import asyncio
import io
import itertools
import logging
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Annotated

import aiohttp
import msgspec
from multidict import CIMultiDict
from yarl import URL

from ml_exporter import __version__, decoding
from ml_exporter.endpoint_settings import Tracing
from ml_exporter.errors import ConfigError, Malformed, Reason, SourceError
from ml_exporter.http.client import check_headers
from ml_exporter.http.connector import connector, ssl_context
from ml_exporter.http.credentials import Credentials
from ml_exporter.http.failures import failure, refusal
from ml_exporter.http.spans import Span, encoded, request, sampled

__all__ = ["Span", "SpanExporter"]

log = logging.getLogger(__name__)

QUEUE = 10_000
"""Spans that wait at most: about 10 MB."""
BATCH = 512
INTERVAL = 5.0
"""Seconds that a span waits for a batch to fill."""
TIMEOUT = 10.0
"""Seconds for one attempt, from connecting to the last byte of the answer."""
ATTEMPTS = 6
FIRST_PAUSE = 1.0
LONGEST_PAUSE = 300.0
"""Seconds; a collector that asks for more than this is asked again all the same."""
LAST_FLUSH = 2.0
LONGEST_ANSWER = 65_536
RETRIED = frozenset({429, 502, 503, 504})
"""By the OTLP specification; every other refusal is final."""
_WORTH_REPEATING = frozenset({Reason.UNREACHABLE, Reason.TIMEOUT, Reason.TLS, Reason.RATE_LIMITED, Reason.SERVER_ERROR})


class _PartialSuccess(msgspec.Struct, rename="camel"):
    rejected_spans: int | Annotated[str, msgspec.Meta(pattern=r"^\d{1,19}$")] = 0
    error_message: str = ""


class _Response(msgspec.Struct, rename="camel"):
    partial_success: _PartialSuccess | None = None


@dataclass(slots=True)
class _Seen:
    """The answer to an attempt, as far as it came."""

    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


class SpanExporter:
    """Takes spans and exports them while `run` runs. `dropped` counts those that did not arrive."""

    def __init__(
        self,
        settings: Tracing,
        *,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        rng: Callable[[], float] = random.random,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Without `otlp_url` nothing is taken. Raises `ConfigError` for a CA file or a header that cannot be used."""
        self._settings, self._sleep, self._rng, self._clock = settings, sleep, rng, clock
        try:
            check_headers(settings.headers)
            self._ssl = ssl_context(settings.ca_file)
        except ConfigError as error:
            raise ConfigError(f"tracing.{error}") from error
        self._credentials = Credentials(headers=settings.headers)
        self._url = URL(f"{(settings.otlp_url or '').rstrip('/')}/v1/traces")
        self._headers = CIMultiDict({"User-Agent": f"ml-exporter/{__version__}", **settings.headers})
        # A compressed answer could unpack to any size.
        self._headers.update({"Content-Type": "application/json", "Accept-Encoding": "identity"})
        self._queue: deque[bytes] = deque()
        self._full = asyncio.Event()
        self._failing = False
        self.dropped = 0

    def offer(self, span: Span) -> None:
        """Take a span, or drop it: never waits, never raises. To be called in the loop that `run` runs in."""
        try:
            if self._settings.otlp_url is None or not self._sampled(span):
                return
            if len(self._queue) >= QUEUE:
                self.dropped += 1
                return
            self._queue.append(encoded(span))
        except Exception:  # a probe must not fail because its story cannot be told
            self.dropped += 1
        if len(self._queue) >= BATCH:
            self._full.set()

    def _sampled(self, span: Span) -> bool:
        return span.error is not None or sampled(span.trace_id, self._settings.sample_ratio)

    async def run(self) -> None:
        """Export until cancelled, then what is left, within 2 s. Returns at once if there is no address."""
        if self._settings.otlp_url is None:
            return
        async with aiohttp.ClientSession(
            connector=connector(None, self._ssl),
            timeout=aiohttp.ClientTimeout(total=None),
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
        ) as session:
            try:
                while True:
                    await self._filled()
                    await self._next_batch(session, ATTEMPTS)
            except asyncio.CancelledError:
                await self._last_flush(session)
                raise

    async def _filled(self) -> None:
        """Wait for a whole batch, or for as long as a part of one may wait."""
        if len(self._queue) < BATCH:
            self._full.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(INTERVAL):
                    await self._full.wait()

    async def _last_flush(self, session: aiohttp.ClientSession) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(LAST_FLUSH):
                while self._queue:
                    await self._next_batch(session, 1)
        self.dropped += len(self._queue)
        self._queue.clear()

    async def _next_batch(self, session: aiohttp.ClientSession, attempts: int) -> None:
        """Export the oldest spans. They leave the queue when their fate is known: what was cancelled is sent again."""
        batch = list(itertools.islice(self._queue, BATCH))
        if not batch:
            return
        try:
            lost = await self._export(session, batch, attempts)
        except Exception:  # what is wrong with one batch must not end the export of all others
            log.exception("export of spans ended in a bug")
            lost = len(batch)
        self.dropped += lost
        for _ in batch:
            self._queue.popleft()

    async def _export(self, session: aiohttp.ClientSession, batch: Sequence[bytes], attempts: int) -> int:
        """Send a batch, again where the specification says so. The number of its spans that did not arrive."""
        body = request(batch)
        for attempt in range(1, attempts + 1):
            try:
                lost, why = await self._attempt(session, body)
            except SourceError as error:
                self._record(str(error))
                if attempt == attempts or error.reason not in _WORTH_REPEATING:
                    return len(batch)
                await self._sleep(self._pause(error, attempt))
            else:
                lost = min(lost, len(batch))
                self._record(f"{lost} of {len(batch)} spans were rejected: {why}" if lost else None)
                return lost
        raise AssertionError("the last attempt returns")

    def _pause(self, error: SourceError, attempt: int) -> float:
        backoff = FIRST_PAUSE * 2.0 ** (attempt - 1) * (0.5 + self._rng())
        return min(max(error.retry_after or 0.0, backoff), LONGEST_PAUSE)

    async def _attempt(self, session: aiohttp.ClientSession, body: bytes) -> tuple[int, str]:
        """How many spans the collector rejected, and why. Raises `SourceError`."""
        seen = _Seen()
        try:
            async with asyncio.timeout(TIMEOUT):
                await self._post(session, body, seen)
        except Exception as error:
            answered, ca_file = seen.status is not None, self._settings.ca_file
            raise failure(
                error, timeout=TIMEOUT, received=len(seen.body), answered=answered, ca_file=ca_file
            ) from error
        if seen.status != 200:
            refused = refusal(seen.status or 0, seen.headers, decoding.text_of(seen.body), self._clock())
            refused.reason = refused.reason if seen.status in RETRIED else Reason.REJECTED
            raise refused
        return _rejected(seen)

    async def _post(self, session: aiohttp.ClientSession, body: bytes, seen: _Seen) -> None:
        # As a file, for aiohttp warns of long bytes.
        data = io.BytesIO(body)
        async with session.post(self._url, data=data, headers=self._headers, allow_redirects=False) as response:
            seen.status, seen.headers = response.status, response.headers
            async for part in response.content.iter_any():
                seen.body += part
                if len(seen.body) > LONGEST_ANSWER:
                    # The rest would only be read to be thrown away.
                    response.close()
                    return

    def _record(self, error: str | None) -> None:
        url = self._settings.otlp_url
        if error and not self._failing:
            log.warning("export of spans fails", extra={"url": url, "error": self._credentials.mask(error)})
        elif self._failing and not error:
            log.info("export of spans succeeds again", extra={"url": url})
        self._failing = error is not None


def _rejected(answer: _Seen) -> tuple[int, str]:
    """How many spans a collector that answered 200 did not take, and why. Raises `Malformed`."""
    if not answer.body:
        return 0, ""
    if len(answer.body) > LONGEST_ANSWER:
        raise Malformed(f"the answer is longer than {LONGEST_ANSWER} bytes: is this an OTLP collector?")
    partial = decoding.decode(answer.body, _Response, answer.headers.get("Content-Type", "")).partial_success
    return (int(partial.rejected_spans), decoding.printable(partial.error_message)) if partial else (0, "")
