"""The calls of Kubeflow Pipelines' API v2beta1, and what it answers, as far as it is read.

The API leaves out what is empty: a listing of nothing is `{}`. Errors are `{"code": …, "message": …, "details": []}`.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from typing import Any, TypeAlias, TypeVar

import msgspec
from msgspec import Struct

from ml_exporter.errors import Malformed, Reason, Rejected
from ml_exporter.model import Batch
from ml_exporter.ports import Call, Reply
from ml_exporter.reading import PageGuard, iso

T = TypeVar("T")
Steps: TypeAlias = Generator[Call | Batch, Any, T]

PAGE = 200
"""The server gives no more at once."""
BASE = "/apis/v2beta1"
FOUND = frozenset({200, 404})
NOT_FOUND = 5
AUTH = (7, 16)
"""Codes of gRPC: permission denied, unauthenticated."""


class Answer(Struct, frozen=True):
    """What every reply may be instead of itself."""

    code: int = 0
    message: str = ""


class Health(Answer, frozen=True):
    tag_name: str = "of an unknown version"
    multi_user: bool = False


class RunRecord(Struct, frozen=True):
    """Times are ISO texts, 1970 for none. A field may be anything: one bad run must not hide the others."""

    run_id: Any = None
    display_name: Any = None
    recurring_run_id: Any = None
    pipeline_version_reference: Any = None
    pipeline_spec: Any = None
    state: Any = None
    state_history: Any = None
    created_at: Any = None
    finished_at: Any = None
    error: Any = None


class RunReply(RunRecord, frozen=True):
    code: int = 0
    message: str = ""


class RunPage(Answer, frozen=True):
    runs: list[RunRecord] = []
    next_page_token: str = ""

    @property
    def items(self) -> list[RunRecord]:
        return self.runs


class RecurringRun(Struct, frozen=True):
    recurring_run_id: Any = None
    display_name: Any = None
    pipeline_version_reference: Any = None
    trigger: Any = None
    status: Any = None
    created_at: Any = None
    error: Any = None


class RecurringPage(Answer, frozen=True):
    recurringRuns: list[RecurringRun] = []  # noqa: N815 — Kubeflow's word
    next_page_token: str = ""

    @property
    def items(self) -> list[RecurringRun]:
        return self.recurringRuns


class PipelineRecord(Answer, frozen=True):
    pipeline_id: Any = None
    display_name: Any = None
    tags: Any = None


class PipelinePage(Answer, frozen=True):
    pipelines: list[PipelineRecord] = []
    next_page_token: str = ""

    @property
    def items(self) -> list[PipelineRecord]:
        return self.pipelines


def checked(reply: Reply, what: str) -> Any:
    """The value of a reply. Raises `Rejected` for an error in its place."""
    value = reply.value
    if value.code:
        reason = Reason.AUTH if value.code in AUTH else Reason.REJECTED
        raise Rejected(f"{what}: error {value.code}: {value.message[:200]!r}", reason)
    return value


def check_version() -> Steps[Health]:
    """Raises `Malformed` for a server without this API."""
    reply = yield Call("GET", f"{BASE}/healthz", accept=FOUND, reply=Health)
    if reply.status == 200:
        health: Health = checked(reply, f"{BASE}/healthz")
        return health
    older = (yield Call("GET", "/apis/v1beta1/healthz", reply=Health)).value
    raise Malformed(f"Kubeflow Pipelines {older.tag_name[:40]} is too old: it has no API v2beta1, 2.0 is needed")


def predicate(key: str, operation: str, **value: Any) -> dict[str, Any]:
    return {"operation": operation, "key": key, **value}


def since(key: str, seconds: float) -> dict[str, Any]:
    """The server keeps whole seconds."""
    return predicate(key, "GREATER_THAN_EQUALS", timestamp_value=iso(float(int(seconds))))


def one_of(key: str, words: Iterable[str]) -> dict[str, Any]:
    return predicate(key, "IN", string_values={"values": list(words)})


class Listing:
    """A listing, page by page. `next` is the token of the page that comes, "" after the last."""

    def __init__(self, path: str, kind: type[Any], namespace: str, size: int, *, by: str = "", **where: Any) -> None:
        self._path, self._kind = f"{BASE}/{path}", kind
        self._fixed = (("page_size", str(size)), *((("namespace", namespace),) if namespace else ()))
        self._first = ((("sort_by", by),) if by else ()) + tuple((k, _json(v)) for k, v in where.items())
        self._guard = PageGuard(path)
        self._next: str | None = None

    @property
    def is_over(self) -> bool:
        return self._next == ""

    def page(self) -> Steps[list[Any]]:
        """The items of the next page. Raises `Malformed`, `Rejected`."""
        # The token holds order and filter. Sent beside it, a filter with times or lists never compares equal.
        more = (("page_token", self._next),) if self._next else self._first
        reply = yield Call("GET", self._path, params=(*self._fixed, *more), reply=self._kind)
        page = checked(reply, self._path)
        items: list[Any] = page.items
        self._next = self._guard.check(page.next_page_token, len(items))
        return items

    def rest(self) -> Steps[list[Any]]:
        items: list[Any] = []
        while not self.is_over:
            items.extend((yield from self.page()))
        return items


def one(path: str, kind: type[T]) -> Steps[T | None]:
    """A single item; None if the server knows none of this id. Raises `Malformed`, `Rejected`."""
    reply = yield Call("GET", f"{BASE}/{path}", accept=FOUND, reply=kind)
    if reply.status == 200:
        value: T = checked(reply, f"{BASE}/{path[:80]}")
        return value
    try:
        answer = msgspec.json.decode(reply.value, type=Answer)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        answer = Answer()
    if answer.code != NOT_FOUND:
        raise Malformed(f"{BASE}/{path[:80]}: a 404 that is not Kubeflow's")
    return None


def _json(filter_: Any) -> str:
    return msgspec.json.encode({"predicates": filter_}).decode()
