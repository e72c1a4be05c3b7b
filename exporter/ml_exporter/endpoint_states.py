"""What the probes of one model showed: counted and last seen, by the version that answered. Pure."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from ml_exporter.model import Check, Exemplar, HistogramSample, Outcome, Sample
from ml_exporter.ports import Result

Samples: TypeAlias = Iterator[Sample | HistogramSample]

FORGET = 3600.0
"""Seconds that the counters of a version stay after another one has taken its place."""
VERSIONS = 5
SEVERAL = "(several)"
"""The label of more versions than that within the time: each would be a score of series in Prometheus."""


class Histogram:
    """Observations since the start. `bounds` are upper bounds in seconds, without +Inf."""

    __slots__ = ("_bounds", "_counts", "_exemplars", "_total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._total = 0.0
        self._exemplars: dict[int, Exemplar] = {}

    def observe(self, value: float, trace_id: str | None = None, at: float = 0.0) -> None:
        bucket = bisect_left(self._bounds, value)
        self._counts[bucket] += 1
        self._total += value
        if trace_id is not None:
            self._exemplars[bucket] = Exemplar(trace_id, value, at)

    def sample(self, family: str, labels: tuple[str, ...], *, empty: bool = False) -> HistogramSample:
        """As it is now; `empty`: as it was at its birth."""
        if empty:
            return HistogramSample(family, labels, (0,) * len(self._counts), 0.0, self._bounds)
        return HistogramSample(family, labels, tuple(self._counts), self._total, self._bounds, self._exemplars.copy())


@dataclass(slots=True)
class _Version:
    """The probes that one version answered, or was the last known one for."""

    born_at: float
    bounds: tuple[float, ...]
    seen_at: float = 0.0
    outcomes: dict[Outcome, int] = field(default_factory=lambda: dict.fromkeys(Outcome, 0))
    duration: Histogram = field(init=False)
    first_token: Histogram | None = None
    between_tokens: Histogram | None = None
    tokens: int = 0

    def __post_init__(self) -> None:
        self.duration = Histogram(self.bounds)


class Served:
    """One model of one endpoint. Times are seconds since the epoch."""

    def __init__(
        self, model: str, version: str, checks: Sequence[Check], bounds: Sequence[float], gap: float, began: float
    ) -> None:
        """`version`: what is known before the first answer, if anything. `began`: when probing did. `gap`: how long new
        counters are shown at 0, so that a scrape sees them before they count."""
        self.model, self.version, self._checks = model, version, tuple(checks)
        self._bounds, self._gap = tuple(bounds), gap
        self._versions: dict[str, _Version] = {}
        self.last: Result | None = None
        """None: nothing is known of now."""
        self.lost = False
        """Whether the last probe could not be made, for reasons of our own."""
        self.last_at = began
        self.proven = False
        """Whether the version was ever seen: what is only configured is not."""
        self.failures = 0
        """Probes in a row that did not end well."""

    def record(self, result: Result, now: float) -> None:
        """Count a probe. One that failed before a version answered is counted for the last known one."""
        self.last, self.last_at, self.lost = result, now, False
        finding, ok = result.finding, result.outcome is Outcome.OK
        self.failures = 0 if ok else self.failures + 1
        self.proven = self.proven or ok or finding.version is not None
        self.version = self._named(finding.version or self.version, now)
        counts = self._versions.get(self.version)
        if counts is None:
            counts = self._versions[self.version] = _Version(now, self._bounds)
        counts.seen_at = now
        counts.outcomes[result.outcome] += 1
        trace_id = result.trace_id if result.sampled else None  # an exemplar leads to a trace
        if ok:
            counts.duration.observe(result.steps[-1].seconds, trace_id, now)
        if finding.first_token is not None:
            counts.first_token = counts.first_token or Histogram(self._bounds)
            counts.between_tokens = counts.between_tokens or Histogram(self._bounds)
            counts.first_token.observe(finding.first_token, trace_id, now)
            for seconds in finding.gaps:
                counts.between_tokens.observe(seconds, trace_id, now)
        counts.tokens += finding.tokens

    def _named(self, version: str, now: float) -> str:
        """The version as a label: of a server that names ever new ones, all but the first few are one."""
        self._versions = {v: c for v, c in self._versions.items() if v == version or now - c.seen_at <= FORGET}
        return version if version in self._versions or len(self._versions) < VERSIONS else SEVERAL

    def lose(self) -> None:
        """A probe could not be made, for reasons of our own: what was seen before it tells nothing of now."""
        self.last, self.lost = None, True

    def ripe_at(self, now: float) -> float | None:
        """When counters that are shown at 0 now may be shown as they are; None if there are none."""
        newest = max((counts.born_at for counts in self._versions.values()), default=now)
        return newest + self._gap if now < newest + self._gap and self._versions else None

    def samples(self, now: float) -> Samples:
        """All series of the model."""
        if self.last is not None:
            well = {step.check for step in self.last.steps if step.outcome is Outcome.OK}
            for check in self._checks:
                yield Sample("ml_endpoint_up", (self.model, self.version, check), int(check in well))
        yield Sample("ml_endpoint_last_probe_timestamp_seconds", (self.model,), self.last_at)
        for version, counts in self._versions.items():
            yield from _counted((self.model, version), counts, empty=now - counts.born_at < self._gap)


def _counted(labels: tuple[str, str], counts: _Version, *, empty: bool) -> Samples:
    for outcome, count in counts.outcomes.items():
        yield Sample("ml_endpoint_probes_total", (*labels, outcome), 0 if empty else count)
    yield counts.duration.sample("ml_endpoint_probe_duration_seconds", labels, empty=empty)
    if counts.first_token and counts.between_tokens:
        yield counts.first_token.sample("ml_endpoint_time_to_first_token_seconds", labels, empty=empty)
        yield counts.between_tokens.sample("ml_endpoint_inter_token_seconds", labels, empty=empty)
        yield Sample("ml_endpoint_output_tokens_total", labels, 0 if empty else counts.tokens)
