"""The settings: what a configuration file may say, as dataclasses with their defaults and limits."""

from __future__ import annotations

import dataclasses
import fnmatch
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from ml_exporter.alerting_settings import Alerting
from ml_exporter.endpoint_settings import IN_JSONNET, ConfiguredEndpoint, EndpointConfig, Probes, Tracing
from ml_exporter.errors import ConfigError
from ml_exporter.schema import HOST_AND_PORT, LINE, NAME, URL, Between, Duration, Matches
from ml_exporter.slo_settings import Slo

DEFAULT_SERVICE = "unassigned"


@dataclass(frozen=True, slots=True)
class Server:
    listen: Annotated[str, HOST_AND_PORT] = "127.0.0.1:9840"
    web_config: str | None = None
    """TLS and basic auth, in the exporter-toolkit's format."""


@dataclass(frozen=True, slots=True)
class Defaults:
    interval: Annotated[float, Duration("1s", "1h")] = 30.0
    timeout: Annotated[float, Duration("100ms", "10m")] = 10.0
    series_limit: Annotated[int, Between(100, 10_000_000)] = 100_000


@dataclass(frozen=True, slots=True)
class SourceConfig:
    """What every source has, whatever its kind."""

    name: Annotated[str, NAME]
    kind: str
    url: Annotated[str, URL]
    browser_url: Annotated[str | None, URL] = None
    """Where a browser finds the pages that are at `url` for the exporter."""
    interval: Annotated[float | None, Duration("1s", "1h")] = None
    timeout: Annotated[float | None, Duration("100ms", "10m")] = None
    series_limit: Annotated[int | None, Between(100, 10_000_000)] = None
    username: str | None = None
    password_file: str | None = None
    password: str | None = field(default=None, repr=False)
    token_file: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    ca_file: str | None = None
    unix_socket: str | None = None
    """The socket that the backend listens on; the host of `url` is then only a name."""
    max_response_bytes: Annotated[int, Between(1_000, 4_000_000_000)] = 256_000_000


@dataclass(frozen=True, slots=True)
class ConfiguredSource:
    """A source with its defaults filled in and the options of its kind."""

    common: SourceConfig
    options: Any
    interval: float
    timeout: float
    series_limit: int


@dataclass(frozen=True, slots=True)
class Costs:
    currency: Annotated[str, Matches(r"[A-Z]{3}", "a currency such as USD")] = "USD"


@dataclass(frozen=True, slots=True)
class StageItem:
    """A component of a service: a pipeline, `source/name`, or an endpoint; both with wildcards."""

    pipeline: Annotated[str | None, Matches(r"[^/]+/.+", "source/name, with wildcards such as tracking/fraud-*")] = None
    endpoint: str | None = None
    every: Annotated[float | None, Duration("1m", "366d")] = None
    """The pipeline is expected to succeed at least this often."""
    cost_per_hour: Annotated[float | None, Between(0, 1e9)] = None
    """Of a run of the pipeline, in `costs.currency`."""


STAGES = ("ingestion", "features", "training", "validation", "inference", "monitoring")


@dataclass(frozen=True, slots=True)
class Service:
    name: Annotated[str, NAME]
    owner: str
    tier: Annotated[int, Between(1, 3)] = 2
    stages: Mapping[str, tuple[StageItem, ...]] = field(default_factory=dict)
    models: tuple[str, ...] = ()
    """Names of registered models, `source/name` or a bare name for any source; with wildcards."""
    impact: Annotated[str | None, LINE] = None
    """What users notice when it is hurt, in their words."""


@dataclass(frozen=True, slots=True)
class Claim:
    """Whose a pipeline or an endpoint is, and what is expected of it there."""

    service: str
    stage: str = ""
    """Of the service; empty where none is named."""
    every: float | None = None
    """Seconds within which it is to succeed."""
    cost_per_hour: float | None = None


@dataclass(frozen=True, slots=True)
class Traces:
    """Where Grafana finds the traces that exemplars lead to."""

    datasource: Annotated[str | None, Matches(r"[a-zA-Z0-9_-]{1,40}", "a uid of letters, digits, '_' and '-'")] = None
    """The uid of a tracing data source of Grafana."""
    kind: Literal["tempo", "jaeger", "zipkin"] = "tempo"
    url: Annotated[str | None, URL] = None
    """As Grafana reaches it; given, the data source is provisioned, too."""

    def __post_init__(self) -> None:
        if self.url is not None and self.datasource is None:
            raise ConfigError("datasource: missing; the data source that url is for needs a uid")
        if self.datasource in ("ml-prometheus", "ml-alertmanager"):
            raise ConfigError(
                f"datasource: '{self.datasource}' is the uid of another data source, which is provisioned"
            )


