"""From a real run to a real message: MLflow → exporter → Prometheus → Alertmanager → receiver."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.exporter import Exporter
from tests.support.mlflow_server import MlflowServer
from tests.support.programs import program

from ml_exporter.demo.processes import free_port, get, start, stop_all, wait_until

pytestmark = pytest.mark.system

YEAR = 365 * 86400.0


class Stack:
    """Everything between a run and a person, generated from one configuration file."""

    def __init__(self, folder: Path, mlflow: MlflowServer, prometheus: Path, alertmanager: Path, version: str) -> None:
        self.receiver, self.prometheus, self.alertmanager = (f"127.0.0.1:{free_port()}" for _ in range(3))
        self.exporter = Exporter(folder, **self.configuration(mlflow.url, version))
        self.exporter.config["stack"]["exporter_targets"] = [self.exporter.address]
        self.processes = [
            start(
                "receiver",
                [sys.executable, "-m", "ml_exporter.demo.receiver", "--port", self.receiver.rpartition(":")[2]],
                log=folder / "receiver.log",
                ready_url=f"http://{self.receiver}/-/healthy",
            )
        ]
        self.exporter.start()
        rendered = folder / "rendered"
        render = start(
            "render",
            [sys.executable, "-m", "ml_exporter", "render", "--config", self.exporter.file, "--output", rendered],
            log=folder / "render.log",
        )
        wait_until(lambda: render.exit_code is not None, 30, "the files are rendered")
        assert render.exit_code == 0, render.tail()
        render.stop()
        self.processes.append(
            start(
                "alertmanager",
                [
                    alertmanager,
                    f"--config.file={rendered}/alertmanager/alertmanager.yml",
                    f"--storage.path={folder}/alertmanager",
                    f"--web.listen-address={self.alertmanager}",
                    "--cluster.listen-address=",
                ],
                log=folder / "alertmanager.log",
                ready_url=f"http://{self.alertmanager}/-/ready",
            )
        )
        self.processes.append(
            start(
                "prometheus",
                [
                    prometheus,
                    f"--config.file={rendered}/prometheus/prometheus.yml",
                    f"--storage.tsdb.path={folder}/prometheus",
                    f"--web.listen-address={self.prometheus}",
                    # What fires before Alertmanager is discovered (5 s) would be sent again after a minute only.
                    "--rules.alert.resend-delay=1s",
                ],
                log=folder / "prometheus.log",
                ready_url=f"http://{self.prometheus}/-/ready",
            )
        )

    def configuration(self, mlflow: str, version: str) -> dict[str, Any]:
        quick = {"group_wait": "0s", "group_interval": "1s"}
        routes = {
            name: {"webhook": {"url": f"http://{self.receiver}/{name}"}, **quick}
            for name in ("page", "ticket", "info", "watchdog")
        }
        return {
            "sources": [{"name": "tracking", "kind": "mlflow", "url": mlflow, "interval": "1s"}],
            "services": [
                {
                    "name": "fraud-detection",
                    "owner": "risk-ml",
                    "tier": 1,
                    "stages": {"training": [{"pipeline": "tracking/e2e-*"}]},
                }
            ],
            "alerting": {"alertmanager": version, "dashboard_url": "http://grafana.example:3000", **routes},
            "stack": {
                "scrape_interval": "1s",
                "evaluation_interval": "1s",
                "alertmanager_targets": [self.alertmanager],
                "prometheus_url": f"http://{self.prometheus}",
                "alertmanager_url": f"http://{self.alertmanager}",
            },
        }

    def messages(self, **wanted: str) -> list[dict[str, str]]:
        sent = json.loads(get(f"http://{self.receiver}/notifications") or b"[]")
        return [message for message in sent if wanted.items() <= message.items()]

    def alerts(self) -> list[dict[str, str]]:
        """The labels of what fires or is about to."""
        answer = json.loads(get(f"http://{self.prometheus}/api/v1/alerts") or b"{}")
        return [alert["labels"] for alert in answer["data"]["alerts"]]

    def value(self, query: str) -> float | None:
        from urllib.parse import quote

        answer = json.loads(get(f"http://{self.prometheus}/api/v1/query?query={quote(query)}") or b"{}")
        result = answer.get("data", {}).get("result", [])
        return float(result[0]["value"][1]) if result else None

    def stop(self) -> None:
        self.exporter.stop()
        stop_all(reversed(self.processes))


VERSIONS = [pytest.param((None, None, "0.25"), id="installed"), pytest.param(("3.5", "0.33", "0.33"), id="newest")]


@pytest.fixture(params=VERSIONS)
def stack(request: pytest.FixtureRequest, tmp_path: Path, mlflow: MlflowServer) -> Iterator[Callable[[], Stack]]:
    made: list[Stack] = []
    prometheus, alertmanager, version = request.param
    binaries = program("prometheus", prometheus), program("alertmanager", alertmanager)

    def build() -> Stack:
        made.append(Stack(tmp_path, mlflow, *binaries, version))
        return made[-1]

    yield build
    for one in made:
        one.stop()


def years_of_history(mlflow: MlflowServer, name: str) -> str:
    """Failures of three years ago, nothing since, and a run that somebody's notebook left running."""
    experiment = mlflow.experiment(name)
    begin = time.time() - 3 * YEAR
    for day in range(6):
        mlflow.run(experiment, "FAILED", start=begin + day * 86400, end=begin + day * 86400 + 60)
    mlflow.run(experiment, start=begin)
    return experiment


def test_a_failing_pipeline_reaches_its_owner_and_a_success_resolves_it(
    stack: Callable[[], Stack], mlflow: MlflowServer, request: pytest.FixtureRequest
) -> None:
    name = f"e2e-{request.node.callspec.id}"
    experiment = years_of_history(mlflow, name)
    it = stack()
    finished = f'ml_runs_finished_total{{pipeline="{name}",state="failed"}}'
    wait_until(lambda: it.value(finished) == 6, 30, "the history is in Prometheus")
    wait_until(lambda: it.messages(alertname="Watchdog"), 30, "the Watchdog reaches the receiver")

    # Long enough for every rule without `for` to have fired on what lies before the installation.
    time.sleep(5)
    assert {alert["alertname"] for alert in it.alerts()} == {"Watchdog"}
    assert it.value(f"increase({finished}[5m])") == 0
    assert not it.messages(pipeline=name)

    for _ in range(3):
        mlflow.run(experiment, "FAILED", start=time.time() - 30, end=time.time())
    what = {"alertname": "MLPipelineFailingRepeatedly", "pipeline": name}
    wait_until(lambda: it.messages(**what, status="firing"), 60, "the failing pipeline reaches the receiver")
    message = it.messages(**what, status="firing")[0]
    assert message["channel"] == "ticket"
    assert message["service"] == "fraud-detection"
    assert message["owner"] == "risk-ml"
    assert message["runbook"].endswith("/MLPipelineFailingRepeatedly.md")
    assert message["dashboard"].startswith("http://grafana.example:3000/d/")
    assert name in message["dashboard"]
    assert name in message["summary"]
    assert not it.messages(**what, status="resolved")

    mlflow.run(experiment, "FINISHED", start=time.time() - 30, end=time.time())
    wait_until(lambda: it.messages(**what, status="resolved"), 60, "the success resolves it")
    assert not it.messages(channel="page")
