"""Every alert, run by promtool against the rules that are rendered for a small configuration."""

from __future__ import annotations

import copy
import functools
import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.support.programs import program

from ml_exporter import config, discovery, render
from ml_exporter.publish import MARK

ROOT = Path(__file__).parents[1]
CASES = {path.stem: path for path in sorted((ROOT / "tests" / "alerts").glob("*.yaml"))}

ENDPOINT = {"protocol": "open_inference", "url": "http://127.0.0.1:1", "model": "fraud", "latency_limit": "250ms"}
NO_SERVICE: dict[str, Any] = {
    "endpoints": [
        {"name": "live", **ENDPOINT},
        {"name": "batch", **ENDPOINT, "interval": "15m"},
        {"name": "native", **ENDPOINT, "server": "mlserver", "latency_from": "native"},
    ]
}
ONE_SERVICE = {**NO_SERVICE, "services": [{"name": "fraud", "owner": "risk-ml", "models": ["fraud"]}]}
OF_PIPELINES_AND_MODELS = [name for name in CASES if re.match(r"ML(Pipeline|Run|Training|ModelQuality)", name)]
OF_ENDPOINTS = [
    name for name in CASES if re.match(r"ML(Endpoint|ModelNotReady)", name) and name != "MLEndpointProbesStale"
]
CLAIMED = OF_PIPELINES_AND_MODELS + OF_ENDPOINTS
WITH_INSTANCE = ("MLExporterDown", "MLExporterConfigReloadFailed", "MLExporterStateKeptAside")

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


@pytest.fixture(scope="module")
def shipped() -> dict[str, dict[str, Any]]:
    return alerts_of(ONE_SERVICE)


def run_promtool(
    folder: Path,
    alert: str,
    data: Any = ONE_SERVICE,
    change: Change | None = None,
    version: str | None = None,
    addresses: bool = False,
) -> None:
    """Run one alert's cases against its rule and the recorded ones, by default without addresses in annotations."""
    rules = folder / "prometheus" / "rules"
    rules.mkdir(parents=True)
    text = CASES[alert].read_text().replace("HASH", config.from_data(data).hash)
    cases = yaml.safe_load(text)
    for name, file in rules_of(data).items():
        group = file["groups"][0]
        # Of those that the cases need: the others cost promtool seconds.
        if group["name"] not in cases.get("group_eval_order", [group["name"]]):
            continue
        group["rules"] = [rule for rule in group["rules"] if rule.get("alert", alert) == alert]
        if not addresses:
            _drop_addresses(group["rules"])
        (rules / name).write_text(yaml.safe_dump(file))
    if change:
        change(cases)
    (folder / "alerts").mkdir()
    (folder / "alerts" / "case.yaml").write_text(yaml.safe_dump(cases))
    command = [program("promtool", version), "test", "rules", "case.yaml"]
    done = subprocess.run(command, cwd=folder / "alerts", capture_output=True, text=True)
    assert done.returncode == 0, f"{alert}\n{done.stdout}{done.stderr}"


def _drop_addresses(rules: list[dict[str, Any]]) -> None:
    for rule in rules:
        for address in ("runbook_url", "dashboard_url"):
            rule.get("annotations", {}).pop(address, None)


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


def test_every_alert_has_a_runbook_and_a_promtool_test(shipped: dict[str, Any]) -> None:
    runbooks = {path.stem for path in (ROOT / "alerts" / "runbooks").glob("*.md")}
    assert runbooks == set(shipped)
    assert set(CASES) == set(shipped)


@pytest.mark.parametrize("alert", CASES)
def test_every_promtool_test_fires_its_alert_and_sees_it_silent(alert: str) -> None:
    rows = [row for case in yaml.safe_load(CASES[alert].read_text())["tests"] for row in case["alert_rule_test"]]
    assert {row["alertname"] for row in rows} == {alert}
    assert any(row["exp_alerts"] for row in rows)
    assert alert == "Watchdog" or any(not row["exp_alerts"] for row in rows)