@dataclass(frozen=True, slots=True)
class Stack:
    """Addresses of the parts of the stack, as each other part reaches them."""

    scrape_interval: Annotated[float, Duration("1s", "10m")] = 15.0
    evaluation_interval: Annotated[float, Duration("1s", "10m")] = 15.0
    exporter_targets: tuple[str, ...] = ("127.0.0.1:9840",)
    alertmanager_targets: tuple[str, ...] = ("127.0.0.1:9093",)
    exporter_url: Annotated[str, URL] = "http://127.0.0.1:9840"
    prometheus_url: Annotated[str, URL] = "http://127.0.0.1:9090"
    alertmanager_url: Annotated[str, URL] = "http://127.0.0.1:9093"
    exporter_browser_url: Annotated[str, URL] = "http://127.0.0.1:9840"
    """The exporter as a browser reaches it: dashboards link to its /go/ pages."""
    exporter_username: str | None = None
    exporter_password_file: str | None = None
    """As Prometheus and `apply` find it, when the exporter's web configuration asks for a user."""
    exporter_ca_file: str | None = None
    grafana_dashboards: Annotated[str, Matches(r"/.*", "an absolute path")] = "/etc/ml-exporter/grafana/dashboards"
    """Where Grafana finds the rendered dashboards."""
    traces: Traces = field(default_factory=Traces)
    output: str | None = None
    """Where `apply` renders to; the folder that Prometheus, Alertmanager and Grafana read."""


@dataclass(frozen=True, slots=True)
class Config:
    server: Server = field(default_factory=Server)
    state: str = "./ml-exporter.db"
    defaults: Defaults = field(default_factory=Defaults)
    sources: tuple[ConfiguredSource, ...] = ()
    endpoints: tuple[ConfiguredEndpoint, ...] = ()
    probes: Probes = field(default_factory=Probes)
    tracing: Tracing = field(default_factory=Tracing)
    costs: Costs = field(default_factory=Costs)
    services: tuple[Service, ...] = ()
    slos: tuple[Slo, ...] = ()
    slo_files: tuple[str, ...] = ()
    slo_notes: tuple[str, ...] = ()
    """What was ignored in those files."""
    alerting: Alerting = field(default_factory=Alerting)
    stack: Stack = field(default_factory=Stack)
    hash: str = ""
    """Of the file's meaning, before environment variables are filled in: equal wherever it is read."""

    def service_of_pipeline(self, source: str, name: str, tags: tuple[str, ...] = ()) -> Claim:
        """The service of a pipeline, and what it says of it.

        A tag that is a service's name decides; else the first service with a pattern that matches.
        """
        tagged = next((service for service in self.services if service.name in tags), None)
        for service in (tagged,) if tagged else self.services:
            for stage, items in service.stages.items():
                for item in items:
                    if item.pipeline and fnmatch.fnmatchcase(f"{source}/{name}", item.pipeline):
                        return Claim(service.name, stage, item.every, item.cost_per_hour)
        return Claim(tagged.name if tagged else DEFAULT_SERVICE)

    def service_of_model(self, source: str, name: str) -> str:
        """The first service that claims a registered model."""
        for service in self.services:
            for pattern in service.models:
                if fnmatch.fnmatchcase(name, pattern) or fnmatch.fnmatchcase(f"{source}/{name}", pattern):
                    return service.name
        return DEFAULT_SERVICE

    def service_of_endpoint(self, name: str) -> Claim:
        """The first service that claims an endpoint."""
        for service in self.services:
            for stage, items in service.stages.items():
                for item in items:
                    if item.endpoint and fnmatch.fnmatchcase(name, item.endpoint):
                        return Claim(service.name, stage)
        return Claim(DEFAULT_SERVICE)

    def for_jsonnet(self) -> dict[str, Any]:
        """What rules, dashboards and routing may know: no secrets, only the paths of their files."""
        whole = {"sources": (), "endpoints": (), "slos": (), "probes": dataclasses.replace(self.probes, modules={})}
        plain = dataclasses.asdict(dataclasses.replace(self, **whole))  # type: ignore[arg-type]  # a mapping of fields
        for name in ("tracing", "slo_files", "slo_notes"):
            del plain[name]
        names = [f.name for f in dataclasses.fields(EndpointConfig) if f.name in IN_JSONNET]
        plain["endpoints"] = [
            {name: getattr(endpoint.common, name) for name in names}
            | {"interval": endpoint.interval, "ml_service": self.service_of_endpoint(endpoint.common.name).service}
            for endpoint in self.endpoints
        ]
        plain["slos"] = [slo.for_jsonnet() for slo in self.slos]
        plain["sources"] = [
            {"name": source.common.name, "kind": source.common.kind, "interval": source.interval}
            for source in self.sources
        ]
        return plain
