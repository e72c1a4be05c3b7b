"""The signals that dashboards are made of: each said whole, each answering, together about all that is exported."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.support import series
from tests.support.programs import program

from ml_exporter import config, render
from ml_exporter.catalog import FAMILIES
from ml_exporter.errors import RenderError

LIBRARY = "dashboards/lib/signals.libsonnet"
DEFAULTS = json.dumps(config.from_data({}).for_jsonnet())
OBJECTIVES = json.loads(
    render.evaluate("dashboards/lib/objective_signals.libsonnet", {"config": DEFAULTS, "chosen": '"slo=~\\"$slo\\""'})
)
GRAFANA = {**dict.fromkeys(("$service", "$source", "$pipeline", "$endpoint", "$model"), ".*"), "$__rate_interval": "5m"}
UNITS = ("s", "d", "short", "percentunit", "dateTimeFromNow", "reqps", "suffix:/h", "suffix:/s", "suffix:×")
JOINED = {"ml_pipeline_info": "dashboards join it, to know the stage of a pipeline"}
"""Families of no signal, and why."""


def signals(data: Any = None, **arguments: str) -> dict[str, dict[str, Any]]:
    code = {"config": json.dumps(config.from_data(data or {}).for_jsonnet())}
    result: dict[str, dict[str, Any]] = json.loads(render.evaluate(LIBRARY, code | arguments))
    return result


SIGNALS = signals()
ALL = [*SIGNALS.items(), *OBJECTIVES.items()]


def queries() -> dict[str, str]:
    """Name and number of a query → PromQL with Grafana's variables filled in."""
    return {
        f"{name}_{number}": _filled(query["expr"])
        for name, signal in SIGNALS.items()
        for number, query in enumerate(signal["queries"])
    }


def _filled(expr: str) -> str:
    for name, value in GRAFANA.items():
        expr = expr.replace(name, value)
    assert "$" not in expr, expr
    return expr


@pytest.mark.parametrize(("name", "signal"), ALL)
def test_a_signal_says_what_it_is_in_one_sentence_with_a_unit_and_legends(name: str, signal: dict[str, Any]) -> None:
    assert set(signal) <= {"title", "description", "unit", "queries", "steps", "mappings", "coloured"}
    assert re.fullmatch(r"[A-Z].*[^.]\.", signal["description"])
    assert ". " not in signal["description"]
    assert signal["unit"] in UNITS
    assert all(query["legend"] for query in signal["queries"])


def test_titles_are_unique() -> None:
    assert len({signal["title"] for _, signal in ALL}) == len(ALL)


def test_every_signal_is_on_a_dashboard() -> None:
    root = render.mixin_root() / "dashboards"
    files = [path for path in root.glob("**/*.libsonnet") if not path.name.endswith("signals.libsonnet")]
    text = "\n".join(path.read_text() for path in files)
    # Layers get the signals of the overview as `s`.
    names = {"s", *re.findall(r"local (\w+) = (?:signals|objectives)\(", text)}
    given = "|".join([*names, r"objectives\([^)]*\)"])
    assert [name for name, _ in ALL if not re.search(rf"\b(?:{given})\.{name}\b", text)] == []


def test_every_family_of_pipelines_tasks_schedulers_endpoints_and_costs_is_in_a_signal() -> None:
    asked = " ".join(queries().values())
    families = [
        f.name for f in FAMILIES if re.match(r"ml_(runs?|pipeline|task|scheduler|endpoint|prober|cost)_", f.name)
    ]
    assert len(families) > 40
    assert {name for name in families if not re.search(rf"\b{name}(_bucket)?\b", asked)} == set(JOINED)


