"""An endpoint at work: its models, and what they are in the exposition, in a trace and for the client."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field

from ml_exporter.endpoint_settings import Asked, ConfiguredEndpoint, EndpointConfig, ProbeConfig
from ml_exporter.endpoint_states import SEVERAL, Served
from ml_exporter.http import HttpSettings
from ml_exporter.http.probing import ProbeClient
from ml_exporter.http.spans import Span
from ml_exporter.lines import Lines
from ml_exporter.model import Outcome, Sample
from ml_exporter.ports import Result
from ml_exporter.reading import chosen
from ml_exporter.settings import Claim

LONGEST_NAME = 200


@dataclass(slots=True)
class Probed:
    """A model at work."""

    asked: Asked
    served: Served
    task: asyncio.Task[None] | None = None
    listed_at: float = 0.0
    """When the index named it last, in seconds since the epoch."""


@dataclass(slots=True)
class Endpoint:
    """An endpoint at work."""

    configured: ConfiguredEndpoint
    claim: Claim
    client: ProbeClient
    models: dict[str, Probed] = field(default_factory=dict)
    index_task: asyncio.Task[None] | None = None
    index_up: bool | None = None
    index_models: int = 0
    index_error: str | None = None
    shown: list[Sample] = field(default_factory=list)
    """Its own series as they are on the page."""
    lines: dict[str, Lines] = field(default_factory=dict)
    dropped: dict[str, int] = field(default_factory=dict)
    """Family → series left out because of the limit."""

    @property
    def service(self) -> str:
        return self.claim.service

    @property
    def name(self) -> str:
        return self.configured.common.name

    @property
    def page(self) -> str:
        return f"endpoint {self.name}"

    def lines_of(self, part: str) -> Lines:
        """What renders a part of its page, which is done again with each probe."""
        if part not in self.lines:
            self.lines[part] = Lines({"ml_service": self.service, "ml_endpoint": self.name})
        return self.lines[part]

    def cancel(self) -> list[asyncio.Task[None]]:
        """Cancel everything that is under way for it; the tasks, which have yet to end."""
        tasks = [task for task in (*(probed.task for probed in self.models.values()), self.index_task) if task]
        for task in tasks:
            task.cancel()
        return tasks


def wanted(common: EndpointConfig, listed: Iterable[str]) -> list[str]:
    """Of the models in an index those that are chosen, in order; names that no label should have are left out."""
    return sorted(
        name
        for name in set(listed)
        if 0 < len(name) <= LONGEST_NAME and name.isprintable() and chosen(name, common.include, common.exclude)
    )


def of_endpoint(endpoint: Endpoint, currency: str) -> list[Sample]:
    """Series of the endpoint itself."""
    configured, common = endpoint.configured, endpoint.configured.common
    samples = [
        Sample("ml_endpoint_info", (common.protocol, common.server or "", endpoint.claim.stage), 1),
        Sample("ml_endpoint_interval_seconds", (), configured.interval),
        Sample("ml_endpoint_series_dropped", (), sum(endpoint.dropped.values())),
    ]
    known = (
        ("ml_endpoint_latency_limit_seconds", (), common.latency_limit),
        ("ml_endpoint_tls_not_after_timestamp_seconds", (), endpoint.client.not_after),
        ("ml_cost_per_hour", (currency,), common.cost_per_hour),
        ("ml_endpoint_index_up", (), None if endpoint.index_up is None else int(endpoint.index_up)),
        ("ml_endpoint_index_models", (), endpoint.index_models if endpoint.index_up else None),
    )
    return samples + [Sample(family, labels, value) for family, labels, value in known if value is not None]


def of_registered(endpoint: Endpoint, served: Served) -> list[Sample]:
    """What a version that answers is in the registry."""
    registered = endpoint.configured.common.registered_model
    if registered is None or served.version in ("", SEVERAL) or not served.proven:
        return []
    source, _, model = registered.partition("/")
    return [Sample("ml_endpoint_serves_info", (source, model, served.version), 1)]


def span_of(endpoint: Endpoint, served: Served, result: Result) -> Span:
    """A probe as a trace tells of it."""
    common = endpoint.configured.common
    attributes: dict[str, str | int | float | bool] = {
        "ml.service": endpoint.service,
        "ml.endpoint": endpoint.name,
        "ml.protocol": common.protocol,
        "ml.model": served.model,
        "ml.version": served.version,
        "ml.outcome": str(result.outcome),
        "url.full": common.url,
    }
    for step in result.steps:
        attributes[f"ml.check.{step.check}.seconds"] = step.seconds
    status = next((step.status for step in reversed(result.steps) if step.status is not None), None)
    if status is not None:
        attributes["http.response.status_code"] = status
    error = None if result.outcome is Outcome.OK else result.problem or str(result.outcome)
    ended = result.began + result.seconds
    return Span(result.trace_id, result.span_id, f"probe {endpoint.name}", result.began, ended, attributes, error)


def settings_of(endpoint: ConfiguredEndpoint) -> HttpSettings:
    """How an endpoint is reached."""
    common = endpoint.common
    return reached(common, common.url, endpoint.timeout, common.unix_socket)


def reached(common: ProbeConfig, url: str, timeout: float, unix_socket: str | None = None) -> HttpSettings:
    """How whatever is at `url` is asked as `common` says; `timeout` in seconds."""
    return HttpSettings(
        url=url,
        timeout=timeout,
        headers=common.headers,
        username=common.username,
        password=common.password,
        password_file=common.password_file,
        token_file=common.token_file,
        ca_file=common.ca_file,
        unix_socket=unix_socket,
        max_response_bytes=common.max_response_bytes,
    )
