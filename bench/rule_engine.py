"""Prometheus' own rule engine through simulated time: `promtool test rules` on the shipped rules.

It evaluates every group once a minute, whatever its own interval says. So the copy under test sums over minutes what
the shipped budgets sum over 150 seconds, and alerts are evaluated first of all groups: what was recorded is a minute
old, which is the worst that the offsets of groups do. Left out is what no page and no ticket reads: sums over 30 days.
"""

from __future__ import annotations

import functools
import json
import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from bench.traffic import DAY, NOT_READ, OBJECTIVES, Counted, Whole
from ml_exporter import config, render
from ml_exporter.demo import programs

ALERTS, EVENTS, BUDGETS = "ml-objectives", "ml-slos", "ml-slo-budgets"
PERIOD = "30d"
STEP, MINUTE = "[2m30s]", "[59s]"
"""Exactly one reading is within 59 seconds, whether or not a range includes its first moment."""
BEGAN = "bench_alert_began_at"
EACH = DAY // 2
"""Minutes that are asked about in one query."""


Series = Mapping[str, tuple[float, Counted]]
"""Name → objective and readings."""
Found = Mapping[str, float]
"""Labels as promtool prints them → value."""


class EngineError(Exception):
    """Promtool refused what it was given, or took too long."""


@dataclass(frozen=True, slots=True)
class Alarm:
    """An alert of one series that began to fire at this minute, and so many times within its half day.

    An alert of a whole objective has the objective's name (`slo_name`) for a series.
    """

    alert: str
    severity: str
    series: str
    minute: int
    times: int


@functools.cache
def rules(objectives: tuple[float, ...] = OBJECTIVES) -> list[dict[str, Any]]:
    """The shipped rules for these objectives, each over any number of series, as promtool can evaluate them."""
    files = render.generate(config.from_data({"services": [_SERVICE], "slos": [_slo(each) for each in objectives]}))
    names = [f"prometheus/rules/{group.removeprefix('ml-')}.yml" for group in (ALERTS, EVENTS, BUDGETS)]
    return [_copy(group) for name in names for group in yaml.safe_load(files[name])["groups"]]


def slo_name(objective: float) -> str:
    return f"at-{objective}"


def run(folder: Path, series: Series, minutes: int, timeout: float) -> list[Alarm]:
    """The alerts of these series, in time. Raises `EngineError`."""
    asked = [(query, end) for begin, end in _halves(minutes) for query in _queries(60 * (end - begin) - 1)]
    answers = ask(folder, series, asked, timeout)
    firsts, counts = ([found for query, found in answers if query.startswith(name)] for name in _FUNCTIONS)
    return sorted(_alarms(firsts, counts), key=lambda alarm: alarm.minute)


def ask(folder: Path, series: Series, asked: Sequence[tuple[str, int]], timeout: float) -> list[tuple[str, Found]]:
    """Whatever is found by queries, each at a minute, on what the rules make of these series. Raises `EngineError`."""
    folder.mkdir(parents=True, exist_ok=True)
    objectives = tuple(sorted({objective for objective, _ in series.values()}))
    (folder / "rules.yml").write_text(json.dumps({"groups": rules(objectives)}))
    test = {
        "interval": "1m",
        "input_series": [each for name, read in series.items() for each in _inputs(name, *read)],
        # Nothing is expected, so whatever is found is printed.
        "promql_expr_test": [{"expr": query, "eval_time": f"{minute}m", "exp_samples": []} for query, minute in asked],
    }
    order = [ALERTS, EVENTS, BUDGETS]
    tests = {"rule_files": ["rules.yml"], "evaluation_interval": "1m", "group_eval_order": order, "tests": [test]}
    (folder / "test.yml").write_text(json.dumps(tests))
    return list(_found(_promtool(folder, timeout)))


_SERVICE = {"name": "simulated", "owner": "bench", "tier": 1}
_FUNCTIONS = ("min", "count")


def _queries(seconds: int) -> Iterator[str]:
    yield from (f"{function}_over_time({BEGAN}[{seconds}s])" for function in _FUNCTIONS)


def _slo(objective: float) -> dict[str, Any]:
    def rate(counter: str) -> str:
        return f'sum by (series) (rate({counter}{{objective="{objective}"}}[$window]))'

    ratio = {"bad": rate("bad_total"), "total": rate("events_total")}
    return {
        "name": slo_name(objective),
        "service": "simulated",
        "objective": objective,
        "group_by": ["series"],
        "sli": {"ratio": ratio},
    }


def _copy(group: dict[str, Any]) -> dict[str, Any]:
    kept = [
        {key: value for key, value in rule.items() if key != "annotations"}
        | {"expr": rule["expr"].replace(STEP, MINUTE)}
        for rule in group["rules"]
        if rule.get("labels", {}).get("window") != PERIOD and "budget_" not in rule["expr"] + rule.get("record", "")
    ]
    if group["name"] == ALERTS:
        firing = 'ALERTS{alertstate="firing"}'
        kept.append({"record": BEGAN, "expr": f"time() * ({firing} unless {firing} offset 1m)"})
    return {"name": group["name"], "rules": kept}


def _halves(minutes: int) -> Iterator[tuple[int, int]]:
    """Half days: the minute before each, and its last."""
    for begin in range(-1, minutes - 1, EACH):
        yield begin, min(begin + EACH, minutes - 1)


def _inputs(name: str, objective: float, read: Counted) -> Iterator[dict[str, str]]:
    labels = f'{{series="{name}", objective="{objective}"}}'
    yield {"series": f"events_total{labels}", "values": _values(read.total)}
    yield {"series": f"bad_total{labels}", "values": _values(read.bad)}


def _values(counter: Whole) -> str:
    """A failed scrape ends the series; until the next one there is nothing."""
    before = [0, *counter[:-1]]
    return " ".join(
        str(value) if value != NOT_READ else "_" if last == NOT_READ else "stale"
        for value, last in zip(counter.tolist(), before, strict=True)
    )


def _promtool(folder: Path, timeout: float) -> str:
    command = [programs.find("promtool"), "test", "rules", "test.yml"]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=timeout, check=False)
    except subprocess.TimeoutExpired as error:
        raise EngineError(f"promtool was stopped after {timeout:.0f} s") from error
    text = done.stdout + done.stderr
    if done.returncode == 0 or "got:" in text:
        return text
    raise EngineError(text.strip()[-2000:])


def _found(text: str) -> Iterator[tuple[str, Found]]:
    """What promtool printed: queries, and what it got by their labels."""
    for query, got in re.findall(r'expr: "(.*)", time: .*\n.*\n\s*got: (.*)', text):
        yield query, {labels: float(value) for labels, value in re.findall(r"(\{[^}]*\}) ([^\s,]+)", got)}


def _alarms(firsts: Sequence[Found], counts: Sequence[Found]) -> Iterator[Alarm]:
    """When each began first within a half day, and how often."""
    for first, count in zip(firsts, counts, strict=True):
        for text, began in first.items():
            labels = dict(re.findall(r'(\w+)="([^"]*)"', text))
            series = labels.get("series", labels["slo"])
            yield Alarm(labels["alertname"], labels["severity"], series, round(began / 60), round(count[text]))
