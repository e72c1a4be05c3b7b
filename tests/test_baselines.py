"""What is usual at this time of the week, by promtool from histories of weeks whose medians are computed by hand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.support.alerts import promtool_test

STEP = 60
"""Minutes between two evaluations."""
WEEK = 7 * 24 * 60
MODEL = 'ml_service="fraud", ml_endpoint="native", model="fraud"'
PIPELINE = 'source="tracking", ml_service="fraud", pipeline="fraud-score"'
EXPORTER = 'instance="a:9840", job="ml-exporter"'
SERVED = f"ml:endpoint_requests:rate5m{{{MODEL}}}"
REQUESTS, LATENCY = "ml:endpoint_requests:increase1h", "ml:endpoint_seconds:mean1h"
RUNS, RUN_SECONDS = "ml:runs_finished:increase6h", "ml:run_seconds:mean1d"

Series = list[dict[str, str]]


def requests(hourly: Callable[[int], float], weeks: float) -> Series:
    """Requests an hour at each minute, as two versions of a model share them."""
    each = [hourly(minute) / 3600 / 2 for minute in range(0, int(weeks * WEEK) + 1, STEP)]
    served = "ml:requests:rate1h{%s, server='mlserver', version='%s'}"
    return [
        *({"series": served % (MODEL, version), "values": _listed(each)} for version in "12"),
        {"series": SERVED, "values": f"1x{len(each)}"},
    ]


def counter(name: str, labels: str, per_step: float, steps: int) -> dict[str, str]:
    return {"series": f"{name}{{{labels}}}", "values": f"0+{per_step}x{steps}"}


def _listed(values: list[float]) -> str:
    return " ".join(f"{value:.10g}" for value in values)


def judge(
    folder: Path,
    series: Series,
    asked: dict[int, dict[str, float | None]] | None = None,
    alerts: tuple[str, dict[int, bool]] = ("MLRequestVolumeUnusual", {}),
    step: int = STEP,
) -> None:
    """Hold promtool's answers against minute → series → value (None: there is none), and minute → whether it fires."""
    name, fires = alerts
    case = {
        "interval": f"{step}m",
        "input_series": series,
        "promql_expr_test": [
            {
                # Rates are rounded where they are written down.
                "expr": f"round({record}, 0.001)",
                "eval_time": f"{minute}m",
                "exp_samples": [] if value is None else [{"labels": _labels(record), "value": value}],
            }
            for minute, values in (asked or {}).items()
            for record, value in values.items()
        ]
        + [
            {
                "expr": f'count(ALERTS{{alertname="{name}", alertstate="firing"}}) or vector(0)',
                "eval_time": f"{minute}m",
                "exp_samples": [{"labels": "{}", "value": float(firing)}],
            }
            for minute, firing in fires.items()
        ],
    }
    cases = {
        "rule_files": ["../prometheus/rules/*.yml"],
        "evaluation_interval": f"{step}m",
        "group_eval_order": ["ml-recording-baselines", "ml-baselines"],
        "tests": [case],
    }
    promtool_test(folder, name, cases)


def _labels(record: str) -> str:
    return "{%s}" % (PIPELINE if record.startswith("ml:run") else MODEL)


