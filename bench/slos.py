"""What rules of many objectives over 30 days cost a Prometheus: ours, and those that Sloth and Pyrra generate.

All read the same counters and sum over the same month; each has a Prometheus of its own, at its own intervals.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from tests.support.programs import program

from bench import scratch, slo_history, slo_peers, slo_runs
from bench.slo_history import Own
from bench.slo_peers import Contender
from bench.slo_runs import Running
from bench.table import show, times
from ml_exporter.demo import programs

HOUR = 3600.0
PROMETHEUS = "3.5"
"""Debian 12's does not count samples yet."""
HALF = 0.5
OLDEST = 300.0
GROUPS = ("ml-slos", "ml-slo-budgets", "ml-objectives")
_HEAD = """
sources: []
alerting: {page: {webhook: {url: "http://127.0.0.1:1"}}, ticket: {webhook: {url: "http://127.0.0.1:1"}}}
"""
_OWN = (
    Own("slo:total_events:increase150s", 150, slo_history.total_step, of="slo:sli_total:rate5m"),
    Own("slo:bad_events:increase150s", 150, slo_history.bad_step, of="slo:sli_bad:rate5m"),
    Own("slo:sli_total:rate5m", 60, slo_history.total_rate, recent=True),
    Own("slo:sli_bad:rate5m", 60, slo_history.bad_rate, recent=True),
)
_IDLE = Contender("without rules", [], "vector(1)", "vector(1)", 0.0, ())
_RANGE = re.compile(r"(?P<series>[a-zA-Z_:][\w:]*)(?P<labels>\{[^}]*\})?\[(?P<range>\w+)(?::(?P<step>\w+))?\]")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_STEPS = {"slo:total_events:increase150s": 150, "slo:bad_events:increase150s": 150}
"""Seconds between recordings that are not made every minute."""


def main(arguments: list[str]) -> None:
    """Print what an hour of rules costs each, and how old its budget is at worst."""
    parser = argparse.ArgumentParser(prog="python -m bench slos")
    parser.add_argument("--slos", type=int, default=200, help="20 for a quick run")
    parser.add_argument("--minutes", type=float, default=10.0, help="measured; a multiple of 5 fits all intervals")
    parser.add_argument("--peers", type=Path, default=scratch.cache() / "peers", metavar="DIR")
    options = parser.parse_args(arguments)
    folder = scratch.fresh("slos")
    contenders = [_ours(folder, options.slos), *slo_peers.found(options.peers, options.slos)]
    series = slo_history.counters(options.slos)
    for contender in contenders:
        series += slo_history.own(contender.groups, contender.own)
    blocks = slo_history.blocks(series, programs.find("promtool"))
    with slo_runs.Services(options.slos) as services:
        place = (folder, [_IDLE, *contenders], blocks, program("prometheus", PROMETHEUS), services.address)
        with slo_runs.running(*place) as (idle, *runs):
            slo_runs.measure([idle, *runs], services, options.minutes * 60)
    _show(options.slos, options.minutes, idle, runs)


def _ours(folder: Path, slos: int) -> Contender:
    """What `ml-exporter render` makes of as many objectives that count the same as the peers' do."""
    config, output = folder / "ml-exporter.yaml", folder / "rendered"
    names = [slo_history.service(number) for number in range(slos)]
    objectives = [
        {
            "name": f"{name}-requests",
            "service": name,
            "sli": {
                "ratio": {
                    "bad": f'sum(rate({slo_history.METRIC}{{job="{name}",code=~"5..|429"}}[$window]))',
                    "total": f'sum(rate({slo_history.METRIC}{{job="{name}"}}[$window]))',
                }
            },
            "objective": 99.9,
            "window": "30d",
        }
        for name in names
    ]
    lists = {"services": [{"name": name, "owner": "bench"} for name in names], "slos": objectives}
    config.write_text(_HEAD + yaml.dump(lists))
    command = [sys.executable, "-m", "ml_exporter", "render", "--config", str(config), "--output", str(output)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=Path(sys.prefix))
    files = [yaml.load(path.read_text(), yaml.CSafeLoader) for path in (output / "prometheus/rules").glob("*.yml")]
    groups = [group for file in files for group in file["groups"] if group["name"] in GROUPS]
    assert len(groups) == len(GROUPS), f"{output} lacks one of {GROUPS}"
    budget = f'slo:error_budget_remaining:ratio{{slo="{names[0]}-requests"}}'
    # Its newest step ends a minute before, and the rate in it may be a minute older.
    return Contender("ours", groups, budget, budget, 120.0, _OWN)


