"""States → samples: which series a pipeline, a model or a source has, and their values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple, TypeAlias

from ml_exporter.model import ACTIVE, TERMINAL, HistogramSample, RunState, Sample
from ml_exporter.model_states import ModelState, VersionState, degradation
from ml_exporter.states import FinishedRun, PipelineState, TaskState

Samples: TypeAlias = Iterator[Sample | HistogramSample]
Directions: TypeAlias = Mapping[str, str]
"""Allow-listed metric → which way is better, `higher` or `lower`."""


class Price(NamedTuple):
    """What an hour of a run costs."""

    per_hour: float
    currency: str


def of_pipeline(
    state: PipelineState,
    cycle: float | None,
    directions: Directions,
    queue_times: bool = False,
    price: Price | None = None,
    stage: str = "",
) -> Samples:
    """The series of a pipeline.

    `cycle` is how often it is expected to succeed, in seconds; `queue_times`: its backend knows how long runs wait;
    `stage`: which one of its service it belongs to.
    """
    name = state.name
    if state.backfilled:
        yield from _counters(state, queue_times)
    for active in ACTIVE:
        count = sum(1 for run in state.active.values() if run.state is active)
        yield Sample("ml_runs_active", (name, active), count)
        yield from _if_known("ml_run_oldest_active_timestamp_seconds", (name, active), state.oldest_active(active))
    for terminal in TERMINAL:
        yield from _if_known("ml_run_last_finished_timestamp_seconds", (name, terminal), state.last_finished(terminal))
    successes = state.successes
    yield from _if_known("ml_run_last_duration_seconds", (name,), successes[-1].duration if successes else None)
    yield from _if_known("ml_run_typical_duration_seconds", (name,), state.typical_duration())
    yield Sample("ml_pipeline_info", (name, stage), 1)
    yield Sample("ml_pipeline_first_seen_timestamp_seconds", (name,), state.first_seen)
    if state.backfilled:
        yield Sample("ml_pipeline_consecutive_failures", (name,), state.consecutive_failures())
    yield from _expected(state, cycle)
    for task, known in sorted(state.tasks.items()):
        yield from _task((name, task), known)
    yield from _training(state, directions)
    if successes:
        yield from _if_known("ml_run_last_steps", (name,), successes[-1].steps)
    if price is not None:
        yield from _costs(name, successes[-1] if successes else None, price)


def _expected(state: PipelineState, cycle: float | None) -> Samples:
    """What is due and when: by its own timetable, else by its cycle."""
    key = (state.name,)
    next_due = state.next_due
    if cycle:
        yield Sample("ml_pipeline_cycle_seconds", key, cycle)
        if next_due is None and not state.paused:
            next_due = (state.last_finished(RunState.SUCCEEDED) or state.first_seen) + cycle
    yield from _if_known("ml_pipeline_last_due_timestamp_seconds", key, state.last_due)
    yield from _if_known("ml_pipeline_unmet_due_timestamp_seconds", key, state.unmet_due)
    yield from _if_known("ml_pipeline_next_due_timestamp_seconds", key, next_due)
    yield from _if_known("ml_pipeline_paused", key, None if state.paused is None else float(state.paused))


def _task(key: tuple[str, str], state: TaskState) -> Samples:
    for terminal in TERMINAL:
        yield Sample("ml_task_runs_finished_total", (*key, terminal), state.finished.get(terminal, 0))
        yield from _if_known("ml_task_last_finished_timestamp_seconds", (*key, terminal), state.last.get(terminal))
    yield from _if_known("ml_task_last_duration_seconds", key, state.duration)
    yield Sample("ml_task_consecutive_failures", key, state.failures)


def _counters(state: PipelineState, queue_times: bool) -> Samples:
    for terminal in TERMINAL:
        count = state.finished.get(terminal, 0) if state.announced else 0
        yield Sample("ml_runs_finished_total", (state.name, terminal), count)
    yield Sample("ml_run_busy_seconds_total", (state.name,), state.busy if state.announced else 0)
    yield _histogram("ml_run_duration_seconds", state, state.buckets, state.total)
    if queue_times:
        yield _histogram("ml_run_queue_seconds", state, state.waits, state.waited)


def _costs(name: str, last: FinishedRun | None, price: Price) -> Samples:
    key = (name, price.currency)
    yield Sample("ml_cost_run_per_hour", key, price.per_hour)
    if last is not None and last.duration is not None:
        cost = last.duration / 3600 * price.per_hour
        yield Sample("ml_cost_last_run", key, cost)
        if last.steps:
            yield Sample("ml_cost_last_run_per_step", key, cost / last.steps)


def _histogram(family: str, state: PipelineState, counts: list[int], total: float) -> HistogramSample:
    if not state.announced:
        return HistogramSample(family, (state.name,), (0,) * len(counts), 0.0)
    return HistogramSample(family, (state.name,), tuple(counts), total)


def _training(state: PipelineState, directions: Directions) -> Samples:
    last = state.successes[-1] if state.successes else None
    for metric, value in sorted(last.metrics.items()) if last else ():
        if metric not in directions:
            continue
        yield Sample("ml_training_metric", (state.name, metric), value)
        baseline = state.baseline(metric, last.id) if last else None
        if baseline is None:
            continue
        yield Sample("ml_training_metric_baseline", (state.name, metric), baseline)
        worse = degradation(value, baseline, directions[metric])
        yield from _if_known("ml_training_metric_degradation_ratio", (state.name, metric), worse)
    for resource, ratio in sorted(state.utilization().items()):
        yield Sample("ml_training_utilization_ratio", (state.name, resource), ratio)


def of_model(state: ModelState, directions: Directions) -> Samples:
    """The series of a registered model."""
    for status, count in sorted(state.statuses.items()):
        yield Sample("ml_model_versions", (state.name, status), count)
    for alias, version in sorted(state.aliases.items()):
        yield Sample("ml_model_alias_info", (state.name, alias, version), 1)
    for alias, changed_at in sorted(state.changed.items()):
        yield Sample("ml_model_alias_changed_timestamp_seconds", (state.name, alias), changed_at)
    for version, entry in sorted(state.versions.items()):
        yield from _version((state.name, version), entry, directions)


def _version(key: tuple[str, str], entry: VersionState, directions: Directions) -> Samples:
    yield from _if_known("ml_model_version_created_timestamp_seconds", key, entry.created_at)
    yield Sample("ml_model_version_info", (*key, entry.pipeline or "", entry.dataset, entry.digest), 1)
    baselines = entry.baselines or {}
    for metric, baseline in sorted(baselines.items()):
        yield Sample("ml_model_metric_baseline", (*key, metric), baseline)
    for figure in entry.metrics:
        labels = (*key, figure.metric, figure.dataset)
        yield Sample("ml_model_metric", labels, figure.value)
        yield from _if_known("ml_model_metric_changed_timestamp_seconds", labels, figure.changed_at)
        if figure.metric in baselines and figure.metric in directions:
            worse = degradation(figure.value, baselines[figure.metric], directions[figure.metric])
            yield from _if_known("ml_model_metric_degradation_ratio", labels, worse)


def _if_known(family: str, labels: tuple[str, ...], value: float | None) -> Samples:
    if value is not None:
        yield Sample(family, labels, value)
