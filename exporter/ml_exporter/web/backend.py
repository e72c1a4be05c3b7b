"""What the web surface needs to know of the rest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

State = Literal["up", "down", "unknown", "starting"]


@dataclass(frozen=True, slots=True)
class SourceView:
    """One source on the landing page."""

    name: str
    kind: str
    url: str
    state: State
    last_success: float | None = None
    """Seconds since the epoch."""
    last_error: str | None = None
    backfill_progress: float | None = None
    """Share of the history that has been read, 0–1; None or 1 when all of it has."""
    series: int = 0
    pipelines: int = 0


@dataclass(frozen=True, slots=True)
class ModelView:
    """One model of an endpoint, as its last probe found it."""

    model: str
    """Empty where an endpoint serves but one that has no name."""
    version: str
    checks: Mapping[str, bool] = field(default_factory=dict)
    """Check → whether it went well; empty while that is not known."""
    outcome: str | None = None
    problem: str | None = None
    at: float | None = None
    """When the last probe ended, in seconds since the epoch."""
    lost: bool = False
    """Whether the last probe could not be made, for reasons of the exporter's own."""


@dataclass(frozen=True, slots=True)
class EndpointView:
    """One endpoint on the landing page."""

    name: str
    protocol: str
    url: str
    state: State
    models: tuple[ModelView, ...] = ()
    """Those that fail first."""
    more: int = 0
    """Models beside these."""
    index_error: str | None = None


@dataclass(frozen=True, slots=True)
class EndpointViews:
    """How many endpoints there are in each state, and those that are shown, the ones that fail first."""

    counts: Mapping[State, int] = field(default_factory=dict)
    shown: tuple[EndpointView, ...] = ()


@dataclass(frozen=True, slots=True)
class ProbeRequest:
    """What /probe was asked; what was not given is empty."""

    target: str = ""
    protocol: str = ""
    model: str = ""
    version: str = ""
    module: str = ""
    debug: bool = False
    scrape_timeout: float | None = None
    """Seconds after which who asks stops listening."""
    openmetrics: bool = False


@dataclass(frozen=True, slots=True)
class ProbePage:
    """The answer of /probe: an exposition if the status is 200 and `debug` was not asked for, else a text."""

    body: bytes
    status: int = 200


class Backend(Protocol):
    """Everything here answers from memory, but for `reload` and `probe`."""

    @property
    def config_hash(self) -> str: ...

    @property
    def version(self) -> str: ...

    async def metrics(self, openmetrics: bool, gzip: bool) -> tuple[bytes, ...]:
        """The rendered exposition, compressed if asked for; in parts, because joining them would copy megabytes."""
        ...

    def ready(self) -> tuple[bool, str]:
        """Whether every source has been tried, and what is missing."""
        ...

    async def reload(self) -> str | None:
        """Read the configuration again: None when it runs now, else what is wrong with it."""
        ...

    def sources(self) -> list[SourceView]: ...

    def debug(self, name: str) -> dict[str, Any] | None:
        """What the last poll of a source asked and got; None for an unknown source."""
        ...

    def endpoints(self) -> EndpointViews: ...

    def debug_endpoint(self, name: str) -> dict[str, Any] | None:
        """What the last probe of each model of an endpoint asked and got; None for an unknown endpoint.

        Called from another thread.
        """
        ...

    async def probe(self, request: ProbeRequest) -> ProbePage:
        """Probe what a request names. Cancelled, it ends at once."""
        ...

    def last_failed_url(self, source: str, pipeline: str) -> str | None:
        """The page of the last failed run in the backend's own interface."""
        ...

    def pipeline_url(self, source: str, pipeline: str) -> str | None:
        """The page of a pipeline, or the list of its runs, there."""
        ...

    def source_url(self, source: str) -> str | None:
        """Where that interface begins."""
        ...
