"""A training that takes its time: epoch after epoch, with metrics by step and what it uses of the processor."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator

from mlflow import MlflowClient
from mlflow.entities import Metric
from mlflow.exceptions import MlflowException
from sklearn.datasets import load_digits
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier

from ml_exporter.demo.pipelines import tracking

PIPELINE = "fraud-network"
EPOCHS = 8
PACE = 2.0
"""Seconds that an epoch takes at least: on so little data it would be over before anybody saw it run."""
REST = 6.0
"""Seconds between two runs."""


def epochs(seed: int) -> Iterator[dict[str, float]]:
    """Train a small network on the eights among the digits; the metrics after each epoch."""
    features, digits = load_digits(return_X_y=True)
    train, held_out, labels, held_out_labels = train_test_split(features / 16.0, digits == 8, random_state=0)
    network = MLPClassifier(hidden_layer_sizes=(16,), learning_rate_init=0.01, random_state=seed)
    for _ in range(EPOCHS):
        network.partial_fit(train, labels, classes=[False, True])
        scores = network.predict_proba(held_out)[:, 1]
        yield {"val_auc": roc_auc_score(held_out_labels, scores), "val_loss": log_loss(held_out_labels, scores)}


class LongTraining:
    """The pipeline. It has a client of its own and no run of the thread: others train beside it."""

    def __init__(self, client: MlflowClient, sleep: Callable[[float], None] = time.sleep) -> None:
        self._client, self._sleep = client, sleep

    def go_on(self) -> None:
        """Train again and again; does not return. What MLflow refuses is tried again."""
        seed = 0
        while True:
            try:
                tracking.end_abandoned(self._client, PIPELINE)
                self.once(seed)
            except MlflowException as error:
                print(f"{PIPELINE} {seed}: {str(error).splitlines()[0]}", flush=True)
            seed += 1
            self._sleep(REST)

    def once(self, seed: int) -> None:
        """A run."""
        run_id = self._client.create_run(self._experiment(), run_name=f"{PIPELINE}-{seed}").info.run_id
        self._client.log_param(run_id, "seed", seed)
        began = _used()
        for step, metrics in enumerate(epochs(seed)):
            self._sleep(PACE)
            ended = _used()
            self._log(run_id, step, {**metrics, "system/cpu_utilization_percentage": _share(began, ended)})
            began = ended
        self._client.set_terminated(run_id)

    def _log(self, run_id: str, step: int, metrics: dict[str, float]) -> None:
        now = int(time.time() * 1000)
        self._client.log_batch(run_id, [Metric(name, float(value), now, step) for name, value in metrics.items()])

    def _experiment(self) -> str:
        found = self._client.get_experiment_by_name(PIPELINE)
        return str(found.experiment_id if found else self._client.create_experiment(PIPELINE))


def _used() -> tuple[float, float]:
    """Seconds of a processor that this process has used, and seconds that have passed."""
    times = os.times()
    return times.user + times.system, times.elapsed


def _share(began: tuple[float, float], ended: tuple[float, float]) -> float:
    """Per cent of one processor that was used between two readings."""
    return min(100.0, 100.0 * (ended[0] - began[0]) / max(0.001, ended[1] - began[1]))
