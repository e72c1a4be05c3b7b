"""What the demo's pipelines do right now, read from Prometheus."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

NEEDED = "needs 5 earlier successes"
"""Instead of a baseline, where there is none yet."""
Query = Callable[[str], list[tuple[dict[str, str], float]]]

_HEAD = ("PIPELINE", "LAST RUN", "SUCCEEDED", "FAILURES IN A ROW", "METRIC", "VALUE", "BASELINE", "WORSE BY", "FIRING")


@dataclass
class _Row:
    states: dict[str, float] = field(default_factory=dict)
    failures: float | None = None
    metrics: dict[str, dict[str, float]] = field(default_factory=dict)
    firing: set[str] = field(default_factory=set)


def render(query: Query, now: float, event: str = "") -> str:
    """A line per pipeline and metric, what fires elsewhere, the last event. `now`: seconds since the epoch."""
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
    elsewhere = set()
    for labels, _ in query('ALERTS{alertstate="firing"}'):
        if "pipeline" in labels:
            row(labels).firing.add(labels["alertname"])
        else:
            subject = next((f" {labels[name]}" for name in ("model", "source") if name in labels), "")
            elsewhere.add(labels["alertname"] + subject)
    lines = [_HEAD, *(line for name in sorted(rows) for line in _lines(name, rows[name], now))]
    text = f"{_align(lines)}\nfiring elsewhere: {', '.join(sorted(elsewhere)) or 'nothing'}"
    return f"{text}\n{event}" if event else text


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
