"""Game days as they were written down: a scenario that was carried through, and what was told of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ml_exporter.gameday.recorder import Told
from ml_exporter.gameday.scenarios import SCENARIOS, Scenario
from ml_exporter.gameday.timing import Part
from ml_exporter.gameday.verdict import Run

FAULT, BACK, END = 1000.0, 1020.0, 1060.0
BY_NAME = {each.name: each for each in SCENARIOS}


def run(name: str = "endpoint-wrong", **changes: Any) -> Run:
    """A scenario that was carried through; the message may take 15 s, the all clear 30 s."""
    stated, clears = (Part("all of it", 15.0),), (Part("all of it", 30.0),)
    return replace(Run(BY_NAME[name], stated, clears, FAULT, BACK, END, FAULT + 4), **changes)


def message(scenario: Scenario, at: float, *, firing: bool = True, channel: str = "") -> Told:
    labels = {"alertname": scenario.alert, "severity": scenario.channel, **scenario.labels}
    return Told(at, channel or scenario.channel, firing, labels, at - 1)


def stranger(alert: str, channel: str, at: float = FAULT + 5, **labels: str) -> Told:
    return Told(at, channel, True, {"alertname": alert, **labels}, at - 1)


def as_it_must(name: str = "endpoint-wrong") -> list[Told]:
    """Told after 8 s, resolved 20 s after the fault was taken back."""
    scenario = BY_NAME[name]
    return [message(scenario, FAULT + 8), message(scenario, BACK + 20, firing=False)]
