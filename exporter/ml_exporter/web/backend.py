"""What the web surface needs to know of the rest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Protocol

State = Literal["up", "down", "starting"]


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


class Backend(Protocol):
    """Everything here answers from memory, but for `reload`."""

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

    def last_failed_url(self, source: str, pipeline: str) -> str | None:
        """The page of the last failed run in the backend's own interface."""
        ...