def test_every_alert_says_what_where_to_look_and_what_to_do(shipped: dict[str, Any]) -> None:
    alerting = config.Alerting()
    for name, rule in shipped.items():
        notes = rule["annotations"]
        assert set(notes) == {"summary", "description", "runbook_url", "dashboard_url"}, name
        assert notes["runbook_url"] == f"{alerting.runbook_url}/{name}.md"
        assert notes["dashboard_url"].startswith(f"{alerting.dashboard_url}/d/ml-")
        assert rule["labels"]["severity"] in ("page", "ticket", "info"), name


def test_addresses_in_an_alert_survive_a_name_with_odd_characters(tmp_path: Path) -> None:
    def rename(cases: dict[str, Any]) -> None:
        text = json.dumps(cases).replace("fraud-train", "a&b c/é")
        cases.update(json.loads(text))
        for case in cases["tests"]:
            for row in case["alert_rule_test"]:
                for expected in row["exp_alerts"]:
                    expected["exp_annotations"] |= {
                        "runbook_url": f"{config.Alerting().runbook_url}/MLPipelineFailingRepeatedly.md",
                        "dashboard_url": "http://localhost:3000/d/ml-pipelines"
                        "?var-pipeline=a%26b+c%2F%C3%A9&var-source=tracking",
                    }

    run_promtool(tmp_path, "MLPipelineFailingRepeatedly", change=rename, addresses=True)


def test_runbooks_have_the_same_parts_and_name_thresholds_that_exist() -> None:
    thresholds = json.loads(render.defaults_json())["alerting"]["thresholds"]
    for path in (ROOT / "alerts" / "runbooks").glob("*.md"):
        text = path.read_text()
        assert text.startswith(f"# {path.stem}\n")
        parts = ("**What it means.**", "**What it hurts.**", "**What to check first**", "**To silence or tune.**")
        assert all(part in text for part in parts), path
        assert set(re.findall(r"alerting\.thresholds\.(\w+)", text)) <= set(thresholds), path


def test_numbers_are_in_annotations_and_never_in_labels(shipped: dict[str, Any]) -> None:
    for rule in shipped.values():
        assert "$value" not in json.dumps(rule["labels"])


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
    """Of models only the version behind a live alias; of endpoints those that give no predictions, or wrong ones."""
    assert {name for name, rule in shipped.items() if rule["labels"]["severity"] == "page"} == {
        "MLModelQualityDegradedLive",
        "MLEndpointDown",
        "MLModelNotReady",
        "MLEndpointWrongPredictions",
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


def test_every_threshold_is_used_by_an_alert() -> None:
    before = alerts_of(NO_SERVICE)
    counts = {"failing_runs", "wrong_predictions", "endpoint_flaps", "slow_probes"}
    durations = {"never_succeeded_after", "stuck_at_least", "stuck_without_typical", "duration_at_least"}
    durations |= {"queued_too_long", "source_down_for", "backfill_after", "late_after"}
    durations |= {"scheduler_heartbeat_after", "capacity_exhausted_for", "load_errors_for"}
    durations |= {"endpoint_down_for", "model_not_ready_for", "endpoint_degraded_for", "endpoint_saturated_for"}
    durations |= {"queue_wait", "views_disagree_for", "wrong_version_for", "index_down_for", "metrics_down_for"}
    for name, value in json.loads(render.defaults_json())["alerting"]["thresholds"].items():
        other = "7777s" if name in durations else int(value) + 3 if name in counts else value * 0.9
        changed = alerts_of({**NO_SERVICE, "alerting": {"thresholds": {name: other}}})
        assert _exprs(changed) != _exprs(before), name


def _exprs(alerts: dict[str, dict[str, Any]]) -> dict[str, Any]:
    return {name: (rule["expr"], rule.get("for")) for name, rule in alerts.items()}


def test_a_name_in_live_aliases_is_matched_literally() -> None:
    recording = rules_of({"alerting": {"live_aliases": ["prod.eu", 'a"b']}})["recording.yml"]
    assert 'alias=~"prod\\\\.eu|a\\"b"' in recording["groups"][0]["rules"][0]["expr"]


def test_the_page_on_alerts_matches_the_alerts() -> None:
    page = render.alerts_markdown()
    assert (ROOT / "docs" / "alerts.md").read_text() == page, "run `make generate`"
    assert MARK in page
