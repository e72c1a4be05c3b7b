"""Calls to MLflow's REST API, and loops over its pages that always end."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

from ml_exporter.errors import Malformed
from ml_exporter.model import Batch
from ml_exporter.ports import Call
from ml_exporter.reading import PageGuard
from ml_exporter.sources.mlflow.shapes import ExperimentPage, RunPage, RunReply

T = TypeVar("T")
Steps: TypeAlias = Generator[Call | Batch, Any, T]

MAX_IDS = 2000
"""Experiments per query: Microsoft SQL Server takes 2,100 parameters."""
ACTIVE_FILTER = "attributes.status != 'FINISHED' and attributes.status != 'FAILED' and attributes.status != 'KILLED'"
"""What is none of these is RUNNING or SCHEDULED: one query instead of two (MLflow knows no OR)."""


def all_pages(what: str, call: Callable[[str], Call]) -> Steps[list[Any] | None]:
    """Read a listing to its end; `call` makes the request for a token. None: this server does not have it (404)."""
    guard, items, token = PageGuard(what), [], ""
    while True:
        reply = yield call(token)
        if reply.status == 404:
            return None
        items.extend(reply.value.items)
        token = guard.check(reply.value.next_page_token, len(reply.value.items))
        if not token:
            return items


@dataclass(frozen=True, slots=True)
class Part:
    """Experiments that one query can cover: of one workspace ("" without workspaces), and not too many."""

    workspace: str
    ids: tuple[str, ...]


def headers(workspace: str) -> dict[str, str]:
    return {"X-MLFLOW-WORKSPACE": workspace} if workspace else {}


def search_experiments(workspace: str, filter_: str, view: str, size: int, token: str) -> Call:
    body: dict[str, Any] = {"max_results": size, "view_type": view, "order_by": ["experiment_id ASC"]}
    if filter_:
        body["filter"] = filter_
    if token:
        body["page_token"] = token
    path = "/api/2.0/mlflow/experiments/search"
    return Call("POST", path, headers=headers(workspace), body=body, reply=ExperimentPage)


def search_runs(part: Part, filter_: str, order: str, token: str, size: int, view: str = "ACTIVE_ONLY") -> Call:
    body: dict[str, Any] = {"experiment_ids": part.ids, "max_results": size, "run_view_type": view}
    if filter_:
        body["filter"] = filter_
    if order:
        body["order_by"] = [f"{order} ASC"]
    if token:
        body["page_token"] = token
    return Call("POST", "/api/2.0/mlflow/runs/search", headers=headers(part.workspace), body=body, reply=RunPage)


def get_run(workspace: str, run_id: str) -> Call:
    return Call(
        "GET",
        "/api/2.0/mlflow/runs/get",
        (("run_id", run_id),),
        headers(workspace),
        accept=frozenset({200, 404}),
        reply=RunReply,
    )


def quoted(ids: Iterable[str]) -> str:
    """A list for IN and NOT IN; ids that would need escaping cannot be asked for and are left out."""
    return "(" + ",".join(f"'{id_}'" for id_ in ids if "'" not in id_ and "\\" not in id_) + ")"


@dataclass(frozen=True, slots=True)
class Position:
    """Where a walk over runs in order of a time stands: from `at` (ms; None: from the start), page `token`.

    MLflow's tokens are offsets, which shift when rows come or go, so a walk goes on from the last time it saw and
    follows a token only while a whole page shares one time.
    """

    at: int | None = None
    token: str = ""

    def filter(self, field: str) -> str:
        return "" if self.at is None else f"attributes.{field} >= {self.at}"

    def after(self, page: RunPage, field: str) -> Position | None:
        """The next position; None at the end. Raises `Malformed` if the walk would not get on."""
        token = PageGuard("runs/search", self.token).check(page.next_page_token, len(page.items))
        if not token:
            return None
        last: int | None = getattr(page.runs[-1].info, field)
        if last is not None and (self.at is None or last > self.at):
            return Position(last)
        if last is not None and self.at is not None and last < self.at:
            raise Malformed(f"runs/search: {field} {last} after {self.at}, though the order asked for is ascending")
        return Position(self.at, token)


START = Position()
