"""What keeps quiet because of what, as a table: every alert that a rule means has the labels that it compares."""

from __future__ import annotations

import functools
import itertools
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import _gojsonnet
import pytest

from ml_exporter import config, render

ENDPOINT = {"name": "live", "protocol": "open_inference", "url": "http://127.0.0.1:1", "model": "fraud"}
EVERYTHING: dict[str, Any] = {
    "sources": [{"name": "airflow", "kind": "airflow", "url": "http://127.0.0.1:1"}],
    "endpoints": [{**ENDPOINT, "server": "mlserver", "registered_model": "airflow/fraud", "latency_limit": "250ms"}],
    "services": [
        {
            "name": "fraud",
            "owner": "risk-ml",
            "models": ["fraud"],
            "stages": {"training": [{"pipeline": "airflow/*", "every": "1d"}], "inference": [{"endpoint": "live"}]},
        }
    ],
    "slos": [
        {
            "name": "availability",
            "service": "fraud",
            "objective": 99.5,
            "window": "30d",
            "sli": {"endpoint_availability": {"endpoint": "live"}},
        },
        {
            "name": "freshness",
            "service": "fraud",
            "objective": 99,
            "window": "30d",
            "group_by": ["source", "pipeline"],
            "sli": {"pipeline_freshness": {"pipeline": "airflow/*", "within": "1d"}},
        },
    ],
    "alerting": {"escalation": {"webhook": {"url": "http://127.0.0.1:1"}}},
}
"""So that every alert that there is, is."""
GROUPED = {"source", "pipeline"}

LABELS = """
local lib = import 'alerts/lib/alert.libsonnet';
local mixin = (import 'mixin.libsonnet') { _config:: std.extVar('config') };
[
  { name: alert.name, severity: alert.severity, component: alert.component, labels: lib.labels(alert) }
  for area in std.objectFields(mixin.mlAlerts)
  for alert in mixin.mlAlerts[area]
]
"""


@dataclass(frozen=True)
class Alert:
    name: str
    severity: str
    labels: frozenset[str]


@functools.cache
def alerts() -> tuple[Alert, ...]:
    """Every alert with the labels that it declares; objectives once as they are and once grouped."""
    code = json.dumps(config.from_data(EVERYTHING).for_jsonnet())
    root = str(render.mixin_root())
    found = json.loads(_gojsonnet.evaluate_snippet("labels", LABELS, jpathdir=[root], ext_codes={"config": code}))
    return tuple(
        Alert(each["name"], each["severity"], frozenset({*each["labels"], *extra}))
        for each in found
        for extra in ((), GROUPED if each["component"] == "objective" else ())
    )


def rules() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(render.evaluate("alerts/routing.libsonnet"))["inhibitions"]
    return found


RULES = [pytest.param(rule, id=rule["why"].replace(" ", "-")) for rule in rules()]
SIDES = ("source", "target")


def parsed(matcher: str) -> tuple[str, str, str]:
    found = re.fullmatch(r'(\w+)(=~|!~|!=|=)"(.*)"', matcher)
    assert found, matcher
    return found[1], found[2], found[3]


def names(matchers: list[str]) -> list[str]:
    """The alerts that matchers call by name, each written out: `A(B|C)|D` is AB, AC, D."""
    named = [value for label, operator, value in map(parsed, matchers) if label == "alertname" and operator[0] == "="]
    found = []
    for branch in re.findall(r"[^|(]+(?:\([^)]*\))?[^|(]*", "|".join(named)):
        parts = [part.split("|") for part in re.split(r"[()]", branch)]
        found += ["".join(word) for word in itertools.product(*parts)]
    return found


def called(alert: Alert, matchers: list[str]) -> bool:
    """By name and severity; not yet by what labels it has."""
    for label, operator, value in map(parsed, matchers):
        if label in ("alertname", "severity"):
            has = alert.name if label == "alertname" else alert.severity
            same = bool(re.fullmatch(value, has)) if "~" in operator else value == has
            if same == operator.startswith("!"):
                return False
    return True


