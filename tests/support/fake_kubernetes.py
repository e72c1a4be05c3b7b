"""A Kubernetes API of any size that can travel in time: it counts its calls, and can be made to misbehave."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from tests.support.fake_mlflow import NOW

from ml_exporter import decoding
from ml_exporter.ports import Call, Reply

JOBS = "/apis/batch/v1/jobs"
CRON_JOBS = "/apis/batch/v1/cronjobs"
WORKFLOWS = "/apis/argoproj.io/v1alpha1/workflows"
CRON_WORKFLOWS = "/apis/argoproj.io/v1alpha1/cronworkflows"
LEASES = "/apis/coordination.k8s.io/v1/namespaces/"


def at(seconds: float) -> str:
    """An instant as Kubernetes writes it: UTC, whole seconds."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def meta(uid: str, name: str = "", created: float = NOW - 100, **more: Any) -> dict[str, Any]:
    return {"uid": uid, "name": name or uid, "namespace": "team", "creationTimestamp": at(created), **more}


@dataclass
class FakeKubernetes:
    """Collections by path (cluster-wide), each object with the version at which it was written last."""

    objects: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    log: list[tuple[str, int, str, dict[str, Any]]] = field(default_factory=list)
    """(path, version, type, object), oldest first."""
    version: int = 100
    oldest: int = 0
    """A watch from before this version is gone."""
    replies: dict[str, Any] = field(default_factory=dict)
    """Path → another reply (a status, or an object)."""
    watched: Callable[[bytes], bytes] = lambda body: body
    """What becomes of a watch's body on its way."""
    gone_with: int = 410
    """The status of a watch from too long ago: 410, or 200 with an error among the events."""
    calls: list[Call] = field(default_factory=list)
    bookmarks: bool = True

    # What tests do

    def put(self, path: str, item: dict[str, Any]) -> None:
        """Create or change an object."""
        listed = self.objects.setdefault(path, {})
        uid = item["metadata"]["uid"]
        kind = "MODIFIED" if uid in listed else "ADDED"
        self.version += 1
        item["metadata"]["resourceVersion"] = str(self.version)
        listed[uid] = item
        self.log.append((path, self.version, kind, json.loads(json.dumps(item))))

    def delete(self, path: str, uid: str) -> None:
        self.version += 1
        item = self.objects[path].pop(uid)
        item["metadata"]["resourceVersion"] = str(self.version)
        self.log.append((path, self.version, "DELETED", item))

    def count(self, path: str, **params: str) -> int:
        """Calls so far to a path with these parameters."""
        return sum(1 for call in self.calls if call.path == path and params.items() <= dict(call.params).items())

    # What it answers

    def __call__(self, call: Call) -> Reply:
        self.calls.append(call)
        params = dict(call.params)
        status, body = self._answer(call.path, params)
        assert status in call.accept, f"{call.path}: {status}"
        return Reply(status, {}, decoding.decode(body, call.reply) if status == 200 else body)

    def _answer(self, path: str, params: Mapping[str, str]) -> tuple[int, bytes]:
        if path in self.replies:
            reply = self.replies[path]
            return (reply, b"{}") if isinstance(reply, int) else (200, json.dumps(reply).encode())
        if path == "/version":
            return 200, b'{"gitVersion": "v1.33.1"}'
        if path in ("/apis/batch/v1", "/apis/argoproj.io/v1alpha1"):
            names = ("jobs", "cronjobs", "workflows", "cronworkflows")
            return 200, json.dumps({"resources": [{"name": name} for name in names]}).encode()
        if path.startswith(LEASES):
            return 200, json.dumps({"spec": {"renewTime": at(NOW)}}).encode()
        if "watch" in params:
            return self._watch(path, int(params["resourceVersion"]))
        return self._list(path, int(params["limit"]), int(params.get("continue", "0")))

    def _list(self, path: str, limit: int, start: int) -> tuple[int, bytes]:
        items = self.select(path)
        more = {"continue": str(start + limit)} if start + limit < len(items) else {}
        metadata = {"resourceVersion": str(self.version), **more}
        return 200, json.dumps({"metadata": metadata, "items": items[start : start + limit]}).encode()

    def select(self, path: str) -> list[dict[str, Any]]:
        whole, namespace = _split(path)
        found = self.objects.get(whole, {}).values()
        return [item for item in found if namespace in ("", item["metadata"].get("namespace"))]

    def _watch(self, path: str, version: int) -> tuple[int, bytes]:
        if version < self.oldest:
            return self.gone_with, _line("ERROR", {"kind": "Status", "code": 410, "message": "too old"})
        whole, namespace = _split(path)
        events = [
            _line(kind, item)
            for at_path, written, kind, item in self.log
            if at_path == whole and written > version and namespace in ("", item["metadata"].get("namespace"))
        ]
        if self.bookmarks:
            events.append(_line("BOOKMARK", {"kind": "Job", "metadata": {"resourceVersion": str(self.version)}}))
        return 200, self.watched(b"".join(events))


def _line(kind: str, item: dict[str, Any]) -> bytes:
    return json.dumps({"type": kind, "object": item}).encode() + b"\n"


def _split(path: str) -> tuple[str, str]:
    """The cluster-wide path of a namespaced one, and the namespace."""
    before, found, after = path.partition("/namespaces/")
    namespace, _, plural = after.partition("/")
    return (f"{before}/{plural}", namespace) if found else (path, "")


def job(uid: str, *, name: str = "", created: float = NOW - 100, spec: Any = None, **status: Any) -> dict[str, Any]:
    """A Job that stands alone."""
    return {"metadata": meta(uid, name, created), "spec": spec or {}, "status": status}


def running(uid: str, started: float = NOW - 90, **more: Any) -> dict[str, Any]:
    return job(uid, **more, startTime=at(started), active=1, ready=1)


def ended(
    uid: str, end: float = NOW - 10, kind: str = "Complete", reason: str = "", started: float = NOW - 90, **more: Any
) -> dict[str, Any]:
    """A Job that ended; as in Kubernetes, only success has a completion time."""
    condition = {"type": kind, "status": "True", "reason": reason, "lastTransitionTime": at(end)}
    completed = {"completionTime": at(end)} if kind == "Complete" else {}
    return job(uid, **more, startTime=at(started), conditions=[condition], **completed)


def owned(item: dict[str, Any], kind: str, name: str) -> dict[str, Any]:
    item["metadata"]["ownerReferences"] = [{"kind": kind, "name": name, "uid": "o", "controller": True}]
    return item


def cron_job(name: str, schedule: str = "0 * * * *", created: float = NOW - 1e6, **spec: Any) -> dict[str, Any]:
    return {"metadata": meta(f"cron-{name}", name, created), "spec": {"schedule": schedule, **spec}}
