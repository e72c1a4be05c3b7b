"""Asks an endpoint the steps of its protocol, once and without retries: what came back, when, and what it means.

Nothing here is tried again: a failure that a second attempt would hide is what a probe is for. The one exception is a
kept connection that the server had closed meanwhile, which says nothing of how it answers: that is made up for with a
new one.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import aiohttp
import msgspec
from aiohttp.abc import AbstractResolver
from multidict import CIMultiDict
from yarl import URL

from ml_exporter import __version__, decoding
from ml_exporter.errors import MlExporterError, Reason, Rejected, SourceError, Unreachable, WrongPrediction
from ml_exporter.http import answers
from ml_exporter.http.client import HttpSettings, check_headers, quoted_path
from ml_exporter.http.connections import Connections, watch
from ml_exporter.http.credentials import Credentials
from ml_exporter.http.failures import exhausted, failure, refusal
from ml_exporter.http.spans import sampled
from ml_exporter.model import Check, Outcome
from ml_exporter.ports import NOTHING, Answer, Call, Finding, Result, Step, StepResult

EXCERPT = 500
JUDGED_AT_ONCE = 32_768
"""Bytes; what is larger takes longer to judge than handing it to a thread."""
_JUDGES = ThreadPoolExecutor(2, thread_name_prefix="judge")
"""Of their own: hostile answers must not take the threads that render and poll."""
PREPARED = 10_000
"""Models of one endpoint whose requests are kept ready."""
LONGEST_VERSION = 200
"""Characters. Real ones are numbers, tags or hashes."""
STALE = 0.25
"""Seconds within which a connection that had been closed by the server shows itself."""
REDIRECTS = 5


class _Request(NamedTuple):
    """A step as it is sent, but for what is new each time."""

    step: Step
    url: URL
    headers: CIMultiDict[str]
    data: bytes | None


class _Exchange(NamedTuple):
    """What the requests of one probe share."""

    session: aiohttp.ClientSession
    traceparent: str | None
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
        self._prepared: dict[int, tuple[Sequence[Step], list[_Request]]] = {}
        """By the identity of the steps, which are kept so that no others can have it."""

    @property
    def not_after(self) -> float | None:
        """Until when the certificate that was shown last is valid, in seconds since the epoch."""
        return self._connections.not_after

    def shown(self, body: bytes, limit: int = EXCERPT) -> str:
        """The beginning of what was sent or came back as people may see it, without secrets."""
        return self._credentials.mask(decoding.text_of(body, limit), cut=True)

    def abort(self) -> None:
        """Drop the connections at once; `close` has nothing to wait for then."""
        self._connections.abort()

    async def close(self) -> None:
        """Close the connections; the client may be used again."""
        await self._connections.close()

    async def probe(self, steps: Sequence[Step], timeout: float) -> Result:  # noqa: ASYNC109 — one deadline for all of it
        """Ask the steps in order within `timeout` seconds.

        Raises `MlExporterError` when this process is out of file descriptors or cannot read its own credentials, which
        no endpoint is to be blamed for.
        """
        began, start = self._clock(), time.perf_counter()
        trace_id, span_id = f"{random.getrandbits(128):032x}", f"{random.getrandbits(64):016x}"
        is_sampled = sampled(trace_id, self._sample_ratio)
        traceparent = f"00-{trace_id}-{span_id}-{is_sampled:02x}"
        deadline = asyncio.get_running_loop().time() + timeout
        done: list[StepResult] = []
        finding = NOTHING
        session = await self._connections.take()
        try:
            exchange = _Exchange(session.http, traceparent, deadline, timeout)
            for request in self._requests(steps):
                result, found = await self._ask(request, exchange)
                done.append(result)
                finding = _merged(finding, found)
                if result.outcome in (Outcome.TIMEOUT, Outcome.UNREACHABLE):
                    break
        finally:
            self._connections.give_back(session)
        outcome = _decided(steps, done)
        return Result(began, time.perf_counter() - start, outcome, tuple(done), finding, trace_id, span_id, is_sampled)

    async def read(self, call: Call, timeout: float) -> Answer:  # noqa: ASYNC109 — as above
        """One answer, such as an index. Raises `SourceError`, and `MlExporterError` as `probe` does."""
        session = await self._connections.take()
        try:
            exchange = _Exchange(session.http, None, asyncio.get_running_loop().time() + timeout, timeout)
            return await self._answer(self._request(Step(Check.LIVE, call, _any)), exchange, answers.Seen())
        finally:
            self._connections.give_back(session)

    def _requests(self, steps: Sequence[Step]) -> list[_Request]:
        known = self._prepared.get(id(steps))
        if known is None:
            if len(self._prepared) >= PREPARED:
                self._prepared.clear()
            known = self._prepared[id(steps)] = (steps, [self._request(step) for step in steps])
        return known[1]

    def forget(self, steps: Sequence[Step]) -> None:
        """These steps will not be asked again."""
        self._prepared.pop(id(steps), None)

    def _request(self, step: Step) -> _Request:
        call, data = step.call, step.call.body
        headers = self._headers.copy()
        if data is not None and not isinstance(data, bytes):
            data = msgspec.json.encode(data)
            headers["Content-Type"] = "application/json"
        headers.update(call.headers)
        return _Request(step, URL(self._base + quoted_path(call), encoded=True), headers, data)

    async def _ask(self, request: _Request, exchange: _Exchange) -> tuple[StepResult, Finding]:
        step = request.step
        start, seen, found = time.perf_counter(), answers.Seen(), NOTHING
        said: str | None = None
        outcome = Outcome.OK
        ended: float | None = None
        try:
            answer = await self._answer(request, exchange, seen)
            ended = time.perf_counter()
            small = seen.received <= JUDGED_AT_ONCE
            found = step.judge(answer) if small else await _judged(step, answer, exchange)
            if not _fits(found.version):
                raise _misnamed(found.version)
        except (SourceError, WrongPrediction) as error:
            # The error itself is not kept: it holds this frame, and both would wait to be found as garbage.
            said = self._credentials.mask(str(error))
            outcome = _outcome(step.check, error, judged=ended is not None)
            version = getattr(error, "version", None)
            found = Finding(version=version) if _fits(version) else NOTHING
        seconds = (ended or time.perf_counter()) - start
        excerpt = seen.body[:EXCERPT]
        return StepResult(step.check, step.call, outcome, seconds, seen.status, said, excerpt), found

    async def _answer(self, request: _Request, exchange: _Exchange, seen: answers.Seen) -> Answer:
        """The answer to a step, whose status is one of those accepted. Raises `SourceError`."""
        try:
            async with asyncio.timeout_at(exchange.deadline):
                answer = await self._followed(request, exchange, seen)
                if answer.status == 401 and self._credentials.renewed():
                    answer = await self._followed(request, exchange, seen)
        except SourceError:
            raise
        except Exception as error:
            if ours := exhausted(error):
                raise MlExporterError(ours) from error
            raise failure(
                error,
                timeout=exchange.timeout,
                received=seen.received,
                answered=seen.status is not None,
                ca_file=self._settings.ca_file,
            ) from error
        if answer.status not in request.step.call.accept:
            said = self._credentials.mask(decoding.text_of(answer.body))
            refused = refusal(answer.status, answer.headers, said, self._clock(), self._credentials.advice)
            raise type(refused)(f"{request.step.call.method} {request.url.path}: {refused}", refused.reason)
        return answer

    async def _followed(self, request: _Request, exchange: _Exchange, seen: answers.Seen) -> Answer:
        """The answer, after redirects that stay at the same scheme, host and port."""
        answer = await self._sent(request, request.step.call.method, exchange, seen)
        for _ in range(REDIRECTS):
            target = answers.redirect(answer, request.url)
            if target is None:
                return answer
            get = answer.status == 303
            request = request._replace(url=target, data=None if get else request.data)
            answer = await self._sent(request, "GET" if get else request.step.call.method, exchange, seen)
        if answers.redirect(answer, request.url) is not None:
            raise Rejected(f"more than {REDIRECTS} redirects, the last one to {request.url.path}", Reason.REDIRECT)
        return answer

    async def _sent(self, request: _Request, method: str, exchange: _Exchange, seen: answers.Seen) -> Answer:
        own, start = watch(), time.perf_counter()
        try:
            return await self._exchanged(request, method, exchange, seen)
        except aiohttp.ClientConnectorError:
            raise  # which is a ClientOSError, too
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError, ConnectionError):
            if own.opened or seen.status is not None or time.perf_counter() - start > STALE:
                raise
        # A kept connection, closed by the server before it had heard of this request. Others that are kept may be, too.
        session = await self._connections.take(alone=True)
        try:
            return await self._exchanged(request, method, exchange._replace(session=session.http), seen)
        finally:
            self._connections.give_back(session)

    def _proof(self) -> Mapping[str, str]:
        """Raises `MlExporterError` for a file of ours that cannot be read: nothing was asked."""
        try:
            return self._credentials.headers()
        except SourceError as error:
            raise MlExporterError(str(error)) from error

    async def _exchanged(self, request: _Request, method: str, exchange: _Exchange, seen: answers.Seen) -> Answer:
        step, headers = request.step, request.headers.copy()
        if exchange.traceparent:
            headers["traceparent"] = exchange.traceparent
        headers.update(self._proof())
        seen.reset()
        sending = exchange.session.request(
            method, request.url, headers=headers, data=request.data, allow_redirects=False
        )
        async with sending as response:
            seen.status = response.status
            whole = response.status in step.call.accept and step.wants_body
            return await answers.read(response, seen, self._settings.max_response_bytes, step, whole)


async def _judged(step: Step, answer: Answer, exchange: _Exchange) -> Finding:
    """A large answer, judged in a thread, within the time of the probe. Raises `Unreachable` when that is over."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout_at(exchange.deadline):
            return await loop.run_in_executor(_JUDGES, step.judge, answer)
    except TimeoutError:
        raise Unreachable(f"the answer could not be judged within {exchange.timeout:g} s", Reason.TIMEOUT) from None


def _fits(version: str | None) -> bool:
    """Whether it can be a label, which is kept, shown and stored with each probe."""
    return version is None or (len(version) <= LONGEST_VERSION and version.isprintable())


def _misnamed(version: str | None) -> WrongPrediction:
    # Were it taken for unknown, the probes of such a server would be counted for another version, without a word.
    said = f"the version '{decoding.printable(version or '', 40)}' of {len(version or '')} characters"
    return WrongPrediction(f"the server names {said}; allowed are {LONGEST_VERSION} printable ones")


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
    return other._replace(version=one.version) if one.version and not other.version else other
