"""Whether a scenario went as it must: from what was told, by whom it was expected, and when. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from ml_exporter.gameday.recorder import Told
from ml_exporter.gameday.scenarios import Scenario
from ml_exporter.gameday.timing import Parts, total

_QUEUED = ("page", "ticket")
"""Receivers whose messages somebody has to work on."""


@dataclass(slots=True)
class Run:
    """One scenario as it went. Times are seconds since the epoch; None: it did not come to that."""

    scenario: Scenario
    stated: Parts
    """From the fault to the receiver, at most."""
    clears: Parts
    """From taking the fault back to the all clear, at most."""
    fault_at: float | None = None
    back_at: float | None = None
    ended_at: float | None = None
    pending_at: float | None = None
    state: str = ""
    """What Prometheus said of the alert when nobody was told."""
    error: str = ""
    """Why it could not be carried through."""

    def during(self, at: float) -> bool:
        """Whether the fault or its traces were there at an instant."""
        return self.fault_at is not None and self.fault_at <= at <= (self.ended_at or at)

    def expects(self, entry: Told) -> bool:
        return entry.about(self.scenario.alert, self.scenario.labels)


@dataclass(slots=True)
class Verdict:
    """Times are seconds since the fault, `cleared` since it was taken back; `reasons` are empty if it passed."""

    run: Run
    pending: float | None = None
    firing: float | None = None
    delivered: float | None = None
    cleared: float | None = None
    also: list[str] = field(default_factory=list)
    """What else was told meanwhile, as `receiver: alert`."""
    reasons: list[str] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        return not self.reasons


def judge(run: Run, told: Sequence[Told], runs: Sequence[Run]) -> Verdict:
    """The verdict on a run that has ended; `told` is all of the day, `runs` are all scenarios, this one included."""
    verdict = Verdict(run)
    if run.fault_at is None:
        verdict.reasons.append(run.error or "the fault was not put in")
        return verdict
    since = [entry for entry in told if entry.at >= run.fault_at]
    own = [entry for entry in since if run.expects(entry) and entry.channel == run.scenario.channel]
    first = next((entry for entry in own if entry.firing), None)
    if run.pending_at is not None:
        verdict.pending = run.pending_at - run.fault_at
    if first:
        verdict.firing, verdict.delivered = first.starts_at - run.fault_at, first.at - run.fault_at
    if run.back_at is not None:
        all_clear = next((entry for entry in own if not entry.firing and entry.at >= run.back_at), None)
        verdict.cleared = all_clear.at - run.back_at if all_clear else None
    strangers = [entry for entry in since if _strange(entry, run, runs)]
    verdict.also = sorted({f"{entry.channel}: {entry.alert}" for entry in strangers if entry.channel in _QUEUED})
    verdict.reasons = [*_told(verdict, told), *_wrong(run, since, strangers), *_cleared(verdict)]
    if run.error:
        verdict.reasons.append(run.error)
    return verdict


def _strange(entry: Told, run: Run, runs: Sequence[Run]) -> bool:
    """Told while the run lasted, and expected neither by it nor by another that lasted then."""
    if not entry.firing or not run.during(entry.at):
        return False
    return not any(each.during(entry.at) and each.expects(entry) for each in runs)


def _told(verdict: Verdict, told: Sequence[Told]) -> Iterator[str]:
    run, stated = verdict.run, total(verdict.run.stated)
    before = [entry for entry in told if run.expects(entry) and entry.at < (run.fault_at or 0.0)]
    if before and before[-1].firing:
        yield f"{run.scenario.alert} was told before the fault"
    if verdict.delivered is None:
        yield (
            f"{run.scenario.alert} did not reach {run.scenario.channel} (stated: within {stated:.0f} s); "
            f"in Prometheus it was {run.state or 'not asked for'}"
        )
    elif verdict.delivered > stated:
        yield f"late: told after {verdict.delivered:.0f} s, stated are {stated:.0f} s"


def _wrong(run: Run, since: Sequence[Told], strangers: Sequence[Told]) -> Iterator[str]:
    scenario = run.scenario
    elsewhere = {entry.channel for entry in since if run.expects(entry) and entry.firing} - {scenario.channel}
    for channel in sorted(elsewhere):
        yield f"{scenario.alert} reached {channel}, not only {scenario.channel}"
    for alert in sorted({entry.alert for entry in strangers if entry.channel == "page"}):
        yield f"{alert} paged, and nothing had been done that should page so"
    for alert in sorted({entry.alert for entry in strangers if _should_be_quiet(entry, run)}):
        yield f"{alert} was told, and should have been held back"


def _should_be_quiet(entry: Told, run: Run) -> bool:
    quiet = run.scenario.quiet
    return bool(quiet) and entry.at <= (run.back_at or entry.at) and quiet.items() <= entry.labels.items()


def _cleared(verdict: Verdict) -> Iterator[str]:
    run, stated = verdict.run, total(verdict.run.clears)
    if verdict.delivered is None:
        return
    if verdict.cleared is None:
        yield f"{run.scenario.alert} did not resolve after the fault was taken back (stated: within {stated:.0f} s)"
    elif verdict.cleared > stated:
        yield f"resolved late: after {verdict.cleared:.0f} s, stated are {stated:.0f} s"
