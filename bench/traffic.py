"""Frozen traffic: services whose events arrive by chance, five times as many at noon as at midnight, some of them bad.

Whatever happens follows from the seed alone. Counters are read once a minute, as whole numbers; three times a week two
readings fail, and once a week the process starts again from 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

DAY = 1440
"""In minutes, the unit of time here."""
WEEK = 7 * DAY
SERVICES = 50
RATES = (0.01, 100.0)
"""Events a second: of the quietest and of the busiest service, the others in equal proportions between them."""
LITTLE = 20 / 3600
"""Twenty events an hour: the traffic of every tenth service instead."""
OBJECTIVES = (99.0, 99.5, 99.9, 99.95)
SWING = 5.0
"""The busiest moment of a day, as a multiple of the quietest."""
BURNT = (0.2, 0.5)
"""The share of its budget that a healthy service spends, at least and at most."""
GAPS_A_WEEK = 3
GAP = 2
RESTARTS_A_WEEK = 1
NOT_READ = -1

Whole = np.ndarray[Any, np.dtype[np.int64]]
Real = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True, slots=True)
class Fault:
    """From the minute `start`, or from within it, for `length` minutes: this share of what is good else is bad."""

    start: float
    length: float
    share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """One objective, and what it is about: `rate` events a second on average, the busiest minute of the day."""

    name: str
    seed: tuple[int, ...]
    rate: float
    objective: float
    burnt: float
    peak: int
    fault: Fault | None = None
    gaps: tuple[int, ...] = ()
    """First minutes of gaps besides those by chance."""
    restarts: tuple[int, ...] = ()
    """The same of restarts."""

    @property
    def budget(self) -> float:
        """The share of events that may be bad."""
        return round(1 - self.objective / 100, 9)


@dataclass(frozen=True, slots=True)
class Counted:
    """A number for each minute, of all events and of the bad ones."""

    total: Whole
    bad: Whole

    def part(self, begin: int, end: int) -> Counted:
        return Counted(self.total[begin:end], self.bad[begin:end])


def fleet(seed: int) -> list[Service]:
    """The fifty services: rates and objectives are the same for every seed, the rest is by chance."""
    rates = np.geomspace(*RATES, SERVICES)
    rates[::10] = LITTLE
    return [
        service(f"s{number:02d}", (seed, number), float(rate), OBJECTIVES[number % len(OBJECTIVES)])
        for number, rate in enumerate(rates)
    ]


def service(name: str, seed: tuple[int, ...], rate: float, objective: float) -> Service:
    """A healthy service: how much it burns and when it is busy follow from the seed."""
    chance = np.random.default_rng([*seed, 0])
    burnt, peak = float(chance.uniform(*BURNT)), int(chance.integers(DAY))
    return Service(name=name, seed=seed, rate=rate, objective=objective, burnt=burnt, peak=peak)


def events(service: Service, minutes: int) -> Counted:
    """What truly happens in each minute; a longer time begins with the same weeks."""
    chance = np.random.default_rng([*service.seed, 1])
    weeks = [_week(service, chance, begin) for begin in range(0, minutes, WEEK)]
    return Counted(*(np.concatenate(each)[:minutes] for each in zip(*weeks, strict=True)))


def readings(service: Service, happened: Counted) -> Counted:
    """What is read of the counters at the start of each minute: `NOT_READ` where that fails."""
    minutes = len(happened.total)
    gaps = [*_times([*service.seed, 2], minutes, GAPS_A_WEEK), *service.gaps]
    restarts = sorted({*_times([*service.seed, 3], minutes, RESTARTS_A_WEEK), *service.restarts})
    lost = {minute + more for minute in gaps for more in range(GAP)} | set(restarts)
    unread = np.array([minute for minute in sorted(lost) if minute < minutes], dtype=int)
    return Counted(_counter(happened.total, restarts, unread), _counter(happened.bad, restarts, unread))


def _week(service: Service, chance: np.random.Generator, begin: int) -> tuple[Whole, Whole]:
    minutes = begin + np.arange(WEEK)
    angle = 2 * np.pi * (minutes - service.peak) / DAY
    total = chance.poisson(60 * service.rate * (1 + (SWING - 1) / (SWING + 1) * np.cos(angle)))
    return total, chance.binomial(total, _shares(service, minutes))


def _shares(service: Service, minutes: Whole) -> Real:
    """The share of events that are bad in each of these minutes."""
    shares = np.full(len(minutes), service.burnt * service.budget)
    if service.fault is None:
        return shares
    ended = service.fault.start + service.fault.length
    within = np.clip(np.minimum(minutes + 1, ended) - np.maximum(minutes, service.fault.start), 0, 1)
    return np.asarray(shares + within * service.fault.share * (1 - shares))


def _times(seed: Sequence[int], minutes: int, each_week: int) -> list[int]:
    """So many minutes of every week that has begun, none of them its first."""
    chance = np.random.default_rng(seed)
    return [int(week + chance.integers(1, WEEK - GAP)) for week in range(0, minutes, WEEK) for _ in range(each_week)]


def _counter(happened: Whole, restarts: Sequence[int], unread: Whole) -> Whole:
    counter = np.concatenate([[0], np.cumsum(happened)])[: len(happened)]
    for minute in restarts:
        counter[minute:] -= counter[minute] if minute < len(counter) else 0
    counter[unread] = NOT_READ
    return counter
