"""Every metric once: name, type, labels, help. Reaches Jsonnet and the documentation as data."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Literal

from ml_exporter.errors import Reason
from ml_exporter.model import ACTIVE, TERMINAL, Check, Outcome

Type = Literal["gauge", "counter", "histogram"]

RUN_DURATION_BUCKETS = (10.0, 60.0, 300.0, 900.0, 3600.0, 10800.0, 21600.0, 43200.0, 86400.0)
RUN_QUEUE_BUCKETS = (1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 10800.0, 43200.0)
POLL_DURATION_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


PROBE_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Of probes, unless `probes.buckets` says otherwise."""
LATENESS_BUCKETS = (0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0)
CAPACITY_STATES = ("used", "free", "unavailable")


class Shed(IntEnum):
    """What goes first over the series limit. States and last-success times have none: they stay."""

    TASKS = 1
    TRAINING_METRICS = 2
    HISTOGRAMS = 3


@dataclass(frozen=True, slots=True)
class Family:
    """A metric family. `labels` are all its labels, in the order they are written."""

    name: str
    type: Type
    labels: tuple[str, ...]
    help: str
    shed: Shed | None = None
    buckets: tuple[float, ...] = ()
    """Upper bounds of a histogram, without +Inf."""

    @property
    def own_labels(self) -> tuple[str, ...]:
        """The labels that a sample gives; `source` and `ml_service` are added when it is rendered."""
        return tuple(label for label in self.labels if label not in ("source", "ml_service"))


_PIPELINE = ("source", "ml_service", "pipeline")
_TASK = (*_PIPELINE, "task")
_MODEL = ("source", "ml_service", "model")
_VERSION = (*_MODEL, "version")
_SOURCE = ("source",)
_ENDPOINT = ("ml_service", "ml_endpoint")
_SERVED = (*_ENDPOINT, "model", "version")

_T = Shed.TRAINING_METRICS


def _gauge(name: str, labels: tuple[str, ...], text: str, shed: Shed | None = None) -> Family:
    return Family(name, "gauge", labels, text, shed)


def _counter(name: str, labels: tuple[str, ...], text: str, shed: Shed | None = None) -> Family:
    return Family(name, "counter", labels, text, shed)


def _histogram(
    name: str, labels: tuple[str, ...], text: str, buckets: tuple[float, ...], shed: Shed | None = None
) -> Family:
    return Family(name, "histogram", labels, text, shed, buckets)


