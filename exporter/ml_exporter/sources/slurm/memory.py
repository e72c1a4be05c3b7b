"""What a source remembers between polls: only what saves requests and words. What must survive is in the cursor."""

from __future__ import annotations

from dataclasses import dataclass, field

from ml_exporter.model import Run, Sample
from ml_exporter.reading import Cadence
from ml_exporter.sources.slurm.api import Api

ROSTER_EVERY = 600.0
WHOLE_EVERY = 300.0
"""Seconds between listings that do not ask for changes only: a change that was missed is not missed for ever."""
HISTORY_EVERY = 300.0
NODES_EVERY = 300.0
PING_EVERY = 200.0


@dataclass(slots=True)
class Memory:
    api: Api | None = None
    release: str = ""
    roster: Cadence = field(default_factory=lambda: Cadence(ROSTER_EVERY))
    whole: Cadence = field(default_factory=lambda: Cadence(WHOLE_EVERY))
    history: Cadence = field(default_factory=lambda: Cadence(HISTORY_EVERY))
    nodes: Cadence = field(default_factory=lambda: Cadence(NODES_EVERY))
    ping: Cadence = field(default_factory=lambda: Cadence(PING_EVERY))
    updated: int | None = None
    """Until when the last listing of slurmctld is complete, by its own clock."""
    listed: frozenset[int] = frozenset()
    """Ids of the jobs and arrays in it."""
    told: dict[str, Run] = field(default_factory=dict)
    """Its runs, as they were told."""
    past: dict[str, Run] = field(default_factory=dict)
    """Runs that slurmdbd told lately, as they were told."""
    described: dict[str, tuple[str, float | None]] = field(default_factory=dict)
    """Pipelines: the tag and the due time that were told last."""
    queue: tuple[Sample, ...] | None = None
    """None: this process has not read a listing yet."""
    capacity: tuple[Sample, ...] = ()
    heartbeats: dict[str, float] = field(default_factory=dict)
    gauges: tuple[Sample, ...] | None = None
    """As they were told last."""
