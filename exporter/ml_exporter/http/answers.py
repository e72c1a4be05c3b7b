"""The body of a probe's answer, within limits, and what stands around it."""

from __future__ import annotations

import ssl
import time
from collections.abc import Mapping
from typing import Any

import aiohttp
from yarl import URL

from ml_exporter.decoding import printable
from ml_exporter.errors import Malformed, Reason, Rejected
from ml_exporter.ports import Answer, Step

SHORT = 65_536
"""Bytes of a body that nobody wants, read so that the connection can be kept."""
BEGINNING = 4_096
"""Bytes that are kept of a body that is not judged as a whole, to be quoted."""
MOST_LINES = 20_000
"""Of a stream, not counting empty ones: each costs some hundred bytes beside its text. The longest stream that may be
right has 4,096 chunks with text (protocol openai), each perhaps with a comment, a name and an id beside its data."""
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


class Seen:
    """What is known of an exchange while it lasts, so that a failure can tell how far it came."""

    __slots__ = ("began", "body", "received", "status")

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget an earlier attempt."""
        self.status: int | None = None
        self.body: bytes = b""
        """What is kept of it."""
        self.received = 0
        """Bytes of the body, kept or not."""
        self.began = time.perf_counter()


async def read(response: aiohttp.ClientResponse, seen: Seen, limit: int, step: Step, whole: bool) -> Answer:
    """The answer to a step. `whole`: its body matters, and may have `limit` bytes; else a beginning will do.

    Raises `Malformed`.
    """
    if not whole:
        seen.body = await _beginning(response)
        seen.received = len(seen.body)
        return Answer(response.status, response.headers, seen.body)
    coding = response.headers.get("Content-Encoding", "identity").strip().lower()
    if coding not in ("", "identity"):
        response.close()
        raise Malformed(f"the answer is compressed ({printable(coding, 20)}), which was not asked for")
    announced = response.content_length
    if announced is not None and announced > limit:
        response.close()
        raise Malformed(f"the answer announces {announced} bytes; max_response_bytes is {limit}", Reason.TOO_LARGE)
    if step.stream:
        return await _lines(response, seen, limit, step.last_line)
    if announced is not None:
        seen.body = await response.read()
        seen.received = len(seen.body)
    else:
        await _chunks(response, seen, limit)
    return Answer(response.status, response.headers, seen.body)


async def _beginning(response: aiohttp.ClientResponse) -> bytes:
    """What an error says, or nothing much: enough to quote; the rest only if it is short."""
    if (response.content_length or SHORT + 1) <= SHORT or response.content_length == 0:
        return (await response.read())[:BEGINNING]
    body = b""
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > BEGINNING:
            response.close()
            break
    return body[:BEGINNING]


async def _chunks(response: aiohttp.ClientResponse, seen: Seen, limit: int) -> None:
    parts: list[bytes] = []
    async for chunk in response.content.iter_any():
        parts.append(chunk)
        _received(response, seen, chunk, limit)
    seen.body = b"".join(parts)


def _received(response: aiohttp.ClientResponse, seen: Seen, chunk: bytes, limit: int) -> None:
    """Count a chunk and keep it if it is of the beginning. Raises `Malformed` for more than `limit` bytes."""
    seen.received += len(chunk)
    if len(seen.body) < BEGINNING:
        seen.body = (seen.body + chunk)[:BEGINNING]
    if seen.received > limit:
        response.close()
        raise Malformed(f"the answer is larger than max_response_bytes ({limit})", Reason.TOO_LARGE)


async def _lines(response: aiohttp.ClientResponse, seen: Seen, limit: int, last_line: bytes) -> Answer:
    """The lines of a stream and when they came, and of its body the beginning."""
    lines: list[tuple[float, bytes]] = []
    unfinished: list[bytes] = []
    async for chunk in response.content.iter_any():
        now = time.perf_counter() - seen.began
        _received(response, seen, chunk, limit)
        if b"\n" not in chunk:
            unfinished.append(chunk)
            continue
        *finished, rest = b"".join((*unfinished, chunk)).split(b"\n")
        unfinished = [rest]
        lines += [(now, line.rstrip(b"\r")) for line in finished if line.strip()]
        if last_line and lines and lines[-1][1] == last_line:
            break
        if len(lines) > MOST_LINES:
            response.close()
            raise Malformed(f"the stream has more than {MOST_LINES} lines", Reason.TOO_LARGE)
    if rest := b"".join(unfinished).strip():
        lines.append((time.perf_counter() - seen.began, rest))
    return Answer(response.status, response.headers, seen.body, tuple(lines))


def redirect(answer: Answer, url: URL) -> URL | None:
    """Where an answer sends us, None if nowhere. Raises `Rejected` for another scheme, host or port."""
    location = answer.headers.get("Location")
    if answer.status not in _REDIRECTS or not location:
        return None
    try:
        target = url.join(URL(location))
        same = target.origin() == url.origin()
    except ValueError:
        raise Rejected(
            f"status {answer.status}, a redirect to nowhere: {printable(location, 80)}", Reason.REDIRECT
        ) from None
    if not same:
        shown = printable(str(target.with_query(None).with_fragment(None).with_user(None)), 120)
        raise Rejected(
            f"status {answer.status}, a redirect to {shown}; only redirects on the host are followed", Reason.REDIRECT
        )
    return target


def not_after(certificate: Mapping[str, Any]) -> float | None:
    """Until when a certificate is valid, in seconds since the epoch."""
    text = certificate.get("notAfter")
    return float(ssl.cert_time_to_seconds(text)) if isinstance(text, str) else None
