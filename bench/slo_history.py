"""A month of counters of many services, and of what rules recorded of them, as blocks of a Prometheus.

All follows from the clock alone: what is made today goes on where yesterday's ends, and so does what a target shows.
"""

from __future__ import annotations

import hashlib
import math
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from bench import scratch

METRIC = "http_request_duration_seconds_count"
SERVICE = "service"
SCRAPED = 60
"""Seconds between scrapes, in the past and while measuring."""
DAYS = 30
SLOT = 54 * 3600
"""What one block holds: the largest of Prometheus' own sizes that a retention of a month compacts to."""
_FORMAT = 1
"""Part of the cache's key: to be raised when other values are made."""
_BEGAN = 1_735_689_600
_ERRORS = 2500
"""One request of so many is bad: 0.4 of the budget at 99.9 %."""
_SWING = 36 * 1440 / math.tau
"""By which the rate goes up by three fifths at the height of the day and down by night."""
_JITTER = np.random.default_rng(5).random(1021) * 20

Times = np.ndarray[Any, np.dtype[np.float64]]
Value = Callable[[int, Times], Times]


@dataclass(frozen=True)
class Own:
    """What a contender sums over its own recordings: `name` every `step` seconds, with the labels of the rule `of`."""

    name: str
    step: int
    value: Value
    also: str = ""
    of: str = ""
    recent: bool = False
    """Read over hours alone, so that only the last block has it."""


@dataclass(frozen=True)
class Series:
    name: str
    service: int
    step: int
    value: Value
    recent: bool = False


def service(number: int) -> str:
    return f"{SERVICE}-{number:03}"


def total(number: int, at: Times) -> Times:
    """How many requests a service has had at these times (seconds), 2 to 41 a second by its number."""
    minutes = (at - _BEGAN) / 60
    jitter = _JITTER[(minutes.astype(np.int64) * 31 + number * 17) % len(_JITTER)]
    return np.floor((2 + number % 40) * (60 * minutes + _SWING * np.sin(minutes * math.tau / 1440) + jitter))


def bad(number: int, at: Times) -> Times:
    return total(number, at) // _ERRORS


def good(number: int, at: Times) -> Times:
    return total(number, at) - bad(number, at)


def _in_5m(count: Value, number: int, at: Times) -> Times:
    return count(number, at) - count(number, at - 300)


def good_in_5m(number: int, at: Times) -> Times:
    return _in_5m(good, number, at) * 1.0001  # never whole, as extrapolated increases are not


def bad_in_5m(number: int, at: Times) -> Times:
    return _in_5m(bad, number, at) * 1.0001


def error_ratio(number: int, at: Times) -> Times:
    return _in_5m(bad, number, at) / _in_5m(total, number, at)


def total_rate(number: int, at: Times) -> Times:
    return _in_5m(total, number, at) / 300


def bad_rate(number: int, at: Times) -> Times:
    return _in_5m(bad, number, at) / 300


def _in_step(rate: Value, number: int, at: Times) -> Times:
    """As the rule makes it: two and a half rates of a minute."""
    return 60 * (rate(number, at) + rate(number, at - 60) + rate(number, at - 120) / 2)


def total_step(number: int, at: Times) -> Times:
    return _in_step(total_rate, number, at)


def bad_step(number: int, at: Times) -> Times:
    return _in_step(bad_rate, number, at)


def counters(slos: int) -> list[Series]:
    """What services expose and everybody reads."""
    return [
        Series(f'{METRIC}{{job="{service(number)}",instance="10.0.0.1:80",code="{code}"}}', number, SCRAPED, count)
        for number in range(slos)
        for code, count in (("200", good), ("500", bad))
    ]


def page(slos: int, now: float, more_bad: Iterable[tuple[int, int]]) -> str:
    """What a target exposes that stands for all services; `more_bad`: besides, (service, bad requests)."""
    at, more = np.array([now]), dict(more_bad)
    lines = []
    for each in counters(slos):
        value = int(each.value(each.service, at)[0])
        lines.append(f"{each.name} {value + more.get(each.service, 0) if each.value is bad else value}\n")
    return "".join(lines)


def own(groups: Sequence[dict[str, Any]], kinds: Iterable[Own]) -> list[Series]:
    """The series of a contender's recordings, in the order of the services."""
    series = []
    for kind in kinds:
        named = kind.of or kind.name
        rules = [r for g in groups for r in g["rules"] if r.get("record") == named and _is_of_one(r)]
        for number, rule in enumerate(rules):
            labels = [f'{key}="{value}"' for key, value in rule["labels"].items()] + [kind.also] * bool(kind.also)
            series.append(Series(f"{kind.name}{{{','.join(labels)}}}", number, kind.step, kind.value, kind.recent))
    return series


def _is_of_one(rule: dict[str, Any]) -> bool:
    """Of one objective; a rule over all of them has the labels of what it reads."""
    return any(SERVICE in str(value) for value in rule.get("labels", {}).values())


def blocks(series: Sequence[Series], promtool: str) -> list[Path]:
    """The folders of blocks that reach from a month ago to now; all but the last are kept in the cache."""
    now = int(time.time()) // 60 * 60
    digest = hashlib.sha256(repr((_FORMAT, [(s.name, s.step) for s in series])).encode()).hexdigest()[:12]
    kept, last = scratch.cache() / f"slo-blocks-{digest}", scratch.fresh("slo-blocks-last")
    kept.mkdir(exist_ok=True)
    first, current = (now - DAYS * 86400 - 3600) // SLOT, now // SLOT
    for folder in kept.iterdir():
        if not folder.name.isdecimal() or int(folder.name) < first:
            shutil.rmtree(folder)
    wanted = [(slot, kept / str(slot)) for slot in range(first, current)]
    to_make = [(slot, folder) for slot, folder in wanted if not folder.exists()] + [(current, last / str(current))]
    with ProcessPoolExecutor(2) as pool:
        list(pool.map(partial(_make, series, promtool, now), to_make))
    return [block for _, folder in (*wanted, to_make[-1]) for block in folder.iterdir()]


def _make(series: Sequence[Series], promtool: str, now: int, place: tuple[int, Path]) -> None:
    slot, folder = place
    new = folder.with_suffix(".new")
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(parents=True)
    text = new.with_suffix(".om")
    with text.open("w") as file:
        for each in series:
            if not each.recent or now < (slot + 1) * SLOT:
                file.write(_lines(each, slot * SLOT, min((slot + 1) * SLOT, now)))
        file.write("# EOF\n")
    command = [promtool, "tsdb", "create-blocks-from", "openmetrics", "--quiet", "--max-block-duration=54h"]
    subprocess.run([*command, text, new], check=True, capture_output=True)
    text.unlink()
    new.rename(folder)


def _lines(series: Series, since: int, until: int) -> str:
    at = np.arange(-(-since // series.step) * series.step, until, series.step, dtype=np.float64)
    values, when = series.value(series.service, at).tolist(), at.tolist()
    return "".join([f"{series.name} {value!r} {moment:.0f}\n" for value, moment in zip(values, when, strict=True)])


def link(blocks: Iterable[Path], data: Path) -> None:
    """The same blocks for one more Prometheus, by hard links: it deletes blocks and never changes them."""
    for block in blocks:
        shutil.copytree(block, data / block.name, copy_function=os.link)
