"""What a service hurts, as the configuration says it, is on its own page and on the overview."""

from __future__ import annotations

import json
from typing import Any

from tests.support.dashboards import fields

from ml_exporter import config, render

IMPACT = "Fraud is not caught"
SERVICES = [{"name": "fraud", "owner": "risk-ml", "impact": IMPACT}, {"name": "churn", "owner": "growth-ml"}]


def panel(dashboard: str, title: str, services: list[dict[str, Any]]) -> dict[str, Any] | None:
    files = render.generate(config.from_data({"services": services}))
    panels = json.loads(files[f"grafana/dashboards/{dashboard}.json"])["panels"]
    return next((each for each in panels if each["title"] == title and each["type"] != "row"), None)


def words(mappings: list[dict[str, Any]]) -> dict[str, str]:
    return {name: each["text"] for mapping in mappings for name, each in mapping["options"].items()}


def test_the_overview_has_a_column_that_says_it() -> None:
    table = panel("ml-overview", "Services", SERVICES)
    assert table
    (said,) = [each for each in table["fieldConfig"]["overrides"] if each["matcher"]["options"] == "impact"]
    (mappings,) = [each["value"] for each in said["properties"] if each["id"] == "mappings"]
    assert words(mappings) == {"fraud": IMPACT, "churn": "not said"}
    assert any('"impact", "$1", "ml_service"' in target["expr"] for target in table["targets"])


def test_the_page_of_a_service_says_it() -> None:
    stat = panel("ml-service", "What it hurts", SERVICES)
    assert stat
    assert words(stat["fieldConfig"]["defaults"]["mappings"])["fraud"] == IMPACT
    assert stat["options"]["reduceOptions"]["fields"] == "/^impact$/"
    assert stat["targets"][0]["format"] == "table"


def test_where_nobody_says_it_nothing_is_shown() -> None:
    assert panel("ml-service", "What it hurts", SERVICES[1:]) is None
    table = panel("ml-overview", "Services", SERVICES[1:])
    assert table
    assert "impact" not in fields(table)
    assert "impact" not in json.dumps(table["targets"])
