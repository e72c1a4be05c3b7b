"""Something of every metric family, as promtool's input series: what a query has to answer with."""

from __future__ import annotations

from collections.abc import Iterable

from ml_exporter.catalog import FAMILIES, Family

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
STATES = {
    "ml_runs_active": ("queued", "running"),
    "ml_run_oldest_active_timestamp_seconds": ("queued", "running"),
    "ml_runs_finished_total": ("succeeded", "failed"),
    "ml_run_last_finished_timestamp_seconds": ("succeeded", "failed"),
    "ml_scheduler_capacity": ("used", "free"),
}


def of_every_family(instances: Iterable[str] = ("a:9840", "b:9840"), source: str = "tracking") -> list[dict[str, str]]:
    """An hour of a value a minute, the same from every instance."""
    return [
        {"series": f'{name}{{{labels}instance="{instance}", job="ml-exporter"}}', "values": _values(name, labels)}
        for family in FAMILIES
        for name, labels in _samples(family, {**VALUES, "source": source})
        for instance in instances
    ]


def _samples(family: Family, values: dict[str, str]) -> list[tuple[str, str]]:
    labels = "".join(
        f'{label}="{values.get(label, "x")}", '
        for label in family.labels
        if label != "state" or family.name not in STATES
    )
    if family.type == "histogram":
        return [
            (f"{family.name}_bucket", f'{labels}le="{"+Inf" if bound == float("inf") else f"{bound:g}"}", ')
            for bound in (*family.buckets, float("inf"))
        ]
    if family.name in STATES:
        return [(family.name, f'{labels}state="{state}", ') for state in STATES[family.name]]
    return [(family.name, labels)]


def _values(name: str, labels: str) -> str:
    if 'state="free"' in labels:
        return "0x60"  # exhausted: that is a signal, too
    return "1x60" if name.endswith(("_up", "_info", "_complete")) else "1+1x60"
