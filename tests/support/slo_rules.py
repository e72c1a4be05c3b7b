"""Objectives as promtool sees them: raw series in, recorded ones and alerts out."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from tests.support.alerts import rules_of
from tests.support.programs import program

GROUPS = ("slos", "slo-budgets", "objectives")


def verdict(
    folder: Path,
    data: Any,
    name: str,
    series: Mapping[str, Sequence[float | None]],
    asked: Mapping[tuple[int, str], Any],
) -> None:
    """Ask promtool of one objective of a configuration, of all of them for an empty name.

    (minute, query) → its only value, {labels: value} or None, to a hundredth. promtool evaluates all groups at one
    pace, whatever their intervals: here, steps are a minute long.
    """
    for file in GROUPS:
        rules = rules_of(data)[f"{file}.yml"]
        (group,) = rules["groups"]
        group["rules"] = [rule for rule in group["rules"] if name in (rule.get("labels", {}).get("slo", name), "")]
        (folder / f"{file}.yml").write_text(yaml.safe_dump(rules).replace("[2m30s]", "[59s]"))
    case = {
        "interval": "1m",
        "input_series": [{"series": key, "values": " ".join(map(_notation, series[key]))} for key in series],
        "promql_expr_test": [
            {"expr": f"round({query}, 0.01)", "eval_time": f"{minute}m", "exp_samples": _samples(expected)}
            for (minute, query), expected in asked.items()
        ],
    }
    cases = {
        "rule_files": [f"{file}.yml" for file in GROUPS],
        "group_eval_order": [f"ml-{file}" for file in GROUPS],
        "evaluation_interval": "1m",
        "tests": [case],
    }
    (folder / "cases.yml").write_text(yaml.safe_dump(cases))
    command = [program("promtool"), "test", "rules", "cases.yml"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def _notation(value: float | None) -> str:
    return "_" if value is None else repr(value)


def _samples(expected: Any) -> list[dict[str, Any]]:
    if expected is None:
        return []
    values = expected if isinstance(expected, dict) else {"{}": expected}
    return [{"labels": labels, "value": value} for labels, value in values.items()]
