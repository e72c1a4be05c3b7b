import pytest

from ml_exporter.demo import table

NOW = 1_000_000.0


def answering(queries: dict[str, list[tuple[dict[str, str], float]]] | None = None, **families: list):
    """A Prometheus that knows these families, and what these whole queries answer."""
    return lambda expression: (queries or {}).get(expression) or families.get(expression.partition("{")[0], [])


def test_a_pipeline_shows_its_last_state_age_failures_and_degradation() -> None:
    fraud = {"source": "tracking", "pipeline": "fraud"}
    metric = {**fraud, "metric": "val_loss"}
    text = table.render(
        answering(
            ml_run_last_finished_timestamp_seconds=[
                ({**fraud, "state": "succeeded"}, NOW - 90),
                ({**fraud, "state": "failed"}, NOW - 10),
            ],
            ml_pipeline_consecutive_failures=[(fraud, 3.0)],
            ml_training_metric=[(metric, 0.3)],
            ml_training_metric_baseline=[(metric, 0.25)],
            ml_training_metric_degradation_ratio=[(metric, 0.2)],
            ALERTS=[({**fraud, "alertname": "MLPipelineFailing"}, 1.0), ({"alertname": "Watchdog"}, 1.0)],
        ),
        NOW,
    )
    line = next(line for line in text.splitlines() if line.startswith("fraud"))
    assert line.split("  ")[0] == "fraud"
    for word in ("failed", "90 s ago", "3", "val_loss", "0.3", "0.25", "+20.0%", "MLPipelineFailing"):
        assert word in line
    assert "firing elsewhere: Watchdog" in text


def test_a_pipeline_that_never_succeeded_says_so() -> None:
    failed = ({"pipeline": "new", "state": "failed"}, NOW - 5)
    text = table.render(answering(ml_run_last_finished_timestamp_seconds=[failed]), NOW)
    assert "never" in text


def test_without_an_answer_there_is_an_empty_table() -> None:
    heads = table.render(answering(), NOW).splitlines()
    assert [head.split()[0] for head in heads[:-1]] == ["PIPELINE", "ENDPOINT"]
    assert heads[-1] == "firing elsewhere: nothing"


def test_before_there_is_a_baseline_the_table_says_what_it_needs() -> None:
    metric = {"pipeline": "new", "metric": "val_loss"}
    text = table.render(answering(ml_training_metric=[(metric, 0.3)]), NOW)
    assert "needs 5 earlier successes" in text
    assert "needs 5 earlier successes" not in table.render(
        answering(ml_training_metric=[(metric, 0.3)], ml_training_metric_baseline=[(metric, 0.25)]), NOW
    )


@pytest.mark.parametrize(
    ("value", "shown"), [(96747.32, "96750"), (0.000012345, "0.00001234"), (0.25, "0.25"), (-3.0, "-3"), (0.0, "0")]
)
def test_numbers_have_at_most_4_digits_and_no_exponent(value: float, shown: str) -> None:
    metric = {"pipeline": "p", "metric": "val_loss"}
    text = table.render(answering(ml_training_metric=[(metric, value)]), NOW)
    assert f" {shown} " in text


def test_the_last_event_is_told_below_the_table() -> None:
    assert table.render(answering(), NOW, "event: labels were cleaned").endswith("\nevent: labels were cleaned")


def test_a_tiny_improvement_is_not_shown_as_minus_zero() -> None:
    metric = {"pipeline": "p", "metric": "val_loss"}
    text = table.render(answering(ml_training_metric_degradation_ratio=[(metric, -0.0001)]), NOW)
    assert "+0.0%" in text


def endpoint_line(**answers) -> str:
    lines = table.render(answering(**answers), NOW).splitlines()
    return next(line for line in lines if line.startswith("demand"))


DEMAND = {"ml_endpoint": "demand", "model": "demand"}
UP = [({**DEMAND, "check": check}, 1.0) for check in ("live", "ready", "predict")]


def test_an_endpoint_shows_that_it_is_up_its_outcomes_and_its_latency() -> None:
    outcomes = [({**DEMAND, "outcome": "ok"}, 11.6), ({**DEMAND, "outcome": "timeout"}, 1.2)]
    line = endpoint_line(ml_endpoint_up=UP, queries={table.OUTCOMES: outcomes, table.LATENCY: [(DEMAND, 0.0123)]})
    assert line.split() == ["demand", "yes", "12", "ok,", "1", "timeout", "12", "ms"]


def test_an_endpoint_shows_which_checks_fail_and_what_fires_for_it() -> None:
    wrong = ({**DEMAND, "alertname": "MLEndpointWrongPredictions"}, 1.0)
    line = endpoint_line(ml_endpoint_up=[*UP[:2], ({**DEMAND, "check": "predict"}, 0.0)], ALERTS=[wrong])
    assert line.split() == ["demand", "not", "predict", "MLEndpointWrongPredictions"]


def test_an_endpoint_where_no_prediction_went_well_has_no_latency() -> None:
    line = endpoint_line(ml_endpoint_up=UP, queries={table.LATENCY: [(DEMAND, float("nan"))]})
    assert line.split() == ["demand", "yes"]
