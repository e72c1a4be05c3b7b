"""A FAKE of Dagster's GraphQL, for what a real one cannot do on demand: faults, hostile data, years of history.

It answers the source's documents from dictionaries, with Dagster's filters, order and cursors, as far as the source
uses them. `test_dagster_real.py` holds the same source against a real server.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import msgspec
from tests.support.polling import Listener

from ml_exporter.errors import Malformed
from ml_exporter.ports import Call, Reply, Source
from ml_exporter.sources import dagster

Row = dict[str, Any]
NOW = 1_800_000_000.0
STATUSES = (
    *("QUEUED", "NOT_STARTED", "MANAGED", "STARTING", "STARTED", "SUSPENDED"),
    *("SUCCESS", "FAILURE", "CANCELING", "CANCELED"),
)
REPOSITORY = "__repository__"


def run(id_: str, job: str = "train", status: str = "SUCCESS", location: str | None = "lab", **values: Any) -> Row:
    """A run as GraphQL gives it: `created`, `start`, `end`, `updated` in seconds, `tags` as a dictionary."""
    origin = {"repositoryName": values.get("repository", REPOSITORY), "repositoryLocationName": location}
    times = {"creationTime": "created", "startTime": "start", "endTime": "end"}
    row: Row = {"runId": id_, "jobName": job, "status": status, "repositoryOrigin": origin if location else None}
    row |= {name: values.get(key) for name, key in times.items()}
    known = [values[key] for key in ("created", "start", "end") if isinstance(values.get(key), float)]
    row["updateTime"] = values.get("updated", max(known, default=NOW))
    row["tags"] = [{"key": key, "value": value} for key, value in values.get("tags", {}).items()]
    return row


def schedule(name: str, job: str, cron: str, status: str = "RUNNING", **values: Any) -> Row:
    """`ticks`: (time, status) pairs, newest first; `begun`: when it was started; `zone`.

    `lone`: ticks that are found only when it is asked for by itself.
    """
    ticks = [{"timestamp": at, "status": word} for at, word in values.get("ticks", ())]
    lone = [{"timestamp": at, "status": word} for at, word in values.get("lone", values.get("ticks", ()))]
    data = {"startTimestamp": values["begun"]} if "begun" in values else None
    state = {"status": status, "ticks": ticks, "typeSpecificData": data}
    row = {"name": name, "pipelineName": job, "cronSchedule": cron, "scheduleState": state, "lone": lone}
    return row | {"executionTimezone": values.get("zone", "UTC")}


def sensor(*jobs: str, status: str = "RUNNING") -> Row:
    return {"targets": [{"pipelineName": job} for job in jobs], "sensorState": {"status": status}}


def repository(*jobs: str, name: str = REPOSITORY, **values: Any) -> Row:
    """`tags`: job → {key: value}; `schedules`, `sensors`."""
    given = values.get("tags", {})
    tags = {job: [{"key": key, "value": value} for key, value in given.get(job, {}).items()] for job in jobs}
    listed = [{"name": job, "tags": tags[job]} for job in jobs]
    return {"name": name, "jobs": listed, **{key: values.get(key, []) for key in ("schedules", "sensors")}}


def broken(message: str = "ImportError: no module named pandas") -> Row:
    return {"__typename": "PythonError", "message": message}


@dataclass
class History:
    """Succeeded runs of `jobs` jobs, one every `gap` seconds, the last one ended at `until`; made when looked at."""

    length: int
    until: float
    gap: float
    jobs: int = 1

    def row(self, number: int) -> Row:
        end = self.until - (self.length - 1 - number) * self.gap
        return run(f"h{number}", f"job{number % self.jobs}", created=end - 15, start=end - 10, end=end)

    def newest(self, after: float, below: int) -> Iterator[Row]:
        for number in range(below - 1, max(-1, self.length - 1 - self.since(after)), -1):
            yield self.row(number)

    def since(self, after: float) -> int:
        """How many ended after that time."""
        return max(0, min(self.length, -int((after - self.until) // self.gap)))


@dataclass
class FakeDagster:
    """Call it with a `Call`. `fault` may answer in its place: a reply, or the body of one with status 200."""

    locations: dict[str, list[Row] | Row | None] = field(default_factory=lambda: {"lab": [repository("train")]})
    """By name: repositories, a load error, or None while it is loading."""
    runs: list[Row] = field(default_factory=list)
    """Oldest first."""
    history: History = field(default_factory=lambda: History(0, NOW, 1))
    version: str = "1.13.27"
    statuses: tuple[str, ...] = STATUSES
    instance: Row = field(default_factory=dict)
    most: int = 100_000
    """Runs in a reply at most, whatever was asked for."""
    calls: list[Call] = field(default_factory=list)
    fault: Callable[[Call], Reply | Row | None] = lambda call: None

    def __call__(self, call: Call) -> Reply:
        self.calls.append(call)
        faulty = self.fault(call)
        if isinstance(faulty, Reply):
            return faulty
        try:
            body = {"data": self._data(call)} if faulty is None else faulty
            return Reply(200, {}, msgspec.convert(body, call.reply))
        except msgspec.ValidationError as error:
            raise Malformed(str(error)) from None

    def count(self, document: str = "") -> int:
        """Calls of a document: Version, State, Runs; all of them by default."""
        return sum(1 for call in self.calls if f"MlExporter{document}" in call.body["query"])

    def add(self, id_: str, *arguments: Any, **values: Any) -> None:
        """Add a run, or put it in the place of the one of that id, as an event does."""
        row = run(id_, *arguments, **values)
        where = next((n for n, known in enumerate(self.runs) if known["runId"] == id_), None)
        if where is None:
            self.runs.append(row)
        else:
            self.runs[where] = row

    def delete(self, id_: str) -> None:
        self.runs = [row for row in self.runs if row["runId"] != id_]

    def _data(self, call: Call) -> Row:
        query, variables = call.body["query"], call.body["variables"]
        if "MlExporterVersion" in query:
            return {"version": self.version, "statuses": {"enumValues": [{"name": word} for word in self.statuses]}}
        if "MlExporterState" in query:
            return self._state(variables)
        data: Row = {"runs": self._page(variables["filter"], variables["limit"], variables["cursor"])}
        if "anchor" in variables:
            there = self._exists(variables["anchor"])
            data["anchor"] = {"__typename": "Run" if there else "RunNotFoundError"}
        return data

    # Runs

    def _exists(self, id_: str) -> bool:
        return (id_.startswith("h") and id_[1:].isdigit()) or any(row["runId"] == id_ for row in self.runs)

    def _page(self, filter_: Row, limit: int, cursor: str | None) -> Row:
        assert set(filter_.get("statuses", ())) <= set(self.statuses), "Value does not exist in 'RunStatus' enum."
        found = self._newest(filter_, cursor) if cursor is None or self._exists(cursor) else iter(())
        page: Row = {"__typename": "Runs", "results": list(islice(found, min(limit, self.most)))}
        if cursor is None:
            page["count"] = sum(1 for row in self.runs if _matches(row, filter_))
            if "SUCCESS" in filter_.get("statuses", STATUSES) and "runIds" not in filter_:
                page["count"] += self.history.since(filter_.get("updatedAfter", 0.0))
        return page

    def _newest(self, filter_: Row, cursor: str | None) -> Iterator[Row]:
        below = self.history.length
        if cursor is not None and cursor.startswith("h") and cursor[1:].isdigit():
            below = int(cursor[1:])
        else:
            ids = [row["runId"] for row in self.runs]
            rows = self.runs[: ids.index(cursor)] if cursor is not None else self.runs
            yield from (row for row in reversed(rows) if _matches(row, filter_))
        if "SUCCESS" in filter_.get("statuses", STATUSES) and "runIds" not in filter_:
            older = self.history.newest(filter_.get("updatedAfter", 0.0), below)
            yield from (row for row in older if _matches(row, filter_))

    # Everything else

    def _state(self, variables: Row) -> Row:
        entries = []
        for name, held in self.locations.items():
            loaded = {"__typename": "RepositoryLocation", "repositories": held} if isinstance(held, list) else held
            status = "LOADING" if held is None else "LOADED"
            entries.append({"name": name, "loadStatus": status, "locationOrLoadError": loaded})
        instance: Row = {"daemonHealth": {"allDaemonStatuses": []}, "runQueuingSupported": True}
        asked = {name: key for name, key in variables.items() if isinstance(key, dict)}
        return {
            **{name: self._lone(**key) for name, key in asked.items()},
            "workspace": {"__typename": "Workspace", "locationEntries": entries},
            "instance": instance | {"concurrencyLimits": []} | self.instance,
            "queued": self._page({"statuses": variables["queued"]}, 0, None),
            "occupied": self._page({"statuses": variables["occupied"]}, 0, None),
        }

    def _lone(self, repositoryLocationName: str, repositoryName: str, scheduleName: str) -> Row:  # noqa: N803
        held = self.locations.get(repositoryLocationName)
        for repository_ in held if isinstance(held, list) else ():
            for row in repository_["schedules"]:
                if (repository_["name"], row["name"]) == (repositoryName, scheduleName):
                    state = {"status": row["scheduleState"]["status"], "ticks": row["lone"]}
                    return {"__typename": "Schedule", "scheduleState": state}
        return {"__typename": "ScheduleNotFoundError", "message": scheduleName}


def _matches(row: Row, filter_: Row) -> bool:
    return (
        ("statuses" not in filter_ or row["status"] in filter_["statuses"])
        and ("updatedAfter" not in filter_ or row["updateTime"] > filter_["updatedAfter"])
        and ("createdBefore" not in filter_ or row["creationTime"] < filter_["createdBefore"])
        and ("runIds" not in filter_ or row["runId"] in filter_["runIds"])
    )


def source(**options: Any) -> Source:
    """A Dagster source with these options."""
    return dagster.create("it", dagster.Options(**options), "http://dagster:3000")


def gauges(listener: Listener) -> dict[tuple[str, ...], float]:
    """The gauges that were told last, by family and labels."""
    told = [batch.gauges for batch in listener.batches if batch.gauges is not None]
    return {(sample.family, *sample.labels): sample.value for sample in told[-1]}
