"""An Airflow whose history is a rule: it makes up what is asked for, so that half a million runs cost nothing.

Version 2 and version 1 of the API, as in their published descriptions.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import unquote

import msgspec
from tests.support.polling import Listener

from ml_exporter.errors import Malformed
from ml_exporter.model import PipelineInfo, RunState
from ml_exporter.ports import Call, Reply
from ml_exporter.reading import instant
from ml_exporter.sources import airflow

Item = dict[str, Any]
NOW = 1_780_000_000.0
HOUR, DAY = 3600.0, 86_400.0
NO_RUN = b'{"detail": "The DagRun with dag_id: `x` and run_id: `y` was not found"}'
NO_ROUTE = b'{"error": "API route not found"}'


def stamp(at: float | None) -> str | None:
    """An instant, to the microsecond, as Airflow writes it."""
    return (
        None if at is None else (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=round(at * 1e6))).isoformat()
    )


def dag(dag_id: str, **more: Any) -> Item:
    return {"dag_id": dag_id, "is_paused": False, "tags": [], "bundle_name": "dags-folder", **more}


def run(dag_id: str, run_id: str, state: str, born: float, updated: float | None = None, **more: Any) -> Item:
    """A run of one minute that had waited for two seconds; `updated` is what the listing filters by."""
    ended = state in ("success", "failed")
    return {
        "dag_id": dag_id,
        "dag_run_id": run_id,
        "state": state,
        "run_after": stamp(born),
        "execution_date": stamp(born),
        "queued_at": stamp(born),
        "start_date": None if state == "queued" else stamp(born + 2),
        "end_date": stamp(born + 62) if ended else None,
        "updated_at": (born + 62 if ended else born) if updated is None else updated,
        **more,
    }


class Listing:
    """Runs in order of their birth, which is made from a number when they are asked for."""

    def __init__(self, count: int, born: Callable[[int], float], make: Callable[[int], Item]) -> None:
        self.count, self.born, self.make = count, born, make

    def numbers(self, updated_since: float, low: float | None, high: float | None) -> range:
        """Runs are updated in the order of their birth, 62 s later."""
        births = range(self.count)
        first = bisect_left(births, max(updated_since - 62, low or 0.0) - 5e-7, key=self.born)
        last = self.count if high is None else bisect_left(births, high + 5e-7, key=self.born)
        return range(first, last)


@dataclass
class FakeAirflow:
    """Answers `Call`s and counts them. `runs` are few and in memory, `history` many and made up."""

    version: int = 2
    dags: list[Item] = field(default_factory=list)
    runs: list[Item] = field(default_factory=list)
    history: Listing | None = None
    tasks: list[Item] = field(default_factory=list)
    pools: list[Item] = field(default_factory=list)
    import_errors: list[Item] = field(default_factory=list)
    details: dict[str, Item] = field(default_factory=dict)
    health: Item = field(default_factory=dict)
    page_limit: int = 100
    clock: str = ""
    """The Date header."""
    instead: dict[str, Reply | bytes] = field(default_factory=dict)
    """Path → what is answered in its place."""
    spoil: Callable[[Call, Item], Item] = lambda call, reply: reply
    calls: list[Call] = field(default_factory=list)

    def __call__(self, call: Call) -> Reply:
        self.calls.append(call)
        reply = self.answer(call)
        assert reply.status in call.accept, f"{call.path}: {reply.status} {reply.value!r}"
        if reply.status != 200 or call.reply is bytes:
            return reply
        body = reply.value if isinstance(reply.value, bytes) else msgspec.json.encode(self.spoil(call, reply.value))
        try:
            value = msgspec.json.decode(body, type=call.reply)
        except msgspec.ValidationError as error:
            raise Malformed(f"{call.path}: {error}") from error
        return Reply(200, {"Date": self.clock} if self.clock else {}, value)

    def answer(self, call: Call) -> Reply:
        if call.path in self.instead:
            given = self.instead[call.path]
            return given if isinstance(given, Reply) else Reply(200, {}, given)
        prefix = f"/api/v{self.version}"
        if not call.path.startswith(prefix):
            return Reply(404, {}, NO_ROUTE)
        path = call.path.removeprefix(prefix)
        params = dict(call.params)
        if path in ("/monitor/health", "/health"):
            known = path == "/monitor/health" if self.version == 2 else path == "/health"
            return Reply(200, {}, self.health_body()) if known else Reply(404, {}, NO_ROUTE)
        listings = {"/dags": ("dags", self.dags), "/pools": ("pools", self.pools)}
        listings["/importErrors"] = ("import_errors", self.import_errors)
        if path in listings:
            key, items = listings[path]
            return Reply(200, {}, self.page(key, items, params))
        if path == "/dags/~/dagRuns":
            states = {value for name, value in call.params if name == "state"}
            return Reply(200, {}, self.run_page(states, params))
        if path.endswith("/taskInstances"):
            return Reply(200, {}, self.task_page(params))
        if path.endswith("/details"):
            return Reply(200, {}, self.details.get(path.split("/")[2], {}))
        return self.one_run(path)

    def health_body(self) -> Item:
        return {"metadatabase": {"status": "healthy"}, "scheduler": {}, "triggerer": {}, **self.health}

    def page(self, key: str, items: list[Item], params: dict[str, str]) -> Item:
        offset, limit = int(params.get("offset", 0)), min(int(params["limit"]), self.page_limit)
        return {key: items[offset : offset + limit], "total_entries": len(items)}

    def run_page(self, states: set[str], params: dict[str, str]) -> Item:
        key = "run_after" if self.version == 2 else "execution_date"
        since, low, high = (instant(params.get(name)) for name in ("updated_at_gte", f"{key}_gte", f"{key}_lte"))
        known = [
            r
            for r in self.runs
            if (not isinstance(r["state"], str) or r["state"] in states) and r["updated_at"] >= (since or 0.0) - 5e-7
        ]
        births = [(r, instant(r[key]) or 0.0) for r in known]
        items = [r for r, at in births if (low or 0.0) - 5e-7 <= at and (high is None or at <= high + 5e-7)]
        if params["order_by"] == key:
            items.sort(key=lambda r: instant(r[key]) or 0.0)
        if self.history is None or "success" not in states:
            return self.page("dag_runs", items, params)
        assert not items, "a history that is made up has no single runs beside it"
        numbers = self.history.numbers(since or 0.0, low, high)
        offset, limit = int(params.get("offset", 0)), min(int(params["limit"]), self.page_limit)
        made = [self.history.make(number) for number in numbers[offset : offset + limit]]
        return {"dag_runs": made, "total_entries": len(numbers)}

    def task_page(self, params: dict[str, str]) -> Item:
        low, high = (instant(params.get(name)) for name in ("end_date_gte", "end_date_lte"))
        ends = sorted(((instant(t["end_date"]) or 0.0, n) for n, t in enumerate(self.tasks)))
        items = [self.tasks[n] for at, n in ends if at >= (low or 0.0) - 5e-7 and (high is None or at <= high + 5e-7)]
        return self.page("task_instances", items, params)

    def one_run(self, path: str) -> Reply:
        _, _, dag_id, _, run_id = (unquote(part) for part in path.split("/"))
        for item in self.runs:
            if (item["dag_id"], item["dag_run_id"]) == (dag_id, run_id):
                return Reply(200, {}, item)
        return Reply(404, {}, NO_RUN)

    def asked(self, *words: str) -> list[Call]:
        """Calls whose path ends in one of these."""
        return [call for call in self.calls if call.path.endswith(words)]


class Watch:
    """A source on a fake, with the clock in our hands."""

    def __init__(self, fake: FakeAirflow, **options: Any) -> None:
        self.fake, self.options, self.now = fake, options, NOW
        self.listener = Listener()
        self.restart()

    def restart(self) -> None:
        self.source = airflow.create("it", airflow.Options(**self.options), "http://airflow")

    def poll(self, later: float = 0.0, cut_after: int | None = None) -> Listener:
        self.now += later
        return self.listener.poll(self.source, self.fake, self.now, cut_after)

    def catch_up(self) -> int:
        """How many polls it took."""
        for polls in range(1, 2000):
            if self.poll(0.5).last.complete:
                return polls
        raise AssertionError("the catch-up has no end")

    def states(self) -> dict[str, RunState]:
        return {run_id: found.state for run_id, found in self.listener.runs.items()}

    def infos(self) -> dict[str, PipelineInfo]:
        rosters = [batch.roster for batch in self.listener.batches if batch.roster is not None]
        return {info.pipeline.name: info for info in rosters[-1]}

    def gauges(self) -> dict[tuple[str, ...], float]:
        told = [batch.gauges for batch in self.listener.batches if batch.gauges is not None]
        return {(sample.family.removeprefix("ml_scheduler_"), *sample.labels): sample.value for sample in told[-1]}


def with_dags(*names: str, **more: Any) -> FakeAirflow:
    return FakeAirflow(dags=[dag(name) for name in names], **more)
