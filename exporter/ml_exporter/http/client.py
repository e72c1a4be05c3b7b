"""Drives the calls of sources: one client per source, which alone knows time-outs, retries, limits and credentials."""

from __future__ import annotations

import asyncio
import random
import time
import urllib.parse
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

import aiohttp
import msgspec
from multidict import CIMultiDict
from yarl import URL

from ml_exporter import __version__, decoding
from ml_exporter.errors import ConfigError, Malformed, Reason, SourceError
from ml_exporter.http.connector import connector, ssl_context
from ml_exporter.http.credentials import Credentials, masked_params
from ml_exporter.http.failures import failure, refusal
from ml_exporter.ports import Auth, Call, Reply

RETRIES = 2
RETRIED = frozenset({Reason.UNREACHABLE, Reason.TIMEOUT, Reason.RATE_LIMITED, Reason.SERVER_ERROR})
FIRST_PAUSE = 0.5
LONGEST_PAUSE = 30.0
"""Seconds; a backend that asks for a longer pause gets it from the poller, not from a waiting call."""
TRACE_LENGTH = 100
EXCERPT = 500
ERROR_BODY = 4_096
CHUNK = 65_536
DECODED_AT_ONCE = 65_536
"""Bytes that are decoded in less time than handing them to a thread takes to pay off."""


@dataclass(frozen=True, slots=True)
class HttpSettings:
    """How a backend is reached. `timeout` is seconds for one attempt, from connecting to the last byte."""

    url: str
    timeout: float = 10.0
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    password_file: str | None = None
    token_file: str | None = None
    ca_file: str | None = None
    unix_socket: str | None = None
    max_response_bytes: int = 256_000_000
    auth: Auth = field(default_factory=Auth)


@dataclass(slots=True)
class Exchange:
    """One attempt as the debug page shows it: secrets struck out, texts cut."""

    method: str
    path: str
    """With its query."""
    sent: str
    status: int | None = None
    error: str | None = None
    seconds: float = 0.0
    bytes: int = 0
    reply: str = ""


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes
    seen: Exchange


