"""What model servers expose (tests/fixtures/servers/<server>.metrics.txt), moved on by known amounts, through the
rendered scrape configuration and the rendered rules.

The first line of a fixture says where it comes from: "# recorded from …" or "# written from the source of …".
"""

from __future__ import annotations

import copy
import functools
import json
import re
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import _gojsonnet
from tests.support.programs import program

from ml_exporter import config, render

FIXTURES = Path(__file__).parents[1] / "fixtures" / "servers"
SERVERS = sorted(path.name.removesuffix(".metrics.txt") for path in FIXTURES.glob("*.metrics.txt"))

MINUTES = 10


@dataclass(frozen=True)
class Series:
    name: str
    labels: Mapping[str, str]
    value: float
    step: float = 0.0
    """What is added every minute."""
    restart: int | None = None
    """The minute at which it starts again from 0."""

    def values(self, minutes: int) -> str:
        if self.restart is None:
            return f"{self.value!r}+{self.step!r}x{minutes}"
        return f"{self.value!r}+{self.step!r}x{self.restart - 1} 0+{self.step!r}x{minutes - self.restart}"

    def text(self) -> str:
        labels = ",".join(f"{name}={json.dumps(value)}" for name, value in sorted(self.labels.items()))
        return f"{self.name}{{{labels}}}"


@dataclass(frozen=True)
class Observed:
    """Observations of a histogram, every minute: bucket's edge → how many fall into it, and their sum."""

    labels: Mapping[str, str]
    buckets: Mapping[float, float]
    sum: float = 0.0


Moves = Mapping[str, "float | Observed"]


@dataclass(frozen=True)
class Case:
    """One endpoint of one server: what happens every minute, and what must be recorded of it after ten.

    `moves`: series, `name{label="value"}` with as many labels as it takes, or a histogram's name → every minute.
    `expected`: record → (model, version) → value.
    """

    server: str
    moves: Moves
    expected: Mapping[str, Mapping[tuple[str, str], float]]
    endpoint: Mapping[str, Any] = field(default_factory=dict)

    def series(self) -> list[Series]:
        return scraped(moved(fixture(self.server), self.moves), scrape_job(self.configured()))

    def configured(self) -> dict[str, Any]:
        return endpoint(server=self.server, **self.endpoint)


def endpoint(**given: Any) -> dict[str, Any]:
    """An endpoint as the Jsonnet sees it."""
    nothing = dict.fromkeys(("server", "model", "version", "ca_file", "latency_limit", "cost_per_hour"))
    return {
        **nothing,
        "name": "live",
        "protocol": "http",
        "url": "http://127.0.0.1:1",
        "metrics_url": "http://127.0.0.1:2",
        "ml_service": "fraud",
        "latency_from": "probe",
        "registered_model": None,
        "interval": 30.0,
        **given,
    }


def rendered(*endpoints: Mapping[str, Any], format: str = "files") -> dict[str, Any]:
    """File → content, of a configuration with these endpoints and nothing else. Raises `ConfigError`."""
    arguments = {"config": _configuration(endpoints), "format": json.dumps(format)}
    files: dict[str, Any] = json.loads(render.evaluate("provisioning/files.jsonnet", arguments))
    return files


