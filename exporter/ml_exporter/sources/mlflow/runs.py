"""What MLflow says about one run, in our words; nothing that cannot be true gets through."""

from __future__ import annotations

import re
import sys
from collections import defaultdict
from collections.abc import Collection, Iterable

from ml_exporter.model import Dataset, Pipeline, Run, RunState
from ml_exporter.sources.mlflow.shapes import Metric, RunRecord

STATES = {
    "RUNNING": RunState.RUNNING,
    "SCHEDULED": RunState.QUEUED,
    "FINISHED": RunState.SUCCEEDED,
    "FAILED": RunState.FAILED,
    "KILLED": RunState.CANCELLED,
}
PARENT_TAG = "mlflow.parentRunId"
CONTEXT_TAG = "mlflow.data.context"
YEAR_2100_MS = 4_102_444_800_000
MOST_STEPS = 2**53
"""A float counts no further."""

_SYSTEM = "system/"
# With several nodes the key has the node's name in it: system/node_0/gpu_1_utilization_percentage.
_SYSTEM_KEY = re.compile(
    r"system/(?:[^/]+/)?"
    r"(?:(?P<cpu>cpu_utilization)|(?P<memory>system_memory_usage)"
    r"|(?P<gpu>gpu_\d+_utilization)|(?P<gpu_memory>gpu_\d+_memory_usage))_percentage"
)


def seconds(ms: int | None) -> float | None:
    """Seconds of a time in ms; None for what no run can have: none, 0, negative, after the year 2100."""
    return ms / 1000 if ms is not None and 0 < ms < YEAR_2100_MS else None


def number(value: float | str | None) -> float | None:
    """None for NaN (a string here) and infinity (the largest double here)."""
    if value is None or isinstance(value, str):
        return None
    return float(value) if abs(value) < sys.float_info.max else None


def is_child(record: RunRecord) -> bool:
    return any(tag.key == PARENT_TAG and tag.value for tag in record.data.tags)


def is_active(record: RunRecord) -> bool:
    state = STATES.get(record.info.status)
    return state is not None and not state.is_terminal


def training_dataset(record: RunRecord) -> Dataset | None:
    """The first input that was logged as training data, else the first input."""
    inputs = record.inputs.dataset_inputs
    training = [i for i in inputs if any(t.key == CONTEXT_TAG and t.value == "training" for t in i.tags)]
    chosen = (training or inputs)[:1]
    return Dataset(chosen[0].dataset.name, chosen[0].dataset.digest) if chosen else None


def allowed(metrics: Iterable[Metric], keys: Collection[str]) -> tuple[tuple[str, float], ...]:
    return tuple((m.key, value) for m in metrics if m.key in keys and (value := number(m.value)) is not None)


def utilization(metrics: Iterable[Metric]) -> tuple[tuple[str, float], ...]:
    """Resource → ratio 0–1, the mean over GPUs and nodes."""
    found: defaultdict[str, list[float]] = defaultdict(list)
    for metric in metrics:
        match = _SYSTEM_KEY.fullmatch(metric.key) if metric.key.startswith(_SYSTEM) else None
        value = number(metric.value)
        if match and match.lastgroup and value is not None:
            found[match.lastgroup].append(min(1.0, max(0.0, value / 100)))
    return tuple(sorted((resource, sum(values) / len(values)) for resource, values in found.items()))


def steps(metrics: Iterable[Metric]) -> int | None:
    """How many steps metrics were logged by, counted from 0; None where no step was given.

    MLflow's own readings of the machine are numbered too, one every ten seconds or so, and say nothing of training.
    """
    last = max((m.step for m in metrics if not m.key.startswith(_SYSTEM)), default=0)
    return last + 1 if 0 < last < MOST_STEPS else None


def to_run(record: RunRecord, pipeline: Pipeline, keys: Collection[str], ended_by: float | None = None) -> Run | None:
    """The run; None if its status is one we cannot read. `ended_by`: seconds, for an end without a time."""
    info = record.info
    state = STATES.get(info.status)
    if state is None:
        return None
    began = seconds(info.start_time)
    metrics = allowed(record.data.metrics, keys)
    if not state.is_terminal:
        # A resumed run still has the end of its first attempt.
        queued = state is RunState.QUEUED
        return Run(
            info.run_id,
            pipeline,
            state,
            queued_at=began if queued else None,
            started_at=None if queued else began,
            metrics=metrics,
            utilization=utilization(record.data.metrics),
        )
    ended = seconds(info.end_time) or ended_by
    if began is not None and ended is not None and ended < began:
        began = None
    return Run(
        info.run_id,
        pipeline,
        state,
        started_at=began,
        ended_at=ended,
        metrics=metrics,
        steps=steps(record.data.metrics),
    )
