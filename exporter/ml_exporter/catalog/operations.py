"""Metrics of schedulers, costs, sources and the exporter itself."""

from __future__ import annotations

from ml_exporter.catalog.family import (
    ENDPOINT,
    PIPELINE,
    POLL_DURATION_BUCKETS,
    SOURCE,
    Shed,
    counter,
    gauge,
    histogram,
)

SCHEDULERS = (
    gauge(
        "ml_scheduler_heartbeat_timestamp_seconds",
        (*SOURCE, "component"),
        "When a part of the scheduler last showed that it is alive.",
    ),
    gauge("ml_scheduler_queue_length", (*SOURCE, "queue"), "Runs or jobs that wait in a pool, partition or queue."),
    gauge(
        "ml_scheduler_capacity",
        (*SOURCE, "queue", "resource", "state"),
        "Units of a resource (slots, cpu, gpu) that a queue has, by state: used, free, unavailable.",
    ),
    gauge(
        "ml_scheduler_load_errors",
        (*SOURCE, "location"),
        "Definitions that the scheduler could not load, by where they come from; what they define does not run.",
    ),
)

COSTS = (
    gauge(
        "ml_cost_per_hour",
        (*ENDPOINT, "currency"),
        "What an endpoint costs per hour, from the configuration.",
    ),
    gauge(
        "ml_cost_run_per_hour",
        (*PIPELINE, "currency"),
        "What an hour of a run of the pipeline costs, from the configuration; times ml_run_busy_seconds_total it is "
        "what runs cost.",
        Shed.TRAINING_METRICS,
    ),
    gauge(
        "ml_cost_last_run",
        (*PIPELINE, "currency"),
        "What the last succeeded run cost: its duration at the configured price.",
        Shed.TRAINING_METRICS,
    ),
    gauge(
        "ml_cost_last_run_per_step",
        (*PIPELINE, "currency"),
        "What a step of the last succeeded run cost; see ml_run_last_steps.",
        Shed.TRAINING_METRICS,
    ),
)

SOURCES = (
    gauge("ml_source_info", (*SOURCE, "kind"), "1 for every configured source."),
    gauge("ml_source_up", SOURCE, "1 if the last poll succeeded, 0 if it failed or none has ended yet."),
    gauge(
        "ml_source_last_success_timestamp_seconds",
        SOURCE,
        "When the last successful poll ended; the source's series are as old as this.",
    ),
    gauge("ml_source_interval_seconds", SOURCE, "Configured time between polls; staleness is judged against it."),
    gauge("ml_source_backfill_complete", SOURCE, "1 when the whole history has been read once."),
    gauge("ml_source_backfill_progress_ratio", SOURCE, "Share of the history that has been read, 0 to 1."),
    counter(
        "ml_source_polls_total",
        (*SOURCE, "outcome", "reason"),
        "Polls by outcome (ok, failed); reason is none for ok.",
    ),
    histogram("ml_source_poll_duration_seconds", SOURCE, "Duration of polls, failed ones too.", POLL_DURATION_BUCKETS),
    counter("ml_source_requests_total", SOURCE, "HTTP requests sent to the backend, retries too."),
    counter("ml_source_response_bytes_total", SOURCE, "Bytes of body received from the backend."),
    gauge("ml_source_series", SOURCE, "Series exposed for the source."),
    gauge("ml_source_series_limit", SOURCE, "Configured limit of series for the source."),
    counter(
        "ml_source_series_dropped_total",
        (*SOURCE, "family"),
        "Series left out of a published snapshot because of the limit.",
    ),
)

EXPORTER = (
    gauge("ml_exporter_build_info", ("version",), "1, with the version of ml-exporter."),
    gauge("ml_service_info", ("ml_service", "owner", "tier"), "1 for every configured service."),
    gauge("ml_exporter_config_info", ("hash",), "1, with the hash of the running configuration."),
    gauge("ml_exporter_config_last_reload_successful", (), "1 if the last reload was accepted."),
    gauge(
        "ml_exporter_config_last_reload_success_timestamp_seconds",
        (),
        "When a configuration was last accepted.",
    ),
    gauge(
        "ml_exporter_state_kept_aside",
        (),
        "Unreadable state files that were kept beside the current one; remove them to clear it.",
    ),
)
