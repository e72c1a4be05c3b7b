"""The settings: what a configuration file may say, as dataclasses with their defaults and limits."""

from __future__ import annotations

import dataclasses
import fnmatch
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from ml_exporter.expectations import Expected
from ml_exporter.ports import Canary, Step
from ml_exporter.schema import Between, Duration, Matches

DEFAULT_SERVICE = "unassigned"

_NAME = Matches(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,62}", "a name of letters, digits, '_', '.' and '-', at most 63 long")
_URL = Matches(r"https?://[^\s/?#@]+(/[^\s?#]*)?", "http(s)://host[:port][/path] without user, query or fragment")
_SECRET_FILE = Matches(r"(?!https?:).+", "the path of a file that holds the secret, as Alertmanager finds it")
_LISTEN = Matches(r"(\[[0-9a-fA-F:]+\]|[^\s:]*):\d{1,5}", "host:port")


@dataclass(frozen=True, slots=True)
class Server:
    listen: Annotated[str, _LISTEN] = "127.0.0.1:9840"
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

    name: Annotated[str, _NAME]
    kind: str
    url: Annotated[str, _URL]
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
class CanaryConfig:
    """A prediction whose answer is known: what is sent, given here or in a file, and what must come back."""

    request: Any = None
    file: str | None = None
    content_type: str = "application/json"
    expect: tuple[Expected, ...] = ()


_PATH = Matches(r"/[^\s?#]*(\?[^\s#]*)?", "a path, /…")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeConfig:
    """How an endpoint is probed: what endpoints and the modules of /probe share."""

    protocol: str
    model: str | None = None
    version: str | None = None
    """Asked for by name; unset: whichever the server takes."""
    checks: tuple[Literal["live", "ready", "predict"], ...] = ("live", "ready", "predict")
    canary: CanaryConfig | None = None
    timeout: Annotated[float | None, Duration("10ms", "10m")] = None
    """Seconds for the whole probe, all its checks."""
    live_path: Annotated[str | None, _PATH] = None
    ready_path: Annotated[str | None, _PATH] = None
    predict_path: Annotated[str | None, _PATH] = None
    """These three stand in for what the protocol says."""
    username: str | None = None
    password_file: str | None = None
    password: str | None = field(default=None, repr=False)
    token_file: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    ca_file: str | None = None
    max_response_bytes: Annotated[int, Between(1_000, 1_000_000_000)] = 10_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointConfig(ProbeConfig):
    """What every endpoint has, whatever its protocol."""

    name: Annotated[str, _NAME]
    url: Annotated[str, _URL]
    server: str | None = None
    """The kind of server, whose own metrics are read by the rules in `alerts/servers/`."""
    metrics_url: Annotated[str | None, _URL] = None
    """Where Prometheus finds the server's own metrics."""
    interval: Annotated[float | None, Duration("1s", "1h")] = None
    connection: Literal["reuse", "fresh"] = "reuse"
    discover: bool = False
    """Probe every model that the server's own index lists."""
    include: tuple[str, ...] = ("*",)
    exclude: tuple[str, ...] = ()
    max_models: Annotated[int, Between(1, 10_000)] = 100
    canaries: Mapping[str, CanaryConfig] = field(default_factory=dict)
    """Of models that were discovered: name, with wildcards → canary."""
    registered_model: Annotated[str | None, Matches(r"[^/]+/.+", "source/name of a registered model")] = None
    """What should be served here: the version behind a live alias of this model."""
    latency_limit: Annotated[float | None, Duration("1ms", "10m")] = None
    latency_from: Literal["probe", "native"] = "probe"
    cost_per_hour: Annotated[float | None, Between(0, 1e9)] = None
    """Of all replicas together, in `costs.currency`."""
    unix_socket: str | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """Everything that is to be asked of one model, ready to be sent."""

    model: str
    """The label; empty where an endpoint serves but one that has no name."""
    version: str
    """The label until the server says better; empty: not known."""
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class ConfiguredEndpoint:
    """An endpoint with its defaults filled in, its options and its canaries."""

    common: EndpointConfig
    options: Any
    interval: float
    timeout: float
    series_limit: int
    canary: Canary | None
    canaries: tuple[tuple[str, Canary], ...]


