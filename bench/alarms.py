"""False alarms and missed faults over simulated months of frozen traffic, by Prometheus' own rule engine."""

from __future__ import annotations

import argparse
import statistics
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from bench import alarm_screen, faults, rule_engine, scratch, traffic
from bench.rule_engine import Alarm, EngineError
from bench.table import show
from bench.traffic import DAY, WEEK, Counted

TICKETS_A_WEEK = 1
LOT = 40
"""Services that promtool evaluates at once, at most, and how long the shortest is for the longest, at least."""
LIKE = 0.6
AT_ONCE = 2


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch of a service's life: what promtool is to see, and from which of its minutes on an alarm counts."""

    name: str
    objective: float
    read: Counted
    counts_from: int = 0


@dataclass(frozen=True, slots=True)
class Evaluated:
    """What became of parts: those that were seen to the end, and their alarms."""

    seen: frozenset[str]
    alarms: tuple[Alarm, ...]


def main(arguments: list[str]) -> None:
    """Print alarms of healthy services, then what found the faults; exit with 1 if a bar is missed or time was up."""
    options = _options(arguments)
    deadline = time.monotonic() + 60 * options.limit
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    good = True
    if options.only != "faults":
        good &= _healthy(scratch.fresh("alarms-healthy"), seeds, round(options.days * DAY), options.near, deadline)
    if options.only != "healthy":
        good &= _faulty(scratch.fresh("alarms-faults"), seeds, deadline)
    if not good:
        raise SystemExit(1)


def evaluate(folder: Path, parts: Iterable[Part], deadline: float) -> Evaluated:
    """The alarms of parts, by lots of like length. What the deadline cuts off is not seen."""
    lots = list(_lots(sorted(parts, key=lambda part: -len(part.read.total))))

    def one(numbered: tuple[int, Sequence[Part]]) -> Evaluated:
        number, lot = numbered
        minutes = len(lot[0].read.total)
        began = time.monotonic()
        try:
            series = {part.name: (part.objective, part.read) for part in lot}
            alarms = rule_engine.run(folder / str(number), series, minutes, max(deadline - began, 1))
        except EngineError as error:
            print(f"  lot {number} of {len(lots)}: {error}", flush=True)
            return Evaluated(frozenset(), ())
        took = time.monotonic() - began
        print(f"  lot {number} of {len(lots)}: {len(lot)} for {minutes / DAY:.1f} days took {took:.0f} s", flush=True)
        return Evaluated(frozenset(series), tuple(_that_count(lot, alarms)))

    with ThreadPoolExecutor(AT_ONCE) as pool:
        done = list(pool.map(one, enumerate(lots, 1)))
    return Evaluated(
        frozenset(name for each in done for name in each.seen), tuple(alarm for each in done for alarm in each.alarms)
    )


def _that_count(lot: Sequence[Part], alarms: Iterable[Alarm]) -> Iterator[Alarm]:
    """Those within the time of their series; an objective all of whose series have ended is absent, as it should be."""
    spans = {part.name: (part.counts_from, len(part.read.total)) for part in lot}
    for part in reversed(lot):
        spans[rule_engine.slo_name(part.objective)] = (0, len(part.read.total))
    for alarm in alarms:
        begin, end = spans[alarm.series]
        if begin <= alarm.minute < end:
            yield alarm


def _lots(parts: Iterable[Part]) -> Iterator[list[Part]]:
    """Parts, the longest first, in lots: everything in a lot takes as long as its longest."""
    lot: list[Part] = []
    for part in parts:
        if lot and (len(lot) == LOT or len(part.read.total) < LIKE * len(lot[0].read.total)):
            yield lot
            lot = []
        lot.append(part)
    if lot:
        yield lot


def _healthy(folder: Path, seeds: Sequence[int], minutes: int, near: float, deadline: float) -> bool:
    parts = [part for seed in seeds for part in _lives(seed, minutes, near)]
    days = sum(len(part.read.total) for part in parts) / DAY
    lived = len(seeds) * traffic.SERVICES * minutes / DAY
    print(f"\nhealthy: {lived:.0f} service-days, of which the rule engine evaluates {days:.0f}, {len(parts)} parts")
    done = evaluate(folder, parts, deadline)
    weeks = minutes / WEEK
    counts = {seed: _counts(alarm for alarm in done.alarms if alarm.series.startswith(f"{seed}-")) for seed in seeds}
    rows = [(str(seed), *_figures(counts[seed], weeks)) for seed in seeds]
    rows.append(("bar, each", "0", "", f"≤ {TICKETS_A_WEEK}"))
    show(f"healthy services: {traffic.SERVICES} for {minutes / DAY:.0f} days", _HEAD, rows)
    for alarm in done.alarms:
        print(f"  {alarm.series}: {alarm.alert} ({alarm.severity}) ×{alarm.times}")
    kept = all(each["page"] == 0 and each["ticket"] / weeks <= TICKETS_A_WEEK for each in counts.values())
    of_objectives = {rule_engine.slo_name(objective) for objective in traffic.OBJECTIVES}
    absent = [alarm for alarm in done.alarms if alarm.series in of_objectives]
    return _complete(parts, done) and kept and not absent


