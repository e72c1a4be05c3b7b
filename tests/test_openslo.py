"""OpenSLO documents: what becomes of them, and what is refused with the file, the document and the key."""

from __future__ import annotations

import copy
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
import yaml

from ml_exporter import openslo
from ml_exporter.config import from_data, warnings
from ml_exporter.errors import ConfigError
from ml_exporter.render import generate
from ml_exporter.settings import Config

FIXTURES = Path(__file__).parent / "fixtures/openslo"
SERVICES = [{"name": "fraud-detection", "owner": "risk-ml"}]


def configured(folder: Path, *names: str) -> Config:
    return from_data({"services": SERVICES, "slo_files": list(names)}, {}, folder)


def entries(name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = configured(FIXTURES, name).for_jsonnet()["slos"]
    return found


def test_a_ratio_becomes_one_objective_for_each_of_the_document() -> None:
    first, second = entries("scoring.yaml")
    assert [first["name"], second["name"]] == ["payments-scored-most-of-them", "payments-scored-2"]
    assert [first["objective"], second["objective"]] == [99.95, 99]
    assert first["options"] == {
        "bad": None,
        "good": 'sum(rate(payments_scored_total{outcome=~"ok|late"}[$window]))',
        "total": "sum(rate(payments_scored_total[$window]))",
    }
    assert (first["kind"], first["ml_service"], first["window"]) == ("ratio", "fraud-detection", 28 * 86400)
    assert first["impact"] == "Payments are approved without a fraud score"
    assert first["path"] == "slo_files[0]: scoring.yaml: payments-scored-most-of-them"


def test_slices_of_a_ratio_become_a_gauge_of_minutes() -> None:
    (entry,) = entries("slices.yaml")
    bad = 'sum(rate(scoring_requests_total{code=~"5.."}[1m]))'
    total = "sum(rate(scoring_requests_total[1m]))"
    assert entry["kind"] == "gauge"
    assert entry["options"]["expr"] == f"1 - (({bad}) or 0 * ({total})) / (({total}) > 0) >= bool 0.95"
    assert (entry["name"], entry["objective"], entry["window"]) == ("scoring-minutes", 99.5, 30 * 86400)


def test_a_threshold_becomes_a_gauge() -> None:
    (entry,) = entries("threshold.yaml")
    assert entry["options"] == {"expr": '(max(feature_psi{model="fraud"})) <= bool 0.25'}
    assert (entry["name"], entry["objective"]) == ("drift", 95)


def test_what_is_ignored_is_noted() -> None:
    notes = [note for note in warnings(configured(FIXTURES, "scoring.yaml")) if "OpenSLO" in note or "ignored" in note]
    assert notes == [
        "slo_files[0]: scoring.yaml: on-call: AlertPolicy is ignored: alerts come from the tiers, receivers from "
        "alerting",
        "slo_files[0]: scoring.yaml: payments-scored.spec.alertPolicies: ignored, as above",
    ]


def test_rules_come_of_all_of_them() -> None:
    config = configured(FIXTURES, *sorted(path.name for path in FIXTURES.iterdir()))
    rules = b"".join(content for name, content in generate(config).items() if "/rules/" in name).decode()
    for slo in config.slos:
        assert slo.common.name in rules


METRIC = {"metricSource": {"type": "Prometheus", "spec": {"query": "requests_total"}}}
RATIO = {"counter": True, "good": METRIC, "total": copy.deepcopy(METRIC)}
OBJECTIVE = {"target": 0.99}
SLO: dict[str, Any] = {
    "apiVersion": "openslo/v1",
    "kind": "SLO",
    "metadata": {"name": "requests"},
    "spec": {
        "service": "fraud-detection",
        "indicator": {"spec": {"ratioMetric": RATIO}},
        "timeWindow": [{"duration": "28d", "isRolling": True}],
        "budgetingMethod": "Occurrences",
        "objectives": [OBJECTIVE],
    },
}
DATADOG = {"metricSource": {"type": "Datadog", "spec": {"query": "sum:hits"}}}


def refusal(folder: Path, *documents: Any) -> str:
    (folder / "slo.yaml").write_text(yaml.safe_dump_all(documents))
    with pytest.raises(ConfigError) as caught:
        configured(folder, "slo.yaml")
    assert "\n" not in str(caught.value)
    return str(caught.value)


def changed(path: str, value: Any) -> dict[str, Any]:
    """The document with another value at a path such as spec.objectives.0; None takes the key away."""
    document = copy.deepcopy(SLO)
    *way, last = path.split(".")
    at: Any = document
    for key in way:
        at = at[int(key)] if isinstance(at, list) else at[key]
    if value is None:
        del at[last]
    else:
        at[int(last) if isinstance(at, list) else last] = value
    return document


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("apiVersion", "openslo/v1alpha", "document 1.apiVersion: found 'openslo/v1alpha'; allowed is openslo/v1"),
        ("kind", None, "document 1.kind: found None; allowed is text"),
        ("apiVersion", ["openslo/v1"], "document 1.apiVersion: found ['openslo/v1']; allowed is text"),
        ("spec.timeWindow.0.duration", ["28d"], "requests.spec.timeWindow[0].duration: found ['28d']; allowed is a"),
        (
            "spec.indicator.spec.ratioMetric.total.metricSource",
            {"type": ["Prometheus"], "spec": {"query": "a"}},
            "requests.spec.indicator.spec.ratioMetric.total.metricSource.type: found ['Prometheus']; allowed is text",
        ),
        (
            "spec.indicator.spec.ratioMetric.total.metricSource.spec.query",
            "sum(a_total",
            "requests.spec.indicator.spec.ratioMetric.total.metricSource.spec.query: ( (character 4) is not closed",
        ),
        (
            "spec.indicator.spec.ratioMetric",
            {"good": METRIC, "total": METRIC},
            "requests.spec.indicator.spec.ratioMetric.good.metricSource.spec.query: no [$window], so a day could not",
        ),
        ("kind", "SLOO", "document 1.kind: found 'SLOO'; did you mean 'SLO'?"),
        ("kind", "SLI", "no document of kind SLO"),
        ("metadata", None, "document 1.metadata: missing"),
        ("metadata", {}, "document 1.metadata.name: found None; allowed is text"),
        ("metadata.name", "a b", "document 1.metadata.name: found 'a b'; allowed is a name of letters"),
        (
            "metadata.annotations",
            {"ml-exporter/impact": 7},
            "requests.metadata.annotations.ml-exporter/impact: found 7",
        ),
        ("spec", None, "requests.spec: missing"),
        ("spec.objektives", [], "requests.spec.objektives: unknown key; did you mean 'objectives'?"),
        ("spec.service", None, "requests.spec.service: found None; allowed is text"),
        ("spec.service", "x", "requests.service: found 'x', and no service is called so; allowed are fraud-detection"),
        ("spec.indicator", None, "requests.spec: allowed is one of indicator and indicatorRef"),
        ("spec.indicatorRef", "x", "requests.spec: allowed is one of indicator and indicatorRef"),
        ("spec.indicator", {}, "requests.spec.indicator.spec: missing"),
        (
            "spec.indicator.spec",
            {},
            "requests.spec.indicator.spec: allowed is one of ratioMetric and thresholdMetric",
        ),
        (
            "spec.indicator.spec.ratioMetric.bad",
            METRIC,
            "requests.spec.indicator.spec.ratioMetric: allowed is one of good and bad, beside total",
        ),
        ("spec.indicator.spec.ratioMetric.total", None, "requests.spec.indicator.spec.ratioMetric.total: missing"),
        (
            "spec.indicator.spec.ratioMetric.counter",
            "yes",
            "requests.spec.indicator.spec.ratioMetric.counter: found 'yes'; allowed is true or false",
        ),
        (
            "spec.indicator.spec.ratioMetric.total",
            DATADOG,
            "requests.spec.indicator.spec.ratioMetric.total.metricSource.type: found 'Datadog'; only what is asked in",
        ),
        (
            "spec.indicator.spec.ratioMetric.total.metricSource",
            {"spec": {}},
            "requests.spec.indicator.spec.ratioMetric.total.metricSource.spec.query: found None; allowed is a query",
        ),
        (
            "spec.indicator.spec.ratioMetric.total.metricSource.spec.query",
            "a_total / b_total",
            "requests.spec.indicator.spec.ratioMetric.total.metricSource.spec.query: found 'a_total / b_total'; "
            "allowed of a counter is a selector",
        ),
        (
            "spec.indicator.spec.ratioMetric",
            {"raw": METRIC, "rawType": "success"},
            "requests.spec.indicator.spec.ratioMetric.raw: a ratio does not say of how many events it is",
        ),
        ("spec.timeWindow", [], "requests.spec.timeWindow: allowed is a list of one"),
        (
            "spec.timeWindow.0",
            {"duration": "1M", "calendar": {"startTime": "2026-01-01 00:00:00"}},
            "requests.spec.timeWindow[0]: aligned with a calendar; only rolling windows can be judged here",
        ),
        ("spec.timeWindow.0.isRolling", False, "requests.spec.timeWindow[0]: aligned with a calendar"),
        ("spec.timeWindow.0.duration", "1d", "requests.spec.timeWindow[0].duration: found '1d'; allowed is a duration"),
        ("spec.timeWindow.0.duration", "1Q", "requests.spec.timeWindow[0].duration: found '1Q'; allowed is a duration"),
        ("spec.budgetingMethod", None, "requests.spec.budgetingMethod: found None; allowed are Occurrences and"),
        ("spec.budgetingMethod", "RatioTimeslices", "requests.spec.budgetingMethod: RatioTimeslices is a mean of"),
        (
            "spec.budgetingMethod",
            "Timeslices",
            "requests.spec.objectives[0].timeSliceWindow: found None; allowed is 1m",
        ),
        ("spec.objectives", [], "requests.spec.objectives: allowed is a list with at least one"),
        ("spec.objectives.0", "99", "requests.spec.objectives[0]: allowed is a section with target or targetPercent"),
        ("spec.objectives.0", {}, "requests.spec.objectives[0]: allowed is one of target and targetPercent"),
        ("spec.objectives.0.targetPercent", 99, "requests.spec.objectives[0]: allowed is one of target and"),
        ("spec.objectives.0.target", 99, "requests.spec.objectives[0].target: found 99; allowed is a number above 0"),
        ("spec.objectives.0.target", 1.0, "requests.spec.objectives[0].target: found 1; allowed is a number above 0"),
        ("spec.objectives.0", {"targetPercent": 100}, "requests.spec.objectives[0].targetPercent: found 100; allowed"),
        ("spec.objectives.0.target", "0.99", "requests.spec.objectives[0].target: found '0.99'; allowed is a number"),
        ("spec.objectives.0.compositeWeight", 2, "requests.spec.objectives[0].compositeWeight: a composite of OpenSLO"),
        ("spec.objectives.0.indicatorRef", "x", "requests.spec.objectives[0].indicatorRef: a composite of OpenSLO"),
        (
            "spec.objectives",
            [OBJECTIVE | {"displayName": "All"}, OBJECTIVE | {"displayName": "all!"}],
            "requests-all.name: found 'requests-all', which slo_files[0]: slo.yaml: requests-all has already",
        ),
    ],
)
def test_what_cannot_be_kept_is_refused(tmp_path: Path, path: str, value: Any, said: str) -> None:
    assert refusal(tmp_path, changed(path, value)).startswith(f"slo_files[0]: slo.yaml: {said}")


