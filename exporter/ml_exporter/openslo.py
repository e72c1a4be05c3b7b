"""OpenSLO v1 documents → objectives as `slos` has them. What we cannot keep is refused, not approximated in silence."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from ml_exporter import promql, schema
from ml_exporter.errors import ConfigError
from ml_exporter.openslo_queries import SLICE, at_least, compared, per_second
from ml_exporter.schema import NAME, Between, Duration

IMPACT = "ml-exporter/impact"
"""The annotation for what users notice."""

_VERSIONS = ("openslo/v1", "openslo.com/v1")
_READ = ("SLO", "SLI", "Service", "DataSource")
_IGNORED = ("AlertPolicy", "AlertCondition", "AlertNotificationTarget")
_SPEC = (
    "description",
    "service",
    "indicator",
    "indicatorRef",
    "timeWindow",
    "budgetingMethod",
    "objectives",
    "alertPolicies",
)
_OPERATORS = {"lt": "<", "lte": "<=", "gt": ">", "gte": ">="}
_PROMQL = ("prometheus", "promql", "cortex", "mimir", "thanos", "victoriametrics")

Indicator = tuple[Mapping[str, Any], str]
"""A section `spec` of an SLI, and the path of its keys."""


@dataclass(frozen=True, slots=True)
class Entry:
    """An objective in our words, and the path that refusals of it begin with."""

    data: Mapping[str, Any]
    path: str


@dataclass(frozen=True, slots=True)
class Read:
    slos: list[Entry]
    notes: list[str]
    """What was ignored."""


@dataclass(frozen=True, slots=True)
class _Named:
    """A document, and the file with the name that refusals of it begin with."""

    kind: str
    name: str
    path: str
    metadata: Mapping[str, Any]
    spec: Mapping[str, Any]


def read(documents: Sequence[Any], where: str) -> Read:
    """The objectives of the documents of one file, whose name is `where`. Raises `ConfigError`."""
    named = [_named(document, f"{where}: document {number}", where) for number, document in enumerate(documents, 1)]
    file = _File(named)
    notes = [
        f"{each.path}: {each.kind} is ignored: alerts come from the tiers, receivers from alerting"
        for each in named
        if each.kind in _IGNORED
    ]
    slos = [each for each in named if each.kind == "SLO"]
    notes += [f"{each.path}.spec.alertPolicies: ignored, as above" for each in slos if each.spec.get("alertPolicies")]
    if not slos:
        raise ConfigError(f"{where}: no document of kind SLO")
    return Read([entry for slo in slos for entry in file.entries(slo)], notes)


def _named(document: Any, path: str, where: str) -> _Named:
    if not isinstance(document, Mapping) or "apiVersion" not in document:
        raise ConfigError(
            f"{path}: allowed is a document of OpenSLO, with apiVersion: {_VERSIONS[0]}, or a list of slos"
        )
    version = schema.convert(str, document["apiVersion"], f"{path}.apiVersion")
    if version not in _VERSIONS:
        raise ConfigError(f"{path}.apiVersion: found {schema.show(version)}; allowed is {_VERSIONS[0]}")
    kind = schema.convert(str, document.get("kind"), f"{path}.kind")
    if kind not in (*_READ, *_IGNORED):
        raise ConfigError(f"{path}.kind: found {schema.show(kind)}{schema.nearest(kind, (*_READ, *_IGNORED))}")
    metadata = _section(document, "metadata", path)
    name = schema.convert(Annotated[str, NAME], metadata.get("name"), f"{path}.metadata.name")
    here = f"{where}: {name}"
    return _Named(kind, name, here, metadata, _section(document, "spec", here))


class _File:
    """The documents of a file, which may name each other."""

    def __init__(self, documents: Sequence[_Named]) -> None:
        self._indicators = {each.name: each for each in documents if each.kind == "SLI"}
        self._sources = {each.name: each for each in documents if each.kind == "DataSource"}

    def entries(self, slo: _Named) -> Iterator[Entry]:
        """An objective of ours for each objective of the document."""
        path = f"{slo.path}.spec"
        schema.reject_unknown_keys(slo.spec, _SPEC, path)
        objectives = slo.spec.get("objectives")
        if not isinstance(objectives, list) or not objectives:
            raise ConfigError(f"{path}.objectives: allowed is a list with at least one")
        common = {
            "service": schema.convert(str, slo.spec.get("service"), f"{path}.service"),
            "impact": _annotation(slo),
            **_window(slo.spec, path),
        }
        names = [slo.name if len(objectives) == 1 else f"{slo.name}-{_slug(o, i)}" for i, o in enumerate(objectives)]
        for index, (name, objective) in enumerate(zip(names, objectives, strict=True)):
            at = f"{path}.objectives[{index}]"
            _check_objective(objective, at)
            data = {
                **common,
                "name": name,
                "objective": _target(objective, at),
                "sli": self._sli(slo, objective, at),
            }
            yield Entry(data, f"{slo.path.removesuffix(slo.name)}{name}")

    def _sli(self, slo: _Named, objective: Mapping[str, Any], at: str) -> dict[str, Any]:
        method = slo.spec.get("budgetingMethod")
        where = f"{slo.path}.spec.budgetingMethod"
        if method == "RatioTimeslices":
            raise ConfigError(
                f"{where}: RatioTimeslices is a mean of ratios: a minute of little traffic weighs as much as "
                "one of much; allowed are Occurrences and Timeslices"
            )
        if method not in ("Occurrences", "Timeslices"):
            raise ConfigError(f"{where}: found {schema.show(method)}; allowed are Occurrences and Timeslices")
        sliced = _slice_target(objective, at) if method == "Timeslices" else None
        spec, path = self._indicator(slo)
        kinds = [kind for kind in ("ratioMetric", "thresholdMetric") if spec.get(kind) is not None]
        if len(kinds) != 1:
            raise ConfigError(f"{path}: allowed is one of ratioMetric and thresholdMetric")
        metric, path = _section(spec, kinds[0], path), f"{path}.{kinds[0]}"
        if kinds[0] == "thresholdMetric":
            return {"gauge": {"expr": compared(self._query(metric, path), *_threshold(objective, at))}}
        return self._ratio(metric, path, sliced)

    def _ratio(self, metric: Mapping[str, Any], path: str, sliced: float | None) -> dict[str, Any]:
        if metric.get("raw") is not None:
            return {"gauge": {"expr": self._raw(metric, path, sliced)}}
        parts = [key for key in ("good", "bad") if metric.get(key) is not None]
        if len(parts) != 1:
            raise ConfigError(f"{path}: allowed is one of good and bad, beside total")
        counter = schema.convert(bool, metric.get("counter", False), f"{path}.counter")
        queries = {
            key: per_second(self._query(_section(metric, key, path), f"{path}.{key}"), counter=counter, where=at)
            for key in (*parts, "total")
            for at in [f"{path}.{key}.metricSource.spec.query"]
        }
        if sliced is None:
            for key, query in queries.items():
                promql.check_events(query, f"{path}.{key}.metricSource.spec.query")
            return {"ratio": queries}
        return {"gauge": {"expr": at_least(queries[parts[0]], queries["total"], sliced, bad=parts == ["bad"])}}

    def _raw(self, metric: Mapping[str, Any], path: str, sliced: float | None) -> str:
        if sliced is None:
            raise ConfigError(
                f"{path}.raw: a ratio does not say of how many events it is; allowed are good or bad with total, or "
                "budgetingMethod: Timeslices"
            )
        kind = metric.get("rawType")
        if kind not in ("success", "failure"):
            raise ConfigError(f"{path}.rawType: found {schema.show(kind)}; allowed are success and failure")
        query = self._query(_section(metric, "raw", path), f"{path}.raw")
        return compared(query if kind == "success" else f"1 - ({query})", ">=", sliced)

    def _indicator(self, slo: _Named) -> Indicator:
        inline, name = slo.spec.get("indicator"), slo.spec.get("indicatorRef")
        path = f"{slo.path}.spec"
        if (inline is None) == (name is None):
            raise ConfigError(f"{path}: allowed is one of indicator and indicatorRef")
        if inline is not None:
            return _section(
                _section(slo.spec, "indicator", path), "spec", f"{path}.indicator"
            ), f"{path}.indicator.spec"
        name = schema.convert(str, name, f"{path}.indicatorRef")
        if name not in self._indicators:
            hint = schema.nearest(name, self._indicators) if self._indicators else "; there are none"
            raise ConfigError(f"{path}.indicatorRef: found '{name}', and no SLI of this file is called so{hint}")
        found = self._indicators[name]
        return found.spec, f"{found.path}.spec"

    def _query(self, metric: Mapping[str, Any], path: str) -> str:
        source, path = _section(metric, "metricSource", path), f"{path}.metricSource"
        reference = schema.convert(str | None, source.get("metricSourceRef"), f"{path}.metricSourceRef")
        described = self._sources.get(reference) if reference else None
        kind, at = source.get("type"), f"{path}.type"
        if kind is None and described is not None:
            kind, at = described.spec.get("type"), f"{described.path}.spec.type"
        if kind is not None and schema.convert(str, kind, at).lower() not in _PROMQL:
            raise ConfigError(
                f"{at}: found {schema.show(kind)}; only what is asked in PromQL can be read: Prometheus and its like"
            )
        spec = source.get("spec")
        # Some keep the query right here, others below a name.
        query = spec.get("query") if isinstance(spec, Mapping) else spec
        if not isinstance(query, str) or not query.strip():
            raise ConfigError(f"{path}.spec.query: found {schema.show(query)}; allowed is a query in PromQL")
        return promql.without_comments(query, f"{path}.spec.query")


def _section(data: Mapping[str, Any], key: str, path: str) -> Mapping[str, Any]:
    found = data.get(key)
    if not isinstance(found, Mapping):
        raise ConfigError(f"{path}.{key}: {'missing' if found is None else 'allowed is a section'}")
    return found


def _window(spec: Mapping[str, Any], path: str) -> dict[str, str]:
    windows = spec.get("timeWindow")
    if windows is None:
        return {}
    if not isinstance(windows, list) or len(windows) != 1 or not isinstance(windows[0], Mapping):
        raise ConfigError(f"{path}.timeWindow: allowed is a list of one")
    window = windows[0]
    if window.get("calendar") is not None or window.get("isRolling") is False:
        raise ConfigError(f"{path}.timeWindow[0]: aligned with a calendar; only rolling windows can be judged here")
    duration = window.get("duration")
    schema.convert(Annotated[float, Duration("7d", "90d")], duration, f"{path}.timeWindow[0].duration")
    return {"window": str(duration)}


def _check_objective(objective: Any, at: str) -> None:
    if not isinstance(objective, Mapping):
        raise ConfigError(f"{at}: allowed is a section with target or targetPercent")
    for key in ("indicator", "indicatorRef", "compositeWeight"):
        if objective.get(key) is not None:
            raise ConfigError(
                f"{at}.{key}: a composite of OpenSLO has no target of its own; write an SLO for each part, and "
                "sli: {composite: {slos: […]}} in slos"
            )


def _target(objective: Mapping[str, Any], at: str) -> float:
    """Per cent."""
    given = [key for key in ("target", "targetPercent") if objective.get(key) is not None]
    if len(given) != 1:
        raise ConfigError(f"{at}: allowed is one of target and targetPercent")
    found = schema.convert(float, objective[given[0]], f"{at}.{given[0]}")
    whole = 1 if given[0] == "target" else 100
    if not 0 < found < whole:
        raise ConfigError(f"{at}.{given[0]}: found {found:g}; allowed is a number above 0 and below {whole}")
    return round(float(found) * 100 / whole, 10)


def _slice_target(objective: Mapping[str, Any], at: str) -> float:
    window = objective.get("timeSliceWindow")
    if window not in (1, SLICE, "60s"):
        raise ConfigError(
            f"{at}.timeSliceWindow: found {schema.show(window)}; allowed is {SLICE}, for time is judged by the minute"
        )
    share: float = schema.convert(
        Annotated[float, Between(0, 1)], objective.get("timeSliceTarget"), f"{at}.timeSliceTarget"
    )
    return share


def _threshold(objective: Mapping[str, Any], at: str) -> tuple[str, float]:
    operator = objective.get("op")
    if not isinstance(operator, str) or operator not in _OPERATORS:
        raise ConfigError(f"{at}.op: found {schema.show(operator)}; allowed are {', '.join(_OPERATORS)}")
    return _OPERATORS[operator], schema.convert(float, objective.get("value"), f"{at}.value")


def _annotation(slo: _Named) -> str | None:
    annotations = slo.metadata.get("annotations") or {}
    text = annotations.get(IMPACT) if isinstance(annotations, Mapping) else None
    return None if text is None else schema.convert(str, text, f"{slo.path}.metadata.annotations.{IMPACT}")


def _slug(objective: Any, index: int) -> str:
    shown = objective.get("displayName") if isinstance(objective, Mapping) else None
    return re.sub(r"[^a-z0-9]+", "-", shown.lower()).strip("-") if isinstance(shown, str) and shown else str(index + 1)
