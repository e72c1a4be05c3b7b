"""Calls to Airflow's REST API: version 2 of Airflow 3, and the stable version 1 of Airflow 2."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar
from urllib.parse import quote

from ml_exporter.errors import Malformed, Reason, Rejected
from ml_exporter.model import Batch
from ml_exporter.ports import Call, Reply
from ml_exporter.sources.airflow.shapes import (
    DagDetails,
    DagPage,
    Health,
    ImportErrorPage,
    PoolPage,
    RunPage,
    RunRecord,
    TaskPage,
    Version,
)
from ml_exporter.sources.airflow.walk import Params

T = TypeVar("T")
Steps: TypeAlias = Generator[Call | Batch, Any, T]

MAX_PAGES = 10_000
OPTIONAL = frozenset({200, 403})
"""For what a narrow role need not be allowed to read."""
REFUSED = frozenset({200, 400, 422})
"""A version that does not know the question."""


@dataclass(frozen=True, slots=True)
class Api:
    """What differs between the versions."""

    name: str
    airflow: str
    prefix: str
    health: str
    run_key: str
    """The time that every run has from its birth, and by which runs can be ordered and filtered."""
    live: tuple[str, str]
    """The parameter that leaves out DAGs whose file is gone."""
    run_page: str
    """A run's page in the interface, with `dag` and `run`."""
    dag_page: str
    tasks: bool
    """Whether task instances can be listed in order."""


V2 = Api(
    name="v2",
    airflow="Airflow 3",
    prefix="/api/v2",
    health="/api/v2/monitor/health",
    run_key="run_after",
    live=("exclude_stale", "true"),
    run_page="/dags/{dag}/runs/{run}",
    dag_page="/dags/{dag}",
    tasks=True,
)
V1 = Api(
    name="v1",
    airflow="Airflow 2",
    prefix="/api/v1",
    health="/api/v1/health",
    run_key="execution_date",
    live=("only_active", "true"),
    run_page="/dags/{dag}/grid?dag_run_id={run}",
    dag_page="/dags/{dag}/grid",
    tasks=False,
)


def find(known: Api | None) -> Steps[tuple[Api, Health]]:
    """The version that answers here, and its health: the one that answered before is asked first.

    Raises `Malformed` if there is none, `Rejected` if the server has lost its database.
    """
    for api in (V2, V1) if known is not V1 else (V1, V2):
        reply = yield Call("GET", api.health, accept=frozenset({200, 404}), reply=Health)
        if reply.status == 200:
            return api, healthy(reply.value)
    # The only address that Airflow 1.10 and no later one answers.
    old = yield Call("GET", "/api/experimental/test", accept=frozenset({200, 401, 403, 404}))
    found = "404 for both" if old.status == 404 else "the experimental API of Airflow 1"
    raise Malformed(
        f"found {found}, wanted is {V2.health} (Airflow 3) or {V1.health} (Airflow 2.6 or later): "
        "is this the right address, and is this Airflow too old or too new?"
    )


def healthy(health: Health) -> Health:
    """Without its database the server answers 200 and knows no heartbeat: that says nothing of the scheduler."""
    if health.metadatabase.status != "healthy":
        said = str(health.metadatabase.status)[:40]
        raise Rejected(f"health: the server says that its metadata database is {said}", Reason.SERVER_ERROR)
    return health


def list_dags(api: Api, limit: int, offset: int) -> Call:
    params = (("limit", str(limit)), ("offset", str(offset)), ("order_by", "dag_id"), api.live)
    return Call("GET", f"{api.prefix}/dags", params, reply=DagPage)


def list_runs(api: Api, states: Iterable[str], limit: int, more: Params) -> Call:
    params = (("limit", str(limit)), *(("state", state) for state in states), *more)
    return Call("GET", f"{api.prefix}/dags/~/dagRuns", params, accept=REFUSED, reply=RunPage)


def list_tasks(api: Api, states: Iterable[str], limit: int, more: Params) -> Call:
    params = (("limit", str(limit)), *(("state", state) for state in states), *more)
    return Call("GET", f"{api.prefix}/dags/~/dagRuns/~/taskInstances", params, accept=REFUSED, reply=TaskPage)


def get_run(api: Api, dag_id: str, dag_run_id: str) -> Call:
    path = f"{api.prefix}/dags/{quote(dag_id, safe='')}/dagRuns/{quote(dag_run_id, safe='')}"
    return Call("GET", path, accept=frozenset({200, 404}), reply=RunRecord)


def get_details(api: Api, dag_id: str) -> Call:
    path = f"{api.prefix}/dags/{quote(dag_id, safe='')}/details"
    return Call("GET", path, accept=frozenset({200, 403, 404}), reply=DagDetails)


def list_pools(api: Api, limit: int, offset: int) -> Call:
    params = (("limit", str(limit)), ("offset", str(offset)), ("order_by", "id"))
    return Call("GET", f"{api.prefix}/pools", params, accept=OPTIONAL, reply=PoolPage)


def list_import_errors(api: Api, limit: int) -> Call:
    return Call("GET", f"{api.prefix}/importErrors", (("limit", str(limit)),), accept=OPTIONAL, reply=ImportErrorPage)


def refused(api: Api, what: str, reply: Reply) -> Steps[None]:
    """Raise for a listing that the server does not understand, with its version."""
    version = yield Call("GET", f"{api.prefix}/version", accept=frozenset({200, 401, 403, 404}), reply=Version)
    found = f"Airflow {str(version.value.version)[:40]}" if version.status == 200 else api.airflow
    said = reply.value[:200].decode("utf-8", "replace")
    raise Rejected(
        f"{what}: {found} refuses the question with status {reply.status} ({said!r}); 2.6 or later is wanted"
    )


def all_items(what: str, call: Callable[[int], Call]) -> Steps[list[Any] | None]:
    """A listing by offset, whole; `call` makes the request for an offset. None: it may not be read (403).

    Raises `Malformed` if a page is missing, or if the listing changes as often as it is read.
    """
    for _ in range(2):
        reply = yield call(0)
        if reply.status != 200:
            return None
        items = yield from _rest(what, call, reply.value)
        if items is not None:
            return items
    raise Malformed(f"{what}: the listing changed while it was read, twice")


def _rest(what: str, call: Callable[[int], Call], page: Any) -> Steps[list[Any] | None]:
    """The items from the first page on; None if something came or went between two pages, so that one may be lost."""
    items, total = list(page.items), page.total_entries
    for _ in range(MAX_PAGES):
        if len(items) >= total:
            return items
        if not page.items:
            raise Malformed(f"{what}: an empty page after {len(items)} items, though {total} are announced")
        reply = yield call(len(items))
        if reply.status != 200:
            raise Malformed(f"{what}: status {reply.status} after {len(items)} items of {total}")
        page = reply.value
        if page.total_entries != total:
            return None
        items.extend(page.items)
    raise Malformed(f"{what}: more than {MAX_PAGES} pages")