def test_an_indicator_that_is_not_in_the_file_names_the_nearest(tmp_path: Path) -> None:
    document = changed("spec.indicator", None)
    document["spec"]["indicatorRef"] = "scroed"
    sli = {"apiVersion": "openslo/v1", "kind": "SLI", "metadata": {"name": "scored"}, "spec": {"ratioMetric": RATIO}}
    document["spec"]["indicatorRef"] = ["scroed"]
    assert refusal(tmp_path, document).endswith("spec.indicatorRef: found ['scroed']; allowed is text")
    document["spec"]["indicatorRef"] = "scroed"
    assert refusal(tmp_path, document).endswith("found 'scroed', and no SLI of this file is called so; there are none")
    assert refusal(tmp_path, document, sli).endswith("; did you mean 'scored'?")


def test_a_data_source_of_another_kind_is_refused_where_it_is_described(tmp_path: Path) -> None:
    metric = {"metricSource": {"metricSourceRef": "logs", "spec": {"query": "x"}}}
    source = {"apiVersion": "openslo/v1", "kind": "DataSource", "metadata": {"name": "logs"}, "spec": {"type": "Loki"}}
    said = refusal(tmp_path, changed("spec.indicator.spec.ratioMetric.total", metric), source)
    assert said.startswith("slo_files[0]: slo.yaml: logs.spec.type: found 'Loki'; only what is asked in PromQL")