class Client:
    """Sends the calls of one source. `requests` and `response_bytes` count every attempt since the start."""

    def __init__(
        self,
        settings: HttpSettings,
        *,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        rng: Callable[[], float] = random.random,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Raises `ConfigError` for a CA file or a header that cannot be used."""
        self._settings = settings
        self._base = settings.url.rstrip("/")
        self._sleep = sleep
        self._rng = rng
        self._clock = clock
        self._credentials = Credentials(
            username=settings.username,
            password=settings.password,
            password_file=settings.password_file,
            token_file=settings.token_file,
            headers=settings.headers,
            auth=settings.auth,
        )
        self._ssl = ssl_context(settings.ca_file)
        check_headers(settings.headers)
        self._session: aiohttp.ClientSession | None = None
        self._trace: deque[Exchange] = deque(maxlen=TRACE_LENGTH)
        self.requests = 0
        self.response_bytes = 0

    @property
    def trace(self) -> tuple[Exchange, ...]:
        """The last exchanges of the current poll, oldest first."""
        return tuple(self._trace)

    def begin_poll(self) -> None:
        """Forget the exchanges of the poll before."""
        self._trace.clear()

    async def close(self) -> None:
        """Close the connections; the client may be used again."""
        if self._session is not None:
            session, self._session = self._session, None
            await session.close()

    async def send(self, call: Call) -> Reply:
        """Send a call, again where that may help. Raises `Unreachable`, `Rejected` or `Malformed`.

        `retry_after` of the error is what the backend asked for, if it did.
        """
        for attempt in range(RETRIES + 1):
            try:
                return await self._attempt(call)
            except SourceError as error:
                pause = self._pause(error, attempt)
                if pause is None:
                    raise
            await self._sleep(pause)
        raise AssertionError("the last attempt returns or raises")

    def _pause(self, error: SourceError, attempt: int) -> float | None:
        asked = error.retry_after or 0.0
        if error.reason not in RETRIED or attempt == RETRIES or asked > LONGEST_PAUSE:
            return None
        return max(asked, FIRST_PAUSE * 2.0**attempt * (0.5 + self._rng()))

    async def _attempt(self, call: Call) -> Reply:
        where = f"{call.method} {self._base}{call.path}"
        try:
            await self._log_in(again=False)
            answer = await self._exchange(call)
            if self._credentials.expired(answer.status) and answer.status not in call.accept and await self._renew():
                answer = await self._exchange(call)
            return await self._judge(call, answer)
        except SourceError as error:
            raise type(error)(f"{where}: {error}", error.reason, retry_after=error.retry_after) from error.__cause__

    async def _renew(self) -> bool:
        """New credentials after a refusal, once; False if there are none but those that were refused."""
        return await self._log_in(again=True) or self._credentials.renewed()

    async def _log_in(self, *, again: bool) -> bool:
        """Get a token where this backend gives one for a password; True if there is a new one."""
        call = self._credentials.login(again=again)
        if call is None:
            return False
        answer = await self._exchange(call)
        if answer.status not in call.accept:
            where = f"login at {call.path}"
            said = self._credentials.mask(decoding.text_of(answer.body))
            error = refusal(answer.status, answer.headers, said, self._clock(), self._credentials.advice)
            raise type(error)(f"{where}: {error}", error.reason, retry_after=error.retry_after)
        self._credentials.logged_in(answer.status, answer.body)
        return True

    async def _exchange(self, call: Call) -> _Answer:
        """One request and its whole answer, counted and traced, whatever its status."""
        headers = self._headers(call)
        body = call.body if call.body is None or isinstance(call.body, bytes) else msgspec.json.encode(call.body)
        seen = Exchange(call.method, shown_path(call), self._excerpt(body or b""))
        self._trace.append(seen)
        self.requests += 1
        began = time.perf_counter()
        try:
            async with asyncio.timeout(self._settings.timeout):
                return await self._receive(call, headers, body, seen)
        except SourceError as error:
            seen.error = str(error)
            raise
        except Exception as error:
            translated = failure(
                error,
                timeout=self._settings.timeout,
                received=seen.bytes,
                answered=seen.status is not None,
                ca_file=self._settings.ca_file,
            )
            seen.error = str(translated)
            raise translated from error
        finally:
            seen.seconds = time.perf_counter() - began
            self.response_bytes += seen.bytes

    async def _receive(self, call: Call, headers: CIMultiDict[str], body: bytes | None, seen: Exchange) -> _Answer:
        url = URL(self._base + quoted_path(call), encoded=True)
        session = self._open_session()
        async with session.request(call.method, url, headers=headers, data=body, allow_redirects=False) as response:
            seen.status = response.status
            accepted = response.status in call.accept
            coding = response.headers.get("Content-Encoding", "identity").strip().lower()
            if coding not in ("", "identity"):
                response.close()
                if accepted:
                    raise Malformed(
                        f"the reply is compressed ({decoding.printable(coding, 20)}), which was not asked for"
                    )
                return _Answer(response.status, response.headers, b"", seen)
            limit = self._settings.max_response_bytes if accepted else ERROR_BODY
            announced = response.content_length or 0
            content, whole = (b"", False) if accepted and announced > limit else await _read(response, limit, seen)
            seen.reply = self._excerpt(content)
            if accepted and not whole:
                response.close()
                raise Malformed(f"the reply is larger than max_response_bytes ({limit})", Reason.TOO_LARGE)
            return _Answer(response.status, response.headers, content, seen)

    async def _judge(self, call: Call, answer: _Answer) -> Reply:
        try:
            return await self._reply(call, answer)
        except SourceError as error:
            answer.seen.error = str(error)
            raise

    async def _reply(self, call: Call, answer: _Answer) -> Reply:
        if answer.status not in call.accept:
            said = self._credentials.mask(decoding.text_of(answer.body))
            raise refusal(answer.status, answer.headers, said, self._clock(), self._credentials.advice)
        if answer.status != 200:
            return Reply(answer.status, answer.headers, answer.body)
        kind, content_type = call.reply, answer.headers.get("Content-Type", "")
        if len(answer.body) <= DECODED_AT_ONCE:
            value = decoding.decode(answer.body, kind, content_type)
        else:
            value = await asyncio.to_thread(decoding.decode, answer.body, kind, content_type)
        return Reply(answer.status, answer.headers, value)

    def _headers(self, call: Call) -> CIMultiDict[str]:
        headers = CIMultiDict({"User-Agent": f"ml-exporter/{__version__}", "Accept": "application/json"})
        if call.body is not None:
            headers["Content-Type"] = "application/json"
        headers.update(self._settings.headers)
        headers.update(self._credentials.headers())
        headers.update(call.headers)
        # A compressed reply could unpack to any size, so none is asked for and none is taken.
        headers["Accept-Encoding"] = "identity"
        return headers

    def _open_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=connector(self._settings.unix_socket, self._ssl),
                timeout=aiohttp.ClientTimeout(total=None),
                auto_decompress=False,
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._session

    def _excerpt(self, body: bytes) -> str:
        return self._credentials.mask(decoding.text_of(body))[:EXCERPT]


async def _read(response: aiohttp.ClientResponse, limit: int, seen: Exchange) -> tuple[bytes, bool]:
    """The body up to `limit` bytes, and whether that is all of it."""
    parts: list[bytes] = []
    async for part in response.content.iter_chunked(CHUNK):
        seen.bytes += len(part)
        parts.append(part)
        if seen.bytes > limit:
            response.close()
            return b"".join(parts)[:limit], False
    return b"".join(parts), True


def quoted_path(call: Call) -> str:
    """Path and query; sources percent-encode their own parts, what is still illegal is encoded here."""
    path = urllib.parse.quote(call.path, safe="/%:@!$&'()*+,;=~")
    return path + ("?" + urllib.parse.urlencode(call.params) if call.params else "")


def shown_path(call: Call) -> str:
    """Path and query as people may see them: values that look secret are struck out."""
    query = "&".join(f"{name}={value}" for name, value in masked_params(call.params))
    return call.path + (f"?{query}" if query else "")


def check_headers(headers: Mapping[str, str]) -> None:
    """Raises `ConfigError` for a configured header that could not be sent."""
    for name, value in headers.items():
        if not value.isprintable() or not name.isprintable():
            raise ConfigError(f"headers.{decoding.printable(name)}: holds a line break or another control character")
