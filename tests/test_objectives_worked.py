"""Cases in which other generators of objectives are known to be wrong, worked through with the rules that ship."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.support.alerts import rules_of
from tests.support.slo_rules import GROUPS, verdict

from ml_exporter import config, render
from ml_exporter.errors import ConfigError

NAN = float("nan")
INFINITE = float("inf")


def slo(name: str, objective: float, kind: str, group_by: Sequence[str] = (), **options: str) -> dict[str, Any]:
    return {
        "name": name,
        "service": "fraud",
        "sli": {kind: options},
        "objective": objective,
        "group_by": list(group_by),
    }


def ratio(name: str, objective: float, bad: str = "sum(rate(bad[$window]))", **options: Any) -> dict[str, Any]:
    return slo(name, objective, "ratio", bad=bad, **{"total": "sum(rate(all[$window]))", **options})


DATA = {
    "sources": [{"name": "tracking", "kind": "mlflow", "url": "http://127.0.0.1:1"}],
    "endpoints": [{"name": "fraud", "protocol": "open_inference", "url": "http://127.0.0.1:1", "model": "fraud"}],
    "services": [{"name": "fraud", "owner": "risk-ml"}],
    "slos": [
        ratio("requests", 99),
        ratio("strict", 99.9),
        ratio("told", 99, "sum(avg_over_time(bad_rate[$window]))", total="sum(avg_over_time(all_rate[$window]))"),
        ratio(
            "versions",
            99,
            "sum by (version) (rate(bad[$window]))",
            total="sum by (version) (rate(all[$window]))",
            group_by=["version"],
        ),
        slo("probes", 99, "endpoint_availability", endpoint="fraud"),
        slo("runs", 99, "pipeline_success", pipeline="tracking/train"),
    ],
}
REMAINING, RATIO, BURN = "slo:error_budget_remaining:ratio", "slo:sli_error:ratio", "slo:burn_rate:ratio"
TOTAL, BAD, EVENTS = "slo:sli_total:rate5m", "slo:bad_events:sum", "slo:total_events:sum"
FIRING = 'count by (alertname) (ALERTS{alertstate="firing"})'
PAGES_AND_TICKETS = 'count(ALERTS{severity=~"page|ticket"})'
"""Those that wait, too."""


def counted(*increments: tuple[int, float], start: float = 0) -> list[float]:
    """A counter, a value a minute: for so many minutes, so many events a minute."""
    values = [start]
    for minutes, events in increments:
        values += [values[-1] + events * (minute + 1) for minute in range(minutes)]
    return values


def of(record: str, window: str | None = None) -> str:
    """The only value of a recorded series."""
    return f'sum({record}{{window="{window}"}})' if window else f"sum({record})"


def test_an_hour_without_requests_spoils_no_budget(tmp_path: Path) -> None:
    """slok/sloth#133, #231, #531: 0 / 0 is NaN, and an average over a month with a NaN in it is NaN for a month."""
    verdict(
        tmp_path,
        DATA,
        "requests",
        {"all": counted((60, 600), (60, 0), (60, 600), (15, 0)), "bad": counted((60, 6), (135, 0))},
        {
            (100, of(TOTAL)): 0,
            (100, of(RATIO, "5m")): None,
            (100, of(REMAINING)): 0,
            (175, of(RATIO, "5m")): 0,
            (195, of(REMAINING)): 0.5,
        },
    )


@pytest.mark.parametrize("poison", [NAN, INFINITE, -INFINITE], ids=repr)
@pytest.mark.parametrize("spoilt", ["all_rate", "bad_rate"])
def test_what_is_not_a_number_is_not_counted(spoilt: str, poison: float, tmp_path: Path) -> None:
    """slok/sloth#749, #811: one such answer of the user's own query stays in a budget for a month."""
    series = {"all_rate": [100.0] * 120, "bad_rate": [0.4] * 120}
    series[spoilt][30:40] = [poison] * 10
    known = f"sum(count_over_time({TOTAL}[2h]))"
    # Unknown for ten minutes, and for the five more of a rate that reaches back to them.
    verdict(tmp_path, DATA, "told", series, {(100, of(REMAINING)): 0.6, (100, known): 101 - 15})


def test_a_budget_is_never_infinite(tmp_path: Path) -> None:
    """slok/sloth#749: bad events of no events are an infinite ratio. Here they are an indicator that is wrong."""
    verdict(
        tmp_path,
        DATA,
        "told",
        {"all_rate": [0.0] * 30, "bad_rate": [5.0] * 30},
        {(25, of(RATIO)): None, (25, of(REMAINING)): None, (25, FIRING): {'{alertname="MLObjectiveImpossible"}': 1}},
    )


def test_a_busy_hour_weighs_more_than_an_idle_one(tmp_path: Path) -> None:
    """slok/sloth#241, #332, #618: averaged ratios of five minutes are 25 % where 0.05 % of all events were bad."""
    averaged = 'avg_over_time(slo:sli_error:ratio{window="5m"}[3h])'
    verdict(
        tmp_path,
        DATA,
        "strict",
        {"all": counted((90, 6), (90, 6000), (10, 0), start=1), "bad": counted((90, 3), (100, 0), start=1)},
        {(190, of(REMAINING)): 0.5, (181, f"sum({averaged})"): 0.25},
    )