@pytest.mark.parametrize(
    ("objective", "said"),
    [
        ({"timeSliceWindow": "5m", "timeSliceTarget": 0.9}, ".timeSliceWindow: found '5m'; allowed is 1m"),
        ({"timeSliceWindow": 1}, ".timeSliceTarget: found None; allowed is a number"),
        ({"timeSliceWindow": "1m", "timeSliceTarget": 95}, ".timeSliceTarget: found 95; allowed are 0 to 1"),
    ],
)
def test_slices_of_other_lengths_are_refused(tmp_path: Path, objective: dict[str, Any], said: str) -> None:
    document = changed("spec.budgetingMethod", "Timeslices")
    document["spec"]["objectives"] = [OBJECTIVE | objective]
    assert refusal(tmp_path, document).startswith(f"slo_files[0]: slo.yaml: requests.spec.objectives[0]{said}")


@pytest.mark.parametrize(
    ("objective", "said"),
    [
        ({}, ".op: found None; allowed are lt, lte, gt, gte"),
        ({"op": ["lt"], "value": 1}, ".op: found ['lt']; allowed are lt, lte, gt, gte"),
        ({"op": "eq", "value": 1}, ".op: found 'eq'; allowed are lt, lte, gt, gte"),
        ({"op": "lt"}, ".value: found None; allowed is a number"),
    ],
)
def test_a_threshold_needs_its_operator_and_its_value(tmp_path: Path, objective: dict[str, Any], said: str) -> None:
    document = changed("spec.indicator.spec", {"thresholdMetric": METRIC})
    document["spec"]["objectives"] = [OBJECTIVE | objective]
    assert refusal(tmp_path, document).startswith(f"slo_files[0]: slo.yaml: requests.spec.objectives[0]{said}")


