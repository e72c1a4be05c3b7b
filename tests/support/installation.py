"""An installation of any size, as an exporter would show it: every family of the catalogue, for services that have
pipelines, models and endpoints. A stand-in for what no test can run, such as 5,000 pipelines."""

from __future__ import annotations

import itertools
import json
import math
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from ml_exporter.catalog import FAMILIES, LABEL_VALUES, Family
from ml_exporter.model import TERMINAL
from ml_exporter.render import evaluate

STAGES = ("ingestion", "features", "training", "validation")
WINDOWS = ("5m", "30m", "1h", "2h", "6h", "1d", "3d", "30d")
DAY = 86400.0
_BEGAN = 1_750_000_000.0
"""When all counters began to count, in seconds since the epoch."""
_EVENTS = 0.05
"""Of each counter a second."""


class Series(NamedTuple):
    """A line through time: its name with all labels, the value when counters began, and what is added each second."""

    name: str
    value: float
    slope: float

    def at(self, now: float) -> float:
        return self.value + self.slope * (now - _BEGAN)


@dataclass(frozen=True)
class Installation:
    """So many services share pipelines and endpoints evenly. Of seven pipelines one fails and is late, of nine
    endpoints one fails; `firing`: of how many pipelines an alert fires, as a share."""

    services: int
    pipelines: int
    endpoints: int
    sources: int = 4
    firing: float = 1 / 7

    @cached_property
    def series(self) -> list[Series]:
        """All that an exporter shows, and what Prometheus would have recorded of objectives, servers and alerts."""
        shown = (each for family in FAMILIES for each in self._of(family))
        return [*shown, *self._objectives(), *self._servers(), *self._alerts()]

    def page(self, now: float) -> str:
        """What a scrape would get at `now`, in seconds since the epoch."""
        past = now - _BEGAN
        return "".join([f"{name} {value + slope * past}\n" for name, value, slope in self.series])

    def configuration(self) -> dict[str, Any]:
        """The services of it, for rules; without objectives, whose recordings are among the series."""
        names = [f"service-{n}" for n in range(self.services)]
        services = [
            {
                "name": name,
                "owner": f"team-{n % 20}",
                "stages": {
                    **{s: [{"pipeline": f"*/{s}-{n}-*", "every": "1d"}] for s in STAGES},
                    "inference": [{"endpoint": f"endpoint-{n}-*"}],
                },
            }
            for n, name in enumerate(names)
        ]
        sources = [{"name": f"source-{n}", "kind": "mlflow", "url": "http://127.0.0.1:1"} for n in range(self.sources)]
        return {"sources": sources, "services": services}

    def pipeline(self, n: int) -> dict[str, str]:
        """The labels of a pipeline, and of the model that it trains."""
        service, stage = n % self.services, STAGES[n // self.services % len(STAGES)]
        return {
            "source": f"source-{n % self.sources}",
            "ml_service": f"service-{service}",
            "pipeline": f"{stage}-{service}-{n}",
            "stage": stage,
            "model": f"model-{n}",
        }

    def endpoint(self, n: int) -> dict[str, str]:
        """The labels of an endpoint, and of the model that it serves."""
        service = n % self.services
        return {
            "source": f"source-{n % self.sources}",
            "ml_service": f"service-{service}",
            "ml_endpoint": f"endpoint-{service}-{n}",
            "model": f"model-{service}",
            "stage": "inference",
            "protocol": "open_inference",
            "server": "triton",
        }

    def _of(self, family: Family) -> Iterator[Series]:
        for labels in self._things(family):
            for more in _states(family):
                yield from _samples(family, {**labels, **more})

    def _things(self, family: Family) -> Iterator[dict[str, str]]:
        if "ml_endpoint" in family.labels:
            yield from map(self.endpoint, range(self.endpoints))
        elif "model" in family.labels:
            yield from map(self.pipeline, range(min(self.pipelines, self.services)))
        elif "pipeline" in family.labels:
            yield from map(self.pipeline, range(self.pipelines))
        elif "owner" in family.labels:
            for n in range(self.services):
                yield {"ml_service": f"service-{n}", "owner": f"team-{n % 20}", "tier": "2"}
        elif "source" in family.labels:
            yield from ({"source": f"source-{n}", "kind": "mlflow"} for n in range(self.sources))
        else:
            yield {}

    def _objectives(self) -> Iterator[Series]:
        """One of each service."""
        names = recorded_names("slos")
        for n, key in itertools.product(range(self.services), names):
            labels = {"slo": f"service-{n}-good", "ml_service": f"service-{n}", "slo_window": "30d"}
            windows = WINDOWS if key in ("totalEvents", "badEvents", "errorRatio", "burnRate") else (None,)
            for window in windows:
                name = named(names[key], labels | ({"window": window} if window else {}))
                yield Series(name, round(chance(name), 3), 0.0)

    def _servers(self) -> Iterator[Series]:
        """As if each endpoint's own metrics were scraped, too."""
        for n, (key, metric) in itertools.product(range(self.endpoints), recorded_names("servers").items()):
            labels = self.endpoint(n)
            name = named(metric, {label: labels[label] for label in ("ml_service", "ml_endpoint", "server", "model")})
            yield Series(name, round(chance(name), 3) * (0.001 if key in ("bad", "slow") else 1.0), 0.0)

    def _alerts(self) -> Iterator[Series]:
        """Of many pipelines, and one each of the other things that alerts name."""
        failing = map(self.pipeline, range(round(self.pipelines * self.firing)))
        about: list[tuple[str, tuple[str, ...], dict[str, str]]] = [
            *(("MLPipelineFailing", ("source", "ml_service", "pipeline"), labels) for labels in failing),
            ("MLModelQualityDegraded", ("source", "ml_service", "model"), self.pipeline(0)),
            ("MLEndpointDown", ("ml_service", "ml_endpoint"), self.endpoint(0)),
            ("MLObjectiveBurning", ("ml_service", "slo"), {"ml_service": "service-0", "slo": "service-0-good"}),
        ]
        for n, (name, keys, of) in enumerate(about):
            labels = {key: of[key] for key in keys}
            labels |= {"alertname": name, "severity": ("page", "ticket", "info")[n % 3]}
            yield Series(named("ALERTS", {**labels, "alertstate": "firing"}), 1.0, 0.0)
            yield Series(named("ALERTS_FOR_STATE", labels), -3600.0 + _BEGAN, 1.0)


def recorded_names(of: str) -> dict[str, str]:
    """What the Jsonnet calls them → the names under which rules record."""
    names: dict[str, str] = json.loads(evaluate(f"alerts/lib/recorded_{of}.libsonnet"))
    return names


def named(metric: str, labels: Mapping[str, str]) -> str:
    """As PromQL writes a series; no value needs to be escaped."""
    return metric + "{" + ",".join([f'{label}="{value}"' for label, value in labels.items()]) + "}"


def chance(labels: str) -> float:
    """From 0 to below 1, the same for a thing whenever it is asked for."""
    return zlib.crc32(labels.encode()) / 2**32


_SEVERAL: Mapping[str, tuple[str, ...]] = {
    "check": LABEL_VALUES["check"],
    "alias": ("champion", "challenger"),
    "dataset": ("", "holdout"),
}


def _states(family: Family) -> Iterator[dict[str, str]]:
    """The values of labels of which a thing has several."""
    several = {name: values for name, values in _SEVERAL.items() if name in family.labels}
    if "state" in family.labels:
        capacity, active = ("used", "free", "unavailable"), ("queued", "running")
        is_active = family.name in ("ml_runs_active", "ml_run_oldest_active_timestamp_seconds")
        several["state"] = capacity if "capacity" in family.name else active if is_active else tuple(map(str, TERMINAL))
    if "outcome" in family.labels:
        several["outcome"] = ("ok", "failed") if "polls" in family.name else LABEL_VALUES["probe_outcome"]
    for chosen in itertools.product(*several.values()):
        states = dict(zip(several, chosen, strict=True))
        if "version" in family.labels and "alias" in states:
            states["version"] = "7" if states["alias"] == "champion" else "8"
        yield states


_OTHERWISE = {"version": "7", "metric": "val_auc", "resource": "gpu", "currency": "USD", "component": "scheduler"}


def _samples(family: Family, labels: Mapping[str, str]) -> Iterator[Series]:
    mine = {label: labels.get(label, _OTHERWISE.get(label, "x")) for label in family.labels}
    name = named(family.name, mine)
    of_it = chance(name.removeprefix(family.name))
    if family.type == "histogram":
        begins = named(f"{family.name}_bucket", mine)[:-1] + ("," if mine else "")
        for index, bound in enumerate((*family.buckets, math.inf)):
            share = min(1.0, (index + 1) / len(family.buckets))
            le = "+Inf" if bound == math.inf else f"{bound:g}"
            yield Series(f'{begins}le="{le}"}}', 0.0, share * _rate(of_it))
    elif family.type == "counter":
        good = mine.get("state", "succeeded") == "succeeded" and mine.get("outcome", "ok") == "ok"
        dropped = "dropped" in family.name
        yield Series(name, 0.0, 0.0 if dropped else _rate(of_it) * (1.0 if good else 0.01))
    elif not family.name.endswith("_timestamp_seconds"):
        yield Series(name, _gauge(family.name, of_it), 0.0)
    elif family.name != "ml_pipeline_unmet_due_timestamp_seconds" or of_it < 1 / 7:
        yield Series(name, _BEGAN + _ahead(family.name, of_it), 1.0)


def _rate(chance: float) -> float:
    return _EVENTS * (0.5 + chance)


_FROM_TO: Mapping[str, tuple[float, float]] = {
    "ml_pipeline_cycle_seconds": (DAY, 2 * DAY),
    "ml_pipeline_paused": (0, 0),
    "ml_run_last_duration_seconds": (500, 900),
    "ml_run_typical_duration_seconds": (600, 700),
    "ml_training_metric_degradation_ratio": (-0.2, 0.06),
    "ml_model_metric_degradation_ratio": (-0.2, 0.06),
    "ml_source_interval_seconds": (30, 30),
    "ml_endpoint_interval_seconds": (30, 30),
    "ml_endpoint_latency_limit_seconds": (20, 30),
    "ml_endpoint_series_dropped": (0, 0),
    "ml_exporter_state_kept_aside": (0, 0),
}
"""Of gauges for which anything from 0 to 1 would fire alerts of nearly all."""


def _gauge(name: str, chance: float) -> float:
    if name.endswith(("_info", "_up", "_complete", "_successful")):
        return float(not (name == "ml_endpoint_up" and chance < 1 / 9))
    if name == "ml_pipeline_consecutive_failures":
        return 1.0 + round(chance * 70) if chance < 1 / 7 else 0.0
    least, most = _FROM_TO.get(name, (0, 1))
    return round(least + chance * (most - least), 3)


def _ahead(name: str, chance: float) -> float:
    """Seconds from now to the instant that a series tells; it keeps its distance."""
    if "next_due" in name or "not_after" in name:
        return 60 * DAY + chance * DAY
    if name.startswith(("ml_source_last_success", "ml_endpoint_last_probe", "ml_scheduler_heartbeat")):
        return -5.0
    days = 60 if name.startswith("ml_model_") else 1
    return -60 - chance * (600 if "oldest_active" in name else days * DAY)