def by_week(*levels: float) -> Callable[[int], float]:
    return lambda minute: levels[min(minute // WEEK, len(levels) - 1)]


def test_usual_is_the_median_of_four_weeks_and_of_now(tmp_path: Path) -> None:
    usual = f"{REQUESTS}_usual"
    judge(
        tmp_path,
        requests(by_week(100, 200, 1000, 300, 120), 4.2),
        {
            WEEK + 600: {REQUESTS: 200, usual: None},  # one week is known: nothing is usual
            2 * WEEK + 600: {REQUESTS: 1000, usual: 200},  # of 100, 200 and now 1000
            3 * WEEK + 600: {REQUESTS: 300, usual: 250},  # of 100, 200, 1000 and now 300
            4 * WEEK + 600: {REQUESTS: 120, usual: 200},  # of 100, 200, 1000, 300 and now 120
        },
    )


def test_an_alert_comes_after_two_weeks_and_not_before(tmp_path: Path) -> None:
    """Within `unusual_for`, 75 minutes, are two evaluations."""

    def stopped(minute: int) -> float:
        in_week_two = WEEK + 600 <= minute < WEEK + 900
        in_week_three = 2 * WEEK + 1500 <= minute < 2 * WEEK + 1800
        return 0 if in_week_two or in_week_three else 1000

    start = 2 * WEEK + 1500
    fires = {WEEK + 840: False, start + 60: False, start + 120: True, start + 240: True, start + 300: False}
    judge(tmp_path, requests(stopped, 2.3), alerts=("MLRequestVolumeUnusual", fires))


@pytest.mark.parametrize("spike", [0.0, 20_000.0])
@pytest.mark.parametrize("known", [2, 4])
def test_what_was_odd_a_week_ago_does_not_make_today_odd(known: int, spike: float, tmp_path: Path) -> None:
    odd = (known - 1) * WEEK + 3000

    def once(minute: int) -> float:
        return spike if odd <= minute < odd + 300 else 1000

    fires = {odd + WEEK + after: False for after in range(0, 360, 60)}
    judge(tmp_path, requests(once, known + 0.5), alerts=("MLRequestVolumeUnusual", fires))


def test_a_daily_swing_is_usual_and_the_night_s_level_at_noon_is_not(tmp_path: Path) -> None:
    noon = 3 * WEEK + 720

    def swing(minute: int) -> float:
        at_night = minute % 1440 < 360 or noon <= minute < noon + 240
        return 1000 if at_night else 5000

    quiet = {2 * WEEK + after: False for after in range(0, 1440, 60)}
    fires = quiet | {noon + 60: False, noon + 120: True, noon + 180: True, noon + 240: False}
    judge(tmp_path, requests(swing, 3.2), alerts=("MLRequestVolumeUnusual", fires))


def test_a_model_that_does_not_exist_has_no_volume(tmp_path: Path) -> None:
    series = requests(lambda minute: 1000, 0.1)
    unknown = "ml:requests:rate1h{ml_service='fraud', ml_endpoint='native', model=''}"
    series.append({"series": unknown, "values": "9x40"})
    judge(tmp_path, series, {600: {REQUESTS: 1000}})


def test_runs_of_every_end_are_counted_over_six_hours_and_by_no_replica_twice(tmp_path: Path) -> None:
    """Each ten minutes one success and one failure: 72 in six hours; a success takes 90 seconds."""
    series = [
        counter(name, f'{PIPELINE}, {more}instance="{replica}:9840"', grows, 2 * 144)
        for replica in "ab"
        for name, more, grows in (
            ("ml_runs_finished_total", 'state="succeeded", ', 1),
            ("ml_runs_finished_total", 'state="failed", ', 1),
            ("ml_run_duration_seconds_count", "", 1),
            ("ml_run_duration_seconds_sum", "", 90),
        )
    ]
    judge(tmp_path, series, {2 * 1440: {RUNS: 72, RUN_SECONDS: 90, f"{RUNS}_usual": None}}, step=10)


def test_the_duration_of_a_day_is_weighted_by_its_runs(tmp_path: Path) -> None:
    """Three runs of 100 seconds in the morning and one of 500 in the evening: 200, and not 300."""
    count = "1000x30 1001x12 1002x12 1003x60 1004x20"
    seconds = "90000x30 90100x12 90200x12 90300x60 90800x20"
    series = [
        {"series": f"ml_run_duration_seconds_count{{{PIPELINE}, {EXPORTER}}}", "values": count},
        {"series": f"ml_run_duration_seconds_sum{{{PIPELINE}, {EXPORTER}}}", "values": seconds},
    ]
    judge(tmp_path, series, {1380: {RUN_SECONDS: 200}}, step=10)


def test_the_latency_of_an_endpoint_is_its_server_s_and_not_that_of_its_probes(tmp_path: Path) -> None:
    """Version 1 answers 3 times in ten minutes in 0.1 s, version 2 once in 0.5 s: 0.2 s on average."""
    server = 'ml_service="fraud", ml_endpoint="native", server="mlserver", instance="%s", model="fraud", version="%s"'
    series = [{"series": SERVED, "values": "1x20"}]
    for version, grows, seconds in (("1", 3, 0.3), ("2", 1, 0.5)):
        for instance in "ab":
            labels = server % (instance, version)
            series += [
                counter("model_infer_request_duration_count", labels, grows, 20),
                counter("model_infer_request_duration_sum", labels, seconds, 20),
                counter("model_infer_request_success_total", labels, grows, 20),
            ]
    series += [
        counter("ml_endpoint_probe_duration_seconds_count", f'{MODEL}, version="1", {EXPORTER}', 1, 20),
        counter("ml_endpoint_probe_duration_seconds_sum", f'{MODEL}, version="1", {EXPORTER}', 7, 20),
    ]
    judge(tmp_path, series, {180: {LATENCY: 0.2}}, step=10)


def test_the_latency_of_an_endpoint_without_a_server_is_that_of_the_probes_of_all_replicas(tmp_path: Path) -> None:
    """Replica a probes 3 times in ten minutes and gets 0.1 s, b once and gets 0.5 s: 0.2 s on average."""
    live = MODEL.replace("native", "live") + ', version="1", instance="%s:9840"'
    series = [
        counter(f"ml_endpoint_probe_duration_seconds_{part}", live % replica, grows, 20)
        for replica, part, grows in (("a", "count", 3), ("a", "sum", 0.3), ("b", "count", 1), ("b", "sum", 0.5))
    ]
    of_native = f'label_replace({LATENCY}, "ml_endpoint", "native", "", "")'
    judge(tmp_path, series, {180: {of_native: 0.2}}, step=10)
