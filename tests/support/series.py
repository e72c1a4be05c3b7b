"""Something of every metric family, and of what model servers count, as promtool's input series."""

from __future__ import annotations

import json
from collections.abc import Iterable

from ml_exporter import render
from ml_exporter.catalog import FAMILIES, LABEL_VALUES, Family

VALUES = {
    "source": "tracking",
    "ml_service": "fraud",
    "pipeline": "fraud-train",
    "task": "fit",
    "state": "failed",
    "metric": "val_auc",
    "resource": "gpu",
    "model": "fraud",
    "version": "7",
    "alias": "champion",
}
SEVERAL: dict[str, tuple[str, tuple[str, ...]]] = {
    "ml_runs_active": ("state", ("queued", "running")),
    "ml_run_oldest_active_timestamp_seconds": ("state", ("queued", "running")),
    "ml_runs_finished_total": ("state", ("succeeded", "failed")),
    "ml_run_last_finished_timestamp_seconds": ("state", ("succeeded", "failed")),
    "ml_scheduler_capacity": ("state", ("used", "free")),
    "ml_endpoint_up": ("check", LABEL_VALUES["check"]),
    "ml_endpoint_probes_total": ("outcome", LABEL_VALUES["probe_outcome"]),
}
"""Families that are there for several values of a label."""


def of_every_family(instances: Iterable[str] = ("a:9840", "b:9840"), source: str = "tracking") -> list[dict[str, str]]:
    """An hour of a value a minute, the same from every instance. Endpoints go by the name of the source."""
    values = {**VALUES, "source": source, "ml_endpoint": source}
    return [
        {"series": f'{name}{{{labels}instance="{instance}", job="ml-exporter"}}', "values": _values(name, labels)}
        for family in FAMILIES
        for name, labels in _samples(family, values)
        for instance in instances
    ]


def of_every_server(endpoint: str = "tracking") -> list[dict[str, str]]:
    """What is recorded of a model server, for an hour."""
    labels = f'ml_service="fraud", ml_endpoint="{endpoint}"'
    served, priced = f'{labels}, server="any", model="fraud", version="7"', f'{labels}, currency="USD"'
    names: list[str] = list(json.loads(render.evaluate("alerts/lib/recorded_servers.libsonnet")).values())
    return [{"series": f"{name}{{{priced if 'cost' in name else served}}}", "values": "1x60"} for name in names]


def of_every_baseline(source: str = "tracking") -> list[dict[str, str]]:
    """What is recorded to be compared with the weeks before, for an hour. Endpoints go by the name of the source."""
    names: dict[str, str] = json.loads(render.evaluate("alerts/lib/recorded_baselines.libsonnet"))
    of_endpoint = f'ml_service="fraud", ml_endpoint="{source}", model="fraud"'
    of_pipeline = f'source="{source}", ml_service="fraud", pipeline="fraud-train"'
    return [
        {"series": f"{names[kind]}{suffix}{{{labels}}}", "values": "1x60"}
        for kind, labels in {
            "requests": of_endpoint,
            "latency": of_endpoint,
            "runs": of_pipeline,
            "runSeconds": of_pipeline,
        }.items()
        for suffix in ("", "_usual")
    ]


def _samples(family: Family, values: dict[str, str]) -> list[tuple[str, str]]:
    several, chosen = SEVERAL.get(family.name, ("", ()))
    labels = "".join(f'{label}="{values.get(label, "x")}", ' for label in family.labels if label != several)
    if family.type == "histogram":
        return [
            (f"{family.name}_bucket", f'{labels}le="{"+Inf" if bound == float("inf") else f"{bound:g}"}", ')
            for bound in (*family.buckets, float("inf"))
        ]
    if several:
        return [(family.name, f'{labels}{several}="{value}", ') for value in chosen]
    return [(family.name, labels)]


def _values(name: str, labels: str) -> str:
    if 'state="free"' in labels:
        return "0x60"  # exhausted: that is a signal, too
    return "1x60" if name.endswith(("_up", "_info", "_complete")) else "1+1x60"
