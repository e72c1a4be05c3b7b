"""The nouns: what a backend holds, in one vocabulary. Frozen, and from the standard library only.

All times are seconds since the epoch (float), all durations seconds; `None` means the backend does not know.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, TypeAlias

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"
Cursor: TypeAlias = Mapping[str, Json]


class RunState(StrEnum):
    """Where a run is in its life; the values of the `state` label."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    TIMED_OUT = "timed_out"

    @property
    def is_terminal(self) -> bool:
        return self in TERMINAL

    @property
    def is_failure(self) -> bool:
        """A cancelled run is somebody's decision, not a failure."""
        return self in (RunState.FAILED, RunState.TIMED_OUT)


ACTIVE = (RunState.QUEUED, RunState.RUNNING)
TERMINAL = (RunState.SUCCEEDED, RunState.FAILED, RunState.CANCELLED, RunState.TIMED_OUT)


class Check(StrEnum):
    """What a probe asks an endpoint, in this order; the values of the `check` label."""

    LIVE = "live"
    READY = "ready"
    PREDICT = "predict"


class Outcome(StrEnum):
    """How a probe ended; the values of the `outcome` label, a fixed set."""

    OK = "ok"
    TIMEOUT = "timeout"
    UNREACHABLE = "unreachable"
    HTTP_ERROR = "http_error"
    BAD_PREDICTION = "bad_prediction"
    """The endpoint answers, and what it answers is wrong."""


@dataclass(frozen=True, slots=True)
class Pipeline:
    """What runs again and again: an experiment, a DAG, a flow. The join key everywhere."""

    source: str
    name: str


@dataclass(frozen=True, slots=True)
class Run:
    """One execution of a pipeline, as read now. `id` is unique in its source and never a label."""

    id: str
    pipeline: Pipeline
    state: RunState
    queued_at: float | None = None
    started_at: float | None = None
    ended_at: float | None = None
    metrics: tuple[tuple[str, float], ...] = ()
    """Allow-listed training metrics, last value each; never NaN or infinite."""
    utilization: tuple[tuple[str, float], ...] = ()
    """Resource → ratio 0–1, of an active run."""
    steps: int | None = None
    """How many steps it logged its metrics by: epochs, for most."""


@dataclass(frozen=True, slots=True)
class TaskRun:
    """One finished execution of a task within a run of `pipeline`. `id` is unique among its source's task runs."""

    id: str
    pipeline: Pipeline
    task: str
    state: RunState
    started_at: float | None = None
    ended_at: float | None = None

    @property
    def key(self) -> str:
        """Its identity among the runs and task runs that were counted."""
        return f"task\0{self.id}"


@dataclass(frozen=True, slots=True)
class Schedule:
    """What a pipeline's own timetable says, as read now."""

    next_due: float | None = None
    """The first instant at which a run is due that has not been started for it: a scheduler that is dead leaves it
    in the past. None: the timetable has come to its end."""
    last_due: float | None = None
    """The last instant, not in the future, at which a run was due. None: the ledger remembers the `next_due` that
    it saw pass."""


@dataclass(frozen=True, slots=True)
class PipelineInfo:
    """A roster entry. `id` is the backend's own stable identifier: it tells a rename from a birth."""

    pipeline: Pipeline
    id: str | None = None
    """None: nothing but its runs tells that the pipeline exists."""
    created_at: float | None = None
    schedule: Schedule | None = None
    """None: nothing is expected of it (started by hand, by events or by data)."""
    paused: bool | None = None
    """None: it cannot be paused."""
    tags: tuple[str, ...] = ()
    """Names that its users gave it; one that is a configured service's name claims it for that service."""


@dataclass(frozen=True, slots=True)
class Dataset:
    name: str
    digest: str


@dataclass(frozen=True, slots=True)
class ModelMetric:
    """A quality figure of a model version; `dataset` is empty for the training run's own figure."""

    metric: str
    dataset: str
    value: float


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """A version that something points at: aliased, or the newest of its model."""

    version: str
    created_at: float | None
    run_id: str | None = None
    pipeline: str | None = None
    dataset: Dataset | None = None
    metrics: tuple[ModelMetric, ...] = ()


@dataclass(frozen=True, slots=True)
class Model:
    """A registered model as read now, whole: what is not in it is gone."""

    name: str
    aliases: tuple[tuple[str, str], ...] = ()
    """(alias, version) pairs."""
    statuses: tuple[tuple[str, int], ...] = ()
    """(status, number of versions) pairs."""
    versions: tuple[ModelVersion, ...] = ()


@dataclass(frozen=True, slots=True)
class Scan:
    """A numbered pass over the whole history: the first one is the backfill, later ones find deletions.

    When `finished`, every remembered run of `pipelines` that the pass did not meet (and that started before
    `started_at`) is gone from the backend.
    """

    number: int
    started_at: float
    pipelines: frozenset[str]
    finished: bool = False


@dataclass(frozen=True, slots=True)
class Batch:
    """What a source learnt up to a checkpoint; committed whole, together with its cursor.

    `None` everywhere means "not read this time", an empty collection means "nothing there".
    """

    cursor: Cursor
    """Only the keys that changed; a key set to None is dropped."""
    runs: tuple[Run, ...] = ()
    roster: tuple[PipelineInfo, ...] | None = None
    """All pipelines there are: what is missing is gone (see `idle_since`)."""
    tasks: tuple[TaskRun, ...] = ()
    pipelines: tuple[PipelineInfo, ...] = ()
    """What is newly known of some pipelines; nothing is said of the others."""
    idle_since: float | None = None
    """With a roster: a pipeline that has no `id`, so that only its runs tell of it, stays though the roster lacks it,
    unless nothing was heard of it since this instant."""
    gauges: tuple[Sample, ...] | None = None
    """All `ml_scheduler_*` samples there are, in place of those before."""
    active_listed: frozenset[str] | None = None
    """Names of pipelines whose active runs are all in `runs`: other runs thought active are missing."""
    forgotten: tuple[str, ...] = ()
    """Ids of runs that the backend no longer has."""
    scan: Scan | None = None
    backfilled: frozenset[str] | None = None
    """Names of pipelines whose history is now known: their counters may be shown."""
    caught_up: bool = False
    """All that can be told of the past has been told: every pipeline known by now is backfilled."""
    progress: float | None = None
    """Share of the backfill that is done, 0–1."""
    models: tuple[Model, ...] | None = None
    """All registered models there are."""
    complete: bool = True
    """False: more history is waiting; poll again soon instead of after the interval."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """The ledger's answer to a batch."""

    missing: tuple[str, ...] = ()
    """Ids of runs thought active that the listing of their pipeline did not contain: ask for them by id."""


class Sample(NamedTuple):
    """One series. `labels` are the values of the family's own labels, in the catalogue's order.

    A tuple, for it is made a million times: that takes a third of a frozen dataclass's time.
    """

    family: str
    labels: tuple[str, ...]
    value: float


class Exemplar(NamedTuple):
    """A single observation and the trace that tells its story."""

    trace_id: str
    value: float
    at: float
    """Seconds since the epoch."""


class HistogramSample(NamedTuple):
    """One histogram. `counts` per bucket (not cumulative), the last one is +Inf; `total` is the sum of values."""

    family: str
    labels: tuple[str, ...]
    counts: tuple[int, ...]
    total: float
    bounds: tuple[float, ...] = ()
    """Upper bounds without +Inf, where they are configured; else those of the catalogue."""
    exemplars: Mapping[int, Exemplar] = {}
    """Bucket → a value that fell into it."""
