"""Verdicts and reports of game days, from notifications as they were written down."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from tests.support.gamedays import BACK, BY_NAME, END, FAULT, as_it_must, message, run, stranger

from ml_exporter.gameday import report
from ml_exporter.gameday.recorder import Recorder, Told, told
from ml_exporter.gameday.verdict import Verdict, judge


def verdict(*more: Told, name: str = "endpoint-wrong", **changes: object) -> Verdict:
    one = run(name, **changes)
    return judge(one, sorted([*as_it_must(name), *more], key=lambda each: each.at), [one])


def test_told_in_time_and_resolved_passes_with_its_times() -> None:
    found = verdict()
    assert found.passed
    assert (found.pending, found.firing, found.delivered, found.cleared) == (4.0, 7.0, 8.0, 20.0)
    assert found.also == []


def test_nothing_at_all_fails_and_says_what_became_of_the_alert() -> None:
    one = run(state="pending")
    found = judge(one, [], [one])
    expected = "MLEndpointWrongPredictions did not reach page (stated: within 15 s); in Prometheus it was pending"
    assert found.reasons == [expected]


def test_a_late_alert_fails() -> None:
    one = run()
    found = judge(one, [message(one.scenario, FAULT + 16), message(one.scenario, BACK + 5, firing=False)], [one])
    assert found.reasons == ["late: told after 16 s, stated are 15 s"]


def test_a_wrong_page_fails() -> None:
    found = verdict(stranger("MLEndpointDown", "page", ml_endpoint="demand"))
    assert found.reasons == ["MLEndpointDown paged, and nothing had been done that should page so"]
    assert found.also == ["page: MLEndpointDown"]


def test_the_right_alert_of_another_endpoint_is_a_wrong_page() -> None:
    found = verdict(stranger("MLEndpointWrongPredictions", "page", ml_endpoint="churn"))
    assert not found.passed


def test_a_ticket_beside_it_is_reported_and_fails_nothing() -> None:
    found = verdict(stranger("MLTrainingMetricWorse", "ticket"))
    assert found.passed
    assert found.also == ["ticket: MLTrainingMetricWorse"]


def test_a_page_that_another_scenario_of_that_time_must_cause_is_its_own() -> None:
    other = run("model-worse")
    one = run()
    day = [*as_it_must(), *as_it_must("model-worse")]
    assert judge(one, day, [one, other]).passed
    over = replace(other, ended_at=FAULT + 2)
    assert not judge(one, day, [one, over]).passed, "it paged after that scenario was over"


def test_a_page_before_the_fault_or_after_the_end_is_not_its_business() -> None:
    early, late = stranger("MLEndpointDown", "page", FAULT - 1), stranger("MLEndpointDown", "page", END + 1)
    assert verdict(early, late).passed


def test_an_alert_that_was_there_before_the_fault_proves_nothing() -> None:
    found = verdict(message(BY_NAME["endpoint-wrong"], FAULT - 5))
    assert found.reasons == ["MLEndpointWrongPredictions was told before the fault"]


def test_an_alert_that_had_resolved_before_the_fault_does_no_harm() -> None:
    scenario = BY_NAME["endpoint-wrong"]
    assert verdict(message(scenario, FAULT - 50), message(scenario, FAULT - 5, firing=False)).passed


def test_the_wrong_receiver_fails() -> None:
    one = run()
    found = judge(one, [message(one.scenario, FAULT + 8, channel="ticket")], [one])
    assert any("did not reach page" in reason for reason in found.reasons)
    assert "MLEndpointWrongPredictions reached ticket, not only page" in found.reasons


def test_an_alert_that_never_resolves_fails() -> None:
    one = run()
    found = judge(one, as_it_must()[:1], [one])
    expected = "MLEndpointWrongPredictions did not resolve after the fault was taken back (stated: within 30 s)"
    assert found.reasons == [expected]


def test_an_alert_that_resolves_late_fails() -> None:
    one = run()
    found = judge(one, [as_it_must()[0], message(one.scenario, BACK + 31, firing=False)], [one])
    assert found.reasons == ["resolved late: after 31 s, stated are 30 s"]


def test_an_alert_that_resolves_by_itself_while_the_fault_is_there_has_not_resolved() -> None:
    one = run()
    found = judge(one, [as_it_must()[0], message(one.scenario, BACK - 5, firing=False)], [one])
    assert len(found.reasons) == 1
    assert "did not resolve" in found.reasons[0]


def test_what_should_be_held_back_while_mlflow_is_down_fails_though_it_is_a_ticket() -> None:
    overdue = stranger("MLPipelineOverdue", "ticket", source="tracking", pipeline="churn-healthy")
    assert verdict(overdue, name="mlflow-down").reasons == [
        "MLPipelineOverdue was told, and should have been held back"
    ]
    assert verdict(replace(overdue, at=BACK + 5), name="mlflow-down").passed, "MLflow was back"
    elsewhere = stranger("MLSchedulerHeartbeatStale", "ticket", source="scheduler")
    assert verdict(elsewhere, name="mlflow-down").passed


def test_a_scenario_that_was_never_ready_fails_with_the_reason() -> None:
    one = run(fault_at=None, back_at=None, error="not ready for it after 60 s: up == 1")
    assert judge(one, [], [one]).reasons == ["not ready for it after 60 s: up == 1"]


def test_a_scenario_that_could_not_be_carried_through_fails_though_all_was_told() -> None:
    assert verdict(error="nothing had to be held back").reasons == ["nothing had to be held back"]


def test_every_format_of_the_report_shows_times_failures_and_the_stand_in() -> None:
    good, bad = verdict(), judge(run("model-worse"), [], [run("model-worse")])
    text, page = report.table([good, bad]), report.markdown([good, bad])
    for shown in (text, page):
        assert "failed: model-worse" in shown
        assert "model-worse: FAILED: MLModelQualityDegradedLive did not reach page" in shown
        assert "stand-in" in shown
    row = next(line for line in text.splitlines() if line.startswith("endpoint-wrong "))
    assert row.split()[1:4] == ["passed", "MLEndpointWrongPredictions", "page"]
    assert row.endswith("4 s      7 s     8 s   15 s    20 s      30 s")
    plain = json.loads(report.as_json([good, bad]))
    assert [each["passed"] for each in plain] == [True, False]
    assert plain[0]["delivered"] == 8.0
    assert plain[1]["delivered"] is None
    assert report.summary([good]) == "all 1 scenarios passed"


def test_a_webhook_message_is_written_down_alert_by_alert() -> None:
    alert = {"status": "firing", "labels": {"alertname": "A", "x": "1"}, "startsAt": "2026-01-01T00:00:10.5Z"}
    (entry,) = told("page", {"alerts": [alert]}, 1_767_225_620.0)
    assert entry.about("A", {"x": "1"})
    assert not entry.about("A", {"x": "2"})
    assert not entry.about("B", {})
    assert entry.at - entry.starts_at == pytest.approx(9.5)


def test_a_recorder_keeps_the_order_and_a_copy_on_disk(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "told.jsonl")
    recorder.add(as_it_must())
    assert [entry.firing for entry in recorder.all()] == [True, False]
    lines = (tmp_path / "told.jsonl").read_text().splitlines()
    assert [json.loads(line)["firing"] for line in lines] == [True, False]
