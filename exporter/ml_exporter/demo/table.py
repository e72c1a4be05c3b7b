"""What the demo's pipelines and its endpoint do right now, read from Prometheus."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

NEEDED = "needs 5 earlier successes"
"""Instead of a baseline, where there is none yet."""
Query = Callable[[str], list[tuple[dict[str, str], float]]]

OUTCOMES = "sum by (ml_endpoint, outcome) (increase(ml_endpoint_probes_total[1m])) > 0"
LATENCY = "histogram_quantile(0.5, sum by (ml_endpoint, le) (rate(ml_endpoint_probe_duration_seconds_bucket[1m])))"

_HEAD = ("PIPELINE", "LAST RUN", "SUCCEEDED", "FAILURES IN A ROW", "METRIC", "VALUE", "BASELINE", "WORSE BY", "FIRING")
_ENDPOINT_HEAD = ("ENDPOINT", "UP", "LAST MINUTE", "P50", "FIRING")


@dataclass
class _Row:
    states: dict[str, float] = field(default_factory=dict)
    failures: float | None = None
    metrics: dict[str, dict[str, float]] = field(default_factory=dict)
    firing: set[str] = field(default_factory=set)


@dataclass
class _Endpoint:
    checks: dict[str, bool] = field(default_factory=dict)
    outcomes: dict[str, float] = field(default_factory=dict)
    latency: float = math.nan
    firing: set[str] = field(default_factory=set)


def render(query: Query, now: float, event: str = "") -> str:
    """A line per pipeline and metric, one per endpoint, what fires elsewhere, the last event. `now`: epoch seconds."""
    rows, endpoints = _pipelines(query), _endpoints(query)
    elsewhere = set()
    for labels, _ in query('ALERTS{alertstate="firing"}'):
        if "pipeline" in labels:
            rows.setdefault(labels["pipeline"], _Row()).firing.add(labels["alertname"])
        elif "ml_endpoint" in labels:
            endpoints.setdefault(labels["ml_endpoint"], _Endpoint()).firing.add(labels["alertname"])
        else:
            subject = next((f" {labels[name]}" for name in ("model", "source") if name in labels), "")
            elsewhere.add(labels["alertname"] + subject)
    parts = [
        _align([_HEAD, *(line for name in sorted(rows) for line in _lines(name, rows[name], now))]),
        _align([_ENDPOINT_HEAD, *(_line(name, endpoints[name]) for name in sorted(endpoints))]),
        f"firing elsewhere: {', '.join(sorted(elsewhere)) or 'nothing'}",
    ]
    return "\n".join([*parts, event] if event else parts)


def _pipelines(query: Query) -> dict[str, _Row]:
    rows: dict[str, _Row] = {}

    def row(labels: Mapping[str, str]) -> _Row:
        return rows.setdefault(labels["pipeline"], _Row())

    for labels, value in query("ml_run_last_finished_timestamp_seconds"):
        row(labels).states[labels["state"]] = value
    for labels, value in query("ml_pipeline_consecutive_failures"):
        row(labels).failures = value
    for kind, family in (
        ("value", "ml_training_metric"),
        ("baseline", "ml_training_metric_baseline"),
        ("worse", "ml_training_metric_degradation_ratio"),
    ):
        for labels, value in query(family):
            row(labels).metrics.setdefault(labels["metric"], {})[kind] = value
    return rows


def _endpoints(query: Query) -> dict[str, _Endpoint]:
    endpoints: dict[str, _Endpoint] = {}

    def endpoint(labels: Mapping[str, str]) -> _Endpoint:
        return endpoints.setdefault(labels["ml_endpoint"], _Endpoint())

    for labels, value in query("ml_endpoint_up"):
        endpoint(labels).checks[labels["check"]] = bool(value)
    for labels, value in query(OUTCOMES):
        endpoint(labels).outcomes[labels["outcome"]] = value
    for labels, value in query(LATENCY):
        endpoint(labels).latency = value
    return endpoints


def _line(name: str, endpoint: _Endpoint) -> tuple[str, ...]:
    failing = sorted(check for check, well in endpoint.checks.items() if not well)
    outcomes = (f"{count:.0f} {outcome}" for outcome, count in sorted(endpoint.outcomes.items()))
    return (
        name,
        f"not {', '.join(failing)}" if failing else "yes" if endpoint.checks else "",
        ", ".join(outcomes),
        "" if math.isnan(endpoint.latency) else f"{endpoint.latency * 1000:.0f} ms",
        ", ".join(sorted(endpoint.firing)),
    )


def _lines(name: str, row: _Row, now: float) -> list[tuple[str, ...]]:
    last = max(row.states, key=lambda state: row.states[state], default="none")
    succeeded = row.states.get("succeeded")
    lines: list[tuple[str, ...]] = []
    for position, metric in enumerate(sorted(row.metrics) or [""]):
        figures = row.metrics.get(metric, {})
        first = (
            name,
            last,
            "never" if succeeded is None else f"{max(0.0, now - succeeded):.0f} s ago",
            "" if row.failures is None else f"{row.failures:.0f}",
        )
        value = _number(figures["value"]) if "value" in figures else ""
        baseline = _number(figures["baseline"]) if "baseline" in figures else NEEDED if value else ""
        worse = f"{round(figures['worse'], 3) + 0.0:+.1%}" if "worse" in figures else ""  # + 0.0: never -0.0%
        firing = ", ".join(sorted(row.firing)) if position == 0 else ""
        lines.append((*(first if position == 0 else ("",) * 4), metric, value, baseline, worse, firing))
    return lines


def _number(value: float) -> str:
    """At most 4 significant digits, and no exponent."""
    return format(Decimal(f"{value:.4g}"), "f")


def _align(lines: list[tuple[str, ...]]) -> str:
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )
