"""Calls to Prefect's REST API: where its root is, listings that end, and the token that some servers want."""

from __future__ import annotations

import uuid
from collections.abc import Generator, Mapping
from typing import Any, Protocol, TypeAlias, TypeVar

from msgspec import Struct

from ml_exporter.errors import Malformed, Reason, Rejected
from ml_exporter.model import Batch
from ml_exporter.ports import Call
from ml_exporter.reading import MAX_PAGES

T = TypeVar("T")
Steps: TypeAlias = Generator[Call | Batch, Any, T]

PAGE = 200
"""The most that a server gives at once (unless it is set to less), and the most ids in one question."""
MAJOR = "3"


class Identified(Protocol):
    @property
    def id(self) -> str: ...


Item = TypeVar("Item", bound=Identified)


class CsrfToken(Struct, frozen=True):
    token: str


class Api:
    """The API of one server. `url` is as configured: the server's address, or that of the API below it (…/api)."""

    def __init__(self, url: str, page_size: int = PAGE) -> None:
        base = url.rstrip("/")
        self.is_cloud = "/api/accounts/" in base
        self.root = "" if self.is_cloud or base.endswith("/api") else "/api"
        self.page_size = page_size
        self._client = uuid.uuid4().hex
        self._token = ""

    def ask(self, method: str, path: str, reply: Any, body: Any = None) -> Steps[Any]:
        """The decoded answer; gets a token first where the server guards against forged requests."""
        said = yield self._call(method, path, reply, body)
        if said.status == 403 and b"csrf" in said.value.lower():
            token = yield Call("GET", f"{self.root}/csrf-token", (("client", self._client),), reply=CsrfToken)
            self._token = token.value.token
            said = yield self._call(method, path, reply, body)
        if said.status == 403:
            raise Rejected(f"{path}: status 403, not authorised: {said.value[:200].decode('utf-8', 'replace')}", _AUTH)
        return said.value

    def _call(self, method: str, path: str, reply: Any, body: Any) -> Call:
        headers = {"Prefect-Csrf-Token": self._token, "Prefect-Csrf-Client": self._client} if self._token else {}
        accept = frozenset({200, 403})
        return Call(method, self.root + path, headers=headers, body=body, accept=accept, reply=reply)

    def page(self, what: str, kind: type[Item], body: Mapping[str, Any], offset: int = 0) -> Steps[list[Item]]:
        """One page of `/what/filter`."""
        paged = {**body, "limit": self.page_size, **({"offset": offset} if offset else {})}
        items: list[Item] = yield from self.ask("POST", f"/{what}/filter", list[kind], paged)  # type: ignore[valid-type]  # a list of whatever kind is asked for, made at run time
        return items

    def all(self, what: str, kind: type[Item], body: Mapping[str, Any]) -> Steps[dict[str, Item]]:
        """A listing to its end, by id. Raises `Malformed` if it has none.

        Pages are offsets: what goes away meanwhile makes another item slip through, so absence is no proof.
        """
        found: dict[str, Item] = {}
        for number in range(MAX_PAGES):
            items = yield from self.page(what, kind, body, number * self.page_size)
            before = len(found)
            found.update((item.id, item) for item in items)
            if len(items) < self.page_size:
                return found
            if len(found) == before:
                break
        raise Malformed(f"/{what}/filter: a page of {self.page_size} items brought none that is new: no end to it")

    def by_id(self, what: str, kind: type[Item], ids: list[str]) -> Steps[dict[str, Item]]:
        """Those of the items that exist."""
        found: dict[str, Item] = {}
        for start in range(0, len(ids), self.page_size):
            some = ids[start : start + self.page_size]
            items = yield from self.page(what, kind, {what: {"id": {"any_": some}}})
            found.update((item.id, item) for item in items)
        return found

    def check_version(self) -> Steps[None]:
        """Raises `Rejected` for a server of another major version. Prefect Cloud has none to tell."""
        if self.is_cloud:
            return
        version: str = yield from self.ask("GET", "/admin/version", str)
        if version.partition(".")[0] != MAJOR:
            raise Rejected(f"this is Prefect {version[:40]!r}; its API is read in version {MAJOR} (3.0 and later)")


_AUTH = Reason.AUTH
