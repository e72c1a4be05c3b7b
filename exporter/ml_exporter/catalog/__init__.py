"""Every metric once: name, type, labels, help. Reaches Jsonnet and the documentation as data."""

from __future__ import annotations

from ml_exporter.catalog.endpoints import ENDPOINTS
from ml_exporter.catalog.family import PROBE_BUCKETS, RUN_DURATION_BUCKETS, RUN_QUEUE_BUCKETS, Family, Shed
from ml_exporter.catalog.operations import COSTS, EXPORTER, SCHEDULERS, SOURCES
from ml_exporter.catalog.pipelines import MODELS, RUNS, TASKS, TRAINING
from ml_exporter.errors import Reason
from ml_exporter.model import ACTIVE, TERMINAL, Check, Outcome

__all__ = [
    "BY_NAME",
    "FAMILIES",
    "LABEL_VALUES",
    "PROBE_BUCKETS",
    "RUN_DURATION_BUCKETS",
    "RUN_QUEUE_BUCKETS",
    "Family",
    "Shed",
]

FAMILIES: tuple[Family, ...] = (
    *RUNS,
    *TASKS,
    *TRAINING,
    *MODELS,
    *SCHEDULERS,
    *ENDPOINTS,
    *COSTS,
    *SOURCES,
    *EXPORTER,
)

BY_NAME: dict[str, Family] = {family.name: family for family in FAMILIES}

LABEL_VALUES: dict[str, tuple[str, ...]] = {
    "outcome": ("ok", "failed"),
    "check": tuple(str(check) for check in Check),
    "probe_outcome": tuple(str(outcome) for outcome in Outcome),
    "reason": ("none", *(str(reason) for reason in Reason)),
    "capacity_state": ("used", "free", "unavailable"),
    "active_state": tuple(str(state) for state in ACTIVE),
    "terminal_state": tuple(str(state) for state in TERMINAL),
}
"""Label values that are fixed sets, for rules, dashboards and documentation."""