@pytest.mark.parametrize(("kind", "query"), [("success", "(requests_total)"), ("failure", "(1 - (requests_total))")])
def test_slices_of_a_ratio_that_was_computed_before_are_compared(tmp_path: Path, kind: str, query: str) -> None:
    document = changed("spec.indicator.spec.ratioMetric", {"raw": METRIC, "rawType": kind})
    document["spec"]["budgetingMethod"] = "Timeslices"
    document["spec"]["objectives"] = [OBJECTIVE | {"timeSliceWindow": "1m", "timeSliceTarget": 0.9}]
    (tmp_path / "slo.yaml").write_text(yaml.safe_dump(document))
    (slo,) = configured(tmp_path, "slo.yaml").slos
    assert slo.options.expr == f"{query} >= bool 0.9"


def test_comments_are_left_out_of_queries(tmp_path: Path) -> None:
    query = "requests_total{a='#'} # all of them ("
    document = changed("spec.indicator.spec.ratioMetric.total.metricSource.spec.query", query)
    (tmp_path / "slo.yaml").write_text(yaml.safe_dump(document))
    (slo,) = configured(tmp_path, "slo.yaml").slos
    assert slo.options.total == "sum(rate(requests_total{a='#'}[$window]))"


@pytest.mark.parametrize("path", ["apiVersion", "kind", "metadata.name", "spec.service", "spec.budgetingMethod"])
def test_what_is_found_is_not_written_out_whole(path: str) -> None:
    found: list[Any] = []
    for _ in range(6):
        found = [found] * 10
    tracemalloc.start()
    with pytest.raises(ConfigError, match=r"found \[\[\["):
        openslo.read([changed(path, found)], "slo.yaml")
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 1_000_000  # bytes; its text has three million
