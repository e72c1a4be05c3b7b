"""A game day's report, as a table for people, as Markdown, or as JSON."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import Any

from ml_exporter.gameday.timing import total, words
from ml_exporter.gameday.verdict import Verdict

_TIMES = ("FAULT AT", "PENDING", "FIRING", "TOLD", "WITHIN", "RESOLVED", "WITHIN")
_HEAD = ("SCENARIO", "RESULT", "ALERT", "RECEIVER", *_TIMES)
NOTES = (
    "Times are seconds since the fault, of RESOLVED since it was taken back; WITHIN is the stated time.",
    "Intervals and thresholds are shortened: in your configuration the same steps take longer.",
    "The scheduler is a stand-in that speaks Airflow's REST API; all else is real.",
)


def table(verdicts: Sequence[Verdict]) -> str:
    """For a terminal."""
    lines = [_HEAD, *(_cells(verdict) for verdict in verdicts)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(_HEAD))]
    rows = ("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines)
    return "\n".join([*rows, "", *_remarks(verdicts), *NOTES, summary(verdicts)])


def markdown(verdicts: Sequence[Verdict]) -> str:
    """For a page or a ticket."""
    head = [f"| {' | '.join(cell.lower() for cell in _HEAD)} |", f"|{'---|' * len(_HEAD)}"]
    rows = [f"| {' | '.join(_cells(verdict))} |" for verdict in verdicts]
    remarks = [f"- {line}" for line in _remarks(verdicts)]
    return "\n".join(["# Game day", "", *head, *rows, "", *remarks, "", *NOTES, "", f"**{summary(verdicts)}**"])


def as_json(verdicts: Sequence[Verdict]) -> str:
    """For programs: times in seconds, `fault_at` since the epoch, null for what did not happen."""
    return json.dumps([_plain(verdict) for verdict in verdicts], indent=2)


def summary(verdicts: Sequence[Verdict]) -> str:
    """One line."""
    failed = [verdict.run.scenario.name for verdict in verdicts if not verdict.passed]
    return f"failed: {', '.join(failed)}" if failed else f"all {len(verdicts)} scenarios passed"


def _cells(verdict: Verdict) -> tuple[str, ...]:
    run = verdict.run
    at = "" if run.fault_at is None else time.strftime("%H:%M:%S", time.localtime(run.fault_at))
    return (
        run.scenario.name,
        "passed" if verdict.passed else "FAILED",
        run.scenario.alert,
        run.scenario.channel,
        at,
        _seconds(verdict.pending),
        _seconds(verdict.firing),
        _seconds(verdict.delivered),
        _seconds(total(run.stated)),
        _seconds(verdict.cleared),
        _seconds(total(run.clears)),
    )


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{value:.0f} s"


def _remarks(verdicts: Sequence[Verdict]) -> list[str]:
    """Why something failed, what else was told, and how a stated time comes about."""
    lines = []
    for verdict in verdicts:
        name = verdict.run.scenario.name
        lines += [f"{name}: FAILED: {reason}" for reason in verdict.reasons]
        lines.append(f"{name}: {verdict.run.scenario.what} Told within {words(verdict.run.stated)}.")
        if verdict.also:
            lines.append(f"{name}: also told: {', '.join(verdict.also)}")
    return lines


def _plain(verdict: Verdict) -> dict[str, Any]:
    run = verdict.run
    return {
        "scenario": run.scenario.name,
        "passed": verdict.passed,
        "alert": run.scenario.alert,
        "receiver": run.scenario.channel,
        "fault_at": run.fault_at,
        "pending": verdict.pending,
        "firing": verdict.firing,
        "delivered": verdict.delivered,
        "stated": total(run.stated),
        "stated_parts": {part.what: part.seconds for part in run.stated},
        "resolved": verdict.cleared,
        "resolved_stated": total(run.clears),
        "also": verdict.also,
        "reasons": verdict.reasons,
    }
