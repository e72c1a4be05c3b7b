"""What a metric family is, and the labels and bounds that several share."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Literal

Type = Literal["gauge", "counter", "histogram"]

RUN_DURATION_BUCKETS = (10.0, 60.0, 300.0, 900.0, 3600.0, 10800.0, 21600.0, 43200.0, 86400.0)
RUN_QUEUE_BUCKETS = (1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 10800.0, 43200.0)
POLL_DURATION_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
PROBE_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Of probes, unless `probes.buckets` says otherwise."""
LATENESS_BUCKETS = (0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0)


class Shed(IntEnum):
    """What goes first over the series limit. States and last-success times have none: they stay."""

    TASKS = 1
    TRAINING_METRICS = 2
    HISTOGRAMS = 3


@dataclass(frozen=True, slots=True)
class Family:
    """A metric family. `labels` are all its labels, in the order they are written."""

    name: str
    type: Type
    labels: tuple[str, ...]
    help: str
    shed: Shed | None = None
    buckets: tuple[float, ...] = ()
    """Upper bounds of a histogram, without +Inf."""

    @property
    def own_labels(self) -> tuple[str, ...]:
        """The labels that a sample gives; `source` and `ml_service` are added when it is rendered."""
        return tuple(label for label in self.labels if label not in ("source", "ml_service"))


PIPELINE = ("source", "ml_service", "pipeline")
TASK = (*PIPELINE, "task")
MODEL = ("source", "ml_service", "model")
VERSION = (*MODEL, "version")
SOURCE = ("source",)
ENDPOINT = ("ml_service", "ml_endpoint")
SERVED = (*ENDPOINT, "model", "version")


def gauge(name: str, labels: tuple[str, ...], text: str, shed: Shed | None = None) -> Family:
    return Family(name, "gauge", labels, text, shed)


def counter(name: str, labels: tuple[str, ...], text: str, shed: Shed | None = None) -> Family:
    return Family(name, "counter", labels, text, shed)


def histogram(
    name: str, labels: tuple[str, ...], text: str, buckets: tuple[float, ...], shed: Shed | None = None
) -> Family:
    return Family(name, "histogram", labels, text, shed, buckets)