def matched(alert: Alert, matchers: list[str]) -> bool:
    return called(alert, matchers) and {label for label, _, _ in map(parsed, matchers)} <= alert.labels | {"alertname"}


def test_names_are_written_out() -> None:
    assert names(['alertname=~"A(B|C)|D"', 'severity="page"']) == ["AB", "AC", "D"]
    assert names(['alertname=~"ML(Late|Early)Run"', 'alertname!="X"']) == ["MLLateRun", "MLEarlyRun"]


@pytest.mark.parametrize("rule", RULES)
def test_every_alert_that_a_rule_names_exists(rule: dict[str, Any]) -> None:
    known = {alert.name for alert in alerts()}
    assert [name for side in SIDES for name in names(rule[side]) if name not in known] == []


@pytest.mark.parametrize("rule", RULES)
def test_every_alert_that_a_rule_names_carries_the_labels_that_it_compares(rule: dict[str, Any]) -> None:
    """Else the rule would say that it holds something back, and never do so."""
    for side in SIDES:
        for alert in alerts():
            ungrouped = alert.name.startswith("MLObjective") and not alert.labels >= GROUPED
            if alert.name in names(rule[side]) and not ungrouped:
                assert set(rule["equal"]) <= alert.labels, f"{alert.name}: {rule['why']}"


@pytest.mark.parametrize("rule", RULES)
def test_every_alert_that_a_rule_can_meet_carries_the_labels_that_it_compares(rule: dict[str, Any]) -> None:
    """Alertmanager takes a label that is missing on both sides for equal: the matchers ask for each."""
    for side in SIDES:
        for alert in alerts():
            if matched(alert, rule[side]):
                assert set(rule["equal"]) <= alert.labels, f"{alert.name}: {rule['why']}"
        asked = {label for label, operator, value in map(parsed, rule[side]) if (operator, value) == ("=~", ".+")}
        assert set(rule["equal"]) <= asked


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_has_something_to_hold_back_and_something_to_hold_it_back_with(rule: dict[str, Any]) -> None:
    if rule["why"] != "one message is enough for one pipeline":  # no page has a pipeline, but for objectives
        assert all(any(matched(alert, rule[side]) for alert in alerts()) for side in SIDES)


@pytest.mark.parametrize("rule", RULES)
def test_a_ticket_holds_back_no_page_unless_nothing_can_be_read(rule: dict[str, Any]) -> None:
    pages = {alert.name for alert in alerts() if alert.severity == "page" and matched(alert, rule["target"])}
    sources = {alert.name for alert in alerts() if matched(alert, rule["source"])}
    assert not pages or sources <= {"MLSourceDown", "MLSourceStale"}


@pytest.mark.parametrize("rule", RULES)
def test_no_alert_that_always_fires_takes_part(rule: dict[str, Any]) -> None:
    watchdog = next(alert for alert in alerts() if alert.name == "Watchdog")
    assert not any(matched(watchdog, rule[side]) for side in SIDES)


def test_a_page_is_never_held_back_by_another_page() -> None:
    """It would be told when the first is over, as if something new had happened."""
    for rule in rules():
        both = [
            {alert.name for alert in alerts() if alert.severity == "page" and matched(alert, rule[side])}
            for side in SIDES
        ]
        assert not all(both), rule["why"]


def test_the_page_has_every_rule_as_it_is() -> None:
    page = (Path(__file__).parents[1] / "docs" / "routing.md").read_text()
    for rule in rules():
        cells = [_cell([each for each in rule[side] if not each.endswith('=~".+"')]) for side in SIDES]
        equal = _cell(rule["equal"] + rule["alike"]) or "nothing"
        assert f"| {rule['why']} | {' | '.join(cells)} | {equal} |\n" in page
    assert page.count("\n| ") - page.split("## What keeps quiet")[0].count("\n| ") == len(rules()) + 1


def _cell(texts: list[str]) -> str:
    return ", ".join(f"`{text}`".replace("|", "\\|") for text in texts)
