"""Kubeflow Pipelines' API v2beta1 as its published sources define it: filters, page tokens, what is left out.

No server can be had without a cluster: this is written from the API's protos and the server's list code of 2.17.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import msgspec

from ml_exporter.decoding import decode
from ml_exporter.errors import Rejected
from ml_exporter.ports import Call, Reply
from ml_exporter.reading import instant
from ml_exporter.sources import kubeflow
from ml_exporter.sources.kubeflow.source import KubeflowSource

NOW = 1_800_000_000.0
RUNS, RECURRING, PIPELINES = (f"/apis/v2beta1/{what}" for what in ("runs", "recurringruns", "pipelines"))


def source(**options: Any) -> KubeflowSource:
    made = kubeflow.create("kfp", kubeflow.Options(**options), "http://kfp:8888")
    assert isinstance(made, KubeflowSource)
    return made


def at(seconds: float) -> str:
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass
class FakeKubeflow:
    """Times that are given are in seconds."""

    multi_user: bool = False
    runs: dict[str, dict[str, Any]] = field(default_factory=dict)
    recurring: dict[str, dict[str, Any]] = field(default_factory=dict)
    pipelines: dict[str, dict[str, Any]] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)
    seen: list[int] = field(default_factory=list)
    """Runs that a listing's time of creation let through, which is what it costs."""
    instead: dict[str, Any] = field(default_factory=dict)
    """Replies in place of the right ones, by path."""
    not_found: bytes = b'{"code":5,"message":"not found","details":[]}'

    def run(self, id_: str, state: str = "SUCCEEDED", *, created: float, ran: float | None = None, **more: Any) -> None:
        """`ran`: seconds from its start, 5 s after it was created, to its end; None: it has not ended."""
        history = [{"update_time": at(created), "state": "PENDING"}]
        if state != "PENDING":
            history.append({"update_time": at(created + 5), "state": "RUNNING"})
        self.runs[id_] = {
            "run_id": id_,
            "experiment_id": "e1",
            "display_name": "Run of fraud (4f2c1)",
            "storage_state": "AVAILABLE",
            "pipeline_version_reference": {"pipeline_id": "p1", "pipeline_version_id": "v1"},
            "state": state,
            "created_at": at(created),
            "scheduled_at": at(created),
            "finished_at": at(0 if ran is None else created + 5 + ran),
            "state_history": history,
            **more,
        }

    def recur(self, id_: str, name: str, trigger: dict[str, Any], *, created: float, **more: Any) -> None:
        self.recurring[id_] = {
            "recurring_run_id": id_,
            "display_name": name,
            "pipeline_version_reference": {"pipeline_id": "p1"},
            "trigger": trigger,
            "status": "ENABLED",
            "created_at": at(created),
            **more,
        }

    def __call__(self, call: Call) -> Reply:
        self.calls.append(call)
        found = self.instead.get(call.path) or self.reply(call.path, dict(call.params))
        if found is None:
            if 404 not in call.accept:
                raise Rejected(f"status 404 of {call.path}")
            return Reply(404, {}, self.not_found)
        return Reply(200, {}, decode(msgspec.json.encode(found), call.reply))

    def reply(self, path: str, query: dict[str, str]) -> Any:
        kind, _, id_ = path.removeprefix("/apis/v2beta1/").partition("/")
        items = {"runs": self.runs, "recurringruns": self.recurring, "pipelines": self.pipelines}
        if kind == "healthz":
            return {"commit_sha": "7b70c7b", "tag_name": "2.17.0", "multi_user": self.multi_user}
        if id_:
            return items[kind].get(id_)
        return self.page("recurringRuns" if kind == "recurringruns" else kind, list(items[kind].values()), query)

    def page(self, word: str, items: list[dict[str, Any]], query: dict[str, str]) -> Any:
        state = {"by": query.get("sort_by", ""), "filter": query.get("filter", ""), "from": 0}
        if token := query.get("page_token"):
            # A filter beside a token is compared with it after a detour through JSON, and is not equal.
            assert "filter" not in query
            assert "sort_by" not in query
            state = json.loads(base64.b64decode(token))
        found = [i for i in items if i.get("namespace", "") == query.get("namespace", "") or not self.multi_user]
        predicates = json.loads(state["filter"] or "{}").get("predicates", [])
        by_creation = [p for p in predicates if p["key"] == "created_at"]
        if word == "runs":
            self.seen.append(sum(1 for item in found if all(_holds(item, p) for p in by_creation)))
        found = [item for item in found if all(_holds(item, p) for p in predicates)]
        key = state["by"].partition(" ")[0] or "created_at"
        found.sort(key=lambda item: (str(item.get(key)), str(next(iter(item.values())))))
        first, size = state["from"], min(int(query.get("page_size") or 20), 200)
        rest = found[first + size :]
        more = json.dumps({**state, "from": first + size}).encode()
        body = {word: found[first : first + size], "total_size": len(found)}
        body |= {"next_page_token": base64.b64encode(more).decode()} if rest else {}
        return {key: value for key, value in body.items() if value}

    def asked(self, path: str) -> int:
        return sum(1 for call in self.calls if call.path == path)


def _holds(item: dict[str, Any], predicate: dict[str, Any]) -> bool:
    value = item.get(predicate["key"])
    if predicate["operation"] == "IN":
        return value in predicate["string_values"]["values"]
    assert predicate["operation"] == "GREATER_THAN_EQUALS"
    return (instant(str(value)) or 0.0) >= (instant(predicate["timestamp_value"]) or 0.0)
