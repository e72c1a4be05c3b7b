"""Metrics of runs, pipelines and tasks, of trainings, and of the models that came of them."""

from __future__ import annotations

from ml_exporter.catalog.family import (
    MODEL,
    PIPELINE,
    RUN_DURATION_BUCKETS,
    RUN_QUEUE_BUCKETS,
    TASK,
    VERSION,
    Shed,
    counter,
    gauge,
    histogram,
)

RUNS = (
    counter(
        "ml_runs_finished_total",
        (*PIPELINE, "state"),
        "Runs that reached a terminal state, each counted once, at its first one. Survives restarts; "
        "appears when the pipeline's history has been read.",
    ),
    gauge("ml_runs_active", (*PIPELINE, "state"), "Runs that are queued or running now."),
    histogram(
        "ml_run_duration_seconds",
        PIPELINE,
        "Duration of succeeded runs, from start to end.",
        RUN_DURATION_BUCKETS,
        Shed.HISTOGRAMS,
    ),
    histogram(
        "ml_run_queue_seconds",
        PIPELINE,
        "Time that finished runs had waited, from queued to started; only where the backend knows it.",
        RUN_QUEUE_BUCKETS,
        Shed.HISTOGRAMS,
    ),
    counter(
        "ml_run_busy_seconds_total",
        PIPELINE,
        "Time that finished runs took, from start to end, however they ended. Counted and shown as "
        "ml_runs_finished_total is.",
    ),
    gauge(
        "ml_run_last_finished_timestamp_seconds",
        (*PIPELINE, "state"),
        "When the last run that ended in this state ended, by the backend's clock; absent if there was none.",
    ),
    gauge("ml_run_last_duration_seconds", PIPELINE, "Duration of the last succeeded run."),
    gauge(
        "ml_run_last_steps",
        PIPELINE,
        "Steps of the last succeeded run (epochs, where that is what it logs by): the highest step of its metrics, "
        "plus 1; absent where it gave none.",
        Shed.TRAINING_METRICS,
    ),
    gauge(
        "ml_run_typical_duration_seconds",
        PIPELINE,
        "Median duration of the last 20 successes; absent below 5 of them.",
    ),
    gauge(
        "ml_run_oldest_active_timestamp_seconds",
        (*PIPELINE, "state"),
        "When the oldest run that is queued or running now entered that state. Runs already active when the "
        "pipeline was first read are counted in ml_runs_active but left out here.",
    ),
    gauge(
        "ml_pipeline_info",
        (*PIPELINE, "stage"),
        "1 for every pipeline; stage is that of its service, empty where none is named.",
    ),
    gauge(
        "ml_pipeline_first_seen_timestamp_seconds",
        PIPELINE,
        "When this exporter first knew of the pipeline; what happened before it is history and alerts nobody.",
    ),
    gauge(
        "ml_pipeline_cycle_seconds",
        PIPELINE,
        "How often the pipeline is expected to succeed, from `every:` in the configuration.",
    ),
    gauge(
        "ml_pipeline_last_due_timestamp_seconds",
        PIPELINE,
        "When the pipeline's own timetable last wanted a run; absent without one, while paused, and until a due "
        "time has passed under our eyes.",
    ),
    gauge(
        "ml_pipeline_unmet_due_timestamp_seconds",
        PIPELINE,
        "The first due time of the pipeline's own timetable that no success has met, for none began since; absent "
        "when all is met, without a timetable and while paused.",
    ),
    gauge(
        "ml_pipeline_next_due_timestamp_seconds",
        PIPELINE,
        "When the next run is due by the pipeline's own timetable; without one, when its next success is due: the "
        "last success, or the first sight of the pipeline, plus its cycle.",
    ),
    gauge(
        "ml_pipeline_paused",
        PIPELINE,
        "1 if the scheduler starts no runs of the pipeline because somebody paused it; absent where it cannot be.",
    ),
    gauge(
        "ml_pipeline_consecutive_failures",
        PIPELINE,
        "Runs that failed or timed out since the last success (cancelled runs are left out); stops at 50.",
    ),
)

TASKS = (
    counter(
        "ml_task_runs_finished_total",
        (*TASK, "state"),
        "Runs of a task that reached a terminal state, each counted once. Survives restarts.",
        Shed.TASKS,
    ),
    gauge(
        "ml_task_last_finished_timestamp_seconds",
        (*TASK, "state"),
        "When the last run of the task that ended in this state ended; absent if there was none.",
        Shed.TASKS,
    ),
    gauge("ml_task_last_duration_seconds", TASK, "Duration of the last succeeded run of the task.", Shed.TASKS),
    gauge(
        "ml_task_consecutive_failures",
        TASK,
        "Runs of the task that failed or timed out since its last success.",
        Shed.TASKS,
    ),
)
"""Off by default."""

TRAINING = (
    gauge(
        "ml_training_metric",
        (*PIPELINE, "metric"),
        "Last value of an allow-listed training metric in the last succeeded run.",
        Shed.TRAINING_METRICS,
    ),
    gauge(
        "ml_training_metric_baseline",
        (*PIPELINE, "metric"),
        "Median of the metric over up to 20 successes before the last one; absent below 5 of them.",
        Shed.TRAINING_METRICS,
    ),
    gauge(
        "ml_training_metric_degradation_ratio",
        (*PIPELINE, "metric"),
        "How much worse the last success is than the baseline, divided by |baseline|; positive is worse.",
        Shed.TRAINING_METRICS,
    ),
    gauge(
        "ml_training_utilization_ratio",
        (*PIPELINE, "resource"),
        "Mean utilization of a resource over the active runs that report it, 0 to 1.",
        Shed.TRAINING_METRICS,
    ),
)

MODELS = (
    gauge("ml_model_versions", (*MODEL, "status"), "Versions of a registered model."),
    gauge("ml_model_alias_info", (*MODEL, "alias", "version"), "1 for the version that an alias points at."),
    gauge(
        "ml_model_alias_changed_timestamp_seconds",
        (*MODEL, "alias"),
        "When this exporter saw the alias move; absent until it has moved once.",
    ),
    gauge(
        "ml_model_version_created_timestamp_seconds",
        VERSION,
        "When the version was registered (aliased versions and the newest one only).",
    ),
    gauge(
        "ml_model_version_info",
        (*VERSION, "pipeline", "dataset", "digest"),
        "1, with the pipeline that trained the version and the data set it was trained on.",
    ),
    gauge(
        "ml_model_metric",
        (*VERSION, "metric", "dataset"),
        "Quality of a version; dataset is empty for the figure of its training run.",
        Shed.TRAINING_METRICS,
    ),
    gauge(
        "ml_model_metric_changed_timestamp_seconds",
        (*VERSION, "metric", "dataset"),
        "When this exporter saw the figure of a version it knew appear or change; absent until then.",
        Shed.TRAINING_METRICS,
    ),
    gauge(
        "ml_model_metric_baseline",
        (*VERSION, "metric"),
        "Median of the metric over up to 20 successes before the run that trained the version; fixed when the "
        "version is first seen, absent below 5 of them.",
        Shed.TRAINING_METRICS,
    ),
    gauge(
        "ml_model_metric_degradation_ratio",
        (*VERSION, "metric", "dataset"),
        "How much worse the version is than its baseline, divided by |baseline|; positive is worse.",
        Shed.TRAINING_METRICS,
    ),
)
