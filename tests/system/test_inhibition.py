"""What a real Alertmanager keeps quiet, with the routing that ships: amtool cannot say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.support.alertmanager import VERSIONS, Alertmanager, running

pytestmark = pytest.mark.system


def alert(name: str, service: str, severity: str = "ticket", **labels: str) -> dict[str, str]:
    return {"alertname": name, "ml_service": service, "severity": severity, **labels}


def pipeline(name: str, source: str, service: str, of: str = "train", severity: str = "ticket") -> dict[str, str]:
    return alert(name, service, severity, source=source, pipeline=of)


def figure(name: str, severity: str, **labels: str) -> dict[str, str]:
    whole = {"ml_service": "model", "source": "c", "model": "fraud", "metric": "auc", "dataset": "", **labels}
    return {"alertname": name, "severity": severity, **whole}


def endpoint(name: str, service: str, endpoint: str, severity: str = "ticket", **labels: str) -> dict[str, str]:
    return alert(name, service, severity, ml_endpoint=endpoint, **labels)


def objective(name: str, service: str, severity: str = "ticket", **labels: str) -> dict[str, str]:
    return alert(name, service, severity, **{"slo": "latency", **labels})


LIVE = "MLModelQualityDegradedLive"
HELD_BACK = {
    "a source that is down: one that hangs": alert("MLSourceStale", "ml-exporter", source="a"),
    "a source that is down: its pipeline": pipeline("MLPipelineFailingRepeatedly", "a", "churn"),
    "a source that is down: a page about its model": figure(
        "MLModelQualityDegradedLive", "page", source="a", version="3"
    ),
    "a source that hangs: its pipeline": pipeline("MLPipelineStuck", "h", "churn"),
    "no exporter: each of them": alert("MLExporterDown", "ml-exporter", instance="x"),
    "no exporter: what is not measured": objective("MLObjectiveAbsent", "churn"),
    "a dead scheduler: its late pipeline": pipeline("MLPipelineLate", "s", "late"),
    "late by its timetable: late by `every`": pipeline("MLPipelineOverdue", "b", "demand", of="twice"),
    "a slow run: an unusual one": pipeline("MLRunDurationUnusual", "b", "demand", of="slow"),
    "late: fewer runs than usual": pipeline("MLRunVolumeUnusual", "b", "demand", of="twice"),
    "a slow endpoint: slower than usual": endpoint("MLLatencyUnusual", "demand", "slow", model=""),
    "a page about a figure: its ticket": figure("MLModelQualityDegraded", "ticket", version="7"),
    "a page about a model: its endpoint fails": endpoint("MLEndpointErrorRatio", "model", "x"),
    "a page about an endpoint: it is slow": endpoint("MLEndpointSlow", "serving", "down", model="m"),
    "a page about an endpoint: its metrics": endpoint("MLEndpointMetricsDown", "serving", "down"),
    "a page of the service: a slow burn": objective("MLObjectiveBurningSlowly", "serving"),
    "a fast burn: a leak": objective("MLObjectiveLeaking", "burning"),
    "no result: an older model": figure(
        "MLModelQualityDegraded", "ticket", ml_service="stale", version="1", source="m"
    ),
    "no result: the version that is served": endpoint("MLEndpointWrongVersion", "stale", "y", source="m", version="1"),
    "a page about a pipeline: its ticket": pipeline("MLRunSlow", "z", "stale"),
    "no result: its own budget": objective("MLObjectiveLeaking", "stale", source="b", pipeline="train"),
}
TOLD = {
    "a source that is down": alert("MLSourceDown", "ml-exporter", source="a"),
    "a source that hangs": alert("MLSourceStale", "ml-exporter", source="h"),
    "no exporter": alert("MLExporterAbsent", "ml-exporter"),
    "a pipeline of another source": pipeline("MLPipelineFailingRepeatedly", "b", "churn"),
    "a dead scheduler": alert("MLSchedulerHeartbeatStale", "ml-exporter", source="s", component="scheduler"),
    "a dead part that schedules nothing": alert(
        "MLSchedulerHeartbeatStale", "ml-exporter", source="b", component="triggerer"
    ),
    "late": pipeline("MLPipelineLate", "b", "demand", of="twice"),
    "overdue, another pipeline": pipeline("MLPipelineOverdue", "b", "demand", of="other"),
    "a slow run": pipeline("MLRunSlow", "b", "demand", of="slow"),
    "a slow endpoint": endpoint("MLEndpointSlow", "demand", "slow", model=""),
    "a page about a figure": figure(LIVE, "page", version="7"),
    "a ticket about another version": figure("MLModelQualityDegraded", "ticket", version="8"),
    "a page about an endpoint": endpoint("MLEndpointDown", "serving", "down", "page", model="m"),
    "another endpoint of the service": endpoint("MLEndpointSlow", "serving", "up", model="m"),
    "a fast burn": objective("MLObjectiveBurningFast", "burning", "page"),
    "another fast burn": objective("MLObjectiveBurning", "burning", "page", slo="correctness"),
    "what cannot be measured": objective("MLObjectiveImpossible", "burning"),
    "no result": pipeline("MLPipelineFailingRepeatedly", "b", "stale"),
    "no result, and users are hurt": objective(
        "MLObjectiveDeadlineMissed", "stale", "page", source="z", pipeline="train"
    ),
    "no result, another pipeline's budget": objective("MLObjectiveLeaking", "calm", source="b", pipeline="train"),
    "nobody looks at a page": alert("MLAlertUnresolved", "burning", "page", unresolved="MLObjectiveBurningFast"),
    "the watchdog": alert("Watchdog", "ml-exporter", "info"),
}


@pytest.mark.parametrize(("version", "target"), VERSIONS)
def test_a_person_is_told_the_cause_and_not_what_follows_from_it(
    version: str | None, target: str, tmp_path: Path
) -> None:
    everything = {**HELD_BACK, **TOLD}
    with running({"alerting": {"alertmanager": target}}, tmp_path, version) as alertmanager:
        alertmanager.post(*({"labels": labels} for labels in everything.values()))
        alertmanager.wait_until(lambda: len(alertmanager.alerts()) == len(everything), "all have arrived")
        alertmanager.wait_until(lambda: held_back(alertmanager) == set(HELD_BACK), f"only {set(HELD_BACK)} are quiet")


def held_back(alertmanager: Alertmanager) -> set[str]:
    return {name(each) for each in alertmanager.alerts() if each["status"]["inhibitedBy"]}


def name(found: dict[str, Any]) -> str:
    """What the alert is called above; empty labels do not come back."""
    known = {_key({k: v for k, v in labels.items() if v}): title for title, labels in (HELD_BACK | TOLD).items()}
    return known[_key(found["labels"])]


def _key(labels: dict[str, str]) -> str:
    return json.dumps(labels, sort_keys=True)
