"""Collections of the Kubernetes API: a paged listing once, then what changed since, without a connection kept open.

A watch that ends after some seconds is an ordinary reply: one event a line. Its position is a resource version.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, replace
from typing import Any, Generic, NoReturn, TypeAlias, TypeVar

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType, field

from ml_exporter.errors import Malformed, Reason, Rejected
from ml_exporter.model import Batch
from ml_exporter.ports import Call, Reply
from ml_exporter.reading import PageGuard

T = TypeVar("T")
Steps: TypeAlias = Generator[Call | Batch, Any, T]

GONE = 410
"""The API server no longer knows what happened since a resource version."""
_SHOWN = 200
_REASONS = {401: Reason.AUTH, 403: Reason.AUTH, 429: Reason.RATE_LIMITED}


class Owner(Struct, frozen=True):
    kind: str = ""
    name: str = ""
    controller: bool | None = None


class ObjectMeta(Struct, frozen=True):
    """What every object says of itself."""

    name: str
    uid: str
    namespace: str = ""
    labels: dict[str, str] | None = None
    prefix: str = field(name="generateName", default="")
    owners: list[Owner] | None = field(name="ownerReferences", default=None)
    created: str | None = field(name="creationTimestamp", default=None)

    def label(self, key: str) -> str:
        """ "" for none."""
        return (self.labels or {}).get(key, "") if key else ""

    def owner(self) -> Owner | None:
        """What manages the object."""
        return next((owner for owner in self.owners or () if owner.controller), None)


class _Meta(Struct, frozen=True):
    version: str = field(name="resourceVersion", default="")
    token: str = field(name="continue", default="")


class _Page(Struct, frozen=True):
    """A page of a collection, or the `Status` that came in its place."""

    kind: str = ""
    metadata: _Meta = _Meta()
    items: list[Raw] | UnsetType | None = UNSET
    message: str = ""
    code: int = 0


class _Event(Struct, frozen=True):
    type: str
    object: Raw


class _Head(Struct, frozen=True):
    metadata: _Meta = _Meta()
    kind: str = ""


class _Status(Struct, frozen=True):
    message: str = ""
    code: int = 0


@dataclass(frozen=True, slots=True)
class Collection(Generic[T]):
    """What is listed and watched: all objects of a kind, of the cluster or of one namespace."""

    path: str
    decoder: msgspec.json.Decoder[T]
    selector: str = ""
    """A label selector."""

    def params(self, **more: str) -> tuple[tuple[str, str], ...]:
        return tuple({**({"labelSelector": self.selector} if self.selector else {}), **more}.items())


@dataclass(frozen=True, slots=True)
class Changes(Generic[T]):
    """What happened since a resource version: every state an object went through, oldest first."""

    version: str
    events: tuple[tuple[T, bool], ...]
    """Objects, and whether they were deleted in that state."""
    unreadable: int = 0


class Listing(Generic[T]):
    """One reading of a whole collection, page by page; all pages show the same moment, that of `version`."""

    def __init__(self, collection: Collection[T], limit: int) -> None:
        self.collection, self.limit = collection, limit
        self.version = ""
        self.done = False
        self.unreadable = 0
        """Objects that are not what the API promises: they are left out."""
        self._token = ""
        self._guard = PageGuard(collection.path)

    def page(self) -> Steps[list[T]]:
        """The next page. Raises `Malformed`, or `Rejected` if the listing took longer than the server keeps pages."""
        more = {"continue": self._token} if self._token else {}
        params = self.collection.params(limit=str(self.limit), **more)
        reply = yield Call("GET", self.collection.path, params, accept=frozenset({200, GONE}), reply=_Page)
        if reply.status == GONE:
            raise Rejected(f"{self.collection.path}: the pages of this listing have expired; it begins anew")
        found: _Page = reply.value
        if found.kind == "Status":
            _refuse(self.collection.path, found)
        if found.items is UNSET or not found.metadata.version:
            missing = "items" if found.items is UNSET else "metadata.resourceVersion"
            raise Malformed(f"{self.collection.path}: no {missing} in what should be a list ('{found.kind[:60]}')")
        self.version = found.metadata.version
        items = found.items or []
        self._token = self._guard.check(found.metadata.token, len(items))
        self.done = not self._token
        objects = [_decode(item, self.collection.decoder) for item in items]
        readable = [item for item in objects if item is not None]
        self.unreadable += len(items) - len(readable)
        return readable


def current_version(collection: Collection[Any]) -> Steps[str]:
    """The resource version of now, for the price of one object: any, for a selector may have to look at all."""
    listing = Listing(replace(collection, selector=""), 1)
    yield from listing.page()
    return listing.version


def watch(collection: Collection[T], version: str, seconds: float) -> Steps[Changes[T] | None]:
    """What happened since `version`; waits `seconds` for more. None: the server cannot say, so list anew.

    Raises `Malformed` for a reply that was cut off and `Rejected` for an error among the events.
    """
    more = {"resourceVersion": version, "timeoutSeconds": str(max(1, round(seconds)))}
    params = collection.params(watch="1", allowWatchBookmarks="true", **more)
    reply: Reply = yield Call("GET", collection.path, params, accept=frozenset({200, GONE}), reply=bytes)
    if reply.status == GONE:
        return None
    events, unreadable = [], 0
    for event in _events(collection.path, reply):
        head = _decode(event.object, _HEAD)
        if event.type == "ERROR" or head is None or head.kind == "Status":
            status = _decode(event.object, _STATUS) or _Status()
            if status.code == GONE:
                return None
            _refuse(collection.path, status)
        if is_before(head.metadata.version, version):
            return None  # the cluster was set back to an earlier state
        version = head.metadata.version or version
        if event.type == "BOOKMARK":
            continue
        item = _decode(event.object, collection.decoder)
        if item is None:
            unreadable += 1
        else:
            events.append((item, event.type == "DELETED"))
    return Changes(version, tuple(events), unreadable)


def is_before(version: str, other: str) -> bool:
    """Whether a resource version is older than another one; False if they do not say."""
    plain = version.isascii() and version.isdigit() and other.isascii() and other.isdigit()
    return plain and (len(version), version) < (len(other), other)


def _events(path: str, reply: Reply) -> list[_Event]:
    body: bytes = reply.value
    start = body[:64].lstrip().lower()
    if start.startswith((b"<!doctype html", b"<html")):
        shown = " ".join(body[:80].decode("utf-8", "replace").split())
        raise Malformed(f"{path}: an HTML page, starting with '{shown}'; is this the right address, or a login page?")
    if body and not body.endswith(b"\n"):
        raise Malformed(f"{path}: the watch was cut off after {len(body)} bytes, in the middle of an event")
    try:
        return _LINES.decode_lines(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        why = str(error)[:_SHOWN]
        raise Malformed(f"{path}: not a watch's events ({why}), starting with {body[:60]!r}") from None


_LINES = msgspec.json.Decoder(_Event)
_HEAD = msgspec.json.Decoder(_Head)
_STATUS = msgspec.json.Decoder(_Status)


def _decode(raw: Raw, decoder: msgspec.json.Decoder[T]) -> T | None:
    """None for what cannot be read."""
    try:
        return decoder.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def _refuse(path: str, status: _Page | _Status) -> NoReturn:
    said = status.message[:_SHOWN] or "no reason given"
    raise Rejected(f"{path}: the API server refused: {said} ({status.code})", _REASONS.get(status.code))
