"""Probes: ours and blackbox_exporter's on the same target in the same run; then 20,000 endpoints on one core.

The peer is Debian's prometheus-blackbox-exporter, or the program in ML_EXPORTER_BENCH_BLACKBOX. Ours checks the
prediction (names, shape, golden value); the peer searches the body for a pattern. CPU is that of the whole process.
"""

from __future__ import annotations

import argparse
import http.client
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from prometheus_client.parser import text_string_to_metric_families

from bench import process, scratch, target
from bench.table import seconds, show, size, times
from ml_exporter.prober import PER_SECOND

PEER = "ML_EXPORTER_BENCH_BLACKBOX"
ADDRESSES = 8
START_WITHIN = 240.0
"""Seconds: 20,000 endpoints are a file of 7 MB."""
INTERVAL, TIMEOUT = 30.0, 10.0
RATE, EVERY = 200.0, 2.0
"""Probes a second of each side beside the peer, and seconds between two probes of an endpoint of ours."""
EXPECT = [{"name": "y", "shape": [1, 1], "values": [3.0]}]
KINDS = ("sums", "sums", "sums", "sums", "hangs", "slow")
"""Of six endpoints four answer, one never does, and one takes three seconds."""


def main(arguments: list[str]) -> None:
    """Print CPU per probe, and lateness."""
    parser = argparse.ArgumentParser(prog="python -m bench probes")
    parser.add_argument("--endpoints", type=int, default=20_000)
    parser.add_argument("--minutes", type=float, default=4.0, help="of the many endpoints")
    parser.add_argument("--seconds", type=float, default=20.0, help="of each side beside the peer")
    parser.add_argument("--only", choices=("peer", "many"), help="one half of it")
    options = parser.parse_args(arguments)
    if options.only != "many":
        compare(options.seconds)
    if options.only != "peer":
        many(options.endpoints, options.minutes)


# Beside the peer


def compare(duration: float) -> None:
    for title, peer_rate, ours in (
        ("as fast as one endpoint answers", None, _ours_alone),
        (f"{RATE:.0f} probes a second, whole processes", RATE, _ours),
    ):
        with target.running() as port:
            peer = statistics(_peer(port, duration, peer_rate) for _ in range(3))
            rows = []
            for connection, checks, bar in (
                ("reuse", ["predict"], "≤ 0.50×"),
                ("reuse", ["live", "ready", "predict"], ""),
                ("fresh", ["predict"], "≤ 1.00×"),
                ("fresh", ["live", "ready", "predict"], ""),
            ):
                figure = statistics(ours(port, duration, connection, checks) for _ in range(3))
                asked = "the prediction" if len(checks) == 1 else "live, ready and the prediction"
                label = f"{'kept' if connection == 'reuse' else 'fresh'} connections, {asked}"
                rows.append((label, seconds(peer), seconds(figure), times(figure / peer), bar))
        head = ("", "blackbox_exporter, one request", "ours", "ratio", "bar")
        show(f"CPU of a probe, median of three: {title}", head, rows)


