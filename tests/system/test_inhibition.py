"""What a real Alertmanager keeps quiet, with the routing that ships: amtool cannot say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import requests
from tests.support.programs import free_port, get, program, start, wait_until

from ml_exporter import config, render

pytestmark = pytest.mark.system

PIPELINE = {"ml_service": "fraud", "pipeline": "train", "severity": "ticket"}
FIGURE = {"ml_service": "fraud", "source": "a", "model": "fraud", "version": "7", "metric": "auc", "dataset": ""}
ALERTS = {
    "source a is down": {"alertname": "MLSourceDown", "source": "a", "ml_service": "ml-exporter", "severity": "ticket"},
    "source a is stale": {
        "alertname": "MLSourceStale",
        "source": "a",
        "ml_service": "ml-exporter",
        "severity": "ticket",
    },
    "pipeline of a": {**PIPELINE, "alertname": "MLPipelineFailingRepeatedly", "source": "a"},
    "pipeline of b": {**PIPELINE, "alertname": "MLPipelineFailingRepeatedly", "source": "b"},
    "late, b": {**PIPELINE, "alertname": "MLPipelineLate", "source": "b"},
    "overdue, b": {**PIPELINE, "alertname": "MLPipelineOverdue", "source": "b"},
    "overdue, b, other": {**PIPELINE, "alertname": "MLPipelineOverdue", "source": "b", "pipeline": "churn"},
    "heartbeat of b": {
        "alertname": "MLSchedulerHeartbeatStale",
        "source": "b",
        "component": "scheduler",
        "ml_service": "ml-exporter",
        "severity": "ticket",
    },
    "page of b": {**FIGURE, "alertname": "MLModelQualityDegradedLive", "source": "b", "severity": "page"},
    "ticket of b": {**FIGURE, "alertname": "MLModelQualityDegraded", "source": "b", "severity": "ticket"},
    "ticket of b, other version": {
        **FIGURE,
        "alertname": "MLModelQualityDegraded",
        "source": "b",
        "severity": "ticket",
        "version": "8",
    },
    "watchdog": {"alertname": "Watchdog", "ml_service": "ml-exporter", "severity": "info"},
}


@pytest.mark.parametrize(("version", "target"), [(None, "0.25"), ("0.33", "0.33")])
def test_a_source_that_is_down_silences_its_own_alerts_a_page_its_ticket_and_late_overdue(
    version: str | None, target: str, tmp_path: Path
) -> None:
    render.render(config.from_data({"alerting": {"alertmanager": target}}), tmp_path)
    url = f"http://127.0.0.1:{free_port()}"
    alertmanager = start(
        "alertmanager",
        [
            program("alertmanager", version),
            f"--config.file={tmp_path}/alertmanager/alertmanager.yml",
            f"--storage.path={tmp_path}/data",
            f"--web.listen-address={url.removeprefix('http://')}",
            "--cluster.listen-address=",
        ],
        log=tmp_path / "alertmanager.log",
    )
    try:
        wait_until(lambda: get(f"{url}/-/ready"), 20, "Alertmanager is ready", watch=[alertmanager])
        answer = requests.post(
            f"{url}/api/v2/alerts", json=[{"labels": labels} for labels in ALERTS.values()], timeout=5
        )
        assert answer.status_code == 200, answer.text
        expected = {"source a is stale", "pipeline of a", "ticket of b", "overdue, b"}
        wait_until(lambda: _quiet(url) == expected, 20, f"only {expected} are quiet", watch=[alertmanager])
    finally:
        alertmanager.stop()


def _quiet(url: str) -> set[str]:
    """Which alerts are inhibited, once all have arrived."""
    found = json.loads(get(f"{url}/api/v2/alerts") or b"[]")
    if len(found) < len(ALERTS):
        return set()
    names = {
        json.dumps({k: v for k, v in labels.items() if v}, sort_keys=True): name for name, labels in ALERTS.items()
    }
    return {
        names[json.dumps(alert["labels"], sort_keys=True)]
        for alert in found
        if alert["status"]["state"] == "suppressed"
    }