_HEAD = ("seed", "pages", "tickets", "tickets a week")


def _figures(counts: Mapping[str, int], weeks: float) -> tuple[str, ...]:
    return str(counts["page"]), str(counts["ticket"]), f"{counts['ticket'] / weeks:.2f}"


def _counts(alarms: Iterable[Alarm]) -> Counter[str]:
    counts: Counter[str] = Counter()
    for alarm in alarms:
        counts[alarm.severity] += alarm.times
    return counts


def _lives(seed: int, minutes: int, near: float) -> Iterator[Part]:
    for service in traffic.fleet(seed):
        happened = traffic.events(service, minutes)
        everything = [alarm_screen.Episode(0, minutes, 0)]
        for episode in alarm_screen.episodes(happened, service.budget, near) if near else everything:
            read = traffic.readings(service, happened).part(episode.begin, episode.end)
            name = f"{seed}-{service.name}-{episode.begin}"
            yield Part(name, service.objective, read, episode.counts_from - episode.begin)


def _faulty(folder: Path, seeds: Sequence[int], deadline: float) -> bool:
    services = {(seed, kind): faults.injected(kind, seed) for kind in faults.KINDS for seed in seeds}
    parts = [
        Part(
            f"{seed}-{service.name}",
            service.objective,
            traffic.readings(service, traffic.events(service, kind.minutes)),
        )
        for (seed, kind), service in services.items()
    ]
    print(f"\nfaulty: {len(faults.KINDS)} faults with {len(seeds)} seeds, {len(parts)} services")
    done = evaluate(folder, parts, deadline)
    found: dict[faults.Kind, list[faults.Found | None]] = {kind: [] for kind in faults.KINDS}
    early: Counter[str] = Counter()
    late = 0
    for (seed, kind), service in services.items():
        name = f"{seed}-{service.name}"
        if name in done.seen and service.fault:
            alarms = [alarm for alarm in done.alarms if alarm.series == name]
            one = faults.found(kind, service.fault, alarms)
            found[kind].append(one)
            due = faults.due(kind, service, traffic.events(service, kind.minutes))
            late += bool(one and due and round(one.after - due, 6) > 0)
            early += _counts(alarm for alarm in alarms if alarm.minute < service.fault.start)
    show("faults, minutes until they were found", _FOUND, [_row(kind, each) for kind, each in found.items()])
    print(f"  before the faults began: {early['page']} pages, {early['ticket']} tickets")
    print(f"  outages that paged later than their traffic explains: {late}")
    missed = [kind for kind, each in found.items() if None in each]
    return _complete(parts, done) and not missed and not late


def _read(service: traffic.Service, minutes: int) -> Counted:
    return traffic.readings(service, traffic.events(service, minutes))


_FOUND = ("fault", "objective", "found", "first alert", "median", "slowest", "bound", "bound met")


def _row(kind: faults.Kind, each: Sequence[faults.Found | None]) -> tuple[str, ...]:
    known = [found for found in each if found]
    names = ", ".join(name.removeprefix("MLObjective") for name, _ in Counter(one.alert for one in known).most_common())
    after = [one.after for one in known]
    times = (_minutes(statistics.median(after)), _minutes(max(after))) if after else ("", "")
    bound, met = "", ""
    if kind.bound is not None:
        bound, met = f"{kind.bound:.1f}", f"{sum(1 for one in after if one <= kind.bound)}/{len(each)}"
    return kind.name, f"{kind.objective:g} %", f"{len(known)}/{len(each)}", names, *times, bound, met


def _minutes(value: float) -> str:
    return f"{value:.1f}" if value < 100 else f"{value:.0f}"


def _complete(parts: Sequence[Part], done: Evaluated) -> bool:
    if unseen := len(parts) - len(done.seen):
        print(f"  {unseen} of {len(parts)} were not evaluated: the time was up")
    return not unseen


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench alarms")
    parser.add_argument("--seeds", type=int, default=10, help="how many (default: %(default)s)")
    parser.add_argument("--first-seed", type=int, default=1, help="default: %(default)s")
    parser.add_argument("--days", type=float, default=30, help="of the healthy services (default: %(default)s)")
    parser.add_argument("--limit", type=float, default=60, help="minutes after which it stops (default: %(default)s)")
    parser.add_argument("--only", choices=("healthy", "faults"))
    parser.add_argument(
        "--near",
        type=float,
        default=0.7,
        help="healthy services are evaluated where they reach this part of what an alert needs; "
        "0: always, which takes an hour a seed (default: %(default)s)",
    )
    return parser.parse_args(arguments)
