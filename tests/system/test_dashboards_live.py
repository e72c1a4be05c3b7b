"""Every query of every dashboard, asked of a Prometheus that the demo fills, returns something."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
import yaml
from tests.support.grafana import CHOICES, Prometheus
from tests.support.live_dashboards import Unanswered, rendered

from ml_exporter.demo.stack import PORTS, Stack

pytestmark = pytest.mark.system

EXCEPTIONS = {
    "ml-endpoints: Certificate: A": "no endpoint of the demo speaks TLS",
    "ml-endpoints: Version served: A": "no protocol of the demo's endpoints tells which version answers",
    "ml-endpoints: Size of batches: A": "neither MLflow nor vLLM tells of batches",
    "ml-exporter: Series of sources left out: A": "no source of the demo has too many series",
    "ml-endpoints: Requests, and the usual number: B": "what is usual is known after two weeks",
    "ml-endpoints: Mean latency, and the usual one: B": "what is usual is known after two weeks",
    "ml-pipeline: Runs, and the usual number: B": "what is usual is known after two weeks",
    "ml-pipeline: Duration of runs, and the usual one: B": "what is usual is known after two weeks",
}
"""Queries that return nothing from the demo, and why."""
AT_MOST = 0.05
"""Share of the queries that may be exceptions."""
CYCLE = 8.0
"""Seconds between two trainings: what is worse than its baseline is so after 16 of them."""
STARTS_WITHIN, FILLED_WITHIN = 240.0, 600.0
"""Seconds. What is compared with the weeks before is recorded every four minutes, and budgets every two and a half."""
WRONG = "answers-wrong"


class Troubled(Stack):
    """The demo, an endpoint that is wrong from the start, and a source that is not there: else no page fires before a
    champion has got so bad, and no alert of a source does."""

    def template(self) -> str:
        config = yaml.safe_load(super().template())
        endpoints = {endpoint["name"]: endpoint for endpoint in config["endpoints"]}
        services = {service["name"]: service for service in config["services"]}
        canary = {**endpoints["assistant"]["canary"], "expect": [{"matches": "what it never says"}]}
        config["endpoints"].append({**endpoints["assistant"], "name": WRONG, "canary": canary})
        services["support-assistant"]["stages"]["inference"].append({"endpoint": WRONG})
        config["sources"].append({"name": "not-there", "kind": "mlflow", "url": "http://127.0.0.1:1"})
        config["alerting"]["thresholds"]["source_down_for"] = "10s"
        correct = {"endpoint_correctness": {"endpoint": WRONG}}
        config["slos"].append({"name": WRONG, "service": "support-assistant", "sli": correct, "objective": 95})
        return yaml.safe_dump(config)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("demo")
    stack = Troubled(folder, CYCLE, STARTS_WITHIN, say=print, ports=dict.fromkeys(PORTS, 0))
    try:
        stack.start()
        stack.wait()
        yield stack
    finally:
        stack.stop()


def test_whatever_is_chosen_every_query_of_every_dashboard_returns_something(
    stack: Stack, capsys: pytest.CaptureFixture[str]
) -> None:
    began = time.monotonic()
    asked = Unanswered(rendered(stack.rendered / "grafana" / "dashboards"), Prometheus(stack.url("prometheus")))
    asked.wait(set(EXCEPTIONS), FILLED_WITHIN)
    stack.check()
    with capsys.disabled():
        empty = ", ".join(f"{len(asked.left[choice])} with {choice}" for choice in CHOICES)
        print(f"\n{asked.count} queries, empty: {empty}; after {time.monotonic() - began:.0f} s of a running demo")
    assert asked.left == {choice: set(EXCEPTIONS) for choice in CHOICES}
    assert len(EXCEPTIONS) <= AT_MOST * asked.count
