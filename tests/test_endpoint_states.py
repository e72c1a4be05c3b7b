"""What probes showed of a model: born at 0, counted by version, and what is unknown is not shown as fine."""

from __future__ import annotations

from typing import Any

from ml_exporter.endpoint_states import FORGET, SEVERAL, VERSIONS, Served
from ml_exporter.exposition import Exposition
from ml_exporter.lines import render_group
from ml_exporter.model import Check, HistogramSample, Outcome, Sample
from ml_exporter.ports import Call, Finding, Result, StepResult

GAP = 18.0
TRACE = "0af7651916cd43dd8448eb211c80319c"
CALL = Call("GET", "/")


def result(outcome: Outcome = Outcome.OK, seconds: float = 0.02, **found: Any) -> Result:
    steps = (StepResult(Check.LIVE, CALL, Outcome.OK, 0.001), StepResult(Check.PREDICT, CALL, outcome, seconds))
    return Result(0.0, seconds, outcome, steps, Finding(**found), TRACE, "b7ad6b7169203331")


def served(version: str = "", *results: tuple[Result, float]) -> Served:
    made = Served("fraud", version, (Check.LIVE, Check.PREDICT), (0.01, 0.1), GAP, 0.0)
    for each, at in results:
        made.record(each, at)
    return made


def counted(model: Served, now: float) -> dict[tuple[str, ...], float]:
    """Version and outcome → probes, of those that are not 0."""
    return {
        s.labels[1:]: s.value
        for s in model.samples(now)
        if isinstance(s, Sample) and s.family == "ml_endpoint_probes_total" and s.value
    }


def values(model: Served, family: str, now: float = 1000.0) -> dict[tuple[str, ...], float]:
    return {s.labels: s.value for s in model.samples(now) if isinstance(s, Sample) and s.family == family}


def test_before_the_first_probe_nothing_is_known_but_since_when() -> None:
    assert list(served().samples(5.0)) == [Sample("ml_endpoint_last_probe_timestamp_seconds", ("fraud",), 0.0)]


def test_a_probe_that_could_not_be_made_takes_the_state_away_and_keeps_the_counters() -> None:
    model = served("", (result(version="3"), 100.0))
    model.lose()
    assert model.lost
    assert values(model, "ml_endpoint_up") == {}
    assert counted(model, 1000.0) == {("3", "ok"): 1}
    assert values(model, "ml_endpoint_last_probe_timestamp_seconds") == {("fraud",): 100.0}


def test_new_counters_are_shown_at_0_until_a_scrape_has_seen_them() -> None:
    model = served("", (result(version="3"), 100.0), (result(version="3"), 110.0))
    assert values(model, "ml_endpoint_probes_total", 110.0)[("fraud", "3", "ok")] == 0
    assert model.ripe_at(110.0) == 100.0 + GAP
    assert counted(model, 100.0 + GAP) == {("3", "ok"): 2}
    assert model.ripe_at(100.0 + GAP) is None


def test_every_outcome_is_there_from_the_start() -> None:
    shown = values(served("", (result(), 100.0)), "ml_endpoint_probes_total")
    assert {labels[2] for labels in shown} == {str(outcome) for outcome in Outcome}


def test_a_probe_that_no_version_answered_counts_for_the_last_known_one() -> None:
    model = served("", (result(version="3"), 0.0), (result(Outcome.TIMEOUT), 30.0))
    assert counted(model, 1000.0) == {("3", "ok"): 1, ("3", "timeout"): 1}
    assert served("7", (result(Outcome.UNREACHABLE), 0.0)).version == "7"


def test_a_wrong_answer_counts_for_the_version_that_gave_it() -> None:
    model = served("", (result(version="3"), 0.0), (result(Outcome.BAD_PREDICTION, version="4"), 30.0))
    assert counted(model, 1000.0) == {("3", "ok"): 1, ("4", "bad_prediction"): 1}


def test_only_the_version_that_answers_now_is_up_and_an_old_one_is_forgotten_in_time() -> None:
    model = served("", (result(version="3"), 0.0), (result(version="4"), 30.0))
    assert values(model, "ml_endpoint_up") == {("fraud", "4", "live"): 1, ("fraud", "4", "predict"): 1}
    assert {version for version, _ in counted(model, 1000.0)} == {"3", "4"}
    model.record(result(version="4"), 31.0 + FORGET)
    assert {version for version, _ in counted(model, 60.0 + FORGET)} == {"4"}


def test_a_server_that_names_a_new_version_each_time_makes_few_series_and_loses_no_count() -> None:
    wrong = [(result(Outcome.BAD_PREDICTION, version=str(number)), float(number)) for number in range(100)]
    model = served("", *wrong)
    assert counted(model, 1000.0) == {
        **{(str(number), "bad_prediction"): 1 for number in range(VERSIONS)},
        (SEVERAL, "bad_prediction"): 100 - VERSIONS,
    }
    assert {labels[1] for labels in values(model, "ml_endpoint_up")} == {SEVERAL}


def test_a_check_that_could_not_be_made_is_not_up() -> None:
    timed_out = result(Outcome.TIMEOUT)
    model = served("", (timed_out._replace(steps=()), 0.0))
    assert set(values(model, "ml_endpoint_up").values()) == {0}


def test_only_good_probes_have_a_latency() -> None:
    model = served("", (result(seconds=0.02), 0.0), (result(Outcome.HTTP_ERROR, seconds=0.001), 1.0))
    (sample,) = [s for s in model.samples(1000.0) if isinstance(s, HistogramSample)]
    assert (sample.counts, sample.total, sample.bounds) == ((0, 1, 0), 0.02, (0.01, 0.1))


def test_tokens_have_histograms_once_there_are_any() -> None:
    model = served("", (result(tokens=3, first_token=0.05, gaps=(0.005, 0.2)), 0.0))
    samples = {s.family: s for s in model.samples(1000.0) if isinstance(s, HistogramSample)}
    assert samples["ml_endpoint_time_to_first_token_seconds"].counts == (0, 1, 0)
    assert samples["ml_endpoint_inter_token_seconds"].counts == (1, 0, 1)
    assert values(model, "ml_endpoint_output_tokens_total") == {("fraud", ""): 3}


def test_a_bucket_carries_the_trace_of_its_last_probe_in_openmetrics_alone() -> None:
    model = served("", (result(seconds=0.02, version='3"\\'), 5.0))
    exposition = Exposition()
    group = render_group(model.samples(1000.0), {"ml_service": "risk", "ml_endpoint": "fraud"})
    exposition.update("endpoint fraud", {"": group})
    openmetrics = exposition.scrape(openmetrics=True, gzip=False)[0].decode()
    assert f'le="0.1"}} 1 # {{trace_id="{TRACE}"}} 0.02 5.000\n' in openmetrics
    assert openmetrics.count("trace_id") == 1
    plain = exposition.scrape(openmetrics=False, gzip=False)[0].decode()
    assert "trace_id" not in plain
    assert 'le="0.1"} 1\n' in plain


def test_a_probe_whose_trace_is_not_recorded_leaves_no_exemplar() -> None:
    probe = result(seconds=0.02, first_token=0.05, gaps=(0.005,))
    for sampled, families in ((True, 3), (False, 0)):
        model = served("", (probe._replace(sampled=sampled), 5.0))
        histograms = [s for s in model.samples(1000.0) if isinstance(s, HistogramSample)]
        assert len(histograms) == 3
        assert sum(bool(histogram.exemplars) for histogram in histograms) == families
