"""The same pipelines for game days: nothing fails, and nothing gets worse, unless a fault says so."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ml_exporter.demo.faults import BROKEN, STOPPED, WORSE, Faults
from ml_exporter.demo.pipelines import trainings
from ml_exporter.demo.pipelines.trainings import TRAININGS, Trained, Training

_STRONG = 100.0
"""A penalty that lets the model predict little but the mean: far worse, and still what a patient can have."""


def drilled(faults: Faults) -> tuple[Training, ...]:
    """The demo's pipelines without their own troubles, and with those that are put in."""
    return tuple(_Drilled(training, faults).training() for training in TRAININGS)


class _Drilled:
    """A pipeline under drill. A new champion is registered where there is none, and when the fault comes or goes."""

    def __init__(self, training: Training, faults: Faults) -> None:
        self._training, self._faults = training, faults
        self._registered: bool | None = None

    def training(self) -> Training:
        return replace(
            self._training,
            load=self._load,
            fit=self._fit,
            event=lambda _number: None,
            registers=self._registers,
            alias=lambda _number: "champion",
            stopped=lambda: self._there(STOPPED),
        )

    def _there(self, kind: str) -> bool:
        return self._faults.there(kind, self._training.pipeline)

    def _load(self, _number: int) -> tuple[Any, Any]:
        return trainings.with_holes(*self._training.load(0)) if self._there(BROKEN) else self._training.load(0)

    def _fit(self, features: Any, labels: Any, number: int) -> Trained:
        if self._there(WORSE):
            return trainings.regress(features, labels, _STRONG)
        return self._training.fit(features, labels, number)

    def _registers(self, _number: int) -> bool:
        worse = self._there(WORSE)
        changed, self._registered = worse != self._registered, worse
        return changed
