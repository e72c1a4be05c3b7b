"""Faults of game days: a file is a fault, for pipelines and for the model server."""

from __future__ import annotations

import asyncio
import json
import time
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
import yaml
from sklearn.datasets import load_diabetes
from threadpoolctl import threadpool_limits

from ml_exporter import canaries, config
from ml_exporter.demo.faults import BROKEN, SLOW, STOPPED, WORSE, WRONG, Faults
from ml_exporter.demo.pipelines.drill import drilled
from ml_exporter.demo.pipelines.trainings import TRAININGS, Trained, Training
from ml_exporter.demo.serving.gate import Gate
from ml_exporter.errors import WrongPrediction

FRAUD, DEMAND, CHURN = "fraud-flaky", "demand-degrading", "churn-healthy"


def under_drill(faults: Faults, pipeline: str) -> Training:
    return next(training for training in drilled(faults) if training.pipeline == pipeline)


def train(training: Training, number: int) -> Trained:
    with threadpool_limits(1):
        return training.fit(*training.load(number), number)


def test_a_fault_is_there_until_it_is_taken_back(tmp_path: Path) -> None:
    faults = Faults(tmp_path / "faults")
    assert not faults.there(SLOW)
    faults.put(SLOW)
    faults.put(BROKEN, FRAUD)
    assert (faults.there(SLOW), faults.there(BROKEN, FRAUD), faults.there(BROKEN, CHURN)) == (True, True, False)
    faults.take_back(SLOW)
    faults.take_back(SLOW)
    assert not faults.there(SLOW)


def test_without_a_folder_there_are_no_faults_and_none_can_be_put_in() -> None:
    assert not Faults(None).there(SLOW)
    with pytest.raises(ValueError, match="no folder"):
        Faults(None).put(SLOW)


def test_under_drill_nothing_fails_and_nothing_gets_worse_by_itself(tmp_path: Path) -> None:
    trainings = drilled(Faults(tmp_path))
    assert [training.pipeline for training in trainings] == [training.pipeline for training in TRAININGS]
    for training in trainings:
        first, later = train(training, 0), train(training, 60)
        assert later.metrics["val_loss"] == pytest.approx(first.metrics["val_loss"], rel=0.05)
        assert training.event(120) is None


def test_a_broken_pipeline_fails_until_its_data_is_whole_again(tmp_path: Path) -> None:
    faults = Faults(tmp_path)
    fraud = under_drill(faults, FRAUD)
    faults.put(BROKEN, FRAUD)
    with pytest.raises(ValueError, match="NaN"):
        train(fraud, 1)
    faults.take_back(BROKEN, FRAUD)
    assert train(fraud, 2).metrics["val_auc"] > 0.9


def test_only_the_pipeline_that_is_named_stops(tmp_path: Path) -> None:
    faults = Faults(tmp_path)
    faults.put(STOPPED, CHURN)
    assert [each.pipeline for each in drilled(faults) if each.stopped()] == [CHURN]


def test_a_champion_is_registered_at_first_and_when_the_fault_comes_and_goes(tmp_path: Path) -> None:
    faults = Faults(tmp_path)
    demand = under_drill(faults, DEMAND)
    registered = [demand.registers(0), demand.registers(1)]
    faults.put(WORSE, DEMAND)
    registered += [demand.registers(2), demand.registers(3)]
    faults.take_back(WORSE, DEMAND)
    registered += [demand.registers(4), demand.registers(5)]
    assert registered == [True, False, True, False, True, False]


def test_the_worse_champion_is_bad_enough_for_a_page_and_still_predicts_what_can_be(tmp_path: Path) -> None:
    faults = Faults(tmp_path)
    demand = under_drill(faults, DEMAND)
    sound = train(demand, 0)
    faults.put(WORSE, DEMAND)
    worse = train(demand, 1)
    assert worse.metrics["val_loss"] > 1.2 * sound.metrics["val_loss"]
    with threadpool_limits(1):
        predicted = worse.model.predict(load_diabetes(return_X_y=True)[0])
    assert 25 < predicted.min() <= predicted.max() < 346


def ask(gate: Gate, path: str) -> tuple[int, bytes, float]:
    """Status, body and seconds."""
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    began = time.monotonic()
    asyncio.run(gate({"type": "http", "path": path}, receive, send))
    return sent[0]["status"], sent[1]["body"], time.monotonic() - began


async def served(_scope: Any, _receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"as it is"})


@pytest.fixture
def faults(tmp_path: Path) -> Faults:
    return Faults(tmp_path)


@pytest.fixture
def gate(faults: Faults) -> Gate:
    gate = Gate(faults)
    gate.behind = served
    return gate


def test_a_slow_server_answers_rightly_and_over_the_limit_of_the_endpoint(gate: Gate, faults: Faults) -> None:
    faults.put(SLOW)
    status, body, seconds = ask(gate, "/invocations")
    assert (status, body) == (200, b"as it is")
    assert seconds > 0.25, "latency_limit in the configuration of game days"


def test_a_wrong_server_answers_in_form_what_the_canary_refuses(gate: Gate, faults: Faults) -> None:
    faults.put(WRONG)
    status, body, _ = ask(gate, "/invocations")
    assert status == 200
    template = resources.files("ml_exporter.gameday").joinpath("ml-exporter.yaml").read_text(encoding="utf-8")
    (endpoint,) = config.from_data({"endpoints": yaml.safe_load(template.replace("$", ""))["endpoints"]}).endpoints
    assert endpoint.canary
    with pytest.raises(WrongPrediction):
        canaries.hold(endpoint.canary, json.loads(body)["predictions"], 1)


def test_faults_leave_the_checks_of_life_alone(gate: Gate, faults: Faults) -> None:
    faults.put(WRONG)
    assert ask(gate, "/ping")[:2] == (200, b"as it is")


def test_without_a_model_a_wrong_server_refuses_as_always(faults: Faults) -> None:
    faults.put(WRONG)
    assert ask(Gate(faults), "/invocations")[0] == 503
