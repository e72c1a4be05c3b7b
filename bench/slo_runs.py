"""Prometheus side by side on the same blocks, each with the rules of one contender, while a target goes on counting."""

from __future__ import annotations

import json
import time
import urllib.parse
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import yaml
from prometheus_client.parser import text_string_to_metric_families

from bench import slo_history
from bench.slo_peers import Contender
from ml_exporter.demo.processes import NotReadyError, Process, free_port, get, start, wait_until

FAILED = 20_000
"""Requests that fail at once while we measure: more than in the month before."""
_WARM_WITHIN = 600.0
_EVERY = 5.0
_SETTLED = (20.0, 45.0)
_COUNTED = {
    "cpu": "process_cpu_seconds_total",
    "samples": "prometheus_engine_query_samples_total",
    "rules": "prometheus_rule_evaluation_duration_seconds_sum",
    "missed": "prometheus_rule_group_iterations_missed_total",
    "failures": "prometheus_rule_evaluation_failures_total",
    "evaluated": "prometheus_rule_evaluations_total",
}


@dataclass
class Running:
    """A Prometheus with the rules of one contender."""

    contender: Contender
    url: str
    process: Process
    before: dict[str, float] = field(default_factory=dict)
    used: dict[str, float] = field(default_factory=dict)
    ages: list[float] = field(default_factory=list)
    """Of the newest budget, in seconds."""
    budgets: list[tuple[float, float]] = field(default_factory=list)
    """(seconds since the failures, budget)."""

    def value(self, query: str) -> float | None:
        """Of the first series of an instant query."""
        body = get(f"{self.url}/api/v1/query?{urllib.parse.urlencode({'query': query})}", 30)
        found = json.loads(body)["data"]["result"] if body else []
        return float(found[0]["value"][1]) if found else None

    def counted(self) -> dict[str, float]:
        """Its own counters, summed over their labels."""
        body = get(f"{self.url}/metrics", 30)
        assert body, f"{self.url} does not answer"
        samples = [s for family in text_string_to_metric_families(body.decode()) for s in family.samples]
        return {key: sum(s.value for s in samples if s.name == name) for key, name in _COUNTED.items()}

    def warm(self) -> bool:
        """True when each of its groups was evaluated."""
        body = get(f"{self.url}/api/v1/rules", 30)
        groups = json.loads(body)["data"]["groups"] if body else []
        evaluated = [group for group in groups if not group["lastEvaluation"].startswith("0001")]
        return len(evaluated) == len(self.contender.groups)

    def age(self) -> float | None:
        """Seconds since the budget of the first objective was recorded."""
        now, dated = time.time(), self.value(f"timestamp({self.contender.dated})")
        return now - dated if dated is not None else None

    def is_between(self) -> bool:
        """True some time after the budget was recorded: a query of 30 days on either side of an edge would count."""
        age = self.age()
        return not self.contender.groups or (age is not None and _SETTLED[0] <= age < _SETTLED[1])

    def look(self, since: float) -> None:
        """Note the budget of the first objective and how old it is."""
        budget, age = self.value(self.contender.budget), self.age()
        if budget is not None and age is not None:
            self.budgets.append((time.time() - since, budget))
            self.ages.append(age)

    def seen_after(self, share: float) -> float | None:
        """Seconds until the budget had fallen by this share of how far it fell in the end."""
        if not self.budgets:
            return None
        first, last = self.budgets[0][1], self.budgets[-1][1]
        return next((at for at, budget in self.budgets if first - budget >= share * (first - last) > 0), None)


class Services:
    """The target: what all services expose; `fail` makes requests of the first one fail."""

    def __init__(self, slos: int) -> None:
        self._slos = slos
        self._failed = 0
        services = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.end_headers()
                self.wfile.write(services.page().encode())

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self._server.server_port}"

    def page(self) -> str:
        return slo_history.page(self._slos, time.time(), [(0, self._failed)])

    def fail(self, requests: int) -> None:
        self._failed += requests

    def __enter__(self) -> Services:
        Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def running(
    folder: Path, contenders: Sequence[Contender], blocks: Sequence[Path], program: Path, target: str
) -> Iterator[list[Running]]:
    """One Prometheus for each, all at the same time, so that whatever else the machine does falls on all."""
    with ExitStack() as stack:
        runs = []
        for number, contender in enumerate(contenders):
            place = folder / str(number)
            slo_history.link(blocks, place / "data")
            run = _started(place, contender, program, target)
            stack.callback(run.process.stop)
            runs.append(run)
        yield runs


def _started(place: Path, contender: Contender, program: Path, target: str) -> Running:
    (place / "rules.yml").write_text(yaml.dump({"groups": contender.groups}, Dumper=yaml.CDumper))
    configuration = {
        # A minute is Prometheus' own default for both, and what Sloth's rules go by.
        "global": {"scrape_interval": f"{slo_history.SCRAPED}s", "evaluation_interval": "1m"},
        "rule_files": ["rules.yml"],
        "scrape_configs": [
            {"job_name": "services", "honor_labels": True, "static_configs": [{"targets": [target]}]},
        ],
    }
    (place / "prometheus.yml").write_text(yaml.safe_dump(configuration))
    address = f"127.0.0.1:{free_port()}"
    arguments: list[str | Path] = [
        program,
        f"--config.file={place / 'prometheus.yml'}",
        f"--storage.tsdb.path={place / 'data'}",
        "--storage.tsdb.retention.time=60d",
        # Of one size: nothing is compacted while we measure.
        "--storage.tsdb.min-block-duration=2h",
        "--storage.tsdb.max-block-duration=2h",
        f"--web.listen-address={address}",
    ]
    process = start("prometheus", arguments, log=place / "log", ready_url=f"http://{address}/-/ready", timeout=120)
    return Running(contender, f"http://{address}", process)


def measure(runs: Sequence[Running], services: Services, seconds: float) -> None:
    """Wait until each rule was evaluated once, let requests fail, and count for so long."""
    for run in runs:
        wait_until(run.warm, _WARM_WITHIN, "all rules were evaluated", watch=[run.process], every=_EVERY)
    began = _begin(runs)
    services.fail(FAILED)
    failed = time.time()
    for run, at in began:
        while time.time() < at + seconds:
            time.sleep(min(_EVERY, max(at + seconds - time.time(), 0)))
            for each in runs:
                each.look(failed)
        run.used = _difference(run.before, run.counted(), seconds / (time.time() - at))


def _begin(runs: Sequence[Running]) -> list[tuple[Running, float]]:
    """Begin to count, each between two evaluations of its budget: the runs and when they began, in that order."""
    began: list[tuple[Running, float]] = []
    deadline = time.monotonic() + _WARM_WITHIN
    while waiting := [run for run in runs if not run.before]:
        for run in waiting:
            if run.is_between():
                run.before = run.counted()
                began.append((run, time.time()))
        if time.monotonic() > deadline:
            raise NotReadyError(f"no budget was recorded within {_WARM_WITHIN:g} s: {waiting[0].contender.name}")
        time.sleep(_EVERY)
    for run in runs:
        run.look(time.time())
    return began


def _difference(before: Mapping[str, float], after: Mapping[str, float], scale: float) -> dict[str, float]:
    return {key: (after[key] - before[key]) * scale for key in after}
