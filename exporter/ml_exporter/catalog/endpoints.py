"""Metrics of endpoints and of the prober."""

from __future__ import annotations

from ml_exporter.catalog.family import (
    ENDPOINT,
    LATENESS_BUCKETS,
    PROBE_BUCKETS,
    SERVED,
    Shed,
    counter,
    gauge,
    histogram,
)

ENDPOINTS = (
    gauge(
        "ml_endpoint_info",
        (*ENDPOINT, "protocol", "server", "stage"),
        "1 for every configured endpoint; stage is that of its service, empty where none is named.",
    ),
    gauge(
        "ml_endpoint_up",
        (*SERVED, "check"),
        "1 if the last probe's check (live, ready, predict) went well, 0 if it did not or what went wrong before it "
        "ended the probe; absent while nobody knows.",
    ),
    counter(
        "ml_endpoint_probes_total",
        (*SERVED, "outcome"),
        "Probes by outcome: that of the canary prediction, or where there is none of the first check that failed. "
        "bad_prediction: it answers, and the answer is wrong.",
    ),
    histogram(
        "ml_endpoint_probe_duration_seconds",
        SERVED,
        "Duration of the last check (the canary prediction, where there is one) of probes that ended well, from "
        "sending to the last byte. The denominator of an objective is all probes.",
        PROBE_BUCKETS,
        Shed.HISTOGRAMS,
    ),
    histogram(
        "ml_endpoint_time_to_first_token_seconds",
        SERVED,
        "From sending a canary to the first token of its streamed answer.",
        PROBE_BUCKETS,
        Shed.HISTOGRAMS,
    ),
    histogram(
        "ml_endpoint_inter_token_seconds",
        SERVED,
        "From one token (or chunk of them) of a streamed answer to the next.",
        PROBE_BUCKETS,
        Shed.HISTOGRAMS,
    ),
    counter("ml_endpoint_output_tokens_total", SERVED, "Tokens that were generated for canaries."),
    gauge(
        "ml_endpoint_last_probe_timestamp_seconds",
        (*ENDPOINT, "model"),
        "When the last probe ended, however it ended; before the first one, when probing began. The other series of "
        "the model are as old as this.",
    ),
    gauge("ml_endpoint_interval_seconds", ENDPOINT, "Configured time between probes."),
    gauge(
        "ml_endpoint_latency_limit_seconds",
        ENDPOINT,
        "Configured limit of latency, where there is one.",
    ),
    gauge(
        "ml_endpoint_tls_not_after_timestamp_seconds",
        ENDPOINT,
        "When the certificate that the endpoint showed last stops being valid.",
    ),
    gauge(
        "ml_endpoint_serves_info",
        ("source", *SERVED),
        "1 for the version that an endpoint with a registered_model was last seen to serve, as it says itself, else as "
        "it is configured; source and model are those of the registry.",
    ),
    gauge("ml_endpoint_index_up", ENDPOINT, "1 if the server's index of models could be read."),
    gauge("ml_endpoint_index_models", ENDPOINT, "Models in the server's index that are wanted, probed or not."),
    gauge(
        "ml_endpoint_series_dropped",
        ENDPOINT,
        "Series of the endpoint that are left out because of `defaults.series_limit`.",
    ),
    histogram(
        "ml_prober_lateness_seconds",
        (),
        "How late probes began, measured against their interval.",
        LATENESS_BUCKETS,
    ),
    counter("ml_prober_spans_dropped_total", (), "Spans of probes that could not be exported."),
)
