"""A real Prometheus that ends and starts again goes on counting how long a page has been firing."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest
import yaml
from tests.support.programs import Process, free_port, get, program, start, wait_until

from ml_exporter import config, render

pytestmark = pytest.mark.system

SINCE = "ml:page_firing_since:timestamp_seconds"
PAGES = [
    {"alert": "MLAtOnce", "expr": "vector(1)", "labels": {"severity": "page", "ml_service": "fraud"}},
    {"alert": "MLAfterAWhile", "expr": "vector(1)", "for": "2s", "labels": {"severity": "page", "ml_service": "fraud"}},
]


class Prometheus:
    """With the rules of the escalation and two pages that always fire."""

    def __init__(self, folder: Path, binary: Path) -> None:
        self.address = f"127.0.0.1:{free_port()}"
        self._folder, self._binary, self._starts = folder, binary, 0
        data = {
            "alerting": {"escalation": {"after": "5m", "webhook": {"url": "http://127.0.0.1:1"}}},
            "stack": {"evaluation_interval": "1s", "alertmanager_targets": []},
        }
        render.render(config.from_data(data), folder)
        rules = folder / "prometheus" / "rules"
        for file in rules.glob("*.yml"):
            if "escalation" not in file.name:
                file.unlink()
        (rules / "pages.yml").write_text(yaml.safe_dump({"groups": [{"name": "pages", "rules": PAGES}]}))

    def start(self) -> Process:
        self._starts += 1
        return start(
            "prometheus",
            [
                self._binary,
                f"--config.file={self._folder}/prometheus/prometheus.yml",
                f"--storage.tsdb.path={self._folder}/data",
                f"--web.listen-address={self.address}",
            ],
            log=self._folder / f"prometheus-{self._starts}.log",
            ready_url=f"http://{self.address}/-/ready",
            grace=30,
        )

    def values(self, query: str) -> dict[str, float]:
        answer = json.loads(get(f"http://{self.address}/api/v1/query?query={quote(query)}") or b"{}")
        result = answer.get("data", {}).get("result", [])
        return {series["metric"]["alertname"]: float(series["value"][1]) for series in result}

    def both(self, since: float) -> Callable[[], bool]:
        """Both pages are known to fire, by an evaluation that is younger than `since`."""
        return lambda: len(self.values(f"timestamp({SINCE}) > {since}")) == len(PAGES)


@pytest.mark.parametrize("version", [None, "3.5"])
def test_a_restart_does_not_restart_the_clock(version: str | None, tmp_path: Path) -> None:
    prometheus = Prometheus(tmp_path, program("prometheus", version))
    process = prometheus.start()
    try:
        wait_until(prometheus.both(0), 30, "both pages fire", watch=[process])
        before = prometheus.values(SINCE)
        process.stop()
        ended = time.time()
        process = prometheus.start()
        wait_until(prometheus.both(ended + 1), 60, "both pages fire again", watch=[process])
        assert prometheus.values(SINCE) == before
    finally:
        process.stop()