@dataclass(frozen=True, slots=True)
class ConfiguredModule:
    """How /probe asks, by name."""

    common: ProbeConfig
    options: Any
    timeout: float
    canary: Canary | None


@dataclass(frozen=True, slots=True)
class Probes:
    """What all probes share."""

    concurrency: Annotated[int, Between(1, 20_000)] = 500
    """Probes that may begin at the same time; one that has taken a second makes room for the next."""
    buckets: tuple[float, ...] = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
    """Upper bounds in seconds of the histograms of probes."""
    discovery_interval: Annotated[float, Duration("5s", "1d")] = 60.0
    allow: tuple[str, ...] = ()
    """What /probe may be asked about: host, host:port (both with wildcards) or a network such as 10.0.0.0/8."""
    modules: Mapping[str, ConfiguredModule] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Tracing:
    """Where the spans of probes go."""

    otlp_url: Annotated[str | None, _URL] = None
    """OTLP over HTTP; spans are posted to /v1/traces below it."""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    ca_file: str | None = None
    sample_ratio: Annotated[float, Between(0, 1)] = 1.0
    """Of probes that end well; the others are all exported."""


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


_SERVER = ("name", "protocol", "server", "url", "metrics_url", "model", "version", "ca_file")
_JUDGED = ("latency_limit", "latency_from", "cost_per_hour", "registered_model")
ENDPOINT_IN_JSONNET = frozenset({*_SERVER, *_JUDGED})
STAGES = ("ingestion", "features", "training", "validation", "inference", "monitoring")


@dataclass(frozen=True, slots=True)
class Service:
    name: Annotated[str, _NAME]
    owner: str
    tier: Annotated[int, Between(1, 3)] = 2
    stages: Mapping[str, tuple[StageItem, ...]] = field(default_factory=dict)
    models: tuple[str, ...] = ()
    """Names of registered models, `source/name` or a bare name for any source; with wildcards."""


@dataclass(frozen=True, slots=True)
class Claim:
    """Whose a pipeline is, and what is expected of it there."""

    service: str
    every: float | None = None
    """Seconds within which it is to succeed."""
    cost_per_hour: float | None = None


@dataclass(frozen=True, slots=True)
class Webhook:
    url: Annotated[str | None, Matches(r"https?://\S+", "an address, http(s)://…")] = None
    url_file: Annotated[str | None, _SECRET_FILE] = None


@dataclass(frozen=True, slots=True)
class Slack:
    channel: str
    api_url_file: Annotated[str, _SECRET_FILE]


@dataclass(frozen=True, slots=True)
class PagerDuty:
    routing_key_file: Annotated[str, _SECRET_FILE]


@dataclass(frozen=True, slots=True)
class Email:
    to: str
    from_: str
    smarthost: Annotated[str, _LISTEN]
    username: str | None = None
    password_file: Annotated[str | None, _SECRET_FILE] = None


@dataclass(frozen=True, slots=True)
class MSTeams:
    webhook_url_file: Annotated[str, _SECRET_FILE]


RECEIVERS = ("webhook", "slack", "pagerduty", "email", "msteams")


@dataclass(frozen=True, slots=True)
class Route:
    """Who is told of one severity, and how often; unset times take the severity's defaults."""

    webhook: Webhook | None = None
    slack: Slack | None = None
    pagerduty: PagerDuty | None = None
    email: Email | None = None
    msteams: MSTeams | None = None
    group_wait: Annotated[float | None, Duration("0s", "1h")] = None
    group_interval: Annotated[float | None, Duration("1s", "24h")] = None
    repeat_interval: Annotated[float | None, Duration("1m", "5d")] = None


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
    scheduler_heartbeat_after: Annotated[float, Duration("5m", "7d")] = 600.0
    capacity_exhausted_for: Annotated[float, Duration("1m", "30d")] = 3600.0
    load_errors_for: Annotated[float, Duration("1m", "30d")] = 600.0
    source_down_for: Annotated[float, Duration("0s", "1d")] = 300.0
    source_stale_intervals: Annotated[float, Between(2, 1000)] = 10.0
    backfill_after: Annotated[float, Duration("1m", "30d")] = 86400.0
    endpoint_down_for: Annotated[float, Duration("0s", "1d")] = 120.0
    model_not_ready_for: Annotated[float, Duration("0s", "1d")] = 300.0
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


