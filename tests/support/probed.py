"""Reads what a probe said, and what is exported of it (`Probing.series`)."""

from __future__ import annotations

from collections.abc import Mapping

from ml_exporter.model import Check, Outcome
from ml_exporter.ports import Result


def checks(result: Result) -> dict[str, str]:
    """Check → outcome, of those that were asked."""
    return {str(step.check): str(step.outcome) for step in result.steps}


def counted(series: Mapping[str, float], *labels: str) -> dict[str, float]:
    """Outcome → probes, of an endpoint, model and version; without outcomes that did not happen."""
    name = " ".join(["ml_endpoint_probes_total", *labels])
    found = {str(outcome): series[f"{name} {outcome}"] for outcome in Outcome}
    return {outcome: count for outcome, count in found.items() if count}


def up(series: Mapping[str, float], *labels: str) -> dict[str, float]:
    """Check → 1 or 0, of an endpoint, model and version."""
    name = " ".join(["ml_endpoint_up", *labels])
    return {str(check): series[f"{name} {check}"] for check in Check if f"{name} {check}" in series}


def slower(series: Mapping[str, float], bound: str, *labels: str) -> float:
    """Probes that ended well after more than `bound` seconds ("0.5"): a bucket's edge."""
    name, whose = "ml_endpoint_probe_duration_seconds", " ".join(labels)
    return series[f"{name}_count {whose}"] - series[f"{name}_bucket {whose} {bound}"]
