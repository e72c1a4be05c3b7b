"""Every key of a dashboard is one that Grafana's own model knows: what it does not know is lost on the way through it.

The model is grafana-foundation-sdk, which is generated from Grafana's schemas, at the oldest version there is of it:
what is there is there in later ones, too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from grafana_foundation_sdk.cog import encoder, plugins
from grafana_foundation_sdk.models.dashboard import Dashboard
from tests.support.dashboards import DASHBOARDS

plugins.register_default_plugins()

BESIDE_THE_MODEL = {
    # An annotation is the data source's own query: these are keys of the one for Prometheus.
    ".annotations.list[].step",
    ".annotations.list[].tagKeys",
    ".annotations.list[].titleFormat",
    ".annotations.list[].useValueForTime",
    # What Grafana's page of variables shows; dashboard-linter asks for it.
    ".templating.list[].definition",
    # Of panels that are repeated: the model of 10.1 lacks what Grafana 6 had.
    ".panels[].maxPerRow",
}


def lost(before: Any, after: Any, path: str = "") -> Iterator[str]:
    """Places of what is there before and not, or not the same, after."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key, value in before.items():
            yield from lost(value, after[key], f"{path}.{key}") if key in after else [f"{path}.{key}"]
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for one, other in zip(before, after, strict=True):
            yield from lost(one, other, f"{path}[]")
    elif before != after:
        yield f"{path}: {before!r} became {after!r}"


def through_the_model(dashboard: dict[str, Any]) -> Any:
    return json.loads(json.dumps(Dashboard.from_json(dashboard), cls=encoder.JSONEncoder))


@pytest.mark.parametrize("name", DASHBOARDS)
def test_grafanas_own_model_knows_every_key(name: str) -> None:
    dashboard = DASHBOARDS[name]
    assert set(lost(dashboard, through_the_model(dashboard))) <= BESIDE_THE_MODEL


def test_nothing_is_excused_that_is_not_there() -> None:
    whole = re.sub(r"\s", "", json.dumps(list(DASHBOARDS.values())))
    assert [path for path in BESIDE_THE_MODEL if f'"{path.rpartition(".")[2]}":' not in whole] == []


@pytest.mark.parametrize(
    ("path", "key"),
    [
        ((), "refesh"),
        (("panels", 0), "descripton"),
        (("panels", 0, "gridPos"), "width"),
        (("panels", 0, "fieldConfig", "defaults"), "units"),
        (("panels", 0, "options"), "colourMode"),
        (("panels", 0, "targets", 0), "expression"),
        (("templating", "list", 1), "multiple"),
    ],
)
def test_a_misspelt_key_is_found(path: tuple[Any, ...], key: str) -> None:
    dashboard = json.loads(json.dumps(DASHBOARDS["ml-overview"]))
    place = dashboard
    for step in path:
        place = place[step]
    place[key] = 1
    assert any(found.endswith(f".{key}") for found in lost(dashboard, through_the_model(dashboard)))
