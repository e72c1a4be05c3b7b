"""Queries: of what is exported or recorded only; all are PromQL, and answer the same of two replicas as of one."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from tests.support import series
from tests.support.dashboards import DASHBOARDS, metric_selectors, recorded, rules, targets
from tests.support.grafana import fill, variable_queries, variables
from tests.support.programs import program

from ml_exporter import config, render
from ml_exporter.catalog import BY_NAME, FAMILIES
from ml_exporter.errors import RenderError

OF_ALERTS = ("alertname", "severity", "ml_service", "source", "pipeline", "model", "ml_endpoint", "slo")
ALERTS = {"ALERTS": (*OF_ALERTS, "alertstate"), "ALERTS_FOR_STATE": OF_ALERTS}
"""What Prometheus itself says of alerts: its labels."""
ONE = {"service": "fraud", "source": "tracking", "pipeline": "fraud-train", "endpoint": "tracking", "model": "fraud"}
"""Of the series of the test."""
ITSELF = "each replica does it by itself"
ADDED_UP = {
    "ml-exporter: Version: A": "how many run of each version",
    "ml-exporter: Polls that failed: A": ITSELF,
    "ml-exporter: Requests: A": ITSELF,
    "ml-exporter: Bytes received: A": ITSELF,
    "ml-exporter: Lateness of probes: A": ITSELF,
    "ml-exporter: Spans dropped: A": ITSELF,
}
"""Queries that say another thing of two replicas than of one, and why that is meant."""
NOT_SHOWN = {
    "ml_source_interval_seconds": "what is late is told by rules, in intervals",
    "ml_source_backfill_complete": "ml_source_backfill_progress_ratio says how much of it is",
    "ml_exporter_config_info": "MLExporterConfigOutOfStep compares it",
}
"""Families on no dashboard, and what tells of them."""


def asked() -> Iterator[tuple[str, str]]:
    """(where, PromQL): variables are All where that can be, else the one of the series."""
    for uid, dashboard in DASHBOARDS.items():
        known = variables(dashboard)
        one = {name: ONE.get(name, "") for name in known}
        every = one | {name: known[name]["allValue"] for name in known if known[name].get("includeAll")}
        for panel, target in targets(dashboard):
            repeated = {name: one[name] for name in known if name == panel.get("repeat")}
            yield f"{uid}: {panel['title']}: {target['refId']}", fill(target["expr"], every | repeated)
        for note in dashboard["annotations"]["list"]:
            yield f"{uid}: annotation {note['name']}", fill(note["expr"], every)
        for query in variable_queries(dashboard):
            selector, _, label = query.removeprefix("label_values(").removesuffix(")").rpartition(", ")
            yield (
                f"{uid}: variable of {label}",
                f"count by ({label}) (group without (instance) ({fill(selector, every)}))",
            )


QUERIES = dict(asked())
_QUOTED = r'"(?:[^"\\]|\\.)*"'


def test_every_metric_and_label_in_a_query_or_rule_is_in_the_catalogue() -> None:
    names = recorded()
    exprs = [*QUERIES.items(), *((rule.get("alert") or rule["record"], rule["expr"]) for rule in rules())]
    for where, expr in exprs:
        for name, matchers in metric_selectors(expr):
            if name in names:
                continue
            family = BY_NAME.get(name) or BY_NAME.get(re.sub("_(bucket|sum|count)$", "", name))
            labels = family.labels if family else ALERTS.get(name)
            assert labels is not None, f"{where}: {name}"
            for label in re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", matchers):
                assert label in labels, f"{where}: {name} has no label {label}"


# Evaluation


ENDPOINT = 'ml_service="fraud", ml_endpoint="tracking"'
PIPELINE = 'source="tracking", ml_service="fraud", pipeline'


def constant(value: float, *names: str) -> list[dict[str, str]]:
    return [{"series": name, "values": f"{value}x60"} for name in names]


def of_an_objective() -> list[dict[str, str]]:
    """What is recorded of it."""
    names = json.loads(render.evaluate("alerts/lib/recorded_slos.libsonnet"))
    of = f'{ENDPOINT}, slo="available"'
    own = [f'{name}{{{of}, slo_window="30d"}}' for name in names.values() if name != names["burnRate"]]
    own = [each.replace(', slo_window="30d"', "") if each.startswith(names["objective"]) else each for each in own]
    burns = [f'{names["burnRate"]}{{{of}, slo_window="30d", window="{each}"}}' for each in ("1h", "6h", "1d", "3d")]
    return constant(0.5, *own, *burns)


def in_trouble(replica: str) -> list[dict[str, str]]:
    """Pipelines that are late and fail, one of each of two stages; and polls that fail."""
    at = f'instance="{replica}"'
    found = []
    for stage in ("features", "training"):
        of = f'{PIPELINE}="late-{stage}", {at}'
        due = (f"ml_pipeline_{which}_due_timestamp_seconds{{{of}}}" for which in ("unmet", "last"))
        found += constant(-100, *due) + constant(1, f'ml_pipeline_info{{{of}, stage="{stage}"}}')
        found += constant(3, f"ml_pipeline_consecutive_failures{{{of}}}")
        found += constant(1, f'ml_run_last_finished_timestamp_seconds{{{of}, state="failed"}}')
    polls = f'ml_source_polls_total{{source="tracking", outcome="failed", reason="timeout", {at}}}'
    return [*found, {"series": polls, "values": "1+1x60"}]


def firing() -> list[dict[str, str]]:
    """A page and a ticket, since the tenth minute and since now; what they are about is recorded, too."""
    source = 'source="tracking"'
    fraud = f'{ENDPOINT}, {source}, pipeline="fraud-train", model="fraud", slo="available"'
    alerts = [
        {
            "series": f'{name}{{alertname="ML{severity}{since}", severity="{severity}", {state}{of}}}',
            "values": f"_x{since} 1x{60 - since}",
        }
        for severity in ("page", "ticket")
        for since in (10, 30)
        for of in (fraud, f'ml_service="ml-exporter", {source}')
        for name, state in (("ALERTS", 'alertstate="firing", '), ("ALERTS_FOR_STATE", ""))
    ]
    names = json.loads(render.evaluate("alerts/lib/recorded_endpoints.libsonnet"))
    read = 'ml:source_read:info{source="tracking"}'
    return alerts + constant(1, read, f'{names["failingSince"]}{{{ENDPOINT}, model="fraud"}}')


def answers(folder: Path, replicas: int) -> dict[str, str]:
    """Where → what promtool says is the answer, of those queries that have one.

    It compares; it is told to expect nothing, and tells what it got instead.
    """
    instances = [f"{number}:9840" for number in range(replicas)]
    given = [
        *series.of_every_family(instances),
        *(each for instance in instances for each in in_trouble(instance)),
        *series.of_every_server(),
        *series.of_every_baseline(),
        *of_an_objective(),
        *firing(),
    ]
    tests = [{"expr": expr, "eval_time": "30m"} for expr in dict.fromkeys(QUERIES.values())]
    case = {"interval": "1m", "input_series": given, "promql_expr_test": tests}
    there = {each["series"].partition("{")[0] for each in given}
    recording = [rule for rule in rules() if "record" in rule and rule["record"] not in there]
    (folder / "rules.yml").write_text(yaml.safe_dump({"groups": [{"name": "shipped", "rules": recording}]}))
    (folder / "test.yml").write_text(
        yaml.safe_dump({"rule_files": ["rules.yml"], "evaluation_interval": "1m", "tests": [case]})
    )
    done = subprocess.run(
        [program("promtool"), "test", "rules", "test.yml"], cwd=folder, capture_output=True, text=True
    )
    told = done.stdout + done.stderr
    assert re.findall(r"(.*), time: \w+, err: (.*)", told) == []
    found = re.findall(rf"expr: ({_QUOTED}), time: 30m,\s+exp: nil\s+got: (.*)", told)
    got = {json.loads(expr): answer for expr, answer in found}
    return {where: got[expr] for where, expr in QUERIES.items() if expr in got}


@pytest.fixture(scope="module")
def of_one(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return answers(tmp_path_factory.mktemp("one"), 1)


@pytest.fixture(scope="module")
def of_two(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return answers(tmp_path_factory.mktemp("two"), 2)


def test_every_query_answers(of_one: dict[str, str]) -> None:
    assert len(QUERIES) > 200
    assert [where for where in QUERIES if where not in of_one] == []


def test_a_second_replica_changes_nothing(of_one: dict[str, str], of_two: dict[str, str]) -> None:
    assert {where for where in QUERIES if of_one.get(where) != of_two.get(where)} == set(ADDED_UP)


# What stops


@pytest.mark.parametrize(
    ("file", "right", "wrong"),
    [
        ("pipelines", "m.ml_pipeline_info", "m.ml_pipeline_inf"),
        ("models", "recorded.liveDegradation", "recorded.liveDegrade"),
        ("lib/signals", "m.ml_runs_active", "m.ml_run_active"),
    ],
)
def test_a_misspelt_name_stops_the_evaluation_with_file_and_name(
    file: str, right: str, wrong: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = render.mixin_root()
    for name in ("alerts", "dashboards", "provisioning"):
        shutil.copytree(root / name, tmp_path / name)
    shutil.copy(root / "mixin.libsonnet", tmp_path)
    changed = tmp_path / f"dashboards/{file}.libsonnet"
    assert right in changed.read_text()
    changed.write_text(changed.read_text().replace(right, wrong))
    monkeypatch.setattr(render, "mixin_root", lambda: tmp_path)
    named = rf"{wrong.partition('.')[2]} \(at dashboards/{file}\.libsonnet:\d+"
    with pytest.raises(RenderError, match=named):
        render.generate(config.from_data({}))


def test_every_family_is_on_a_dashboard() -> None:
    asked = " ".join(QUERIES.values())
    shown = {family.name for family in FAMILIES if re.search(rf"\b{family.name}(?:_bucket)?\b", asked)}
    assert {family.name for family in FAMILIES} - shown == set(NOT_SHOWN)
