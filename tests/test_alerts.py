"""Every alert, run by promtool against the rules that are rendered for a small configuration."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Any

import _gojsonnet
import pytest
import yaml
from tests.support.alerts import CASES, NO_SERVICE, ONE_SERVICE, ROOT, alerts_of, rules_of, run_promtool

from ml_exporter import config, discovery, render
from ml_exporter.alerting_settings import Alerting
from ml_exporter.publish import MARK

OF_PIPELINES_AND_MODELS = [name for name in CASES if re.match(r"ML(Pipeline|Run|Training|ModelQuality)", name)]
OF_ENDPOINTS = [
    name
    for name in CASES
    if re.match(r"ML(Endpoint|ModelNotReady|RequestVolume|Latency)", name) and name != "MLEndpointProbesStale"
]
CLAIMED = OF_PIPELINES_AND_MODELS + OF_ENDPOINTS
WITH_INSTANCE = ("MLExporterDown", "MLExporterConfigReloadFailed", "MLExporterStateKeptAside")


@pytest.fixture(scope="module")
def shipped() -> dict[str, dict[str, Any]]:
    return alerts_of(ONE_SERVICE)


@pytest.mark.parametrize("version", [None, pytest.param("3.5", marks=pytest.mark.system)])
@pytest.mark.parametrize("alert", CASES)
def test_an_alert_fires_is_silent_and_resolves_as_its_cases_say(
    alert: str, version: str | None, tmp_path: Path
) -> None:
    run_promtool(tmp_path, alert, version=version)


@pytest.mark.parametrize("alert", [name for name in CASES if name not in WITH_INSTANCE])
def test_a_second_replica_doubles_nothing(alert: str, tmp_path: Path) -> None:
    def add_a_replica(cases: dict[str, Any]) -> None:
        for case in cases["tests"]:
            case["input_series"] += [
                {**series, "series": series["series"].replace("a:9840", "b:9840")} for series in case["input_series"]
            ]

    run_promtool(tmp_path, alert, change=add_a_replica)


@pytest.mark.parametrize("alert", CLAIMED)
def test_what_no_service_claims_alerts_nobody_once_services_are_configured(alert: str, tmp_path: Path) -> None:
    def unclaim(cases: dict[str, Any]) -> None:
        _rename_service(cases)
        for case in cases["tests"]:
            for row in case["alert_rule_test"]:
                row["exp_alerts"] = []

    run_promtool(tmp_path, alert, change=unclaim)


@pytest.mark.parametrize("alert", CLAIMED)
def test_everything_alerts_while_no_service_is_configured(alert: str, tmp_path: Path) -> None:
    run_promtool(tmp_path, alert, data=NO_SERVICE, change=_rename_service)


def _rename_service(cases: dict[str, Any]) -> None:
    """What the exporter calls it when nothing is configured."""
    text = json.dumps(cases).replace('ml_service=\\"fraud\\"', 'ml_service=\\"unassigned\\"')
    cases.update(json.loads(text.replace('"ml_service": "fraud"', '"ml_service": "unassigned"')))


def test_addresses_in_an_alert_survive_a_name_with_odd_characters(tmp_path: Path) -> None:
    def rename(cases: dict[str, Any]) -> None:
        text = json.dumps(cases).replace("fraud-train", "a&b c/é")
        cases.update(json.loads(text))
        for case in cases["tests"]:
            for row in case["alert_rule_test"]:
                for expected in row["exp_alerts"]:
                    expected["exp_annotations"] |= {
                        "runbook_url": f"{Alerting().runbook_url}/MLPipelineFailingRepeatedly.md",
                        "dashboard_url": "http://localhost:3000/d/ml-pipeline"
                        "?var-pipeline=a%26b+c%2F%C3%A9&var-source=tracking",
                    }

    run_promtool(tmp_path, "MLPipelineFailingRepeatedly", change=rename, keep=("runbook_url", "dashboard_url"))


def test_no_alert_names_what_runs_the_pipelines(shipped: dict[str, Any]) -> None:
    kinds = {*discovery.kinds(), "airflow", "slurm", "prefect", "dagster", "ray", "kubernetes", "argo", "kubeflow"}
    named = re.compile(rf"\b({'|'.join(kinds)})\b", re.IGNORECASE)
    assert [name for name, rule in shipped.items() if named.search(json.dumps(rule))] == []
    recording = rules_of(ONE_SERVICE)["recording.yml"]
    assert not named.search(json.dumps(recording))


def test_no_alert_or_recorded_series_of_endpoints_names_a_model_server() -> None:
    servers = json.loads(render.evaluate("alerts/lib/servers.libsonnet"))
    assert len(servers) > 10
    named = re.compile("|".join(name.replace("_", "[_ -]?") for name in servers), re.IGNORECASE)
    rules = rules_of({**ONE_SERVICE, "endpoints": NO_SERVICE["endpoints"][:2]})
    assert not named.search(json.dumps([rules["endpoints.yml"], rules["recording-endpoints.yml"]]))


def test_only_what_users_feel_now_pages(shipped: dict[str, Any]) -> None:
    """Of models only the version behind a live alias; of endpoints those that give no predictions, or wrong ones; of
    objectives those that burn fast, or whose deadline passed."""
    assert {name for name, rule in shipped.items() if rule["labels"]["severity"] == "page"} == {
        "MLModelQualityDegradedLive",
        "MLEndpointDown",
        "MLModelNotReady",
        "MLEndpointWrongPredictions",
        "MLObjectiveBurningFast",
        "MLObjectiveBurning",
        "MLObjectiveOutage",
        "MLObjectiveDeadlineMissed",
        "MLAlertUnresolved",
    }


def test_every_expected_alert_carries_its_service_and_its_component() -> None:
    for alert, labels in _firing():
        assert labels["ml_service"], alert
        if alert in OF_PIPELINES_AND_MODELS:
            assert labels["source"], alert
            assert "pipeline" in labels or {"model", "version"} <= set(labels), alert
        if alert.startswith("MLEndpoint"):
            assert labels["ml_endpoint"], alert


def test_every_alert_that_an_inhibition_meets_carries_the_labels_it_compares() -> None:
    routing = json.loads(render.evaluate("alerts/routing.libsonnet"))
    met = 0
    for rule in routing["inhibitions"]:
        for alert, labels in _firing():
            for matchers in (rule["source"], rule["target"]):
                if _matches(matchers, {**labels, "alertname": alert}):
                    met += 1
                    missing = [label for label in rule["equal"] if not labels.get(label)]
                    assert not missing, f"{alert} lacks {missing}: {rule['why']}"
    assert met > len(routing["inhibitions"])


def _firing() -> list[tuple[str, dict[str, str]]]:
    """The exact labels that promtool saw on every alert."""
    return [
        (alert, expected["exp_labels"])
        for alert, path in CASES.items()
        for case in yaml.safe_load(path.read_text())["tests"]
        for row in case["alert_rule_test"]
        for expected in row["exp_alerts"]
    ]


def _matches(matchers: list[str], labels: dict[str, str]) -> bool:
    for matcher in matchers:
        found = re.fullmatch(r'(\w+)(=~|!~|!=|=)"(.*)"', matcher)
        assert found, matcher
        name, operator, value = found.groups()
        pattern = value if "~" in operator else re.escape(value)
        if bool(re.fullmatch(pattern, labels.get(name, ""))) == operator.startswith("!"):
            return False
    return True


def test_a_threshold_comes_from_the_configuration(tmp_path: Path) -> None:
    stricter = {**ONE_SERVICE, "alerting": {"thresholds": {"failing_runs": 2}}}

    def fire_at_two(cases: dict[str, Any]) -> None:
        first = cases["tests"][0]["alert_rule_test"]
        first[0]["exp_alerts"] = copy.deepcopy(first[1]["exp_alerts"])
        notes = first[0]["exp_alerts"][0]["exp_annotations"]
        notes["description"] = notes["description"].replace("last 3 runs", "last 2 runs")

    run_promtool(tmp_path, "MLPipelineFailingRepeatedly", data=stricter, change=fire_at_two)


UNUSED = """
local judged(config) =
  local alerts = ((import 'mixin.libsonnet') { _config:: config }).mlAlerts;
  [[alert.name, alert.expr, std.get(alert, 'for')] for area in std.objectFields(alerts) for alert in alerts[area]];
function(config)
  local given = config.alerting.thresholds;
  local before = judged(config);
  local changed(name) = config { alerting+: { thresholds+: { [name]: 0.9 * given[name] } } };
  [name for name in std.objectFields(given) if judged(changed(name)) == before]
"""
"""The thresholds without which all alerts are what they were, in one evaluation: many take minutes."""


def test_every_threshold_is_used_by_an_alert() -> None:
    data = json.dumps(config.from_data(NO_SERVICE).for_jsonnet())
    unused = _gojsonnet.evaluate_snippet("unused", UNUSED, jpathdir=[str(ROOT)], tla_codes={"config": data})
    assert json.loads(unused) == []


def test_a_name_in_live_aliases_is_matched_literally() -> None:
    recording = rules_of({"alerting": {"live_aliases": ["prod.eu", 'a"b']}})["recording.yml"]
    assert 'alias=~"prod\\\\.eu|a\\"b"' in recording["groups"][0]["rules"][0]["expr"]


def test_the_page_on_alerts_matches_the_alerts() -> None:
    page = render.alerts_markdown()
    assert (ROOT / "docs" / "alerts.md").read_text() == page, "run `make generate`"
    assert MARK in page
