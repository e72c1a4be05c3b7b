"""The seams: what a source says and what it is told. Sources do no I/O; they yield calls and get replies.

Probes do none either: a protocol says what is asked of an endpoint, step by step, and judges the answers.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, TypeAlias

from ml_exporter.model import Batch, Check, Cursor, Outcome, Pipeline


@dataclass(frozen=True, slots=True)
class Call:
    """One HTTP request to the backend that a source is configured for."""

    method: str
    path: str
    params: tuple[tuple[str, str], ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    """Sent as JSON, bytes as they are; None sends no body."""
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

    def pipeline_url(self, pipeline: Pipeline, pipeline_id: str | None) -> str | None:
        """A pipeline's page there, or the list of its runs, or of all runs where nothing nearer can be named."""
        ...

    def home_url(self) -> str | None:
        """Where that interface begins."""
        ...


class Answer(NamedTuple):
    """What an endpoint answered to one step, with a status that the call accepts."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    """Of a streamed answer only the beginning, to be quoted."""
    lines: tuple[tuple[float, bytes], ...] = ()
    """Of a streamed answer: its lines that are not empty, each with the seconds from sending until it was whole."""


class Finding(NamedTuple):
    """What an answer that is right tells beside that."""

    version: str | None = None
    """The version of the model that answered, as the server calls it. One that is not printable or too long for a label
    makes the answer a wrong one."""
    tokens: int = 0
    """Output tokens."""
    first_token: float | None = None
    """Seconds from sending to the first token."""
    gaps: tuple[float, ...] = ()
    """Seconds between one token (or chunk of tokens) and the next."""


NOTHING = Finding()


def _nothing(_answer: Answer) -> Finding:
    return NOTHING


@dataclass(frozen=True, slots=True)
class Step:
    """One question to an endpoint. What is asked does not depend on earlier answers, so it is made once."""

    check: Check
    call: Call
    judge: Callable[[Answer], Finding] = _nothing
    """Raises `WrongPrediction` or `Malformed` for an answer that is not right. By default the status says all."""
    stream: bool = False
    """Whether the times of its lines matter."""
    last_line: bytes = b""
    """Of a stream: what ends it, whether or not the server closes it; empty: its own end does."""

    @property
    def wants_body(self) -> bool:
        """Whether more than the status is judged."""
        return self.judge is not _nothing


class StepResult(NamedTuple):
    """How one check went."""

    check: Check
    call: Call
    outcome: Outcome
    seconds: float
    """From sending to the last byte, or until it failed."""
    status: int | None = None
    problem: str | None = None
    excerpt: bytes = b""
    """The beginning of what came back."""


class Result(NamedTuple):
    """How a probe went."""

    began: float
    """Seconds since the epoch."""
    seconds: float
    """All of it."""
    outcome: Outcome
    steps: tuple[StepResult, ...]
    """Those that were asked; after a time-out or without a connection nothing more is."""
    finding: Finding
    trace_id: str
    span_id: str
    sampled: bool = True
    """Whether its trace is recorded if all goes well: else nobody finds one of that id."""

    @property
    def problem(self) -> str | None:
        """What went wrong first, of what decided the outcome."""
        return next((step.problem for step in self.steps if step.outcome is self.outcome and step.problem), None)


@dataclass(frozen=True, slots=True)
class Canary:
    """A prediction with a known answer, ready to be sent."""

    body: bytes
    content_type: str
    expect: tuple[Any, ...] = ()
    """`expectations.Expected`, all of which must hold."""


@dataclass(frozen=True, slots=True)
class Target:
    """What a protocol needs to know of an endpoint to say what is to be asked."""

    model: str | None = None
    version: str | None = None
    canary: Canary | None = None
    """None: the endpoint is asked whether it lives and is ready, and for no prediction."""
    options: Any = None
    """`Options` of the protocol."""


@dataclass(frozen=True, slots=True)
class Index:
    """How a server is asked which models it has."""

    call: Call
    models: Callable[[Answer], tuple[str, ...]]
    """Names, each once. Raises `Malformed`."""