FAMILIES: tuple[Family, ...] = (
    # Runs and pipelines
    _counter(
        "ml_runs_finished_total",
        (*_PIPELINE, "state"),
        "Runs that reached a terminal state, each counted once, at its first one. Survives restarts; "
        "appears when the pipeline's history has been read.",
    ),
    _gauge("ml_runs_active", (*_PIPELINE, "state"), "Runs that are queued or running now."),
    _histogram(
        "ml_run_duration_seconds",
        _PIPELINE,
        "Duration of succeeded runs, from start to end.",
        RUN_DURATION_BUCKETS,
        Shed.HISTOGRAMS,
    ),
    _histogram(
        "ml_run_queue_seconds",
        _PIPELINE,
        "Time that finished runs had waited, from queued to started; only where the backend knows it.",
        RUN_QUEUE_BUCKETS,
        Shed.HISTOGRAMS,
    ),
    _counter(
        "ml_run_busy_seconds_total",
        _PIPELINE,
        "Time that finished runs took, from start to end, however they ended. Counted and shown as "
        "ml_runs_finished_total is.",
    ),
    _gauge(
        "ml_run_last_finished_timestamp_seconds",
        (*_PIPELINE, "state"),
        "When the last run that ended in this state ended, by the backend's clock; absent if there was none.",
    ),
    _gauge("ml_run_last_duration_seconds", _PIPELINE, "Duration of the last succeeded run."),
    _gauge(
        "ml_run_last_steps",
        _PIPELINE,
        "Steps of the last succeeded run (epochs, where that is what it logs by): the highest step of its metrics, "
        "plus 1; absent where it gave none.",
        _T,
    ),
    _gauge(
        "ml_run_typical_duration_seconds",
        _PIPELINE,
        "Median duration of the last 20 successes; absent below 5 of them.",
    ),
    _gauge(
        "ml_run_oldest_active_timestamp_seconds",
        (*_PIPELINE, "state"),
        "When the oldest run that is queued or running now entered that state. Runs already active when the "
        "pipeline was first read are counted in ml_runs_active but left out here.",
    ),
    _gauge(
        "ml_pipeline_first_seen_timestamp_seconds",
        _PIPELINE,
        "When this exporter first knew of the pipeline; what happened before it is history and alerts nobody.",
    ),
    _gauge(
        "ml_pipeline_cycle_seconds",
        _PIPELINE,
        "How often the pipeline is expected to succeed, from `every:` in the configuration.",
    ),
    _gauge(
        "ml_pipeline_last_due_timestamp_seconds",
        _PIPELINE,
        "When the pipeline's own timetable last wanted a run; absent without one, while paused, and until a due "
        "time has passed under our eyes.",
    ),
    _gauge(
        "ml_pipeline_unmet_due_timestamp_seconds",
        _PIPELINE,
        "The first due time of the pipeline's own timetable that no success has met, for none began since; absent "
        "when all is met, without a timetable and while paused.",
    ),
    _gauge(
        "ml_pipeline_next_due_timestamp_seconds",
        _PIPELINE,
        "When the next run is due by the pipeline's own timetable; without one, when its next success is due: the "
        "last success, or the first sight of the pipeline, plus its cycle.",
    ),
    _gauge(
        "ml_pipeline_paused",
        _PIPELINE,
        "1 if the scheduler starts no runs of the pipeline because somebody paused it; absent where it cannot be.",
    ),
    _gauge(
        "ml_pipeline_consecutive_failures",
        _PIPELINE,
        "Runs that failed or timed out since the last success (cancelled runs are left out); stops at 50.",
    ),
    # Tasks: off by default
    _counter(
        "ml_task_runs_finished_total",
        (*_TASK, "state"),
        "Runs of a task that reached a terminal state, each counted once. Survives restarts.",
        Shed.TASKS,
    ),
    _gauge(
        "ml_task_last_finished_timestamp_seconds",
        (*_TASK, "state"),
        "When the last run of the task that ended in this state ended; absent if there was none.",
        Shed.TASKS,
    ),
    _gauge("ml_task_last_duration_seconds", _TASK, "Duration of the last succeeded run of the task.", Shed.TASKS),
    _gauge(
        "ml_task_consecutive_failures",
        _TASK,
        "Runs of the task that failed or timed out since its last success.",
        Shed.TASKS,
    ),
    # Training
    _gauge(
        "ml_training_metric",
        (*_PIPELINE, "metric"),
        "Last value of an allow-listed training metric in the last succeeded run.",
        _T,
    ),
    _gauge(
        "ml_training_metric_baseline",
        (*_PIPELINE, "metric"),
        "Median of the metric over up to 20 successes before the last one; absent below 5 of them.",
        _T,
    ),
    _gauge(
        "ml_training_metric_degradation_ratio",
        (*_PIPELINE, "metric"),
        "How much worse the last success is than the baseline, divided by |baseline|; positive is worse.",
        _T,
    ),
    _gauge(
        "ml_training_utilization_ratio",
        (*_PIPELINE, "resource"),
        "Mean utilization of a resource over the active runs that report it, 0 to 1.",
        _T,
    ),
    # Models
    _gauge("ml_model_versions", (*_MODEL, "status"), "Versions of a registered model."),
    _gauge("ml_model_alias_info", (*_MODEL, "alias", "version"), "1 for the version that an alias points at."),
    _gauge(
        "ml_model_alias_changed_timestamp_seconds",
        (*_MODEL, "alias"),
        "When this exporter saw the alias move; absent until it has moved once.",
    ),
    _gauge(
        "ml_model_version_created_timestamp_seconds",
        _VERSION,
        "When the version was registered (aliased versions and the newest one only).",
    ),
    _gauge(
        "ml_model_version_info",
        (*_VERSION, "pipeline", "dataset", "digest"),
        "1, with the pipeline that trained the version and the data set it was trained on.",
    ),
    _gauge(
        "ml_model_metric",
        (*_VERSION, "metric", "dataset"),
        "Quality of a version; dataset is empty for the figure of its training run.",
        _T,
    ),
    _gauge(
        "ml_model_metric_changed_timestamp_seconds",
        (*_VERSION, "metric", "dataset"),
        "When this exporter saw the figure of a version it knew appear or change; absent until then.",
        _T,
    ),
    _gauge(
        "ml_model_metric_baseline",
        (*_VERSION, "metric"),
        "Median of the metric over up to 20 successes before the run that trained the version; fixed when the "
        "version is first seen, absent below 5 of them.",
        _T,
    ),
    _gauge(
        "ml_model_metric_degradation_ratio",
        (*_VERSION, "metric", "dataset"),
        "How much worse the version is than its baseline, divided by |baseline|; positive is worse.",
        _T,
    ),
    # Schedulers
    _gauge(
        "ml_scheduler_heartbeat_timestamp_seconds",
        (*_SOURCE, "component"),
        "When a part of the scheduler last showed that it is alive.",
    ),
    _gauge("ml_scheduler_queue_length", (*_SOURCE, "queue"), "Runs or jobs that wait in a pool, partition or queue."),
    _gauge(
        "ml_scheduler_capacity",
        (*_SOURCE, "queue", "resource", "state"),
        "Units of a resource (slots, cpu, gpu) that a queue has, by state: used, free, unavailable.",
    ),
    _gauge(
        "ml_scheduler_load_errors",
        (*_SOURCE, "location"),
        "Definitions that the scheduler could not load, by where they come from; what they define does not run.",
    ),
    # Endpoints
    _gauge("ml_endpoint_info", (*_ENDPOINT, "protocol", "server"), "1 for every configured endpoint."),
    _gauge(
        "ml_endpoint_up",
        (*_SERVED, "check"),
        "1 if the last probe's check (live, ready, predict) went well, 0 if it did not or what went wrong before it "
        "ended the probe; absent while nobody knows.",
    ),
    _counter(
        "ml_endpoint_probes_total",
        (*_SERVED, "outcome"),
        "Probes by outcome: that of the canary prediction, or where there is none of the first check that failed. "
        "bad_prediction: it answers, and the answer is wrong.",
    ),
    _histogram(
        "ml_endpoint_probe_duration_seconds",
        _SERVED,
        "Duration of the last check (the canary prediction, where there is one) of probes that ended well, from "
        "sending to the last byte. The denominator of an objective is all probes.",
        PROBE_BUCKETS,
        Shed.HISTOGRAMS,
    ),
    _histogram(
        "ml_endpoint_time_to_first_token_seconds",
        _SERVED,
        "From sending a canary to the first token of its streamed answer.",
        PROBE_BUCKETS,
        Shed.HISTOGRAMS,
    ),
    _histogram(
        "ml_endpoint_inter_token_seconds",
        _SERVED,
        "From one token (or chunk of them) of a streamed answer to the next.",
        PROBE_BUCKETS,
        Shed.HISTOGRAMS,
    ),
    _counter("ml_endpoint_output_tokens_total", _SERVED, "Tokens that were generated for canaries."),
    _gauge(
        "ml_endpoint_last_probe_timestamp_seconds",
        (*_ENDPOINT, "model"),
        "When the last probe ended, however it ended; before the first one, when probing began. The other series of "
        "the model are as old as this.",
    ),
    _gauge("ml_endpoint_interval_seconds", _ENDPOINT, "Configured time between probes."),
    _gauge(
        "ml_endpoint_latency_limit_seconds",
        _ENDPOINT,
        "Configured limit of latency, where there is one.",
    ),
    _gauge(
        "ml_endpoint_tls_not_after_timestamp_seconds",
        _ENDPOINT,
        "When the certificate that the endpoint showed last stops being valid.",
    ),
    _gauge(
        "ml_endpoint_serves_info",
        ("source", *_SERVED),
        "1 for the version that an endpoint with a registered_model was last seen to serve, as it says itself, else as "
        "it is configured; source and model are those of the registry.",
    ),
    _gauge("ml_endpoint_index_up", _ENDPOINT, "1 if the server's index of models could be read."),
    _gauge("ml_endpoint_index_models", _ENDPOINT, "Models in the server's index that are wanted, probed or not."),
    _gauge(
        "ml_endpoint_series_dropped",
        _ENDPOINT,
        "Series of the endpoint that are left out because of `defaults.series_limit`.",
    ),
    _histogram(
        "ml_prober_lateness_seconds",
        (),
        "How late probes began, measured against their interval.",
        LATENESS_BUCKETS,
    ),
    _counter("ml_prober_spans_dropped_total", (), "Spans of probes that could not be exported."),
    # Costs
    _gauge(
        "ml_cost_per_hour",
        (*_ENDPOINT, "currency"),
        "What an endpoint costs per hour, from the configuration.",
    ),
    _gauge(
        "ml_cost_run_per_hour",
        (*_PIPELINE, "currency"),
        "What an hour of a run of the pipeline costs, from the configuration; times ml_run_busy_seconds_total it is "
        "what runs cost.",
        _T,
    ),
    _gauge(
        "ml_cost_last_run",
        (*_PIPELINE, "currency"),
        "What the last succeeded run cost: its duration at the configured price.",
        _T,
    ),
    _gauge(
        "ml_cost_last_run_per_step",
        (*_PIPELINE, "currency"),
        "What a step of the last succeeded run cost; see ml_run_last_steps.",
        _T,
    ),
    # Sources
    _gauge("ml_source_info", (*_SOURCE, "kind"), "1 for every configured source."),
    _gauge("ml_source_up", _SOURCE, "1 if the last poll succeeded, 0 if it failed or none has ended yet."),
    _gauge(
        "ml_source_last_success_timestamp_seconds",
        _SOURCE,
        "When the last successful poll ended; the source's series are as old as this.",
    ),
    _gauge("ml_source_interval_seconds", _SOURCE, "Configured time between polls; staleness is judged against it."),
    _gauge("ml_source_backfill_complete", _SOURCE, "1 when the whole history has been read once."),
    _gauge("ml_source_backfill_progress_ratio", _SOURCE, "Share of the history that has been read, 0 to 1."),
    _counter(
        "ml_source_polls_total",
        (*_SOURCE, "outcome", "reason"),
        "Polls by outcome (ok, failed); reason is none for ok.",
    ),
    _histogram(
        "ml_source_poll_duration_seconds", _SOURCE, "Duration of polls, failed ones too.", POLL_DURATION_BUCKETS
    ),
    _counter("ml_source_requests_total", _SOURCE, "HTTP requests sent to the backend, retries too."),
    _counter("ml_source_response_bytes_total", _SOURCE, "Bytes of body received from the backend."),
    _gauge("ml_source_series", _SOURCE, "Series exposed for the source."),
    _gauge("ml_source_series_limit", _SOURCE, "Configured limit of series for the source."),
    _counter(
        "ml_source_series_dropped_total",
        (*_SOURCE, "family"),
        "Series left out of a published snapshot because of the limit.",
    ),
    # The exporter itself
    _gauge("ml_exporter_build_info", ("version",), "1, with the version of ml-exporter."),
    _gauge("ml_exporter_config_info", ("hash",), "1, with the hash of the running configuration."),
    _gauge("ml_exporter_config_last_reload_successful", (), "1 if the last reload was accepted."),
    _gauge(
        "ml_exporter_config_last_reload_success_timestamp_seconds",
        (),
        "When a configuration was last accepted.",
    ),
    _gauge(
        "ml_exporter_state_kept_aside",
        (),
        "Unreadable state files that were kept beside the current one; remove them to clear it.",
    ),
)

BY_NAME: dict[str, Family] = {family.name: family for family in FAMILIES}

LABEL_VALUES: dict[str, tuple[str, ...]] = {
    "outcome": ("ok", "failed"),
    "check": tuple(str(check) for check in Check),
    "probe_outcome": tuple(str(outcome) for outcome in Outcome),
    "reason": ("none", *(str(reason) for reason in Reason)),
    "capacity_state": CAPACITY_STATES,
    "active_state": tuple(str(state) for state in ACTIVE),
    "terminal_state": tuple(str(state) for state in TERMINAL),
}
"""Label values that are fixed sets, for rules, dashboards and documentation."""
