"""Trains all pipelines again and again: `python -m ml_exporter.demo.pipelines --tracking-uri URL --cycle 10`."""

from __future__ import annotations

import argparse
import threading
import time
from pathlib import Path

from ml_exporter.demo import environment
from ml_exporter.demo.faults import Faults

environment.prepare()

import mlflow  # noqa: E402 - it reads what was prepared
from mlflow import MlflowClient  # noqa: E402 - the same
from mlflow.exceptions import MlflowException  # noqa: E402 - the same

from ml_exporter.demo.pipelines import EVENT, tracking  # noqa: E402 - it imports mlflow
from ml_exporter.demo.pipelines.drill import drilled  # noqa: E402 - it imports numpy
from ml_exporter.demo.pipelines.epochs import LongTraining  # noqa: E402 - it imports mlflow
from ml_exporter.demo.pipelines.trainings import TRAININGS, Training  # noqa: E402 - it imports numpy


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="pipelines", description=__doc__)
    parser.add_argument("--tracking-uri", default="http://127.0.0.1:5000", help="address of MLflow")
    parser.add_argument("--cycle", type=float, default=10.0, help="seconds from one training of a pipeline to its next")
    parser.add_argument("--rounds", type=int, default=None, help="stop after so many rounds; forever if not given")
    parser.add_argument("--faults", type=Path, help="a game day: nothing fails but what this folder says")
    options = parser.parse_args(arguments)
    trainings = drilled(Faults(options.faults)) if options.faults else TRAININGS
    mlflow.set_tracking_uri(options.tracking_uri)
    client = MlflowClient()
    numbers = {training.pipeline: _resume(client, training) for training in trainings}
    if not options.faults and options.rounds is None:
        threading.Thread(target=LongTraining(client).go_on, daemon=True).start()
    done = 0
    while options.rounds is None or done < options.rounds:
        started = time.monotonic()
        for training in trainings:
            if training.stopped():
                continue
            numbers[training.pipeline] += 1
            _train(client, training, numbers[training.pipeline])
        done += 1
        time.sleep(max(0.0, started + options.cycle - time.monotonic()))


def _resume(client: MlflowClient, training: Training) -> int:
    """The last number that was used. Waits for MLflow for as long as it takes."""
    while True:
        try:
            abandoned = tracking.end_abandoned(client, training.pipeline)
            if abandoned:
                print(f"{training.pipeline}: {abandoned} abandoned run(s) marked as killed", flush=True)
            return tracking.last_number(client, training)
        except MlflowException as error:
            print(f"waiting for MLflow: {_first_line(error)}", flush=True)
            time.sleep(2)


def _train(client: MlflowClient, training: Training, number: int) -> None:
    started = time.monotonic()
    event = training.event(number)
    if event:
        print(f"{EVENT}{training.pipeline} {number}: {event}", flush=True)
    try:
        trained = tracking.run(client, training, number)
    except Exception as error:  # the whole point: a training that fails must not end the others
        print(f"{training.pipeline} {number}: failed: {_first_line(error)}", flush=True)
    else:
        figures = " ".join(f"{name}={value:.4g}" for name, value in trained.metrics.items())
        print(f"{training.pipeline} {number}: {figures} in {time.monotonic() - started:.1f} s", flush=True)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [repr(error)])[0]


if __name__ == "__main__":
    main()
