"""A Dagster source on a real server, and what Dagster says itself, in our words."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec
from tests.support.dagster_server import DagsterServer
from tests.support.polling import Listener

from ml_exporter.errors import Malformed
from ml_exporter.model import Run
from ml_exporter.ports import Call, Reply, Source
from ml_exporter.sources import dagster

STATES = {
    "NOT_STARTED": "queued",
    "QUEUED": "queued",
    "STARTING": "queued",
    "STARTED": "running",
    "CANCELING": "running",
    "SUCCESS": "succeeded",
    "FAILURE": "failed",
    "CANCELED": "cancelled",
}


@dataclass
class Driver:
    """Sends calls one after the other, and counts them by the name of their document."""

    server: DagsterServer
    calls: list[str] = field(default_factory=list)
    before: Callable[[Call], None] = lambda call: None
    """Called with each call before it is sent."""

    def __call__(self, call: Call) -> Reply:
        self.before(call)
        self.calls.append(call.body["query"].split()[1].partition("(")[0])
        answer = self.server.session.request(call.method, self.server.url + call.path, json=call.body, timeout=60)
        assert answer.status_code in call.accept, f"{call.path}: {answer.status_code} {answer.text[:500]}"
        if answer.status_code != 200:
            return Reply(answer.status_code, dict(answer.headers), answer.content)
        try:
            value = msgspec.json.decode(answer.content, type=call.reply)
        except msgspec.ValidationError as error:
            raise Malformed(f"{call.path}: {error}") from error
        return Reply(200, dict(answer.headers), value)


@dataclass
class Watch:
    """A source on the real server, with the clock in our hands."""

    server: DagsterServer
    options: dict[str, Any] = field(default_factory=dict)
    listener: Listener = field(default_factory=Listener)
    now: float = 0.0

    def __post_init__(self) -> None:
        self.driver = Driver(self.server)
        self.source: Source = dagster.create("it", dagster.Options(**self.options), self.server.url)

    def poll(self, later: float = 0.0, **more: Any) -> Listener:
        self.now = max(self.now, time.time()) + later
        return self.listener.poll(self.source, self.driver, self.now, **more)

    def gauges(self) -> dict[tuple[str, ...], float]:
        told = [batch.gauges for batch in self.listener.batches if batch.gauges is not None][-1]
        return {(sample.family.removeprefix("ml_scheduler_"), *sample.labels): sample.value for sample in told}


def watch(server: DagsterServer, **options: Any) -> Watch:
    watching = Watch(server, options)
    watching.poll()
    return watching


def by_client(run: dict[str, Any]) -> dict[str, Any]:
    """A run in our words, as Dagster's own client says it."""
    too_long = run["job"] == "endless" and run["status"] in ("FAILURE", "CANCELED")
    told = {"pipeline": f"training/{run['job']}", "state": "timed_out" if too_long else STATES[run["status"]]}
    times = {"queued": run["created"], "started": run["start"], "ended": run["end"]}
    return told | {key: at and round(at, 3) for key, at in times.items()}


def by_us(run: Run) -> dict[str, Any]:
    told = {"pipeline": run.pipeline.name, "state": str(run.state)}
    times = {"queued": run.queued_at, "started": run.started_at, "ended": run.ended_at}
    return told | {key: at and round(at, 3) for key, at in times.items()}


def wanted(run: dict[str, Any]) -> bool:
    return "dagster/backfill" not in run["tags"]


def schedules(server: DagsterServer, after: float | None = None, limit: int = 1) -> dict[str, Any]:
    """Name → what Dagster's webserver says of a schedule, with its next ticks."""
    query = """query ($s: RepositorySelector!, $after: Float, $limit: Int) {
      schedulesOrError(repositorySelector: $s) { ... on Schedules { results {
        name cronSchedule executionTimezone scheduleState { status }
        futureTicks(cursor: $after, limit: $limit) { results { timestamp } }
      } } }
    }"""
    repository = {"repositoryLocationName": "training", "repositoryName": "__repository__"}
    results = server.ask(query, s=repository, after=after, limit=limit)["schedulesOrError"]["results"]
    return {row["name"]: row | {"next": [t["timestamp"] for t in row["futureTicks"]["results"]]} for row in results}
