"""Twenty faults, from an outage to a leak of half as much again as the budget, each on a service of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from bench.alarm_screen import TIERS, sums
from bench.rule_engine import Alarm
from bench.traffic import GAP, LITTLE, Counted, Fault, Service, service

PAGE_FACTOR, PAGE_WINDOW, PAGE_FOR, INTERVAL = 14.4, 60.0, 2.0, 1.0
"""Of the quickest page, in minutes: what an outage is to be found by."""
UNREAD = {"": 0, "gap": GAP, "restart": 1}
"""Minutes without a reading that a fault may begin with."""
ENOUGH = 20
"""Events in five minutes on average: at night there are some, too."""
HOUR = 60
FOREVER = 1e6


@dataclass(frozen=True, slots=True)
class Kind:
    """A fault on a service of this traffic and objective. `leak`: in budgets, not a share of the events."""

    name: str
    rate: float
    objective: float
    share: float = 1.0
    hours: float = 2
    leak: float | None = None
    quick: bool = True
    """Found within hours, by windows of hours."""
    just_after: str = ""
    """`gap`: readings fail as it begins; `restart`: the process has started a moment ago."""

    @property
    def bound(self) -> float | None:
        """Minutes within which an outage pages: nothing is known of it while readings fail."""
        if self.share < 1 or self.leak is not None:
            return None
        burnt_in = PAGE_WINDOW * PAGE_FACTOR * (1 - self.objective / 100)
        return burnt_in + PAGE_FOR + 2 * INTERVAL + UNREAD[self.just_after]

    @property
    def before(self) -> int:
        """Minutes of health that are simulated before it, at least."""
        return 6 * HOUR if self.quick else 72 * HOUR

    @property
    def minutes(self) -> int:
        """How long is simulated."""
        return self.before + HOUR + (7 if self.quick else 54) * HOUR


OUTAGES = (
    Kind("outage, 100/s", 100, 99),
    Kind("outage, 10/s", 10, 99.9),
    Kind("outage, 10/s", 10, 99.5),
    Kind("outage, 1/s", 1, 99.95),
    Kind("outage, 0.1/s", 0.1, 99.5),
    Kind("outage, 20/h", LITTLE, 99),
    Kind("outage, 20/h", LITTLE, 99.9),
    Kind("outage, 2/h", 2 / 3600, 99, hours=24, quick=False),
    Kind("outage in a scrape gap, 1/s", 1, 99.9, just_after="gap"),
    Kind("outage after a restart, 1/s", 1, 99.9, just_after="restart"),
)
SHARES = (
    Kind("10 % for 4 h, 10/s", 10, 99.9, 0.1, 4),
    Kind("10 % for 6 h, 1/s", 1, 99.5, 0.1, 6),
    Kind("10 % for 24 h, 20/h", LITTLE, 99, 0.1, 24, quick=False),
    Kind("2 % for 3 h, 100/s", 100, 99.95, 0.02, 3),
    Kind("2 % for 6 h, 10/s", 10, 99.9, 0.02, 6),
    Kind("2 % for 24 h, 1/s", 1, 99.5, 0.02, 24, quick=False),
)
LEAKS = tuple(
    Kind(f"leak of {leak:g} budgets, {rate:g}/s", rate, objective, leak=leak, hours=FOREVER, quick=False)
    for leak, rate, objective in ((3, 10, 99.9), (3, 0.1, 99), (1.5, 1, 99.5), (1.5, 100, 99.95))
)
KINDS = (*OUTAGES, *SHARES, *LEAKS)


def injected(kind: Kind, seed: int) -> Service:
    """The service with its fault, which begins at any moment of an hour; the peak says what time of day that is."""
    number = KINDS.index(kind)
    chance = np.random.default_rng([seed, 1000 + number])
    start = kind.before + float(chance.uniform(0, HOUR))
    healthy = service(f"f{number:02d}", (seed, 1000 + number), kind.rate, kind.objective)
    share = kind.share if kind.leak is None else kind.leak * healthy.budget
    return replace(
        healthy,
        fault=Fault(start, HOUR * kind.hours, share),
        gaps=(int(start) + 1,) if kind.just_after == "gap" else (),
        restarts=(int(start),) if kind.just_after == "restart" else (),
    )


@dataclass(frozen=True, slots=True)
class Found:
    """The first alert after a fault began, the first page for an outage, and the minutes between."""

    alert: str
    after: float


def due(kind: Kind, service: Service, happened: Counted) -> float | None:
    """Minutes within which an outage of steady counts is to page, by the traffic that there truly was.

    The bound takes every hour for like the next, but when traffic falls the last hour holds more than this one will.
    Nothing where so few events come that windows of five minutes are empty.
    """
    fault, fast = service.fault, TIERS[0]
    if fault is None or kind.bound is None or service.rate * 300 < ENOUGH:
        return None
    bad, total = (sums(each, fast.window) for each in (happened.bad, happened.total))
    reached = np.flatnonzero((bad >= fast.bad) & (bad > fast.factor * service.budget * total))
    first = reached[reached >= int(fault.start)][0] + 1  # the reading that shows it
    return float(first) - fault.start + PAGE_FOR + INTERVAL + UNREAD[kind.just_after]


def found(kind: Kind, fault: Fault, alarms: Sequence[Alarm]) -> Found | None:
    """What found it, of the alarms of its service; nothing if none did."""
    later = [
        alarm for alarm in alarms if alarm.minute >= fault.start and (kind.bound is None or alarm.severity == "page")
    ]
    first = min(later, key=lambda alarm: (alarm.minute, alarm.severity), default=None)
    return Found(first.alert, first.minute - fault.start) if first else None
