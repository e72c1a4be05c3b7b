"""What a failed exchange is called: status or exception → the error that a poll reports."""

from __future__ import annotations

import errno
import os
import re
import ssl
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

import aiohttp
from aiohttp.client_exceptions import UnixClientConnectorError

from ml_exporter.decoding import printable
from ml_exporter.errors import Malformed, Reason, Rejected, SourceError, Unreachable

LONGEST_REQUEST_TO_WAIT = 86_400.0
_CA_HINT = "; if its certificate is signed by your own authority, set ca_file"


def refusal(status: int, headers: Mapping[str, str], said: str, now: float, advice: str = "") -> SourceError:
    """The error for a status that is no answer; `said` is the beginning of the body, without secrets.

    `advice`: what to look at if it is about credentials.
    """
    quote = f": {_in_short(said)}" if said.strip() else ""
    if 300 <= status < 400:
        target = printable(_without_query(headers.get("Location", "nowhere")))
        return Rejected(f"status {status}, a redirect to {target}; redirects are not followed", Reason.REDIRECT)
    if status in (401, 403):
        return Rejected(f"status {status}, not authorised{quote}{f'; {advice}' if advice else ''}", Reason.AUTH)
    reason = Reason.RATE_LIMITED if status == 429 else Reason.SERVER_ERROR if status >= 500 else Reason.REJECTED
    hint = "; is this the right address, and the kind of server that is configured?" if status == 404 else ""
    return Rejected(f"status {status}{quote}{hint}", reason, retry_after=retry_after(headers.get("Retry-After"), now))


def failure(error: Exception, *, timeout: float, received: int, answered: bool, ca_file: str | None) -> SourceError:
    """The error for an exchange that did not end in an answer. Raises `error` itself if it is a bug of ours."""
    if isinstance(error, TimeoutError):
        stopped = f"stopped after {received} bytes" if answered else "none began"
        return Unreachable(f"no complete answer within {timeout:g} s, {stopped}", Reason.TIMEOUT)
    if isinstance(error, aiohttp.ClientSSLError | ssl.SSLError) or isinstance(error.__cause__, ssl.SSLError):
        return Unreachable(f"TLS failed: {printable(str(error))}{'' if ca_file else _CA_HINT}", Reason.TLS)
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return Unreachable(f"the host name {error.host} cannot be resolved")
    if isinstance(error, aiohttp.ClientConnectorError):
        number = error.os_error.errno
        socket = f" to the socket {error.path}" if isinstance(error, UnixClientConnectorError) else ""
        return Unreachable(
            f"cannot connect{socket}: {os.strerror(number).lower() if number else printable(str(error))}"
        )
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return Unreachable("the server closed the connection without an answer")
    if isinstance(error, aiohttp.ClientPayloadError):
        return Unreachable(f"the connection broke off after {received} bytes of the reply")
    if isinstance(error, aiohttp.ClientResponseError):
        return Malformed(f"not a valid HTTP answer: {printable(error.message)}")
    if isinstance(error, aiohttp.ClientError | OSError | UnicodeError):
        return Unreachable(printable(str(error)) or type(error).__name__)
    raise error


def exhausted(error: BaseException) -> str | None:
    """What this process has run out of, if that is why an exchange failed: it says nothing of the other side."""
    number = error.os_error.errno if isinstance(error, aiohttp.ClientConnectorError) else getattr(error, "errno", None)
    return f"{os.strerror(number)}: raise the limit (ulimit -n)" if number in (errno.EMFILE, errno.ENFILE) else None


def retry_after(value: str | None, now: float) -> float | None:
    """Seconds to wait, from a number of seconds or an HTTP date; at most a day."""
    text = (value or "").strip()
    if text.isascii() and text.isdigit():
        return min(float(text), LONGEST_REQUEST_TO_WAIT)
    try:
        return min(max(0.0, parsedate_to_datetime(text).timestamp() - now), LONGEST_REQUEST_TO_WAIT)
    except (ValueError, OverflowError):
        return None


def _in_short(said: str) -> str:
    """What a body says; of a page for people only its title."""
    if not said.lstrip().lower().startswith(("<!doctype html", "<html")):
        return printable(said)
    title = re.search(r"<title[^>]*>([^<]*)", said, re.IGNORECASE)
    return f"an HTML page, '{printable(title[1], 80)}'" if title else "an HTML page"


def _without_query(location: str) -> str:
    """A redirect to a login may carry a code or a state: the address is enough."""
    return location.partition("?")[0].partition("#")[0]
