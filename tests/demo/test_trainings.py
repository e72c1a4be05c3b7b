from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import pytest
import yaml
from sklearn.datasets import load_diabetes
from threadpoolctl import threadpool_limits

import ml_exporter.demo
from ml_exporter import canaries, config
from ml_exporter.demo.pipelines.trainings import INCIDENT, REGISTERED_EVERY, RELABELLED_EVERY, TRAININGS, Trained
from ml_exporter.errors import WrongPrediction
from ml_exporter.model_states import degradation
from ml_exporter.states import HISTORY, MIN_HISTORY

BY_NAME = {training.pipeline: training for training in TRAININGS}


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Several threads take longer over matrices this small, and much longer on a busy machine."""
    with threadpool_limits(1):
        yield


def train(pipeline: str, number: int) -> Trained:
    training = BY_NAME[pipeline]
    features, labels = training.load(number)
    return training.fit(features, labels, number)


def test_churn_always_succeeds_and_stays_good() -> None:
    assert all(train("churn-healthy", number).metrics["val_auc"] > 0.95 for number in range(10))


def succeeds(pipeline: str, number: int) -> bool:
    try:
        train(pipeline, number)
    except ValueError:
        return False
    return True


def test_fraud_fails_because_its_data_has_holes() -> None:
    failing = next(number for number in range(60) if not succeeds("fraud-flaky", number))
    with pytest.raises(ValueError, match="NaN"):
        train("fraud-flaky", failing)


def test_fraud_fails_now_and_then_and_several_times_in_a_row() -> None:
    went_well = [succeeds("fraud-flaky", number) for number in range(30)]
    assert 15 <= sum(went_well) < 30
    assert went_well[:INCIDENT] == [True] * INCIDENT, "the first impression is of a pipeline that works"
    assert [False] * INCIDENT in [went_well[start : start + INCIDENT] for start in range(30)]


DIRECTIONS = {"val_auc": "higher", "val_loss": "lower"}
"""As both configurations of the demo have them."""


def degradations(pipeline: str, trainings: int) -> Iterator[tuple[int, float]]:
    """The alerts' arithmetic: the number of each success, and how much worse its worst metric is than its baseline."""
    past: list[Trained] = []
    for number in range(trainings):
        try:
            trained = train(pipeline, number)
        except ValueError:
            continue
        if len(past) >= MIN_HISTORY:
            yield (
                number,
                max(worse(past[-HISTORY:], trained, metric) for metric in DIRECTIONS if metric in trained.metrics),
            )
        past.append(trained)


def worse(before: list[Trained], trained: Trained, metric: str) -> float:
    found = degradation(trained.metrics[metric], median(each.metrics[metric] for each in before), DIRECTIONS[metric])
    assert found is not None
    return found


@pytest.mark.parametrize("pipeline", ["churn-healthy", "fraud-flaky"])
def test_the_figures_of_churn_and_fraud_are_too_steady_for_any_alert(pipeline: str) -> None:
    found = [ratio for _, ratio in degradations(pipeline, 100)]
    assert len(found) >= 60
    assert max(found) < 0.05


def test_demand_is_10_percent_worse_than_its_baseline_within_25_trainings_and_stays_so() -> None:
    found = dict(degradations("demand-degrading", RELABELLED_EVERY))
    first = next(number for number, ratio in found.items() if ratio > 0.1)
    assert first <= 25
    assert all(ratio > 0.1 for number, ratio in found.items() if number >= first)


def test_the_live_demand_model_is_bad_enough_for_a_page_within_5_minutes_of_15_second_cycles() -> None:
    found = dict(degradations("demand-degrading", 20))
    assert any(found.get(number, 0.0) > 0.1 for number in range(0, 20, REGISTERED_EVERY))


def test_demand_gets_worse_from_run_to_run_until_its_labels_are_cleaned() -> None:
    losses = [train("demand-degrading", number).metrics["val_loss"] for number in range(RELABELLED_EVERY)]
    assert losses == sorted(losses)
    assert train("demand-degrading", RELABELLED_EVERY).metrics["val_loss"] == pytest.approx(losses[0])


def test_every_other_version_of_churn_challenges_and_all_of_demand_are_champions() -> None:
    registering = [n for n in range(40) if BY_NAME["churn-healthy"].registers(n)]
    told = {each: [BY_NAME[each].alias(n) for n in registering] for each in ("churn-healthy", "demand-degrading")}
    assert told["churn-healthy"] == ["champion", "challenger", "champion", "challenger", "champion"]
    assert set(told["demand-degrading"]) == {"champion"}


def test_the_run_that_starts_over_says_so() -> None:
    told = {each: [n for n in range(3 * RELABELLED_EVERY) if BY_NAME[each].event(n)] for each in BY_NAME}
    assert told == {
        "churn-healthy": [],
        "fraud-flaky": [],
        "demand-degrading": [RELABELLED_EVERY, 2 * RELABELLED_EVERY],
    }


def probed() -> dict[str, Any]:
    """The endpoint of the champion in the configuration of the demo, wherever it is served."""
    configuration = Path(ml_exporter.demo.__file__).with_name("ml-exporter.yaml")
    endpoints = yaml.safe_load(configuration.read_text(encoding="utf-8"))["endpoints"]
    endpoint = next(each for each in endpoints if each["name"] == "demand")
    return {**endpoint, "url": "http://serving", "interval": "5s"}


def as_expected(number: int) -> bool:
    """Whether the canary of the demo is content with the model of this run."""
    (endpoint,) = config.from_data({"endpoints": [{**probed(), "registered_model": None}]}).endpoints
    assert endpoint.canary
    (rows,) = yaml.safe_load(endpoint.canary.body).values()
    try:
        canaries.hold(endpoint.canary, train("demand-degrading", number).model.predict(rows).tolist(), len(rows))
    except WrongPrediction:
        return False
    return True


def test_the_canary_is_the_last_row_of_the_data_and_its_limits_are_those_of_the_labels() -> None:
    features, labels = load_diabetes(return_X_y=True)
    canary = probed()["canary"]
    assert canary["request"]["inputs"] == [pytest.approx(features[-1], abs=1e-4)]
    assert (canary["expect"][0]["min"], canary["expect"][0]["max"]) == (labels.min(), labels.max())


def test_the_served_champion_predicts_well_for_10_minutes_then_wrong_until_the_labels_are_cleaned() -> None:
    champions = range(0, RELABELLED_EVERY + 1, REGISTERED_EVERY)
    wrong = [number for number in champions if not as_expected(number)]
    assert 60 <= wrong[0] <= 90
    assert wrong == list(range(wrong[0], RELABELLED_EVERY, REGISTERED_EVERY))