def rules(*endpoints: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The rules of the group ml-servers, without all the rest that is rendered: it takes a second."""
    return copy.deepcopy(_rules(_configuration(endpoints)))


@functools.cache
def _rules(configuration: str) -> list[dict[str, Any]]:
    code = f"((import 'mixin.libsonnet') {{ _config:: {configuration} }}).prometheusRules.groups"
    groups = json.loads(_gojsonnet.evaluate_snippet("rules", code, jpathdir=[str(render.mixin_root())]))
    return next((list(group["rules"]) for group in groups if group["name"] == "ml-servers"), [])


def scraping(*endpoints: Mapping[str, Any]) -> dict[str, Any]:
    """prometheus.yml, likewise."""
    arguments = {"config": _configuration(endpoints)}
    found: dict[str, Any] = json.loads(render.evaluate("provisioning/prometheus/prometheus.libsonnet", arguments))
    return found


def scrape_job(configured: Mapping[str, Any]) -> dict[str, Any]:
    jobs: list[dict[str, Any]] = scraping(configured)["scrape_configs"]
    return next(job for job in jobs if job["job_name"] == f"ml-endpoint-{configured['name']}")


def _configuration(endpoints: Iterable[Mapping[str, Any]]) -> str:
    return json.dumps({**config.from_data({}).for_jsonnet(), "endpoints": list(endpoints)})


def fixture(server: str) -> list[Series]:
    """The series as they stand there: prometheus_client's own parser would rename counters."""
    lines = (FIXTURES / f"{server}.metrics.txt").read_text(encoding="utf-8").splitlines()
    return [_parsed(line) for line in lines if not line.startswith("#")]


def _parsed(line: str) -> Series:
    found = re.fullmatch(r"([\w:]+)(?:{(.*)})? (\S+)", line)
    assert found, line
    return Series(found[1], dict(re.findall(r'(\w+)="([^"]*)"', found[2] or "")), float(found[3]))


def moved(series: Iterable[Series], moves: Moves) -> list[Series]:
    """The series with what is added to them every minute. A move that meets no series is an error."""
    result = list(series)
    for selector, move in moves.items():
        steps = {selector: move} if not isinstance(move, Observed) else _steps(selector, move, result)
        for one, step in steps.items():
            hits = [i for i, item in enumerate(result) if _matches(one, item)]
            assert hits, f"{one} is not in the fixture"
            for i in hits:
                result[i] = replace(result[i], step=float(step))
    return result


def _steps(name: str, observed: Observed, series: Iterable[Series]) -> dict[str, float]:
    labels = ",".join(f"{label}={json.dumps(value)}" for label, value in observed.labels.items())
    steps = {f"{name}_count{{{labels}}}": sum(observed.buckets.values()), f"{name}_sum{{{labels}}}": observed.sum}
    edges = {item.labels["le"] for item in series if item.name == f"{name}_bucket"}
    for edge in edges:
        comma = "," if labels else ""
        inside = sum(count for upper, count in observed.buckets.items() if upper <= float(edge))
        steps[f'{name}_bucket{{{labels}{comma}le="{edge}"}}'] = inside
    return {one: step for one, step in steps.items() if any(_matches(one, item) for item in series)}


def _matches(selector: str, series: Series) -> bool:
    name, _, labels = selector.partition("{")
    wanted = dict(re.findall(r'(\w+)="([^"]*)"', labels))
    return series.name == name and wanted.items() <= series.labels.items()


def scraped(series: Iterable[Series], job: Mapping[str, Any]) -> list[Series]:
    """What Prometheus stores of it: with the target's labels, and without what is dropped."""
    static = job["static_configs"][0]
    target = {**static["labels"], "job": job["job_name"], "instance": static["targets"][0]}
    result = []
    for item in series:
        own = {f"exported_{name}" if name in target else name: value for name, value in item.labels.items() if value}
        labels = {**own, **target}
        named = {**labels, "__name__": item.name}
        if all(_kept(named, rule) for rule in job["metric_relabel_configs"]):
            result.append(replace(item, labels=labels))
    return result


def _kept(labels: Mapping[str, str], rule: Mapping[str, Any]) -> bool:
    value = ";".join(labels.get(name, "") for name in rule["source_labels"])
    return bool(re.fullmatch(rule["regex"], value)) == (rule["action"] == "keep")


def check(
    folder: Path,
    series: Iterable[Series],
    endpoints: Iterable[Mapping[str, Any]],
    expected: Mapping[str, Mapping[str, float]],
    version: str | None = None,
    minutes: int = MINUTES,
) -> None:
    """Let promtool evaluate the rules on the series: PromQL → labels → value, to a millionth, after some minutes."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "rules.yml").write_text(json.dumps({"groups": [{"name": "all", "rules": rules(*endpoints)}]}))
    case = {
        "interval": "1m",
        "input_series": [{"series": s.text(), "values": s.values(minutes)} for s in series],
        "promql_expr_test": [
            {
                "expr": f"round(({expr}) * 1000000)",
                "eval_time": f"{minutes}m",
                "exp_samples": [{"labels": labels, "value": round(value * 1e6)} for labels, value in samples.items()],
            }
            for expr, samples in expected.items()
        ],
    }
    test = {"rule_files": ["rules.yml"], "evaluation_interval": "1m", "tests": [case]}
    (folder / "case.yml").write_text(json.dumps(test))
    command = [program("promtool", version), "test", "rules", "case.yml"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def recorded_labels(server: str, model: str, version: str, name: str = "live") -> str:
    labels = {"ml_endpoint": name, "ml_service": "fraud", "model": model, "server": server, "version": version}
    return "{" + ", ".join(f'{label}="{value}"' for label, value in labels.items() if value) + "}"
