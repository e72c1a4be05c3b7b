"""What a Prometheus answers to the questions of a digest, made up for tests."""

from __future__ import annotations

from typing import Any

from tests.support.fault_server import Behaviour, answer_json

from ml_exporter.config import from_data
from ml_exporter.digest.review import Review, period, queries, review
from ml_exporter.prometheus import Answer, Series

NOW = 1_780_300_800.0
"""2026-06-01 08:00 UTC."""
WEEK = period(NOW, 7 * 86400)
NAMES = tuple(queries(WEEK, ("page",)))
SERVICES = [{"name": "fraud", "owner": "risk-ml"}, {"name": "churn", "owner": "growth"}]
Told = dict[str, list[tuple[dict[str, str], float]]]


def alert(
    name: str = "MLEndpointDown", severity: str = "page", service: str = "fraud", **labels: str
) -> dict[str, str]:
    return {"alertname": name, "alertstate": "firing", "severity": severity, "ml_service": service, **labels}


def fired(times: int, minutes: float = 5, **what: str) -> Told:
    """The answers about an alert that fired so often, so many minutes in all."""
    return {"started": [(alert(**what), times)], "lasted": [(alert(**what), minutes)]}


def together(*parts: Told) -> Told:
    return {name: [series for part in parts for series in part.get(name, [])] for name in NAMES}


WATCHED: Told = {name: [({}, WEEK.points)] for name in ("watched", "watched before")}


def reviewed(*parts: Told, watched: Told = WATCHED, warnings: list[str] | None = None) -> Review:
    """The review of what fired, by rules that were evaluated all the time."""
    told = together(watched, *parts)
    answers = {name: Answer([Series(*each) for each in told[name]], warnings or []) for name in NAMES}
    return review(WEEK, answers, from_data({"services": SERVICES}))


def script(*parts: Told, warnings: list[str] | None = None) -> list[Behaviour]:
    """The same as HTTP answers, in the order in which they are asked for."""
    told = together(*parts)
    return [answer_json(vector(told[name], warnings or [])) for name in NAMES]


def vector(series: list[tuple[dict[str, str], float]], warnings: list[str]) -> dict[str, Any]:
    result = [{"metric": labels, "value": [NOW, str(value)]} for labels, value in series]
    return {"status": "success", "data": {"resultType": "vector", "result": result}, "warnings": warnings}