def test_no_rule_reads_raw_series_over_more_than_an_hour() -> None:
    """pyrra-dev/pyrra#1440: `increase(…[12w])` of thousands of raw series is more than a Prometheus can do."""
    rules = [rule for file in GROUPS[:2] for rule in rules_of(DATA)[f"{file}.yml"]["groups"][0]["rules"]]
    ranges = [found for rule in rules for found in re.findall(r"([\w:]+)(?:{[^{}]*})?\[(\w+)\]", rule["expr"])]
    raw = {window for name, window in ranges if not name.startswith("slo:")}
    assert raw == {"5m", "1h"}
    assert {name for name, window in ranges if "d" in window} == {
        "slo:bad_events:increase150s",
        "slo:total_events:increase150s",
    }


@pytest.mark.parametrize(("tier", "above"), [("page_fast", 93.06), ("page_slow", 83.34), ("ticket_fast", 66.67)])
def test_a_tier_that_can_never_fire_is_refused_and_one_that_can_is_not(tier: str, above: float) -> None:
    """Neither peer looks: an error ratio of 1 burns at most 1 / (1 - objective) times as fast."""
    assert [found["tier"] for found in judged(above, tier)["tiers"]] == [tier]
    with pytest.raises(ConfigError, match=rf"slos\[0\]\.objective: found .*; {tier} can never fire"):
        judged(above - 0.01, tier)


def judged(objective: float, tier: str) -> Any:
    """An objective with a single tier, as the Jsonnet sees it. Raises `ConfigError`."""
    data = {
        "path": "slos[0]",
        "name": "any",
        "ml_service": "fraud",
        "kind": "ratio",
        "objective": objective,
        "window": 30 * 86400,
        "group_by": [],
        "tiers": [tier],
        "minimum_bad": None,
        "options": {},
    }
    whole = {**config.from_data(DATA).for_jsonnet(), "slos": [data]}
    return json.loads(render.evaluate("alerts/slos/report.jsonnet", {"config": json.dumps(whole)}))[0]


def test_one_failure_of_hourly_runs_alarms_nobody_though_it_burns_100_times_too_fast(tmp_path: Path) -> None:
    """Of a peer's tiers all four fire: 99 % of hourly runs allow seven failures in a month."""
    good = [float(minute // 60) for minute in range(180)]
    bad = [0.0] * 150 + [1.0] * 30
    labels = 'source="tracking", pipeline="train"'
    verdict(
        tmp_path,
        DATA,
        "runs",
        {
            f'ml_runs_finished_total{{{labels}, state="succeeded"}}': [min(value, 2) for value in good],
            f'ml_runs_finished_total{{{labels}, state="failed"}}': bad,
            f"ml_pipeline_consecutive_failures{{{labels}}}": bad,
            'ml_source_last_success_timestamp_seconds{source="tracking"}': [60.0 * minute for minute in range(180)],
            'ml_source_interval_seconds{source="tracking"}': [30.0] * 180,
            'ml_source_backfill_complete{source="tracking"}': [1.0] * 180,
        },
        {
            (179, of(BURN, "30m")): 100,
            (179, f"sum({BURN}{{window='2h'}} > bool 30)"): 1,
            (179, PAGES_AND_TICKETS): None,
        },
    )


def test_a_failure_or_two_of_little_traffic_page_nobody_and_five_do(tmp_path: Path) -> None:
    """At 99.9 % one of 69 events is 14.4 times too many: a peer pages for it."""
    paging = {'{alertname="MLObjectiveBurningFast"}': 1}
    for failures, minute, alerts in ((1, 66, (PAGES_AND_TICKETS, None)), (6, 72, (FIRING, paging))):
        folder = tmp_path / str(failures)
        folder.mkdir()
        bad = counted((63, 0), (failures, 1), (12 - failures, 0), start=1)
        burns = f"count({BURN}{{window=~'5m|1h'}} > 14.4)"
        verdict(
            folder,
            DATA,
            "strict",
            {"all": counted((75, 1), start=1), "bad": bad},
            {(minute, burns): 2, (minute, alerts[0]): alerts[1]},
        )


def test_a_group_without_a_bad_event_keeps_its_labels_and_its_budget(tmp_path: Path) -> None:
    """`or vector(0)` has no labels: it would be the budget of no version, and version 7 would have none."""
    verdict(
        tmp_path,
        DATA,
        "versions",
        {
            'all{version="7"}': counted((60, 100)),
            'all{version="8"}': counted((60, 100)),
            'bad{version="8"}': counted((60, 1)),
        },
        {(59, f"sum by (version) ({REMAINING})"): {'{version="7"}': 1, '{version="8"}': 0}},
    )


def test_one_of_two_replicas_may_restart(tmp_path: Path) -> None:
    """A rate of a sum takes the restart of one for a restart of both: hundreds of events that never were."""
    labels = 'ml_endpoint="fraud", model="fraud", version="7", outcome="ok"'
    steady, restarted = counted((70, 4), start=1000), counted((40, 4), start=1000)[:-1] + counted((30, 4))
    verdict(
        tmp_path,
        DATA,
        "probes",
        {
            f'ml_endpoint_probes_total{{{labels}, instance="a"}}': steady,
            f'ml_endpoint_probes_total{{{labels}, instance="b"}}': restarted,
        },
        {
            (65, of(EVENTS, "1h")): 240,
            (65, "3600 * rate(sum(ml_endpoint_probes_total)[1h:1m]) > bool 1000"): 1,
        },
    )


def test_a_counter_that_was_there_at_0_counts_its_first_event_and_one_born_at_1_does_not(tmp_path: Path) -> None:
    """Why every outcome of a probe and of a run is exposed at 0 before it happens."""
    for before, counts in ((0.0, 1), (None, 0)):
        folder = tmp_path / str(before)
        folder.mkdir()
        verdict(
            folder,
            DATA,
            "requests",
            {"all": counted((70, 10), start=1), "bad": [before] * 20 + [1.0] * 51},
            {(65, of(BAD, "1h")): counts},
        )
