"""What is remembered of a registered model, and how a reading of the registry changes it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from ml_exporter.model import Model, ModelVersion
from ml_exporter.states import PipelineState


@dataclass(frozen=True, slots=True)
class Figure:
    """A quality figure; `dataset` is empty for the training run's own, `changed_at` is when we saw it change."""

    metric: str
    dataset: str
    value: float
    changed_at: float | None = None


@dataclass(slots=True)
class VersionState:
    """A model version and the baseline that its training run was born with (None: not settled yet)."""

    created_at: float | None = None
    run_id: str | None = None
    pipeline: str | None = None
    dataset: str = ""
    digest: str = ""
    metrics: list[Figure] = field(default_factory=list)
    baselines: dict[str, float] | None = None


@dataclass(slots=True)
class ModelState:
    """A registered model; `changed` holds when an alias was seen to move."""

    name: str
    aliases: dict[str, str] = field(default_factory=dict)
    changed: dict[str, float] = field(default_factory=dict)
    statuses: dict[str, int] = field(default_factory=dict)
    versions: dict[str, VersionState] = field(default_factory=dict)


def follow(
    model: Model,
    before: ModelState | None,
    *,
    read_before: bool,
    pipeline: Callable[[str], PipelineState | None],
    now: float,
) -> ModelState:
    """The state after a reading; `read_before`: it is not the registry's first one, `pipeline` finds one by name."""
    state = ModelState(model.name, dict(model.aliases), statuses=dict(model.statuses))
    old_aliases = before.aliases if before else {}
    state.changed = dict(before.changed) if before else {}
    if read_before:
        # At the first reading an alias may have stood for years: only what we see move has a time.
        moved = {a for a in state.aliases.keys() | old_aliases.keys() if state.aliases.get(a) != old_aliases.get(a)}
        state.changed.update(dict.fromkeys(moved, now))
    state.changed = {alias: at for alias, at in state.changed.items() if alias in state.aliases}
    for version in model.versions:
        known = before.versions.get(version.version) if before else None
        state.versions[version.version] = _version(version, known, pipeline, now)
    return state


def _version(
    version: ModelVersion, known: VersionState | None, pipeline: Callable[[str], PipelineState | None], now: float
) -> VersionState:
    dataset = version.dataset
    entry = VersionState(
        version.created_at,
        version.run_id,
        version.pipeline,
        dataset.name if dataset else "",
        dataset.digest if dataset else "",
        _figures(version, known, now),
    )
    settled = known.baselines if known else None
    trained_by = pipeline(version.pipeline) if version.pipeline else None
    entry.baselines = settled if settled is not None else _baselines(entry, trained_by)
    return entry


def _figures(version: ModelVersion, known: VersionState | None, now: float) -> list[Figure]:
    """The figures of a version; one that is new or different in a version we knew has changed now."""
    before = {(figure.metric, figure.dataset): figure for figure in known.metrics} if known else {}
    result = []
    for read in version.metrics:
        old = before.get((read.metric, read.dataset))
        same = old is not None and old.value == read.value
        changed_at = old.changed_at if old and same else now if known else None
        result.append(Figure(read.metric, read.dataset, read.value, changed_at))
    return result


def _baselines(version: VersionState, pipeline: PipelineState | None) -> dict[str, float] | None:
    """What was usual before the run that trained the version; None while that run is not settled."""
    if pipeline is None or version.run_id is None:
        return {}
    if not pipeline.backfilled or version.run_id in pipeline.active:
        return None
    names = {figure.metric for figure in version.metrics}
    found = {metric: pipeline.baseline(metric, version.run_id) for metric in names}
    return {metric: baseline for metric, baseline in found.items() if baseline is not None}


def degradation(value: float, baseline: float, better: str) -> float | None:
    """How much worse than its baseline, divided by |baseline|; positive is worse, None for a baseline of 0."""
    if baseline == 0:
        return None
    worse = baseline - value if better == "higher" else value - baseline
    return worse / abs(baseline)
