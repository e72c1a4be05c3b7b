"""Asks an endpoint the steps of its protocol, once and without retries: what came back, when, and what it means.

Nothing here is tried again: a failure that a second attempt would hide is what a probe is for. The one exception is a
kept connection that the server had closed meanwhile, which says nothing of how it answers.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import aiohttp
import msgspec
from aiohttp.abc import AbstractResolver
from multidict import CIMultiDict
from yarl import URL

from ml_exporter import __version__, decoding
from ml_exporter.errors import MlExporterError, Reason, Rejected, SourceError, WrongPrediction
from ml_exporter.http import answers
from ml_exporter.http.client import HttpSettings, check_headers, quoted_path
from ml_exporter.http.connections import Connections
from ml_exporter.http.credentials import Credentials
from ml_exporter.http.failures import exhausted, failure, refusal
from ml_exporter.http.spans import sampled
from ml_exporter.model import Check, Outcome
from ml_exporter.ports import Answer, Call, Finding, Result, Step, StepResult

EXCERPT = 500
JUDGED_AT_ONCE = 65_536
"""Bytes that are judged in less time than handing them to a thread takes to pay off."""
STALE = 0.25
"""Seconds within which a connection that had been closed by the server shows itself."""
REDIRECTS = 5


@dataclass(frozen=True, slots=True)
class _Exchange:
    """What the requests of one probe share."""

    session: aiohttp.ClientSession
    headers: CIMultiDict[str]
    deadline: float
    """By the loop's clock."""
    timeout: float