def test_every_signal_answers_and_a_second_replica_changes_nothing(tmp_path: Path) -> None:
    """One rule a query, and promtool parses them all; source and endpoint `one` have one replica, `two` have two."""
    records = [{"record": f"signal_{name}", "expr": expr} for name, expr in queries().items()]
    rules = render.generate(config.from_data({}))
    for name in ("recording.yml", "recording-endpoints.yml"):
        (tmp_path / name).write_bytes(rules[f"prometheus/rules/{name}"])
    _write(tmp_path / "signals.yml", {"groups": [{"name": "signals", "rules": records}]})
    answers = [
        {
            "expr": f"count(({_of(name, 'one', 'a')}) == ignoring (source, ml_endpoint, instance)"
            f" ({_of(name, 'two', 'b')})) == bool (count(signal_{name}) / 2)",
            "eval_time": "30m",
            "exp_samples": [{"labels": "{}", "value": 1}],
        }
        for name in queries()
    ]
    case = {
        "interval": "1m",
        "input_series": [
            *series.of_every_family(["a:9840"], "one"),
            *series.of_every_family(source="two"),
            *series.of_every_server("one"),
            *series.of_every_server("two"),
            *series.of_every_baseline("one"),
            *series.of_every_baseline("two"),
        ],
        "promql_expr_test": answers,
    }
    test = {
        "rule_files": ["recording.yml", "recording-endpoints.yml", "signals.yml"],
        "evaluation_interval": "1m",
        "group_eval_order": ["ml-recording", "ml-recording-endpoints", "signals"],
        "tests": [case],
    }
    _write(tmp_path / "test.yml", test)
    for command in (["check", "rules", "signals.yml"], ["test", "rules", "test.yml"]):
        done = subprocess.run([program("promtool"), *command], cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


def _of(query: str, name: str, instance: str) -> str:
    """What a query says of a source or an endpoint, else of an instance of the exporter."""
    of = (f'source="{name}"', f'ml_endpoint="{name}"', f'instance="{instance}:9840"')
    return " or ".join(f"signal_{query}{{{matcher}}}" for matcher in of)


def _write(path: Path, content: Any) -> None:
    path.write_text(yaml.safe_dump(content))


def test_steps_are_the_thresholds_of_the_configuration() -> None:
    thresholds = {
        "failing_runs": 7,
        "late_after": "7m",
        "queued_too_long": "8m",
        "scheduler_heartbeat_after": "9m",
        "capacity_exhausted_for": "10m",
        "slow_ratio": 4,
        "fast_ratio": 0.4,
        "endpoint_down_for": "11m",
        "certificate_days": 12,
        "endpoint_error_ratio": 0.13,
        "endpoint_slow_ratio": 0.14,
        "cache_full": 0.15,
    }
    changed = signals({"alerting": {"thresholds": thresholds}})
    at = {name: [step[1] for step in signal["steps"]] for name, signal in changed.items() if "steps" in signal}
    assert at["consecutiveFailures"][-1] == 7
    assert at["lateness"][-1] == 7 * 60
    assert at["oldestQueued"][-1] == 8 * 60
    assert at["heartbeatAge"][-1] == 9 * 60
    assert at["exhaustedFor"][-1] == 10 * 60
    assert at["durationRatio"][1:] == [0.4, 4]
    assert at["failingFor"][-1] == 11 * 60
    assert [at[name][-1] for name in ("certificate", "errors", "slow", "cache")] == [12, 0.13, 0.14, 0.15]


def test_a_page_of_one_pipeline_asks_for_that_one_and_leaves_its_name_out_of_the_legends() -> None:
    chosen = 'source="$source", pipeline="$pipeline"'
    one = signals(pipelines=json.dumps(chosen), by='"source, pipeline"', each='""')
    assert one["runsActive"]["queries"] == [
        {"expr": f"max by (source, pipeline, state) (ml_runs_active{{{chosen}}})", "legend": "{{state}}"}
    ]


def test_a_misspelt_metric_stops_the_evaluation_and_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = render.mixin_root()
    for path in [*root.glob("alerts/lib/*"), *root.glob("dashboards/lib/*")]:
        copy = tmp_path / path.relative_to(root)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(path.read_text().replace("m.ml_scheduler_load_errors", "m.ml_scheduler_load_error"))
    monkeypatch.setattr(render, "mixin_root", lambda: tmp_path)
    with pytest.raises(RenderError, match=r"ml_scheduler_load_error \(at "):
        signals()
