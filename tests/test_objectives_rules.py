"""What the rules on objectives make of pipelines, groups and parts that are late, gone or not known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.support.slo_rules import verdict

PIPELINE = 'source="tracking",ml_service="fraud",pipeline="train",instance="a:9840"'
SOURCE = 'source="tracking",instance="a:9840"'
FIRING = 'count by (alertname) (ALERTS{alertstate="firing"})'
PAGING = 'count by (alertname) (ALERTS{alertstate="firing",severity="page"})'
MISSED = "sum(slo:deadline_missed:bool)"
DEADLINE = {'{alertname="MLObjectiveDeadlineMissed"}': 1}
ABSENT = {'{alertname="MLObjectiveAbsent"}': 1}
LENGTH = 300
"""Minutes."""


def data(*slos: dict[str, Any]) -> dict[str, Any]:
    return {
        "sources": [{"name": "tracking", "kind": "mlflow", "url": "http://127.0.0.1:1"}],
        "endpoints": [{"name": "fraud", "protocol": "open_inference", "url": "http://127.0.0.1:1", "model": "fraud"}],
        "services": [{"name": "fraud", "owner": "risk-ml"}],
        "slos": [{"service": "fraud", "objective": 99, **each} for each in slos],
    }


def freshness(**limit: str) -> dict[str, Any]:
    return data({"name": "fresh", "sli": {"pipeline_freshness": {"pipeline": "tracking/train", **limit}}})


def source(until: int = LENGTH) -> dict[str, list[float | None]]:
    """A source that is read every minute until it cannot be read any more."""
    return {
        f"ml_source_last_success_timestamp_seconds{{{SOURCE}}}": [60.0 * min(m, until) for m in range(LENGTH)],
        f"ml_source_interval_seconds{{{SOURCE}}}": [30.0] * LENGTH,
        f"ml_source_backfill_complete{{{SOURCE}}}": [1.0] * LENGTH,
    }


def timetable(every: int, since: int) -> dict[str, list[float | None]]:
    """A pipeline that is due every so many minutes, and has met nothing since a minute."""
    return {
        **source(),
        f"ml_pipeline_last_due_timestamp_seconds{{{PIPELINE}}}": [60.0 * every * (m // every) for m in range(LENGTH)],
        f"ml_pipeline_next_due_timestamp_seconds{{{PIPELINE}}}": [
            60.0 * every * (m // every + 1) for m in range(LENGTH)
        ],
        f"ml_pipeline_unmet_due_timestamp_seconds{{{PIPELINE}}}": [
            None if m < since else 60.0 * since for m in range(LENGTH)
        ],
    }


def last_success(minute: int, paused: bool = False) -> dict[str, list[float | None]]:
    return {
        **source(),
        f'ml_run_last_finished_timestamp_seconds{{{PIPELINE},state="succeeded"}}': [60.0 * minute] * LENGTH,
        f"ml_pipeline_first_seen_timestamp_seconds{{{PIPELINE}}}": [0.0] * LENGTH,
        f"ml_pipeline_paused{{{PIPELINE}}}": [float(paused)] * LENGTH,
    }


def test_a_second_due_time_that_passes_is_a_deadline_and_stays_one(tmp_path: Path) -> None:
    """Due every hour, dead since the first one: half an hour after the second, and at the third it goes on."""
    asked = {(149, MISSED): 0, (155, PAGING): DEADLINE, (185, MISSED): 1, (205, PAGING): DEADLINE, (270, MISSED): 1}
    verdict(tmp_path, freshness(late="30m"), "fresh", timetable(60, 60), asked)


def test_a_deadline_may_be_later_than_several_due_times(tmp_path: Path) -> None:
    """Due every quarter of an hour, and half an hour late is allowed."""
    asked = {(104, MISSED): 0, (106, MISSED): 1, (110, PAGING): DEADLINE, (290, MISSED): 1}
    verdict(tmp_path, freshness(late="30m"), "fresh", timetable(15, 60), asked)


def test_a_second_due_time_has_its_grace_where_periods_differ(tmp_path: Path) -> None:
    """Due at 1:00, at 3:30, and from then on every half hour."""
    due = [0, 60, 210, *range(240, LENGTH + 31, 30)]
    series = {
        **timetable(30, 60),
        f"ml_pipeline_last_due_timestamp_seconds{{{PIPELINE}}}": [
            60.0 * max(d for d in due if d <= m) for m in range(300)
        ],
        f"ml_pipeline_next_due_timestamp_seconds{{{PIPELINE}}}": [
            60.0 * min(d for d in due if d > m) for m in range(300)
        ],
    }
    asked = {(209, MISSED): 0, (219, MISSED): 0, (222, MISSED): 1, (245, MISSED): 1, (290, MISSED): 1}
    verdict(tmp_path, freshness(late="10m"), "fresh", series, asked)


def test_twice_the_promised_age_is_a_deadline_unless_somebody_paused_it(tmp_path: Path) -> None:
    asked: dict[tuple[int, str], Any] = {(120, MISSED): 0, (122, MISSED): 1, (130, PAGING): DEADLINE}
    (tmp_path / "paused").mkdir()
    verdict(tmp_path, freshness(within="1h"), "fresh", last_success(0), asked)
    paused: dict[tuple[int, str], Any] = {(130, MISSED): None, (130, "sum(slo:slice_bad:bool)"): 1, (130, PAGING): None}
    verdict(tmp_path / "paused", freshness(within="1h"), "fresh", last_success(0, paused=True), paused)


@pytest.mark.parametrize("kind", ["pipeline_success", "pipeline_duration"])
def test_runs_of_a_source_that_cannot_be_read_are_not_known_to_be_good(kind: str, tmp_path: Path) -> None:
    options = {"pipeline": "tracking/train", **({"below": "1m"} if kind == "pipeline_duration" else {})}
    runs = {f'ml_runs_finished_total{{{PIPELINE},state="succeeded"}}': [5.0] * LENGTH}
    asked = {(90, "sum(slo:sli_total:rate5m)"): 0, (110, "sum(slo:sli_total:rate5m)"): None, (180, FIRING): ABSENT}
    verdict(tmp_path, data({"name": "runs", "sli": {kind: options}}), "runs", {**source(until=100), **runs}, asked)


@pytest.mark.parametrize(("group_by", "firing"), [(["model"], ABSENT), (["version"], None), ([], None)])
def test_a_group_that_vanishes_is_told_but_versions_come_and_go(
    group_by: list[str], firing: dict[str, int] | None, tmp_path: Path
) -> None:
    probes = 'ml_service="fraud",ml_endpoint="fraud",outcome="ok",instance="a:9840"'
    series: dict[str, list[float | None]] = {
        f'ml_endpoint_probes_total{{{probes},model="a",version="1"}}': [2.0 * m for m in range(LENGTH)],
        f'ml_endpoint_probes_total{{{probes},model="b",version="2"}}': [
            2.0 * m if m < 60 else None for m in range(LENGTH)
        ],
    }
    sli = {"endpoint_availability": {"endpoint": "fraud"}}
    asked: dict[tuple[int, str], Any] = {(100, FIRING): None, (200, FIRING): firing}
    verdict(tmp_path, data({"name": "up", "sli": sli, "group_by": group_by}), "up", series, asked)


def test_one_bad_probe_is_no_outage_of_a_service_and_two_are(tmp_path: Path) -> None:
    rates = {"bad": "sum(rate(bad[$window]))", "total": "sum(rate(all[$window]))"}
    slos = data({"name": "one", "sli": {"ratio": rates}, "objective": 99.9}, {"name": "both", "sli": {"composite": {}}})
    out = 'sum(sum_over_time(slo:slice_bad:bool{slo="both"}[30m]))'
    series = {
        "all": [2.0 * m for m in range(LENGTH)],
        "bad": [0.0 if m < 60 else 1.0 if m < 120 else 3.0 for m in range(LENGTH)],
    }
    verdict(tmp_path, slos, "", series, {(80, out): 0, (140, out): 5})


def test_the_first_bad_event_of_a_new_objective_overspends_nothing(tmp_path: Path) -> None:
    rates = {"bad": "sum(rate(bad[$window]))", "total": "sum(rate(all[$window]))"}
    series = {"all": [0.5 * m for m in range(LENGTH)], "bad": [0.0 if m < 60 else 1.0 for m in range(LENGTH)]}
    spent = 'count(ALERTS{alertname="MLObjectiveBudgetSpent"})'
    asked: dict[tuple[int, str], Any] = {(80, spent): None, (80, "sum(slo:error_budget_remaining:ratio < bool 0)"): 1}
    verdict(tmp_path, data({"name": "new", "sli": {"ratio": rates}}), "new", series, asked)


def test_bad_events_of_a_group_that_is_not_counted_are_told(tmp_path: Path) -> None:
    rates = {"bad": "sum(rate(bad[$window]))", "total": "sum by (region) (rate(all[$window]))"}
    series = {'all{region="eu"}': [2.0 * m for m in range(LENGTH)], "bad": [1.0 * m for m in range(LENGTH)]}
    impossible = {'{alertname="MLObjectiveImpossible"}': 1}
    slo = {"name": "regions", "sli": {"ratio": rates}, "group_by": ["region"]}
    verdict(tmp_path, data(slo), "regions", series, {(60, FIRING): impossible})


def test_what_a_server_counts_is_not_more_than_it_counted(tmp_path: Path) -> None:
    """A model that is new: one bad request of the first ones is one, not twelve of an hour."""
    labels = 'ml_service="fraud",ml_endpoint="fraud",model="fraud"'
    series: dict[str, list[float | None]] = {
        f"ml:endpoint_requests:rate5m{{{labels}}}": [None if m < 60 else 0.2 for m in range(LENGTH)],
        f"ml:endpoint_requests_bad:rate5m{{{labels}}}": [
            None if m < 60 else 1 / 300 if m < 65 else 0.0 for m in range(LENGTH)
        ],
    }
    given = data({"name": "asked", "sli": {"endpoint_availability": {"endpoint": "fraud", "from": "native"}}})
    given["endpoints"][0]["server"] = "mlserver"
    given["stack"] = {"evaluation_interval": "1m"}
    bad = 'sum(slo:bad_events:sum{window="1h"})'
    verdict(tmp_path, given, "asked", series, {(66, bad): 1, (66, FIRING): None, (100, bad): 1})
