"""The escalation as it is rendered: what it looks at, and what cannot keep it quiet. Its cases are in tests/alerts."""

from __future__ import annotations

import json
import re
from typing import Any

import _gojsonnet
import yaml
from tests.support.alerts import CASES, NO_SERVICE, ONE_SERVICE, alerts_of, rules_of

from ml_exporter import render

NAME = "MLAlertUnresolved"
CARRIED = {"alertname": NAME, "severity": "page", "ml_service": "fraud", "unresolved": "MLEndpointDown"}
SELDOM: dict[str, Any] = {
    "alerting": {"escalation": {"after": "45m", "webhook": {"url": "http://127.0.0.1:1"}}},
    "stack": {"evaluation_interval": "10m"},
}


def test_without_the_setting_there_is_no_rule() -> None:
    assert {"escalation.yml", "recording-escalation.yml"} <= set(rules_of(ONE_SERVICE))
    assert not [name for name in rules_of(NO_SERVICE) if "escalation" in name]


def test_it_waits_as_long_as_the_configuration_says() -> None:
    assert alerts_of(ONE_SERVICE)[NAME]["expr"].endswith(">= 1800")
    assert alerts_of(SELDOM)[NAME]["expr"].endswith(">= 2700")


def test_rules_that_are_evaluated_seldom_look_back_far_enough_to_find_the_pages() -> None:
    assert "last_over_time" not in alerts_of(ONE_SERVICE)[NAME]["expr"]
    assert re.search(r'last_over_time\(ALERTS\{[^}]*severity="page"\}\[20m\]\)', alerts_of(SELDOM)[NAME]["expr"])


def test_no_inhibition_keeps_it_quiet() -> None:
    inhibitions = json.loads(render.evaluate("alerts/routing.libsonnet"))["inhibitions"]
    assert inhibitions
    assert [rule["why"] for rule in inhibitions if all(_holds(matcher) for matcher in rule["target"])] == []


def _holds(matcher: str) -> bool:
    found = re.fullmatch(r'(\w+)(=~|!~|!=|=)"(.*)"', matcher)
    assert found, matcher
    name, operator, value = found.groups()
    pattern = value if "~" in operator else re.escape(value)
    return bool(re.fullmatch(pattern, CARRIED.get(name, ""))) != operator.startswith("!")


def test_every_case_fires_with_the_labels_that_routing_is_told_of() -> None:
    cases = yaml.safe_load(CASES[NAME].read_text())["tests"]
    fired = [alert for case in cases for row in case["alert_rule_test"] for alert in row["exp_alerts"]]
    assert fired
    assert {frozenset(alert["exp_labels"]) for alert in fired} == {frozenset(CARRIED) - {"alertname"}}
    assert set(_labels()) == set(CARRIED) - {"alertname"}


def _labels() -> list[str]:
    """What inhibitions are checked against."""
    code = "local lib = import 'alerts/lib/alert.libsonnet'; lib.labels({ component: 'escalation' })"
    labels: list[str] = json.loads(_gojsonnet.evaluate_snippet("labels", code, jpathdir=[str(render.mixin_root())]))
    return labels