def _show(slos: int, minutes: float, idle: Running, runs: Sequence[Running]) -> None:
    hour = HOUR / (minutes * 60)
    cpu = {id(run): (run.used["cpu"] - idle.used["cpu"]) * hour for run in runs}
    rows = [
        (
            run.contender.name,
            f"{run.used['samples'] * hour / 1e6:.1f} M",
            f"{_by_hand(run.contender.groups, slos) / 1e6:.1f} M",
            f"{cpu[id(run)]:.1f} s",
            f"{run.used['rules'] * hour:.1f} s",
            f"{run.used['evaluated'] * hour:,.0f}",
            f"{run.used['missed']:.0f}, {run.used['failures']:.0f}",
        )
        for run in runs
    ]
    head = ("", "samples", "by their text", "CPU", "evaluating", "evaluations", "missed, failed")
    show(f"{slos} objectives, an hour of rules; {minutes:g} minutes were measured", head, rows)
    print(f"  without rules: {idle.used['cpu'] * hour:.1f} s of CPU, left out of the others")
    _show_ages(runs)
    ours, *peers = runs
    if peers:
        _show_bars(ours, peers, cpu)


def _show_ages(runs: Sequence[Running]) -> None:
    rows = [
        (
            run.contender.name,
            f"{max(run.ages):.0f} s",
            f"{run.contender.delay:.0f} s",
            f"{max(run.ages) + run.contender.delay:.0f} s",
            *(f"{at:.0f} s" if at is not None else "later" for at in (run.seen_after(0.01), run.seen_after(0.9))),
        )
        for run in runs
        if run.ages
    ]
    head = ("", "recorded before", "lags behind that by", "at worst", "failures show after", "nine tenths after")
    show("age of the remaining budget", head, rows)


def _show_bars(ours: Running, peers: Sequence[Running], cpu: dict[int, float]) -> None:
    rows = []
    for peer in peers:
        samples, seconds = ours.used["samples"] / peer.used["samples"], cpu[id(ours)] / cpu[id(peer)]
        rows.append((peer.contender.name, times(samples), times(seconds), f"≤ {HALF}×"))
    show("ours ÷ theirs", ("", "samples", "CPU", "bar"), rows)
    age = max(ours.ages) + ours.contender.delay
    print(f"  our remaining budget is {age:.0f} s old at worst; bar: {OLDEST:.0f} s")


def _by_hand(groups: Sequence[dict[str, Any]], slos: int) -> float:
    """Samples an hour by what the ranges in the rules hold: to check what Prometheus counts."""
    return sum(
        _samples(rule["expr"], slos) * HOUR / _duration(group.get("interval", "1m"))
        for group in groups
        for rule in group["rules"]
    )


def _samples(expr: str, slos: int) -> float:
    """Of one evaluation: each range by its own step, times the series that it selects."""
    count = 0.0
    for found in _RANGE.finditer(expr):
        name, labels = found["series"], found["labels"] or ""
        if name == "slo:slice_bad:bool":
            continue
        step = _duration(found["step"]) if found["step"] else _STEPS.get(name, slo_history.SCRAPED)
        if slo_history.SERVICE not in labels:
            series = slos
        else:
            # Two codes of requests, and two increases by code.
            series = 2 if (name == slo_history.METRIC and "code" not in labels) or "increase5m" in name else 1
        count += series * _duration(found["range"]) / step
    return count


def _duration(text: str) -> float:
    return float(sum(int(number) * _SECONDS[unit] for number, unit in re.findall(r"(\d+)([smhdw])", text)))
