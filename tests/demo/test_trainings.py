import pytest

from ml_exporter.demo.pipelines.trainings import INCIDENT, RELABELLED_EVERY, TRAININGS, Trained

BY_NAME = {training.pipeline: training for training in TRAININGS}


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


def test_demand_gets_worse_from_run_to_run_until_its_labels_are_cleaned() -> None:
    losses = [train("demand-degrading", number).metrics["val_loss"] for number in range(RELABELLED_EVERY)]
    assert losses == sorted(losses)
    assert losses[30] > 1.1 * losses[20], "ten runs later it is more than 10 % worse"
    assert train("demand-degrading", RELABELLED_EVERY).metrics["val_loss"] == pytest.approx(losses[0])
