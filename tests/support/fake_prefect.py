"""A FAKE of Prefect's API, for what a real one cannot do on demand: faults, hostile data, long histories, other times.

It knows the filters and orders that the source uses; `test_prefect_real.py` holds the source against a real server.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec
from tests.support.polling import Listener

from ml_exporter.errors import Malformed
from ml_exporter.model import Batch, PipelineInfo, Receipt
from ml_exporter.ports import Call, Reply, Source
from ml_exporter.reading import instant, iso
from ml_exporter.sources import prefect

NOW = 1_800_000_000.0
Row = dict[str, Any]

_ORDERS: dict[str | None, Callable[[Row], Any]] = {
    "END_TIME_DESC": lambda row: -(instant(row.get("end_time")) or 0.0),
    "ID_DESC": lambda row: [-ord(c) for c in row["id"]],
    "NEXT_SCHEDULED_START_TIME_ASC": lambda row: row.get("next_scheduled_start_time") or "",
    "CREATED_DESC": lambda row: -row["number"],
    None: lambda row: row["id"],
}


@dataclass
class FakePrefect:
    """Call it with a `Call`. `fault` may answer in its place."""

    tables: dict[str, list[Row]] = field(
        default_factory=lambda: {
            name: [] for name in ("deployments", "flows", "flow_runs", "work_pools", "work_queues")
        }
    )
    calls: list[Call] = field(default_factory=list)
    fault: Callable[[Call], Reply | None] = lambda call: None
    prefix: str = "/api"
    version: str = "3.8.8"
    known: set[str] = field(default_factory=set)
    """Ids of runs."""

    def flow(self, name: str) -> str:
        self.tables["flows"].append({"id": f"flow-{name}", "name": name})
        return f"flow-{name}"

    def deployment(self, flow: str, name: str, *schedules: Row, **values: Any) -> str:
        """`schedules`: as Prefect has them, {"cron": …} and so on; in force for 1e6 s."""
        if not any(known["name"] == flow for known in self.tables["flows"]):
            self.flow(flow)
        then = iso(NOW - 1e6)
        listed = [{"schedule": s, "active": True, "created": then, "updated": then} for s in schedules]
        row = {"id": f"{flow}-{name}", "name": name, "flow_id": f"flow-{flow}", "schedules": listed, "paused": False}
        self.tables["deployments"].append({**row, "created": then, "updated": then, "tags": [], **values})
        self.tables["deployments"][-1]["number"] = len(self.tables["deployments"])
        return f"{flow}-{name}"

    def run(self, id_: str, state: str = "COMPLETED", /, **values: Any) -> None:
        """Put a run in place of the one that had its id. `expected`, `start`, `end`, `next` in seconds."""
        kind, _, name = state.partition(":")
        row: Row = {"id": id_, "flow_id": "flow-etl", "deployment_id": None, "parent_task_run_id": None}
        row |= {"state_type": kind, "state_name": name or kind.capitalize(), "run_count": 1, "tags": []}
        times = {
            "expected": "expected_start_time",
            "start": "start_time",
            "end": "end_time",
            "next": "next_scheduled_start_time",
        }
        for key, value in values.items():
            row[times.get(key, key)] = iso(value) if key in times else value
        if id_ in self.known:
            self.remove(id_)
        self.known.add(id_)
        self.tables["flow_runs"].append(row)

    def remove(self, id_: str) -> None:
        self.tables["flow_runs"] = [row for row in self.tables["flow_runs"] if row["id"] != id_]

    def __call__(self, call: Call) -> Reply:
        self.calls.append(call)
        faulty = self.fault(call)
        if faulty is not None:
            return faulty
        path = call.path.removeprefix(self.prefix)
        if path == "/admin/version":
            return Reply(200, {}, self.version)
        what, _, verb = path.lstrip("/").partition("/")
        assert (call.method, verb) == ("POST", "filter"), call
        return answer(call, self._page(what, call.body))

    def _page(self, what: str, body: Row) -> list[Row]:
        rows = [row for row in self.tables[what] if _holds(row, body.get(what, {}))]
        rows.sort(key=_ORDERS[body.get("sort")])
        offset = body.get("offset", 0)
        return rows[offset : offset + body["limit"]]

    def count(self) -> Counter[str]:
        """Calls by what they list."""
        return Counter(call.path.removeprefix(self.prefix).strip("/").partition("/")[0] for call in self.calls)


def answer(call: Call, value: Any) -> Reply:
    """A reply as the client decodes it."""
    try:
        return Reply(200, {}, msgspec.json.decode(msgspec.json.encode(value), type=call.reply))
    except msgspec.ValidationError as error:
        raise Malformed(str(error)) from error


def _holds(row: Row, filter_: Row) -> bool:
    found = [_term(row, key, term) for key, term in filter_.items() if key != "operator"]
    return any(found) if filter_.get("operator") == "or_" else all(found)


def _term(row: Row, key: str, term: Row) -> bool:
    if key == "state":
        found = [row.get(f"state_{part}") in wanted["any_"] for part, wanted in term.items() if part != "operator"]
        return any(found) if term.get("operator") == "or_" else all(found)
    if "any_" in term:
        return row.get(key) in term["any_"]
    at = instant(row.get(key)) if isinstance(row.get(key), str) else None
    after, before = term.get("after_"), term.get("before_")
    return at is not None and (not after or at >= instant(after)) and (not before or at <= instant(before))  # type: ignore[operator]


def source(url: str = "http://prefect:4200", **options: Any) -> Source:
    return prefect.create("jobs", prefect.Options(**options), url)


@dataclass
class Heard(Listener):
    """Remembers what was told of pipelines, and the gauges as shown."""

    infos: dict[str, PipelineInfo] = field(default_factory=dict)
    gauges: dict[tuple[str, ...], float] = field(default_factory=dict)

    def commit(self, batch: Batch) -> Receipt:
        self.infos |= {info.pipeline.name: info for info in (*(batch.roster or ()), *batch.pipelines)}
        if batch.gauges is not None:
            self.gauges = {(s.family.removeprefix("ml_scheduler_"), *s.labels): s.value for s in batch.gauges}
        return super().commit(batch)


def states(listener: Listener) -> dict[str, str]:
    return {id_: str(run.state) for id_, run in listener.runs.items()}
