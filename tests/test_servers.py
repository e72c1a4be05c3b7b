"""What the rules record of each kind of server: every adapter in alerts/servers/ on its fixture, run by promtool."""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from tests.support import native_metrics
from tests.support.native_cases import BY_SERVER, CASES
from tests.support.native_metrics import Case, Series, check, endpoint, recorded_labels, rendered, rules
from tests.support.programs import program

from ml_exporter import config, render

ROOT = Path(__file__).parents[1]
ADAPTERS = sorted(path.stem for path in (ROOT / "alerts" / "servers").glob("*.libsonnet") if path.stem != "contract")
RECORDED = set(json.loads(render.evaluate("alerts/lib/recorded_servers.libsonnet")).values())
BOTH_VERSIONS = pytest.mark.parametrize("version", [None, pytest.param("3.5", marks=pytest.mark.system)])
EVERY_CASE = pytest.mark.parametrize("case", CASES, ids=lambda case: case.server)


def as_labels(case: Case) -> dict[str, dict[str, float]]:
    return {
        record: {recorded_labels(case.server, *served): value for served, value in values.items()}
        for record, values in case.expected.items()
    }


@BOTH_VERSIONS
@EVERY_CASE
def test_requests_errors_latency_and_the_rest_are_what_was_computed_by_hand(
    case: Case, version: str | None, tmp_path: Path
) -> None:
    check(tmp_path, case.series(), [case.configured()], as_labels(case), version)


@EVERY_CASE
def test_nothing_is_recorded_that_the_case_does_not_expect(case: Case) -> None:
    recorded = {rule["record"] for rule in rules(case.configured())}
    assert recorded - {"ml:requests:rate1h"} == set(case.expected)
    assert recorded <= RECORDED


@EVERY_CASE
def test_a_second_replica_adds_to_rates_and_changes_neither_times_nor_longest_queues(
    case: Case, tmp_path: Path
) -> None:
    series = case.series()
    both = series + [replace(item, labels={**item.labels, "instance": "other:1"}) for item in series]
    doubled = {
        record: {labels: value * (2 if record.endswith("rate5m") else 1) for labels, value in values.items()}
        for record, values in as_labels(case).items()
    }
    check(tmp_path, both, [case.configured()], doubled)


@EVERY_CASE
def test_nothing_is_not_a_number_while_nobody_asks_for_predictions(case: Case, tmp_path: Path) -> None:
    quiet = [replace(item, step=0.0) for item in case.series()]
    nan = {f"{record} != {record}": {} for record in case.expected}
    check(tmp_path, quiet, [case.configured()], nan)


@pytest.mark.parametrize(
    ("server", "first_error"),
    [
        ("triton", "request_failure"),
        ("mlserver", "request_failure"),
        ("seldon", 'code="(5|Unavailable)'),
        ("tensorflow_serving", 'status="INTERNAL"'),
        ("torchserve", "Requests5XX"),
        ("sglang", 'status_code="5'),
        ("tgi", "request_failure"),
        ("ray_serve", 'status_code="5'),
        ("bentoml", 'http_response_code="5'),
    ],
)
def test_errors_are_zero_and_not_absent_before_the_first_one_makes_a_series(
    server: str, first_error: str, tmp_path: Path
) -> None:
    case = BY_SERVER[server]
    healthy = [series for series in case.series() if not re.search(first_error, series.text())]
    assert len(healthy) < len(case.series())
    zero = {labels: 0.0 for labels in as_labels(case)["ml:requests_bad:rate5m"] if 'model="' in labels}
    check(tmp_path, healthy, [case.configured()], {"ml:requests_bad:rate5m": zero})


def test_what_is_not_scraped_for_an_endpoint_is_not_counted(tmp_path: Path) -> None:
    case = BY_SERVER["vllm"]
    failed = {"handler": "/v1/x", "method": "POST", "status": "5xx"}
    strangers = [
        Series("http_requests_total", {**failed, **target}, 0, 60)
        for target in ({"job": "shop"}, {"job": "shop", "server": "vllm"}, {"job": "shop", "ml_endpoint": "live"})
    ]
    check(tmp_path, [*case.series(), *strangers], [case.configured()], as_labels(case))


