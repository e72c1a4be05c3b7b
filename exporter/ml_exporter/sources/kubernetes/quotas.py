"""Resource quotas as capacity: what each namespace may use, and how much of it is left."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable

from ml_exporter.model import Sample
from ml_exporter.sources.kubernetes.shapes import Quota

RESOURCES = {
    "cpu": "cpu",
    "requests.cpu": "cpu",
    "memory": "memory",
    "requests.memory": "memory",
    "pods": "pods",
    "count/jobs.batch": "jobs",
}
"""Name in a quota → the `resource` label; memory in bytes. GPUs come by the names of their makers."""
_GPU = re.compile(r"requests\.[^/]+/[^/]*(?:gpu|mig-)[^/]*")
_QUANTITY = re.compile(r"([+-]?[0-9]*\.?[0-9]+(?:[eE][+-]?[0-9]{1,3})?)([numkMGTPE]|[KMGTPE]i)?")
_SUFFIXES = {"n": 1e-9, "u": 1e-6, "m": 1e-3, "": 1.0, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15, "E": 1e18}
_BINARY = {f"{letter}i": 1024.0**power for power, letter in enumerate("KMGTPE", 1)}


def capacity(quotas: Iterable[Quota]) -> list[Sample]:
    """Used and free by namespace and resource; of several quotas the one that leaves least."""
    tightest: dict[tuple[str, str], tuple[float, float]] = {}
    for quota in quotas:
        if quota.spec.scopes or quota.spec.selector:
            continue  # it holds for some pods only
        for name, text in quota.status.hard.items():
            resource = RESOURCES.get(name) or ("gpu" if _GPU.fullmatch(name) else None)
            hard, used = quantity(text), quantity(quota.status.used.get(name, "0"))
            if resource is None or hard is None or used is None:
                continue
            key, left = (quota.metadata.namespace, resource), (max(0.0, hard - used), used)
            tightest[key] = min(left, tightest.get(key, left))
    return [
        Sample("ml_scheduler_capacity", (namespace, resource, state), value)
        for (namespace, resource), (free, used) in sorted(tightest.items())
        for state, value in (("used", used), ("free", free))
    ]


def quantity(text: str) -> float | None:
    """A quantity such as 500m, 1.5Gi or 2e3; None for what is none, is negative or has no end."""
    match = _QUANTITY.fullmatch(text) if len(text) <= 64 else None
    if match is None:
        return None
    value = float(match[1]) * (_SUFFIXES | _BINARY)[match[2] or ""]
    return value if value >= 0 and math.isfinite(value) else None