def statistics(figures: Iterator[float]) -> float:
    """The median."""
    ordered = sorted(figures)
    return ordered[len(ordered) // 2]


def _ours_alone(port: int, duration: float, connection: str, checks: list[str]) -> float:
    endpoint = _endpoint("bench", f"http://127.0.0.1:{port}", "sums", connection, checks, EVERY, EVERY)
    command = [sys.executable, "-m", "bench.probe_loop", "--seconds", str(duration), "--endpoint", json.dumps(endpoint)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def _ours(port: int, duration: float, connection: str, checks: list[str]) -> float:
    """CPU seconds per probe of a whole exporter, its own upkeep included."""
    endpoints = [
        _endpoint(f"e{n}", f"http://127.0.0.1:{port}", "sums", connection, checks, EVERY, EVERY)
        for n in range(int(RATE * EVERY))
    ]
    with _exporter("probes-peer", endpoints, stack={"scrape_interval": "1s"}) as (own, pid):
        # New counters are shown at 0 for a scrape interval.
        process.wait(own, lambda text: _probes(text).get("ok", 0) >= 4 * RATE, 60, pause=0.5)
        before, cpu = _probes(process.scrape(own)), process.cpu(pid)
        time.sleep(duration)
        cpu = process.cpu(pid) - cpu
        made = {outcome: count - before.get(outcome, 0) for outcome, count in _probes(process.scrape(own)).items()}
    if any(count for outcome, count in made.items() if outcome != "ok"):
        raise RuntimeError(f"probes failed: {made}")
    return cpu / made["ok"]


def _peer(port: int, duration: float, rate: float | None) -> float:
    """CPU seconds per probe of blackbox_exporter, asked by one client so often a second, or as fast as it answers."""
    program = os.environ.get(PEER) or shutil.which("prometheus-blackbox-exporter")
    if program is None:
        raise RuntimeError(f"no blackbox_exporter: apt-get install prometheus-blackbox-exporter, or set {PEER}")
    folder, own = scratch.fresh("blackbox"), scratch.free_port()
    http_prober = {
        "method": "POST",
        "headers": {"Content-Type": "application/json"},
        "body": json.dumps(target.REQUEST),
        "fail_if_body_not_matches_regexp": [r'"data":\[3\.0\]'],
    }
    (folder / "blackbox.yml").write_text(yaml.safe_dump({"modules": {"v2": {"prober": "http", "http": http_prober}}}))
    command = [program, f"--config.file={folder}/blackbox.yml", f"--web.listen-address=127.0.0.1:{own}"]
    with (folder / "blackbox.log").open("w") as log:
        running = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        process.wait(own, lambda text: "blackbox_exporter_build_info" in text, 20, pause=0.1)
        return _asked(
            running.pid, own, f"/probe?module=v2&target=http://127.0.0.1:{port}/v2/models/sums/infer", duration, rate
        )
    finally:
        running.kill()
        running.wait()


def _asked(pid: int, port: int, path: str, duration: float, rate: float | None) -> float:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    cpu, began, count = process.cpu(pid), time.monotonic(), 0
    while (passed := time.monotonic() - began) < duration:
        if rate is not None:
            time.sleep(max(0.0, count / rate - passed))
        connection.request("GET", path)
        body = connection.getresponse().read()
        if b"\nprobe_success 1" not in body:
            raise RuntimeError(f"the peer's probe failed: {body[-500:]!r}")
        count += 1
    return (process.cpu(pid) - cpu) / count


# Many


def many(count: int, minutes: float) -> None:
    with target.running(ADDRESSES) as port:
        addresses = itertools.cycle(target.hosts(ADDRESSES))
        endpoints = [
            _endpoint(
                f"{KINDS[n % 6]}-{n}",
                f"http://{next(addresses)}:{port}",
                KINDS[n % 6],
                "reuse",
                ["predict"],
                INTERVAL,
                TIMEOUT,
            )
            for n in range(count)
        ]
        with _exporter("probes-many", endpoints, probes={"concurrency": 1000}) as (own, pid):
            os.sched_setaffinity(pid, {0})
            for thread in Path(f"/proc/{pid}/task").iterdir():
                os.sched_setaffinity(int(thread.name), {0})
            time.sleep(count / PER_SECOND + 2 * INTERVAL)  # each had its first probe, and another one
            before, cpu, began = process.scrape(own), process.cpu(pid), time.monotonic()
            while time.monotonic() - began < minutes * 60:
                time.sleep(15)
                text = process.scrape(own)
            passed, cpu = time.monotonic() - began, process.cpu(pid) - cpu
            memory = process.memory(pid)
    late = _lateness(text, before)
    made = {outcome: n - _probes(before).get(outcome, 0) for outcome, n in _probes(text).items()}
    wrong = sum(_values(text, "ml_endpoint_probes_total", ml_endpoint="sums-", outcome="!ok"))
    show(
        f"{count:,} endpoints every {INTERVAL:.0f} s on one core: of six one hangs, one takes 3 s; scraped every 15 s",
        ("", "measured", "bar"),
        [
            ("probes a second", f"{sum(made.values()) / passed:.0f}", f"{count / INTERVAL:.0f}"),
            ("outcomes", ", ".join(f"{outcome} {n:,.0f}" for outcome, n in made.items() if n), ""),
            ("probes of healthy endpoints that did not end well", f"{wrong:.0f}", "0"),
            ("lateness p50, at most", seconds(_quantile(late, 0.5)), ""),
            ("lateness p99, at most", seconds(_quantile(late, 0.99)), "< 1 s"),
            ("share of one core", f"{cpu / passed:.0%}", "< 100 %"),
            ("resident", size(memory["VmRSS"]), ""),
            ("series", f"{sum(1 for line in text.splitlines() if line[:1] != '#'):,}", ""),
        ],
    )


def _lateness(text: str, before: str) -> list[tuple[float, float]]:
    """Upper bound → probes so late or less, between two scrapes."""

    def buckets(page: str) -> dict[float, float]:
        found = re.findall(r'^ml_prober_lateness_seconds_bucket\{le="([^"]+)"\} (\d+)', page, re.MULTILINE)
        return {float(bound): float(number) for bound, number in found}

    first = buckets(before)
    return [(bound, number - first[bound]) for bound, number in buckets(text).items()]


def _quantile(buckets: list[tuple[float, float]], share: float) -> float:
    """The upper bound of the bucket that a quantile lies in."""
    return next(bound for bound, number in buckets if number >= share * buckets[-1][1])


def _probes(text: str) -> dict[str, float]:
    counts: dict[str, float] = {}
    for outcome, number in re.findall(r'^ml_endpoint_probes_total\{.*outcome="(\w+)"\} (\d+)', text, re.MULTILINE):
        counts[outcome] = counts.get(outcome, 0) + float(number)
    return counts


def _values(text: str, family: str, **labels: str) -> list[float]:
    """Values of a family whose labels begin so; a value that begins with ! is one that the label must not have."""
    found = []
    for metric in text_string_to_metric_families(
        "\n".join(line for line in text.splitlines() if line.startswith(family)) + "\n"
    ):
        for sample in metric.samples:
            if all(
                sample.labels[k] != v[1:] if v.startswith("!") else sample.labels[k].startswith(v)
                for k, v in labels.items()
            ):
                found.append(sample.value)
    return found


def _endpoint(
    name: str, url: str, model: str, connection: str, checks: list[str], interval: float, timeout: float
) -> dict[str, Any]:
    return {
        "name": name,
        "protocol": "open_inference",
        "url": url,
        "model": model,
        "connection": connection,
        "checks": checks,
        "interval": f"{interval:g}s",
        "timeout": f"{timeout:g}s",
        "canary": {"request": target.REQUEST, "expect": EXPECT},
    }


@contextmanager
def _exporter(name: str, endpoints: list[dict[str, Any]], **sections: Any) -> Iterator[tuple[int, int]]:
    """Port and process id of an exporter that probes these; its log is in the folder of this name."""
    folder, port = scratch.fresh(name), scratch.free_port()
    config = folder / "ml-exporter.yaml"
    # JSON is YAML, and is written and read much faster.
    config.write_text(json.dumps({"server": {"listen": f"127.0.0.1:{port}"}, "endpoints": endpoints, **sections}))
    with process.exporter(config, port, "ml_endpoint_info", START_WITHIN) as (_, pid):
        yield port, pid