def test_series_of_several_servers_and_endpoints_stay_apart(tmp_path: Path) -> None:
    cases = [replace(case, endpoint={**case.endpoint, "name": case.server}) for case in CASES]
    series = [item for case in cases for item in case.series()]
    expected: dict[str, dict[str, float]] = {}
    for case in cases:
        for record, values in case.expected.items():
            named = {recorded_labels(case.server, *served, name=case.server): v for served, v in values.items()}
            expected.setdefault(record, {}).update(named)
    check(tmp_path, series, [case.configured() for case in cases], expected)


def test_no_rule_exists_without_an_endpoint_whose_server_is_known() -> None:
    assert rules() == []
    assert rules(endpoint(server=None)) == []
    assert not [name for name in rendered(endpoint(server=None)) if "servers.yml" in name]


def test_kubernetes_gets_the_same_rules() -> None:
    given = BY_SERVER["triton"].configured()
    item = rendered(given, format="kubernetes")["kubernetes/prometheusrule-servers.yml"]
    assert item["spec"]["groups"][0]["rules"] == rules(given)


@BOTH_VERSIONS
def test_promtool_accepts_the_rules_of_all_servers_and_finds_none_twice(version: str | None, tmp_path: Path) -> None:
    limits = [endpoint(name=f"v{n}", server="vllm", latency_from="native", latency_limit=0.5) for n in range(2)]
    given = [*(case.configured() for case in CASES), *limits]
    (tmp_path / "rules.yml").write_text(json.dumps({"groups": [{"name": "ml-servers", "rules": rules(*given)}]}))
    command = [program("promtool", version), "check", "rules", "--lint=all", "--lint-fatal", "rules.yml"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


# Cost


def test_cost_per_prediction_is_the_cost_of_an_hour_over_its_predictions(tmp_path: Path) -> None:
    case = replace(BY_SERVER["triton"], endpoint={"cost_per_hour": 4.68})
    money = [
        Series(
            "ml_cost_per_hour", {"ml_service": "fraud", "ml_endpoint": "live", "currency": "EUR", "instance": i}, 4.68
        )
        for i in ("a:9840", "b:9840")
    ]
    labels = '{currency="EUR", ml_endpoint="live", ml_service="fraud"}'
    expected = {"ml:requests:rate1h": {recorded_labels("triton", "sk", "1"): 2.6}}
    expected |= {"ml:cost_per_prediction:ratio1h * 1000": {labels: 0.5}}
    check(tmp_path / "busy", [*case.series(), *money], [case.configured()], expected, minutes=70)
    quiet = [replace(item, step=0.0) for item in case.series()]
    nothing: dict[str, dict[str, float]] = {"ml:cost_per_prediction:ratio1h": {}}
    check(tmp_path / "quiet", [*quiet, *money], [case.configured()], nothing, minutes=70)


def test_no_cost_is_recorded_where_predictions_are_not_counted_or_cost_nothing() -> None:
    for given in (endpoint(server="llamacpp", cost_per_hour=1.0), endpoint(server="triton")):
        assert not [rule for rule in rules(given) if "cost" in rule["record"]]


# The contract


def test_every_adapter_is_known_has_a_fixture_a_case_and_a_row_and_a_section_on_the_page() -> None:
    page = (ROOT / "docs" / "servers.md").read_text()
    assert sorted(json.loads(render.evaluate("alerts/lib/servers.libsonnet"))) == ADAPTERS
    assert native_metrics.SERVERS == ADAPTERS
    assert sorted(BY_SERVER) == ADAPTERS
    assert sorted(re.findall(r"^\| \[(\w+)\]\(#\w+\)", page, re.MULTILINE)) == ADAPTERS
    assert sorted(re.findall(r"^### (\w+)$", page, re.MULTILINE)) == ADAPTERS


@pytest.mark.parametrize("server", ADAPTERS)
def test_a_fixture_and_the_page_say_whether_it_was_recorded_or_written_from_source(server: str) -> None:
    first = (native_metrics.FIXTURES / f"{server}.metrics.txt").read_text().splitlines()[0]
    found = re.match(r"# (recorded from|written from the source of) ", first)
    assert found, first
    (row,) = re.findall(rf"^\| \[{server}\].*$", (ROOT / "docs" / "servers.md").read_text(), re.MULTILINE)
    assert ("recorded" in row, "source" in row) == ("recorded" in found[1], "source" in found[1]), row


def test_the_page_shows_an_endpoint_that_is_valid_and_read() -> None:
    shown = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs" / "servers.md").read_text(), re.DOTALL)[0]
    (given,) = config.from_data(yaml.safe_load(shown)).for_jsonnet()["endpoints"]
    assert given.keys() == endpoint().keys()
    assert rules(given)


def test_all_of_the_contract_is_explained() -> None:
    lines = (ROOT / "alerts" / "servers" / "contract.libsonnet").read_text()
    fields = json.loads(render.evaluate("alerts/lib/servers.libsonnet"))["triton"]
    assert all(f"  {name}: " in lines for name in fields)


@pytest.mark.parametrize("server", [case.server for case in CASES if "ml:request_seconds:p99_5m" in case.expected])
def test_edges_are_in_order_and_are_those_of_the_fixture(server: str) -> None:
    latency = json.loads(render.evaluate("alerts/lib/servers.libsonnet"))[server]["latency"]
    assert [float(edge) for edge in latency["edges"]] == sorted(float(edge) for edge in latency["edges"])
    series = native_metrics.fixture(server)
    shown = {item.labels["le"] for item in series if item.name == f"{latency['metric']}_bucket"}
    assert set(latency["edges"]) == shown - {"+Inf"}


@pytest.mark.parametrize(
    ("before", "after", "complaint"),
    [
        ("  bad: [", "  bad_: [", "lacks bad"),
        ("  batch: {", "  colour: 'red',\n  batch: {", "colour is not in the contract"),
        ("{ metric: 'nv_inference_count' }", "{ metrics: 'nv_inference_count' }", "batch.sum: lacks metric"),
        ("unit: 1e-6 }", "units: 1e-6 }", "latency_mean: units is not in the contract"),
        ("one_model: true", "one: true", "scrape: lacks one_model"),
    ],
)
def test_an_adapter_that_breaks_the_contract_stops_the_evaluation_with_its_name(
    before: str, after: str, complaint: str
) -> None:
    text = (ROOT / "alerts" / "servers" / "triton.libsonnet").read_text()
    assert before in text
    code = f"(import 'alerts/servers/contract.libsonnet').check('triton', {text.replace(before, after, 1)})"
    done = subprocess.run(["jsonnet", "-J", ROOT, "-e", code], capture_output=True, text=True)
    assert done.returncode != 0
    assert f"alerts/servers/triton.libsonnet: {complaint}" in done.stderr


def test_no_alert_and_no_dashboard_names_a_server_or_its_metrics() -> None:
    everything = [case.configured() for case in CASES]
    files = rendered(*everything)
    words = re.compile(
        "|".join([*ADAPTERS, r"\bnv_", r"vllm:", r"sglang:", r"\btgi_", r"\bts_", "tensorflow", "ray_serve_"])
    )
    for name, content in files.items():
        # What adapters record, now and as an hour's mean to compare with.
        recorded = name.endswith(("servers.yml", "recording-baselines.yml"))
        if name.startswith(("prometheus/rules/", "grafana/dashboards/")) and not recorded:
            named = words.findall(yaml.safe_dump(content))
            assert not named, f"{name}: {named}"
