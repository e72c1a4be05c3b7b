"""Which hours of a healthy service the rule engine has to see: those in which it comes anywhere near an alert.

A tier needs so many bad events in its long window, and so large a share of them. Both are counted here exactly, from
what truly happened; where one of them is below a part of what the tier needs (`near`), it is silent, whatever readings
were lost.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from bench.traffic import DAY, Counted, Whole

HISTORY = 3 * DAY
"""Minutes that the longest window needs."""
AFTER = 6 * 60
"""Minutes that are watched after the last near one: longer than the longest `for`."""


@dataclass(frozen=True, slots=True)
class Tier:
    """Of alerts/slos/windows.libsonnet: the long window in minutes, the burn rate and the bad events that it needs."""

    window: int
    factor: float
    bad: int


TIERS = (Tier(60, 14.4, 5), Tier(360, 6, 10), Tier(DAY, 3, 10), Tier(3 * DAY, 1, 20))


@dataclass(frozen=True, slots=True)
class Episode:
    """Minutes to evaluate; an alert before `counts_from` may be due to the history that is missing."""

    begin: int
    end: int
    counts_from: int


def episodes(happened: Counted, budget: float, near: float) -> Iterator[Episode]:
    """Times at which an alert is `near` (1: only where it may fire, 0: always), with the history that it looks at."""
    minutes = len(happened.total)
    at = np.flatnonzero(np.any([_near(happened, budget, tier, near) for tier in TIERS], axis=0))
    if not len(at):
        return
    for part in np.split(at, np.flatnonzero(np.diff(at) > HISTORY) + 1):
        first = int(part[0])
        yield Episode(max(first - HISTORY, 0), min(int(part[-1]) + AFTER, minutes), first if first > HISTORY else 0)


def _near(happened: Counted, budget: float, tier: Tier, near: float) -> Whole:
    bad, total = (sums(each, tier.window) for each in (happened.bad, happened.total))
    return (bad >= near * tier.bad) & (bad > near * tier.factor * budget * total)


def sums(events: Whole, window: int) -> Whole:
    """Of each minute and those before it."""
    until = np.concatenate([[0], np.cumsum(events)])
    ends = np.arange(1, len(until))
    return until[ends] - until[np.maximum(ends - window, 0)]
