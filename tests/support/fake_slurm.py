"""A slurmrestd that holds what a test puts into it, in the forms of v0.0.38 or of later versions."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec
from tests.support.polling import Listener

from ml_exporter.ports import Call, Reply, Source
from ml_exporter.sources import slurm

Row = dict[str, Any]
NOW = 1_800_000_000.0
HOUR = 3600.0
OLD, NEW = "v0.0.38", "v0.0.45"


def set_number(value: float | None) -> Row:
    return {"set": value is not None, "infinite": False, "number": value or 0}


@dataclass
class FakeSlurm:
    """slurmctld's jobs by id, and slurmdbd's too; counts calls."""

    version: str = NEW
    offered: tuple[str, ...] = ()
    jobs: dict[int, Row] = field(default_factory=dict)
    past: dict[int, Row] = field(default_factory=dict)
    nodes: list[Row] = field(default_factory=list)
    pings: list[Row] = field(default_factory=lambda: [{"responding": True, "primary": True}])
    calls: list[Call] = field(default_factory=list)
    has_database: bool = True
    updated: float = NOW - 1000
    """When anything changed last."""
    now: float = NOW
    fault: Callable[[Call], Reply | None] = lambda call: None

    # What tests tell it

    def job(self, id_: int, name: str = "train", state: str = "COMPLETED", **values: Any) -> Row:
        """A job that slurmctld has. Times: submit, eligible, start, end; the rest is taken as it is."""
        submit = values.pop("submit", NOW - 1000)
        times = {
            "submit_time": submit,
            "eligible_time": values.pop("eligible", submit),
            "start_time": values.pop("start", submit + 10),
            "end_time": values.pop("end", submit + 100),
        }
        array = values.pop("array", 0)
        old = self.version == OLD
        row: Row = {
            "job_id": id_,
            "name": name,
            "account": "risk",
            "user_name": "ann",
            "partition": "main",
            "nodes": "n1",
            "cluster": "lab",
            "comment": "",
            "array_task_string": "",
            "het_job_offset": 0 if old else set_number(0),
            "job_state": state if old else state.split("+"),
            "array_job_id": array if old else set_number(array),
            **{key: (value or 0) if old else set_number(value) for key, value in times.items()},
            **values,
        }
        self.jobs[id_] = row
        self.updated = self.now
        return row

    def account_for(self, id_: int) -> None:
        """slurmdbd hears of a job of slurmctld, as it is now."""
        row = self.jobs[id_]
        plain = {key: value["number"] if isinstance(value, dict) else value for key, value in row.items()}
        state = plain["job_state"]
        self.past[id_] = {
            **{key: plain[key] for key in ("job_id", "name", "account", "partition", "nodes", "cluster")},
            "user": plain["user_name"],
            "comment": {"job": plain["comment"]},
            "state": {"current": state if self.version == OLD else list(state), "reason": "None"},
            "time": {
                "submission": plain["submit_time"],
                "eligible": plain["eligible_time"],
                "start": plain["start_time"],
                "end": plain["end_time"],
            },
            "array": {"job_id": plain["array_job_id"], "task": None},
            "het": {"job_id": 0, "job_offset": None},
        }

    def purge(self, *ids: int) -> None:
        """slurmctld forgets jobs, as it does some minutes after their end; slurmdbd knows them."""
        for id_ in ids:
            self.account_for(id_)
            del self.jobs[id_]
        self.updated = self.now

    # What it answers

    def __call__(self, call: Call) -> Reply:
        self.calls.append(call)
        reply = self.fault(call) or self.answer(call)
        assert reply.status in call.accept, f"{call.path} answers {reply.status}"
        if reply.status != 200:
            return reply
        return Reply(200, {}, msgspec.json.decode(msgspec.json.encode(reply.value), type=call.reply))

    def count(self, path: str) -> int:
        return sum(1 for call in self.calls if call.path.startswith(path))

    def answer(self, call: Call) -> Reply:
        params = dict(call.params)
        if call.path == "/openapi/v3":
            versions = self.offered or (self.version,)
            kinds = ("slurm", "slurmdb") if self.has_database else ("slurm",)
            return Reply(200, {}, {"paths": {f"/{kind}/{v}/jobs": {} for v in versions for kind in kinds}})
        if f"/{self.version}/" not in call.path:
            return Reply(404, {}, b"Unable find requested URL.")
        what = call.path.rpartition("/")[2]
        if call.path.startswith("/slurmdb/"):
            return self.history(params)
        if what != "jobs":
            return Reply(200, {}, {what if what == "nodes" else "pings": self.nodes if what == "nodes" else self.pings})
        if int(params.get("update_time", 0)) - 1 >= int(self.updated):
            unchanged = {"jobs": [], "last_update": set_number(0), "warnings": [{"description": "No job changes"}]}
            return Reply(304, {}, b"") if self.version == OLD else Reply(200, {}, unchanged)
        more = {} if self.version == OLD else {"last_update": set_number(int(self.now))}
        return Reply(200, {}, {"jobs": list(self.jobs.values()), "errors": [], **more})

    def history(self, params: dict[str, str]) -> Reply:
        start, end = (int(params[key].removeprefix("uts")) for key in ("start_time", "end_time"))
        rows = [r for r in self.past.values() if r["time"]["eligible"] < end and r["time"]["end"] >= start]
        if not rows and self.version == OLD:
            return refused(200, 9003, "Nothing found")
        return Reply(200, {}, {"jobs": rows, "errors": []})


def refused(status: int, number: int, text: str) -> Reply:
    """A refusal as slurmrestd words it."""
    body = {"errors": [{"error_number": number, "error": text, "description": text, "source": "here"}], "jobs": []}
    return Reply(status, {}, body if status == 200 else json.dumps(body).encode())


@dataclass
class Watch:
    """A source on a fake, with the clock in our hands."""

    fake: FakeSlurm
    options: Row = field(default_factory=dict)
    listener: Listener = field(default_factory=Listener)

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """A new process: only the cursor is left."""
        self.source: Source = slurm.create("cluster", slurm.Options(**self.options), "http://slurm:6820")

    def poll(self, later: float = 0.0, cut_after: int | None = None) -> Listener:
        self.fake.now += later
        return self.listener.poll(self.source, self.fake, self.fake.now, cut_after)

    def catch_up(self) -> int:
        """Poll, a second apart, until all that is past was told; the number of polls."""
        for polls in range(1, 100):
            self.poll(1)
            if self.listener.last.caught_up:
                return polls
        raise AssertionError("the source never says that it has read all")


def watch(fake: FakeSlurm, **options: Any) -> Watch:
    """A watch that has polled once."""
    watching = Watch(fake, options)
    watching.poll()
    return watching
