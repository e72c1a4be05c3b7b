"""The settings of alerts: where they fire, as dataclasses with their defaults and limits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated

from ml_exporter.routing_settings import BusinessHours, Escalation, Maintenance, OwnerRoutes, Route
from ml_exporter.schema import URL, Between, Duration, Matches


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Where the shipped alerts fire. Sources: Prometheus' advice on batch jobs (two cycles), docs/alerts.md."""

    failing_runs: Annotated[int, Between(1, 50)] = 3
    late_after: Annotated[float, Duration("1m", "30d")] = 900.0
    late_factor: Annotated[float, Between(1, 100)] = 2.0
    overdue_cycles: Annotated[float, Between(1, 100)] = 2.0
    never_succeeded_after: Annotated[float, Duration("1m", "30d")] = 86400.0
    stuck_factor: Annotated[float, Between(1.1, 1000)] = 3.0
    stuck_at_least: Annotated[float, Duration("1s", "7d")] = 1800.0
    stuck_without_typical: Annotated[float, Duration("1m", "30d")] = 86400.0
    slow_ratio: Annotated[float, Between(1.01, 1000)] = 1.5
    fast_ratio: Annotated[float, Between(0.001, 0.99)] = 0.2
    duration_at_least: Annotated[float, Duration("0s", "7d")] = 60.0
    queued_too_long: Annotated[float, Duration("1s", "7d")] = 1800.0
    metric_worse: Annotated[float, Between(0.001, 10)] = 0.05
    metric_worse_not_live: Annotated[float, Between(0.001, 10)] = 0.10
    metric_worse_page: Annotated[float, Between(0.001, 10)] = 0.10
    scheduler_heartbeat_after: Annotated[float, Duration("30s", "7d")] = 600.0
    """At least twice the time between two readings of heartbeats, of every source."""
    capacity_exhausted_for: Annotated[float, Duration("1m", "30d")] = 3600.0
    load_errors_for: Annotated[float, Duration("1m", "30d")] = 600.0
    source_down_for: Annotated[float, Duration("0s", "1d")] = 300.0
    source_stale_intervals: Annotated[float, Between(2, 1000)] = 10.0
    backfill_after: Annotated[float, Duration("1m", "30d")] = 86400.0
    endpoint_down_for: Annotated[float, Duration("0s", "1d")] = 120.0
    model_not_ready_for: Annotated[float, Duration("0s", "1d")] = 300.0
    probe_window: Annotated[float, Duration("1m", "3h")] = 600.0
    """Wrong answers are counted over it, slow ones and flaps over three times as long; longer where probes are rare."""
    wrong_predictions: Annotated[int, Between(1, 1000)] = 3
    endpoint_flaps: Annotated[int, Between(1, 1000)] = 3
    slow_probes: Annotated[int, Between(1, 1000)] = 3
    requests_at_least: Annotated[float, Between(1, 1e6)] = 5.0
    """Fewer bad or slow requests than that within five minutes alarm nobody."""
    endpoint_error_ratio: Annotated[float, Between(0.0001, 1)] = 0.05
    endpoint_slow_ratio: Annotated[float, Between(0.0001, 1)] = 0.05
    endpoint_degraded_for: Annotated[float, Duration("0s", "1d")] = 300.0
    queue_wait: Annotated[float, Duration("1ms", "1d")] = 5.0
    cache_full: Annotated[float, Between(0.01, 1)] = 0.95
    endpoint_saturated_for: Annotated[float, Duration("1m", "1d")] = 900.0
    certificate_days: Annotated[float, Between(0.1, 366)] = 14.0
    views_disagree_for: Annotated[float, Duration("1m", "1d")] = 900.0
    wrong_version_for: Annotated[float, Duration("1m", "30d")] = 1800.0
    probes_stale_intervals: Annotated[float, Between(2, 1000)] = 10.0
    index_down_for: Annotated[float, Duration("1m", "1d")] = 600.0
    metrics_down_for: Annotated[float, Duration("1m", "1d")] = 600.0
    unusual_volume_low: Annotated[float, Between(0, 0.99)] = 0.5
    unusual_volume_high: Annotated[float, Between(1.01, 1000)] = 3.0
    unusual_requests_at_least: Annotated[float, Between(0, 1e9)] = 100.0
    """Within an hour."""
    unusual_runs_at_least: Annotated[float, Between(0, 1e9)] = 10.0
    """Within six hours."""
    unusual_deviations: Annotated[float, Between(0, 100)] = 5.0
    unusual_latency: Annotated[float, Between(1.01, 1000)] = 2.0
    unusual_latency_more: Annotated[float, Duration("0s", "1d")] = 0.02
    unusual_duration_low: Annotated[float, Between(0, 0.99)] = 0.3
    unusual_duration_high: Annotated[float, Between(1.01, 1000)] = 2.0
    unusual_for: Annotated[float, Duration("0s", "7d")] = 4500.0
    """Longer than the hour that is averaged: what happens once stays in it for that long."""


@dataclass(frozen=True, slots=True)
class Alerting:
    alertmanager: Annotated[str, Matches(r"0\.\d+", "a version such as '0.33'")] = "0.25"
    """The oldest Alertmanager that is to read the routing: what it does not know is refused, or done without."""
    runbook_url: Annotated[str, URL] = "https://github.com/ml-exporter/ml-exporter/blob/main/alerts/runbooks"
    dashboard_url: Annotated[str, URL] = "http://localhost:3000"
    live_aliases: tuple[str, ...] = ("champion",)
    """A version behind one of these serves users: only for it does bad quality page."""
    thresholds: Thresholds = field(default_factory=Thresholds)
    page: Route = field(default_factory=Route)
    ticket: Route = field(default_factory=Route)
    info: Route = field(default_factory=Route)
    watchdog: Route = field(default_factory=Route)
    owners: Mapping[str, OwnerRoutes] = field(default_factory=dict)
    """By the `owner` of services; a severity that is not there goes to everybody's receivers."""
    escalation: Escalation | None = None
    audit: Route | None = None
    """Hears of every alert, besides those who are told anyway."""
    business_hours: BusinessHours | None = None
    """Unset: tickets and info are sent at any hour."""
    maintenance: tuple[Maintenance, ...] = ()
