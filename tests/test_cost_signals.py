"""What runs cost, as dashboards ask for it: figures that were computed by hand."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import yaml
from tests.support.programs import program

from ml_exporter import config, render

PIPELINES = 'source="s", pipeline="train"'
LABELS = 'source="s", ml_service="fraud", pipeline="train"'


def expression(name: str) -> str:
    arguments = {
        "config": config.from_data({}).for_jsonnet(),
        "pipelines": PIPELINES,
        "by": "source, ml_service, pipeline",
        "each": "{{pipeline}}",
    }
    code = {key: json.dumps(value) for key, value in arguments.items()}
    return str(json.loads(render.evaluate("dashboards/lib/cost_signals.libsonnet", code))[name]["queries"][0]["expr"])


def series(name: str, values: str, instance: str, more: str = "") -> dict[str, str]:
    return {"series": f'{name}{{{LABELS}, {more}instance="{instance}"}}', "values": values}


def costs(tmp_path: Path, at: str, cost: float, *given: dict[str, str]) -> None:
    """Asserts what the runs of the day before `at` cost."""
    answer = {"labels": f'{{{LABELS}, currency="EUR"}}', "value": cost}
    case: dict[str, Any] = {
        "interval": "1h",
        "input_series": list(given),
        "promql_expr_test": [{"expr": expression("costOfRuns"), "eval_time": at, "exp_samples": [answer]}],
    }
    (tmp_path / "test.yml").write_text(yaml.safe_dump({"tests": [case]}))
    done = subprocess.run(
        [program("promtool"), "test", "rules", "test.yml"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_runs_cost_their_time_once_whatever_the_number_of_replicas(tmp_path: Path) -> None:
    # Half an hour of run in every hour, at 3 an hour: 36 a day.
    busy = [series("ml_run_busy_seconds_total", "90000+1800x48", each) for each in ("a", "b")]
    price = [series("ml_cost_run_per_hour", "3x48", each, 'currency="EUR", ') for each in ("a", "b")]
    costs(tmp_path, "48h", 36, *busy, *price)


def test_a_price_that_changes_costs_nothing_by_itself(tmp_path: Path) -> None:
    busy = series("ml_run_busy_seconds_total", "90000+1800x48", "a")
    cheaper = series("ml_cost_run_per_hour", "3x40 1x8", "a", 'currency="EUR", ')
    costs(tmp_path, "40h", 36, busy, cheaper)
    costs(tmp_path, "48h", 12, busy, cheaper)
