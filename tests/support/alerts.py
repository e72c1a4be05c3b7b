"""Alerts and recorded series as rendered, and promtool's verdict on the cases of an alert."""

from __future__ import annotations

import copy
import functools
import json
import re
import subprocess
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml
from tests.support.programs import program

from ml_exporter import config, render

ROOT = Path(__file__).parents[2]
CASES = {path.stem: path for path in sorted((ROOT / "tests" / "alerts").glob("*.yaml"))}
ADDED = ("impact", "check", "runbook_url", "dashboard_url")
"""Annotations that every alert gets the same way: cases leave them out."""

_ENDPOINT = {"protocol": "open_inference", "url": "http://127.0.0.1:1", "model": "fraud", "latency_limit": "250ms"}
NO_SERVICE: dict[str, Any] = {
    "endpoints": [
        {"name": "live", **_ENDPOINT},
        {"name": "batch", **_ENDPOINT, "interval": "15m"},
        {"name": "native", **_ENDPOINT, "server": "mlserver", "latency_from": "native"},
    ]
}
_UP = {"endpoint_availability": {"endpoint": "live"}}
_FRESH = {"pipeline_freshness": {"pipeline": "a/train", "within": "26h"}}
SLOS = [
    {"name": "up", "service": "fraud", "sli": _UP, "objective": 99.5, "group_by": ["model"]},
    {"name": "fresh", "service": "fraud", "sli": _FRESH, "objective": 99},
]
ONE_SERVICE = {
    **NO_SERVICE,
    "sources": [{"name": "a", "kind": "mlflow", "url": "http://127.0.0.1:1"}],
    "slos": SLOS,
    "services": [{"name": "fraud", "owner": "risk-ml", "models": ["fraud"]}],
    "alerting": {"escalation": {"after": "30m", "webhook": {"url": "http://127.0.0.1:1"}}},
}

_OF_OBJECTIVES = ("ml-slos", "ml-slo-budgets")
"""Cases of objectives say what these would record: promtool evaluates all groups at one pace, and these have two."""

_WORD = re.compile(r"[A-Za-z_:][\w:]*")

Change = Callable[[dict[str, Any]], None]


def rules_of(data: Any) -> dict[str, Any]:
    """File name → rule file, as rendered."""
    return copy.deepcopy(_rules_of(json.dumps(data)))


@functools.cache
def _rules_of(data: str) -> dict[str, Any]:
    files = render.generate(config.from_data(json.loads(data)))
    return {Path(name).name: yaml.safe_load(text) for name, text in files.items() if "/rules/" in name}


def alerts_of(data: Any) -> dict[str, dict[str, Any]]:
    groups = [group for file in rules_of(data).values() for group in file["groups"]]
    return {rule["alert"]: rule for group in groups for rule in group["rules"] if "alert" in rule}


def run_promtool(
    folder: Path,
    alert: str,
    data: Any = ONE_SERVICE,
    change: Change | None = None,
    version: str | None = None,
    keep: Iterable[str] = (),
) -> None:
    """Run one alert's cases against its rule and the recorded ones; of the annotations ADDED only what to `keep`."""
    text = CASES[alert].read_text().replace("HASH", config.from_data(data).hash)
    cases = yaml.safe_load(text)
    if change:
        change(cases)
    promtool_test(folder, alert, cases, data, version, keep)


def promtool_test(
    folder: Path,
    alert: str,
    cases: dict[str, Any],
    data: Any = ONE_SERVICE,
    version: str | None = None,
    keep: Iterable[str] = (),
) -> None:
    rules = folder / "prometheus" / "rules"
    rules.mkdir(parents=True)
    files = rules_of(data)
    for file in files.values():
        for group in file["groups"]:
            group["rules"] = [rule for rule in group["rules"] if rule.get("alert", alert) == alert]
            _drop(group["rules"], set(ADDED) - set(keep))
    for name in _needed(files, alert, cases):
        (rules / name).write_text(yaml.safe_dump(files[name]))
    (folder / "alerts").mkdir()
    (folder / "alerts" / "case.yaml").write_text(yaml.safe_dump(cases))
    command = [program("promtool", version), "test", "rules", "case.yaml"]
    done = subprocess.run(command, cwd=folder / "alerts", capture_output=True, text=True)
    assert done.returncode == 0, f"{alert}\n{done.stdout}{done.stderr}"


def _needed(files: Mapping[str, Any], alert: str, cases: Mapping[str, Any]) -> set[str]:
    """The rule files that the cases ask for, by what they name: the others cost promtool seconds."""
    order = cases.get("group_eval_order")
    left = {
        name: file["groups"][0]
        for name, file in files.items()
        if file["groups"][0]["name"] not in _OF_OBJECTIVES and (not order or file["groups"][0]["name"] in order)
    }
    if order:
        return set(left)
    needed = {Path(file).name for file in cases["rule_files"] if "*" not in file}
    words = {alert, *_WORD.findall(json.dumps(cases))}
    while more := [n for n, group in left.items() if n in needed or words & {_name(each) for each in group["rules"]}]:
        for name in more:
            words.update(_WORD.findall(json.dumps(left.pop(name)["rules"])))
        needed.update(more)
    return needed


def _name(rule: Mapping[str, str]) -> str:
    return rule.get("alert") or rule["record"]


def _drop(rules: list[dict[str, Any]], annotations: set[str]) -> None:
    for rule in rules:
        for name in annotations:
            rule.get("annotations", {}).pop(name, None)
