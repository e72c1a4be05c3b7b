"""A review as people read it: plain text, Markdown, or JSON for programs."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ml_exporter.digest.review import NOISY, Budget, Chapter, Entry, Line, Period, Review

SHOWN = 3
"""Of the things that an alert was about, the noisiest."""
_UNITS = (("d", 86400), ("h", 3600), ("m", 60), ("s", 1))


def text(review: Review) -> str:
    """Plain text, which reads well in a terminal, a mail and a chat."""
    return "\n".join(_text(review)) + "\n"


def markdown(review: Review) -> str:
    """Headings and tables."""
    return "\n".join(_markdown(review)) + "\n"


def as_json(review: Review) -> str:
    """All of it, indented."""
    return json.dumps(plain(review), indent=2, ensure_ascii=False) + "\n"


def plain(review: Review) -> dict[str, Any]:
    """All of it as plain data; times are in seconds since the epoch."""
    return {
        "period": {"from": review.period.begin, "to": review.period.end, "step": review.period.step},
        "services": [_plain_chapter(chapter) for chapter in review.chapters],
        "quiet": list(review.quiet),
        "objectives": [budget._asdict() for budget in review.budgets],
        "notes": list(review.notes),
    }


FORMATS: Mapping[str, Callable[[Review], str]] = {"text": text, "markdown": markdown, "json": as_json}


def title(period: Period) -> str:
    """The first line."""
    return f"Alerts from {_instant(period.begin)} to {_instant(period.end)} ({duration(period.end - period.begin)})"


def duration(seconds: float) -> str:
    """`3d 2h`: its two largest units."""
    parts, rest = [], round(seconds)
    for unit, size in _UNITS:
        count, rest = divmod(rest, size)
        parts.append((count, unit))
    while len(parts) > 1 and not parts[0][0]:
        del parts[0]
    return " ".join(f"{count}{unit}" for count, unit in parts[:2] if count) or "0s"


def _text(review: Review) -> Iterator[str]:
    yield title(review.period)
    for chapter in review.chapters:
        yield ""
        yield _heading(chapter)
        for line in chapter.lines:
            yield f"  {line.severity:6}  {line.alert}: {', '.join(_said(line))}"
            yield from (f"            {each}" for each in _about(line))
    if not review.chapters:
        yield from ("", "Nothing alerted.")
    if review.budgets:
        yield from ("", "Error budgets that are left")
        yield from (f"  {_named(budget)}: {_left(budget)}" for budget in review.budgets)
    yield from _end(review)


def _markdown(review: Review) -> Iterator[str]:
    yield f"# {title(review.period)}"
    for chapter in review.chapters:
        yield from ("", f"## {_cell(_heading(chapter))}", "")
        yield from (
            "| severity | alert | fired | before | in all | still firing | most often |",
            "|---|---|---|---|---|---|---|",
        )
        yield from map(_row, chapter.lines)
    if not review.chapters:
        yield from ("", "Nothing alerted.")
    if review.budgets:
        yield from ("", "## Error budgets that are left", "", "| objective | left |", "|---|---|")
        yield from (f"| {_cell(_named(budget))} | {_left(budget)} |" for budget in review.budgets)
    yield from _end(review)


def _row(line: Line) -> str:
    before = "?" if line.fired_before is None else str(line.fired_before)
    fired = f"**{line.fired}**" if line.noisy else str(line.fired)
    cells = (
        line.severity,
        line.alert,
        fired,
        before,
        duration(line.seconds),
        _still(line) or "no",
        "; ".join(_about(line)),
    )
    return "| " + " | ".join(map(_cell, cells)) + " |"


def _cell(text: str) -> str:
    """Text that cannot end its cell, nor begin markup."""
    return re.sub(r"([\\`_\[\]<>|])", r"\\\1", text)


def _end(review: Review) -> Iterator[str]:
    noisy = sum(line.noisy for chapter in review.chapters for line in chapter.lines)
    if noisy:
        what = "1 alert" if noisy == 1 else f"{noisy} alerts"
        yield from ("", f"Noise: {what} fired over {NOISY} times. Mend what they report, or where they fire.")
    if review.quiet:
        yield from ("", f"Nothing alerted of {', '.join(review.quiet)}.")
    yield from (line for note in review.notes for line in ("", f"Note: {note}"))


def _heading(chapter: Chapter) -> str:
    name = chapter.service or "no service"
    return f"{name} (owner: {chapter.owner})" if chapter.owner else name


def _said(line: Line) -> Iterator[str]:
    before = "" if line.fired_before is None else f" (before: {_times(line.fired_before)})"
    yield f"fired {_times(line.fired)}{before}"
    yield f"{duration(line.seconds)} in all"
    if line.firing:
        yield f"still firing {_still(line)}"
    if line.noisy:
        yield "noisy"


def _still(line: Line) -> str:
    """Since when, or about how many things."""
    if line.firing > 1:
        return f"about {line.firing}"
    return next((_since(entry) for entry in line.entries if entry.firing), "")


def _since(entry: Entry) -> str:
    return "since before the period" if entry.since is None else f"since {_instant(entry.since)}"


def _about(line: Line) -> Iterator[str]:
    """What it was about, unless there is nothing to say."""
    if not any(entry.labels for entry in line.entries):
        return
    single = len(line.entries) == 1
    for entry in line.entries[:SHOWN]:
        what = " ".join(f"{name}={value}" for name, value in entry.labels.items() if value)
        yield what if single else f"{what}: {_times(entry.fired)}, {duration(entry.seconds)}"
    if len(line.entries) > SHOWN:
        yield f"and {len(line.entries) - SHOWN} more"


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times" if count else "never"


def _named(budget: Budget) -> str:
    rest = {
        name: value
        for name, value in budget.labels.items()
        if name not in ("slo", "ml_service", "slo_window") and value
    }
    what = "".join(f" {name}={value}" for name, value in rest.items())
    return f"{budget.labels.get('slo', '?')} ({budget.labels.get('ml_service', '?')}){what}"


def _left(budget: Budget) -> str:
    left = (
        f"{100 * budget.remaining:.1f} %" if budget.remaining >= 0 else f"overspent by {-100 * budget.remaining:.1f} %"
    )
    if budget.change is None:
        return left
    points = round(100 * budget.change, 1)
    if not points:
        return f"{left}, as at the beginning"
    return f"{left}, {abs(points):.1f} points {'more' if points > 0 else 'less'} than at the beginning"


def _instant(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(seconds))


def _plain_chapter(chapter: Chapter) -> dict[str, Any]:
    return {"service": chapter.service, "owner": chapter.owner, "alerts": [_plain_line(line) for line in chapter.lines]}


def _plain_line(line: Line) -> dict[str, Any]:
    names = ("alert", "severity", "fired", "fired_before", "seconds", "firing", "noisy")
    return {name: getattr(line, name) for name in names} | {"about": [entry._asdict() for entry in line.entries]}
