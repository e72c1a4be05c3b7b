"""The seams: what a source says and what it is told. Sources do no I/O; they yield calls and get replies."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

from ml_exporter.model import Batch, Cursor, Pipeline


@dataclass(frozen=True, slots=True)
class Call:
    """One HTTP request to the backend that a source is configured for."""

    method: str
    path: str
    params: tuple[tuple[str, str], ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    """Sent as JSON; None sends no body."""
    accept: frozenset[int] = frozenset({200})
    """Statuses that are answers; any other one raises before the source sees it."""
    reply: Any = bytes
    """The type a 200 body is decoded into (msgspec rules); `bytes` leaves it as it came."""


@dataclass(frozen=True, slots=True)
class Reply:
    """The backend's answer. `value` is decoded for status 200, raw bytes for any other accepted status."""

    status: int
    headers: Mapping[str, str]
    value: Any


Poll: TypeAlias = Generator[Call | Batch, Any, None]
"""Yields a `Call` and gets a `Reply`; yields a `Batch` and gets a `Receipt`."""


@dataclass(frozen=True, slots=True)
class Login:
    """Where a token is got for a user and a password: they are sent as JSON, the token stands in `field` of the reply.

    A server that has no such place (404, 405) gets the user and the password as Basic authentication.
    """

    path: str
    field: str


@dataclass(frozen=True, slots=True)
class Auth:
    """How a kind of backend takes credentials. By default Basic for a user, `Authorization: Bearer` for a token."""

    login: Login | None = None
    token_header: str | None = None
    """The header that takes a token as it is."""
    user_header: str | None = None
    """The header that takes the user's name beside a token."""


class Source(Protocol):
    """One backend, read incrementally."""

    queue_times: bool
    """Whether its runs say when they were queued and when they started."""

    def poll(self, cursor: Cursor, now: float) -> Poll:
        """Read what changed since `cursor` (empty: never read before) as of `now`, seconds since the epoch.

        A batch is committed before the generator goes on, so a poll that is cut short resumes at its last batch.
        Raises `Malformed` for a reply that cannot be true.
        """
        ...

    def run_url(self, pipeline: Pipeline, pipeline_id: str | None, run_id: str) -> str | None:
        """The page of a run in the backend's own interface."""
        ...
