"""How long an alert may take, by the configuration and by what was rendered from it: no time is written down twice."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ml_exporter.config import load
from ml_exporter.http.client import FIRST_PAUSE, RETRIES
from ml_exporter.poller import MAX_BACKOFF
from ml_exporter.schema import seconds
from ml_exporter.settings import Config

_LONGEST_PAUSE = 1.5
"""A pause between two attempts is up to so many times as long as meant; see `http.client`."""
_JITTER = 1.1
"""So is the pause of the poller."""


@dataclass(frozen=True, slots=True)
class Part:
    """A step on the way from a fault to a message, and how many seconds it takes at most."""

    what: str
    seconds: float


Parts = tuple[Part, ...]


def total(parts: Parts) -> float:
    """Seconds."""
    return sum(part.seconds for part in parts)


def words(parts: Parts) -> str:
    """`12 s = 10 s poll + 2 s scrape`."""
    return f"{total(parts):.0f} s = " + " + ".join(f"{part.seconds:.3g} s {part.what}" for part in parts)


class Timing:
    """What the configuration and the rendered files say of times. `cycle`: seconds between two runs of a pipeline."""

    def __init__(
        self, config: Config, groups: list[Mapping[str, Any]], routing: Mapping[str, Any], cycle: float
    ) -> None:
        self.config, self.cycle = config, cycle
        self.thresholds = config.alerting.thresholds
        self.scrape, self.evaluation = config.stack.scrape_interval, config.stack.evaluation_interval
        self._rules = {name: (rule, group) for group in groups for rule in group["rules"] for name in _names(rule)}
        self._routes = list(_routes(routing["route"]))

    # Rules

    def paced(self, name: str) -> float:
        """Seconds between two evaluations of an alert or of a recorded series. Raises `KeyError` for an unknown one."""
        interval = self._rules[name][1].get("interval")
        return duration(interval) if interval else self.evaluation

    def severity(self, alert: str) -> str:
        return str(self._rules[alert][0]["labels"]["severity"])

    def window(self, name: str) -> float:
        """The longest range, in seconds, that a rule looks back over."""
        return max(duration(text) for text in re.findall(r"\[(\w+)\]", self._rules[name][0]["expr"]))

    def told(self, alert: str, *recorded: str) -> Parts:
        """From the exporter's page to the receiver, by way of recorded series."""
        return self._on_the_way(alert, recorded, "for")

    def cleared(self, alert: str, *recorded: str) -> Parts:
        """From the exporter's page to the receiver's all clear."""
        return self._on_the_way(alert, recorded, "keep_firing_for")

    def _on_the_way(self, alert: str, recorded: tuple[str, ...], holding: str) -> Parts:
        pace, held = self.paced(alert), duration(self._rules[alert][0].get(holding, "0s"))
        parts = (
            Part("scrape", self.scrape),
            *(Part(f"to record {name}", self.paced(name)) for name in recorded),
            Part("evaluation", pace),
            Part(holding, math.ceil(held / pace) * pace),  # it ends at an evaluation
            self._grouped(alert),
        )
        return tuple(part for part in parts if part.seconds)

    def _grouped(self, alert: str) -> Part:
        """A group that is there already waits for its interval instead."""
        route = next(route for route in self._routes if _takes(route, self.severity(alert)))
        return Part("group_wait", max(duration(route["group_wait"]), duration(route["group_interval"])))

    # Sources and endpoints

    def poll(self, source: str) -> Part:
        """Until a source has been read once more, by a poll that may be slow."""
        found = next(each for each in self.config.sources if each.common.name == source)
        return Part("poll", found.interval * _JITTER + found.timeout)

    def failed_poll(self, source: str) -> Part:
        """Until a poll of a source that does not answer has given up."""
        found = next(each for each in self.config.sources if each.common.name == source)
        pauses = sum(FIRST_PAUSE * 2.0**attempt * _LONGEST_PAUSE for attempt in range(RETRIES))
        return Part("time-outs", (RETRIES + 1) * found.timeout + pauses)

    def back_off(self) -> Part:
        """Until a source that has failed for long is asked again."""
        return Part("back-off", MAX_BACKOFF * _JITTER)

    def option(self, source: str, name: str) -> float:
        """An option of a source's kind, in seconds."""
        found = next(each for each in self.config.sources if each.common.name == source)
        return float(getattr(found.options, name))

    def probes(self, endpoint: str, count: float) -> float:
        """Seconds until so many probes have begun and ended; one may be under way."""
        found = next(each for each in self.config.endpoints if each.common.name == endpoint)
        return count * found.interval + found.timeout

    def every(self, source: str, pipeline: str) -> float:
        """Seconds within which a pipeline is to succeed; 0 if nothing is said of it."""
        return self.config.service_of_pipeline(source, pipeline).every or 0.0


def read(config: Path, rendered: Path, cycle: float) -> Timing:
    """From a configuration and the folder that it was rendered into. Raises `ConfigError` and `OSError`."""
    files = sorted((rendered / "prometheus" / "rules").glob("*.yml"))
    groups = [group for file in files for group in yaml.safe_load(file.read_text(encoding="utf-8"))["groups"]]
    routing = yaml.safe_load((rendered / "alertmanager" / "alertmanager.yml").read_text(encoding="utf-8"))
    return Timing(load(config), groups, routing, cycle)


def duration(text: str) -> float:
    """Seconds of a duration in a rendered file. Raises `ValueError`."""
    found = seconds(text)
    if found is None:
        raise ValueError(f"{text!r} is no duration")
    return found


def _names(rule: Mapping[str, Any]) -> list[str]:
    return [rule[key] for key in ("alert", "record") if key in rule]


def _routes(route: Mapping[str, Any], above: Mapping[str, Any] | None = None) -> Iterator[dict[str, Any]]:
    """All routes without further ones below them, with the times that they inherit, in Alertmanager's order."""
    whole = {**(above or {}), **route}
    children = route.get("routes", [])
    if not children:
        yield whole
    for child in children:
        inherited = {key: value for key, value in whole.items() if key not in ("routes", "matchers", "continue")}
        yield from _routes(child, inherited)


def _takes(route: Mapping[str, Any], severity: str) -> bool:
    """Whether this is the route of all that has this severity: routes of single owners and alerts stand before it."""
    return route.get("matchers") == [f'severity="{severity}"'] and not route.get("continue")
