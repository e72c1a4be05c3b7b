"""A FAKE of MLflow, for what a real one cannot do on demand: faults, hostile data, years of history, travel in time.

It answers calls from dictionaries, with MLflow's filters, orders and offset tokens as far as the source uses them.
`test_mlflow_real.py` holds the same source against a real server.
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from ml_exporter.ports import Call, Reply, Source
from ml_exporter.sources import mlflow

_OPS = {">=": operator.ge, ">": operator.gt, "!=": operator.ne, "=": operator.eq}
_CLAUSE = re.compile(r"(?:attributes\.)?(\w+) (>=|>|!=|=|NOT IN|IN) (.+)")
Row = dict[str, Any]


def _matches(row: Row, filter_: str) -> bool:
    return all(_holds(row, clause) for clause in re.split(r" (?i:and) ", filter_) if clause)


def _holds(row: Row, clause: str) -> bool:
    match = _CLAUSE.fullmatch(clause)
    assert match, f"the fake does not know the filter {clause!r}"
    value, wanted = row.get(match[1]), ast.literal_eval(match[3])
    if match[2] in ("IN", "NOT IN"):
        wanted = (wanted,) if isinstance(wanted, str) else wanted
        return (value in wanted) is (match[2] == "IN")
    return value is not None and bool(_OPS[match[2]](value, wanted))


@dataclass
class FakeMlflow:
    """Call it with a `Call`. `fault` may answer in its place."""

    experiments: dict[str, Row] = field(default_factory=dict)
    runs: dict[str, Row] = field(default_factory=dict)
    models: list[Row] = field(default_factory=list)
    versions: list[Row] = field(default_factory=list)
    logged: list[Row] = field(default_factory=list)
    workspaces: tuple[str, ...] = ()
    has_registry: bool = True
    calls: list[Call] = field(default_factory=list)
    fault: Callable[[Call], Reply | None] = lambda call: None
    now: float = 0.0
    """Seconds; what a change of an experiment is stamped with."""

    def experiment(self, id_: str, name: str, created: float = 1.0, workspace: str = "") -> None:
        ms = int(created * 1000)
        self.experiments[id_] = {"experiment_id": id_, "name": name, "lifecycle_stage": "active"}
        self.experiments[id_] |= {"creation_time": ms, "last_update_time": ms, "workspace": workspace}

    def change(self, id_: str, **values: Any) -> None:
        """Change an experiment as MLflow does, which stamps renaming, deleting and restoring."""
        self.experiments[id_] |= values | {"last_update_time": int(self.now * 1000)}

    def run(self, id_: str, experiment: str = "1", status: str = "FINISHED", **values: Any) -> None:
        """Times `start`, `end` in seconds; `metrics` and their `steps` as dictionaries; tags, inputs as in MLflow."""
        info: Row = {"run_id": id_, "experiment_id": experiment, "status": status, "lifecycle_stage": "active"}
        for key in ("start", "end"):
            if values.get(key) is not None:
                info[f"{key}_time"] = int(values[key] * 1000)
        steps = values.get("steps", {})
        metrics = [
            {"key": key, "value": value, "step": steps.get(key, 0)} for key, value in values.get("metrics", {}).items()
        ]
        tags = [{"key": key, "value": value} for key, value in values.get("tags", {}).items()]
        inputs = {"dataset_inputs": values.get("inputs", [])}
        self.runs[id_] = {"info": info, "data": {"metrics": metrics, "tags": tags}, "inputs": inputs}

    def __call__(self, call: Call) -> Reply:
        self.calls.append(call)
        faulty = self.fault(call)
        if faulty is not None:
            return faulty
        path = call.path.partition("mlflow/")[2]
        status, value = self._answer(path, call.body or dict(call.params), call.headers.get("X-MLFLOW-WORKSPACE", ""))
        assert status in call.accept, f"{call.path} answers {status}"
        if status != 200:
            return Reply(status, {}, msgspec.json.encode(value))
        return Reply(200, {}, msgspec.convert(value, call.reply))

    def count(self, path: str) -> int:
        return sum(1 for call in self.calls if call.path.endswith(path))

    def _answer(self, path: str, body: Row, workspace: str) -> tuple[int, Row]:
        if path == "server-info":
            return 200, {"workspaces_enabled": bool(self.workspaces)}
        if path == "workspaces":
            return 200, {"workspaces": [{"name": name} for name in self.workspaces]}
        if path == "experiments/search":
            stages = ("active",) if body["view_type"] == "ACTIVE_ONLY" else ("active", "deleted")
            rows = [e for e in self.experiments.values() if e["lifecycle_stage"] in stages]
            return 200, _page([e for e in rows if e["workspace"] == workspace], body, "experiments")
        if path == "runs/search":
            return 200, self._search_runs(body, workspace)
        if path == "runs/get":
            record = self.runs.get(body["run_id"])
            return (200, {"run": record}) if record else (404, {"error_code": "RESOURCE_DOES_NOT_EXIST"})
        if not self.has_registry:
            return 404, {}
        tables = {"registered-models": self.models, "model-versions": self.versions, "logged-models": self.logged}
        key = {"registered-models": "registered_models", "model-versions": "model_versions", "logged-models": "models"}
        table = path.partition("/")[0]
        return 200, _page(tables[table], body, key[table])

    def _search_runs(self, body: Row, workspace: str) -> Row:
        here = {i for i in body["experiment_ids"] if self.experiments[i]["workspace"] == workspace}
        rows = [r for r in self.runs.values() if r["info"]["experiment_id"] in here]
        if body["run_view_type"] == "ACTIVE_ONLY":
            rows = [r for r in rows if r["info"]["lifecycle_stage"] == "active"]
        if body.get("order_by"):
            name = body["order_by"][0].split(".")[1].split()[0]
            rows.sort(key=lambda r: (name not in r["info"], r["info"].get(name), r["info"]["run_id"]))
        return _page(rows, body, "runs")


def _page(rows: list[Row], body: Row, key: str) -> Row:
    matching = [r for r in rows if _matches(r.get("info", r), body.get("filter", ""))]
    offset, size = int(body.get("page_token") or 0), int(body["max_results"])
    page: Row = {key: matching[offset : offset + size]} if matching else {}
    if offset + size < len(matching):
        page["next_page_token"] = str(offset + size)
    return page


NOW = 1_800_000_000.0


def source(**options: Any) -> Source:
    """An MLflow source with these options."""
    return mlflow.create("tracking", mlflow.Options(**options), "http://mlflow:5000")


def server(*names: str) -> FakeMlflow:
    """A fake with experiments 1, 2, … that are older than the first poll."""
    fake = FakeMlflow(now=NOW)
    for number, name in enumerate(names or ("train",), start=1):
        fake.experiment(str(number), name, created=NOW - 1e6)
    return fake