@dataclass(frozen=True, slots=True)
class Alerting:
    alertmanager: Annotated[str, Matches(r"0\.\d+", "a version such as '0.33'")] = "0.33"
    """The Alertmanager version that the routing is written for."""
    runbook_url: str = "https://github.com/ml-exporter/ml-exporter/blob/main/alerts/runbooks"
    dashboard_url: str = "http://localhost:3000"
    live_aliases: tuple[str, ...] = ("champion",)
    """A version behind one of these serves users: only for it does bad quality page."""
    thresholds: Thresholds = field(default_factory=Thresholds)
    page: Route = field(default_factory=Route)
    ticket: Route = field(default_factory=Route)
    info: Route = field(default_factory=Route)
    watchdog: Route = field(default_factory=Route)


@dataclass(frozen=True, slots=True)
class Stack:
    """Addresses of the parts of the stack, as each other part reaches them."""

    scrape_interval: Annotated[float, Duration("1s", "10m")] = 15.0
    evaluation_interval: Annotated[float, Duration("1s", "10m")] = 15.0
    exporter_targets: tuple[str, ...] = ("127.0.0.1:9840",)
    alertmanager_targets: tuple[str, ...] = ("127.0.0.1:9093",)
    exporter_url: Annotated[str, _URL] = "http://127.0.0.1:9840"
    prometheus_url: Annotated[str, _URL] = "http://127.0.0.1:9090"
    alertmanager_url: Annotated[str, _URL] = "http://127.0.0.1:9093"
    exporter_username: str | None = None
    exporter_password_file: str | None = None
    """As Prometheus and `apply` find it, when the exporter's web configuration asks for a user."""
    exporter_ca_file: str | None = None
    grafana_dashboards: str = "/etc/ml-exporter/grafana/dashboards"
    """Where Grafana finds the rendered dashboards."""
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
            for items in service.stages.values():
                for item in items:
                    if item.pipeline and fnmatch.fnmatchcase(f"{source}/{name}", item.pipeline):
                        return Claim(service.name, item.every, item.cost_per_hour)
        return Claim(tagged.name if tagged else DEFAULT_SERVICE)

    def service_of_model(self, source: str, name: str) -> str:
        """The first service that claims a registered model."""
        for service in self.services:
            for pattern in service.models:
                if fnmatch.fnmatchcase(name, pattern) or fnmatch.fnmatchcase(f"{source}/{name}", pattern):
                    return service.name
        return DEFAULT_SERVICE

    def service_of_endpoint(self, name: str) -> str:
        """The first service that claims an endpoint."""
        for service in self.services:
            for items in service.stages.values():
                for item in items:
                    if item.endpoint and fnmatch.fnmatchcase(name, item.endpoint):
                        return service.name
        return DEFAULT_SERVICE

    def for_jsonnet(self) -> dict[str, Any]:
        """What rules, dashboards and routing may know: no secrets, only the paths of their files."""
        whole = {"sources": (), "endpoints": (), "probes": dataclasses.replace(self.probes, modules={})}
        plain = dataclasses.asdict(dataclasses.replace(self, **whole))  # type: ignore[arg-type]  # a mapping of fields
        del plain["tracing"]
        names = [f.name for f in dataclasses.fields(EndpointConfig) if f.name in ENDPOINT_IN_JSONNET]
        plain["endpoints"] = [
            {name: getattr(endpoint.common, name) for name in names}
            | {"interval": endpoint.interval, "ml_service": self.service_of_endpoint(endpoint.common.name)}
            for endpoint in self.endpoints
        ]
        plain["sources"] = [
            {"name": source.common.name, "kind": source.common.kind, "interval": source.interval}
            for source in self.sources
        ]
        return plain