class ProbeClient:
    """Probes one endpoint, whatever its models. Needs a running loop when it probes."""

    def __init__(
        self,
        settings: HttpSettings,
        resolver: AbstractResolver,
        *,
        fresh: bool = False,
        sample_ratio: float = 1.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`fresh`: a new connection for each probe. `sample_ratio`: of traces whose `traceparent` says that they are
        recorded. Raises `ConfigError` for an unusable CA file or header."""
        self._settings, self._clock, self._sample_ratio = settings, clock, sample_ratio
        self._connections = Connections(settings, resolver, fresh=fresh)
        self._credentials = Credentials(
            username=settings.username,
            password=settings.password,
            password_file=settings.password_file,
            token_file=settings.token_file,
            headers=settings.headers,
        )
        check_headers(settings.headers)
        self._headers = CIMultiDict(
            {
                "User-Agent": f"ml-exporter/{__version__}",
                "Accept": "application/json, text/event-stream, */*;q=0.5",
                **settings.headers,
                # A compressed answer could unpack to any size.
                "Accept-Encoding": "identity",
            }
        )
        self._base = settings.url.rstrip("/")
        self._urls: dict[tuple[str, tuple[tuple[str, str], ...]], URL] = {}

    @property
    def not_after(self) -> float | None:
        """Until when the certificate that was shown last is valid, in seconds since the epoch."""
        return self._connections.not_after

    def shown(self, body: bytes, limit: int = EXCERPT) -> str:
        """The beginning of what was sent or came back as people may see it, without secrets."""
        return self._credentials.mask_beginning(decoding.text_of(body, limit))

    async def close(self) -> None:
        """Close the connections; the client may be used again."""
        await self._connections.close()

    async def probe(self, steps: Sequence[Step], timeout: float) -> Result:  # noqa: ASYNC109 — one deadline for all of it
        """Ask the steps in order within `timeout` seconds.

        Raises `MlExporterError` when this process is out of file descriptors, which no endpoint is to be blamed for.
        """
        began, start = self._clock(), time.perf_counter()
        trace_id, span_id = f"{random.getrandbits(128):032x}", f"{random.getrandbits(64):016x}"
        headers = self._headers.copy()
        headers["traceparent"] = f"00-{trace_id}-{span_id}-{sampled(trace_id, self._sample_ratio):02x}"
        done: list[StepResult] = []
        finding = Finding()
        async with self._connections.session() as session:
            exchange = _Exchange(session, headers, asyncio.get_running_loop().time() + timeout, timeout)
            for step in steps:
                result, found = await self._ask(step, exchange)
                done.append(result)
                finding = _merged(finding, found)
                if result.outcome in (Outcome.TIMEOUT, Outcome.UNREACHABLE):
                    break
        outcome = _decided(steps, done)
        return Result(began, time.perf_counter() - start, outcome, tuple(done), finding, trace_id, span_id)

    async def read(self, call: Call, timeout: float) -> Answer:  # noqa: ASYNC109 — as above
        """One answer, such as an index. Raises `SourceError`."""
        async with self._connections.session() as session:
            deadline = asyncio.get_running_loop().time() + timeout
            exchange = _Exchange(session, self._headers, deadline, timeout)
            return await self._answer(Step(Check.LIVE, call, _any), exchange, answers.Seen())

    async def _ask(self, step: Step, exchange: _Exchange) -> tuple[StepResult, Finding]:
        start, seen, found = time.perf_counter(), answers.Seen(), Finding()
        problem: Exception | None = None
        outcome = Outcome.OK
        ended: float | None = None
        try:
            answer = await self._answer(step, exchange, seen)
            ended = time.perf_counter()
            found = await _judged(step, answer)
        except (SourceError, WrongPrediction) as error:
            problem, outcome = error, _outcome(step.check, error, judged=ended is not None)
            found = Finding(version=getattr(error, "version", None))
        seconds = (ended or time.perf_counter()) - start
        said = self._credentials.mask(str(problem)) if problem else None
        excerpt = seen.body[:EXCERPT]
        return StepResult(step.check, step.call, outcome, seconds, seen.status, said, excerpt), found

    async def _answer(self, step: Step, exchange: _Exchange, seen: answers.Seen) -> Answer:
        """The answer to a step, whose status is one of those accepted. Raises `SourceError`."""
        try:
            async with asyncio.timeout_at(exchange.deadline):
                answer = await self._exchanged(step, exchange, seen)
                if answer.status == 401 and self._credentials.renewed():
                    answer = await self._exchanged(step, exchange, seen)
        except SourceError:
            raise
        except Exception as error:
            if ours := exhausted(error):
                raise MlExporterError(ours) from error
            ca_file, answered = self._settings.ca_file, seen.status is not None
            received = len(seen.body)
            translated = failure(error, timeout=exchange.timeout, received=received, answered=answered, ca_file=ca_file)
            raise translated from error
        if answer.status not in step.call.accept:
            said = self._credentials.mask(decoding.text_of(answer.body))
            raise refusal(answer.status, answer.headers, said, self._clock(), self._credentials.advice)
        return answer

    async def _exchanged(self, step: Step, exchange: _Exchange, seen: answers.Seen) -> Answer:
        before, start = self._connections.opened, time.perf_counter()
        try:
            return await self._followed(step, exchange, seen)
        except (aiohttp.ServerDisconnectedError, ConnectionResetError, BrokenPipeError):
            kept = self._connections.opened == before and seen.status is None
            if not kept or time.perf_counter() - start > STALE:
                raise
        # A connection from an earlier probe, closed by the server before it had heard of this one.
        return await self._followed(step, exchange, seen)

    async def _followed(self, step: Step, exchange: _Exchange, seen: answers.Seen) -> Answer:
        """The answer, after redirects that stay at the same scheme, host and port."""
        url, method = self._url(step.call), step.call.method
        for _ in range(REDIRECTS + 1):
            answer = await self._sent(step, method, url, exchange, seen)
            target = answers.redirect(answer, url)
            if target is None:
                return answer
            if answer.status == 303:
                method = "GET"
            url = target
        raise Rejected(f"more than {REDIRECTS} redirects, the last one to {url.path}", Reason.REDIRECT)

    async def _sent(self, step: Step, method: str, url: URL, exchange: _Exchange, seen: answers.Seen) -> Answer:
        call = step.call
        headers = exchange.headers.copy()
        headers.update(self._credentials.headers())
        headers.update(call.headers)
        data = call.body if method == call.method else None
        if data is not None and not isinstance(data, bytes):
            data = msgspec.json.encode(data)
            headers["Content-Type"] = "application/json"
        seen.reset()
        request = exchange.session.request(method, url, headers=headers, data=data, allow_redirects=False)
        async with request as response:
            seen.status = response.status
            whole = response.status in call.accept and step.wants_body
            return await answers.read(response, seen, self._settings.max_response_bytes, step, whole)

    def _url(self, call: Call) -> URL:
        key = (call.path, call.params)
        url = self._urls.get(key)
        if url is None:
            url = self._urls[key] = URL(self._base + quoted_path(call), encoded=True)
        return url


async def _judged(step: Step, answer: Answer) -> Finding:
    if len(answer.body) <= JUDGED_AT_ONCE:
        return step.judge(answer)
    return await asyncio.to_thread(step.judge, answer)


def _any(_answer: Answer) -> Finding:
    return Finding()


def _outcome(check: Check, error: Exception, *, judged: bool) -> Outcome:
    """The word for what went wrong; a wrong answer is a bad prediction only where one was asked for."""
    reason = getattr(error, "reason", None)
    if reason is Reason.TIMEOUT:
        return Outcome.TIMEOUT
    if reason in (Reason.UNREACHABLE, Reason.TLS):
        return Outcome.UNREACHABLE
    wrong = judged or reason is Reason.TOO_LARGE
    return Outcome.BAD_PREDICTION if wrong and check is Check.PREDICT else Outcome.HTTP_ERROR


def _decided(steps: Sequence[Step], done: Sequence[StepResult]) -> Outcome:
    """That of the prediction if there is one; else of the first check that failed."""
    last = done[-1]
    if last.check is Check.PREDICT or len(done) < len(steps):
        return last.outcome
    return next((step.outcome for step in done if step.outcome is not Outcome.OK), Outcome.OK)


def _merged(one: Finding, other: Finding) -> Finding:
    return replace(other, version=one.version) if one.version and not other.version else other
