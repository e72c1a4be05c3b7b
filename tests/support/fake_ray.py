"""A Ray dashboard that can forget, restart and lie; it decodes its replies as the real client would."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import msgspec

from ml_exporter.decoding import decode
from ml_exporter.errors import Malformed, Rejected
from ml_exporter.ports import Call, Reply
from ml_exporter.sources import ray
from ml_exporter.sources.ray.source import RaySource

NOW = 1_800_000_000.0


def source(**options: Any) -> RaySource:
    made = ray.create("cluster", ray.Options(**options), "http://ray:8265")
    assert isinstance(made, RaySource)
    return made


@dataclass
class FakeRay:
    """Answers with the jobs it holds. Times that are given are in seconds."""

    jobs: dict[str, Any] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)
    usage: dict[str, Any] = field(default_factory=lambda: {"CPU": [1.0, 4.0], "GPU": [2.0, 2.0]})
    autoscaler: bool = True
    broken: frozenset[str] = frozenset()
    missing: frozenset[str] = frozenset()

    def job(self, id_: str, status: str = "SUCCEEDED", *, start: float, end: float | None = None, **more: Any) -> None:
        self.jobs[id_] = {
            "type": "SUBMISSION",
            "job_id": None,
            "submission_id": id_,
            "status": status,
            "entrypoint": "python train.py",
            "message": "x" * 200,
            "error_type": None,
            "start_time": int(start * 1000),
            "end_time": None if end is None else int(end * 1000),
            "metadata": None,
            "runtime_env": {"env_vars": {"KEY": "<redacted>"}},
            **more,
        }

    def driver(self, job_id: str, status: str = "SUCCEEDED", **more: Any) -> None:
        self.job(job_id, status, **{"type": "DRIVER", "job_id": job_id, "submission_id": None, "metadata": {}, **more})

    def __call__(self, call: Call) -> Reply:
        self.calls.append(call)
        if call.path in self.broken:
            raise Rejected(f"status 500 of {call.path}")
        if call.path in self.missing:
            if 404 not in call.accept:
                raise Malformed(f"status 404 of {call.path}")
            return Reply(404, {}, b"404: Not Found")
        return Reply(200, {}, decode(msgspec.json.encode(self.reply(call.path)), call.reply))

    def reply(self, path: str) -> Any:
        match path:
            case "/api/version":
                return {"version": "4", "ray_version": "2.60.0"}
            case "/api/jobs/":
                return list(self.jobs.values())
            case "/api/cluster_status":
                status = {"time": NOW - 3, "loadMetricsReport": {"usage": self.usage}}
                return {"result": True, "msg": "", "data": {"clusterStatus": status if self.autoscaler else None}}
        raise AssertionError(path)

    def asked(self, path: str) -> int:
        return sum(1 for call in self.calls if call.path == path)
