"""The dashboards and the rules of the default configuration, rendered once, and what their panels are made of."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from tests.support.grafana import panels

from ml_exporter import config, render

FILES = render.generate(config.from_data({}))
DASHBOARDS: dict[str, dict[str, Any]] = {
    Path(name).stem: json.loads(text) for name, text in FILES.items() if name.endswith(".json")
}
_DASHBOARD = re.compile(r"/d/([\w-]+)")


@dataclass(frozen=True)
class Link:
    """Where a click on a panel, on a value, or on the top of a dashboard leads."""

    where: str
    url: str
    page: str
    """The dashboard that has it."""
    beside: bool
    """Opens in a window of its own."""
    panel: Mapping[str, Any] | None = None

    @property
    def target(self) -> str | None:
        """The uid of the dashboard that it leads to, if it stays in Grafana."""
        found = _DASHBOARD.match(self.url)
        return found[1] if found else None

    @property
    def given(self) -> set[str]:
        """Variables of the target that it sets; the data source is one."""
        query = self.url.partition("?")[2]
        return {*re.findall(r"var-(\w+)=", query), *re.findall(r"\$\{(\w+):queryparam\}", query)}

    @property
    def along(self) -> set[str]:
        """Variables of its own dashboard that it needs."""
        return set(re.findall(r"\$\{(\w+):queryparam\}", self.url)) | set(re.findall(r"\$(\w+)", self.url))

    @property
    def fields(self) -> set[str]:
        """Columns of its row that it needs."""
        return set(re.findall(r"__data\.fields\.(\w+)", self.url))


def rules(files: Mapping[str, bytes] = FILES) -> list[dict[str, Any]]:
    """Every rule, recording and alerting ones."""
    return [
        rule
        for name, text in files.items()
        if name.startswith("prometheus/rules/")
        for group in yaml.safe_load(text)["groups"]
        for rule in group["rules"]
    ]


def recorded() -> set[str]:
    """Names that the Jsonnet knows for what rules record."""
    root = render.mixin_root()
    named = [path.relative_to(root) for path in root.glob("alerts/lib/recorded*.libsonnet")]
    names = {name for path in named for name in json.loads(render.evaluate(str(path))).values()}
    usual = json.loads(render.evaluate("alerts/lib/recorded_baselines.libsonnet")).values()
    return names | {f"{name}_usual" for name in usual}


def targets(dashboard: Mapping[str, Any]) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """(panel, query) of every query of a panel."""
    for panel in panels(dashboard):
        for target in panel.get("targets", ()):
            yield panel, target


def expressions(dashboard: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """(where, PromQL as Grafana gets it) of panels and annotations."""
    uid = dashboard["uid"]
    for panel, target in targets(dashboard):
        yield f"{uid}: {panel['title']}: {target['refId']}", target["expr"]
    for note in dashboard["annotations"]["list"]:
        yield f"{uid}: annotation {note['name']}", note["expr"]


def properties(panel: Mapping[str, Any], name: str) -> list[Any]:
    """What a panel says of something, such as `thresholds`: for all of it first, then for single columns."""
    of = panel.get("fieldConfig", {"defaults": {}, "overrides": []})
    found = [of["defaults"][name]] if name in of["defaults"] else []
    return found + [p["value"] for override in of["overrides"] for p in override["properties"] if p["id"] == name]


def mappings(panel: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What numbers mean: text and colour of each."""
    lists = itertools.chain.from_iterable(properties(panel, "mappings"))
    return [option for mapping in lists for option in mapping["options"].values()]


def links(dashboard: Mapping[str, Any]) -> list[Link]:
    """All: of the top, of panels and of values."""
    uid = dashboard["uid"]
    found = [Link(f"{uid}: {each['title']}", each["url"], uid, each["targetBlank"]) for each in dashboard["links"]]
    for panel in dashboard["panels"]:
        for each in itertools.chain(panel.get("links", ()), *properties(panel, "links")):
            where = f"{uid}: {panel['title']}: {each['title']}"
            found.append(Link(where, each["url"], uid, each["targetBlank"], panel))
    return found


def fields(panel: Mapping[str, Any]) -> set[str]:
    """Names of a table's columns, as Grafana knows them whatever stands above: labels of its queries, and figures.

    A link asks for a column by the name that it had before it was renamed (getFieldDisplayValuesProxy).
    """
    (organize,) = [each["options"] for each in panel["transformations"] if each["id"] == "organize"]
    return set(organize["indexByName"]) - {name for name, out in organize["excludeByName"].items() if out}


def metric_selectors(expr: str) -> list[tuple[str, str]]:
    """(metric or recorded name, its matchers) of PromQL, as far as the names are ours."""
    found = re.findall(r"(?<![\w:$])((?:ml_|ml:|slo:|ALERTS)[\w:]*)(?:\{([^}]*)\})?", expr)
    return [(name, matchers) for name, matchers in found if name not in ("ml_service", "ml_endpoint")]
