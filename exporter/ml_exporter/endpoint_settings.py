"""The settings of endpoints, of probes and of their traces, as dataclasses with their defaults and limits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from ml_exporter.catalog import PROBE_BUCKETS
from ml_exporter.expectations import Expected
from ml_exporter.ports import Canary, Step
from ml_exporter.schema import NAME, URL, Between, Duration, Matches

_SERVER = ("name", "protocol", "server", "url", "metrics_url", "model", "version", "ca_file")
_JUDGED = ("latency_limit", "latency_from", "cost_per_hour", "registered_model")
IN_JSONNET = frozenset({*_SERVER, *_JUDGED})
"""Keys of an endpoint that rules and dashboards may know."""


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
    max_response_bytes: Annotated[int, Between(1_000, 1_000_000_000)] = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointConfig(ProbeConfig):
    """What every endpoint has, whatever its protocol."""

    name: Annotated[str, NAME]
    url: Annotated[str, URL]
    server: str | None = None
    """The kind of server, whose own metrics are read by the rules in `alerts/servers/`."""
    metrics_url: Annotated[str | None, URL] = None
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
    buckets: tuple[float, ...] = PROBE_BUCKETS
    """Upper bounds in seconds of the histograms of probes."""
    discovery_interval: Annotated[float, Duration("5s", "1d")] = 60.0
    allow: tuple[str, ...] = ()
    """What /probe may be asked about: host, host:port (both with wildcards) or a network such as 10.0.0.0/8."""
    modules: Mapping[str, ConfiguredModule] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Tracing:
    """Where the spans of probes go."""

    otlp_url: Annotated[str | None, URL] = None
    """OTLP over HTTP; spans are posted to /v1/traces below it."""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    ca_file: str | None = None
    sample_ratio: Annotated[float, Between(0, 1)] = 1.0
    """Of probes that end well; the others are all exported."""
