"""The settings of objectives: what is judged (the kinds of indicators), what is promised of it and for how long."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from ml_exporter.schema import LINE, NAME, Between, Duration, Matches

_TEXT = Matches(r"(?s).*\S.*", "text, not nothing")
_PIPELINE = Matches(r"[^/]+/.+", "source/name, with wildcards such as tracking/fraud-*")


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointAvailability:
    """Probes that went well (`native`: requests that did not end in an error) among all."""

    endpoint: Annotated[str, _TEXT]
    model: str | None = None
    from_: Literal["probe", "native"] = "probe"
    """`from` in the configuration, which is a word of Python."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointLatency:
    """Answers that took at most `below` seconds, among all."""

    endpoint: Annotated[str, _TEXT]
    model: str | None = None
    below: Annotated[float, Duration("1ms", "10m")]
    from_: Literal["probe", "native"] = "probe"


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointCorrectness:
    """Canaries that were predicted right, among those that were answered."""

    endpoint: Annotated[str, _TEXT]
    model: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineSuccess:
    """Runs that succeeded, among those that finished."""

    pipeline: Annotated[str, _PIPELINE]


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineFreshness:
    """Minutes in which the last success was recent enough."""

    pipeline: Annotated[str, _PIPELINE]
    within: Annotated[float | None, Duration("1m", "366d")] = None
    """Seconds that may lie behind the last success."""
    late: Annotated[float | None, Duration("1m", "30d")] = None
    """Seconds that the next success may be late, by the pipeline's own timetable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineDuration:
    """Runs that took at most `below` seconds, among those that finished."""

    pipeline: Annotated[str, _PIPELINE]
    below: Annotated[float, Duration("1s", "30d")]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelQuality:
    """Minutes in which a model's metrics were at most `within` worse than their baseline."""

    model: Annotated[str, _TEXT]
    metric: str | None = None
    dataset: str | None = None
    within: Annotated[float, Between(0.0001, 10)]
    """In proportion to the baseline: 0.05 is 5 % worse."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratio:
    """Two expressions of PromQL, per second over `$window`."""

    bad: Annotated[str | None, _TEXT] = None
    good: Annotated[str | None, _TEXT] = None
    total: Annotated[str, _TEXT]


@dataclass(frozen=True, slots=True, kw_only=True)
class Gauge:
    """Minutes in which an expression of PromQL was above 0."""

    expr: Annotated[str, _TEXT]


@dataclass(frozen=True, slots=True, kw_only=True)
class Composite:
    """Minutes in which no other objective was violated."""

    slos: tuple[str, ...] | None = None
    """Names; unset: all of the same service that are not composite themselves."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of indicator: its options, and the labels by which each may have a budget of its own."""

    options: type[Any]
    group_by: tuple[str, ...] | None
    """None: any label."""


_ENDPOINT = ("ml_endpoint", "model", "version")
_OF_PIPELINE = ("source", "pipeline")

KINDS: Mapping[str, Kind] = {
    "endpoint_availability": Kind(EndpointAvailability, _ENDPOINT),
    "endpoint_latency": Kind(EndpointLatency, _ENDPOINT),
    "endpoint_correctness": Kind(EndpointCorrectness, _ENDPOINT),
    "pipeline_success": Kind(PipelineSuccess, _OF_PIPELINE),
    "pipeline_freshness": Kind(PipelineFreshness, _OF_PIPELINE),
    "pipeline_duration": Kind(PipelineDuration, _OF_PIPELINE),
    "model_quality": Kind(ModelQuality, ("source", "model", "version", "metric", "dataset")),
    "ratio": Kind(Ratio, None),
    "gauge": Kind(Gauge, None),
    "composite": Kind(Composite, ()),
}

RESERVED_LABELS = frozenset(
    {"alertname", "ml_service", "objective", "owner", "severity", "slo", "slo_window", "tier", "window"}
)
"""What recorded series and alerts of objectives carry anyway."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SloConfig:
    """An objective as it is written."""

    name: Annotated[str, NAME]
    service: str
    sli: Mapping[str, Any]
    """One kind → its options."""
    objective: float
    """Per cent of events or minutes that are to be good."""
    window: Annotated[float, Duration("7d", "90d")] = 30 * 86400.0
    group_by: tuple[Annotated[str, Matches(r"[a-zA-Z_][a-zA-Z0-9_]*", "the name of a label")], ...] = ()
    tiers: tuple[str, ...] | None = None
    """Names from `alerts/slos/windows.libsonnet`, or deadline; unset: those of the kind."""
    minimum_bad: Annotated[int | None, Between(1, 1_000_000)] = None
    impact: Annotated[str | None, LINE] = None


@dataclass(frozen=True, slots=True)
class Slo:
    """An objective with its place in the files, which every refusal begins with, and the options of its kind."""

    path: str
    common: SloConfig
    kind: str
    options: Any

    def for_jsonnet(self) -> dict[str, Any]:
        """As `alerts/slos/` reads it; times in seconds."""
        plain = {field.name: getattr(self.common, field.name) for field in dataclasses.fields(self.common)}
        del plain["sli"]
        return {
            "path": self.path,
            "ml_service": plain.pop("service"),
            "kind": self.kind,
            "options": dataclasses.asdict(self.options),
            **plain,
        }
