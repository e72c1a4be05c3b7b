"""The state of each service as promtool records it: the worst that is known, and what is not known is never fine."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.support.alerts import promtool_test

FINE, UNKNOWN, TICKET, PAGE = 0, 1, 2, 3

NO_SERVICE: dict[str, Any] = {
    "sources": [{"name": "a", "kind": "mlflow", "url": "http://127.0.0.1:1"}],
    "endpoints": [{"name": "live", "protocol": "open_inference", "url": "http://127.0.0.1:1", "model": "fraud"}],
}
STAGES = {"training": [{"pipeline": "a/fraud-*"}], "inference": [{"endpoint": "live"}]}
SERVICES: dict[str, Any] = {**NO_SERVICE, "services": [{"name": "fraud", "owner": "risk-ml", "stages": STAGES}]}
SELDOM = {**SERVICES, "stack": {"evaluation_interval": "10m"}}

UP, POLLED = 'ml_source_up{source="a"}', 'ml_source_last_success_timestamp_seconds{source="a"}'
READ = 'ml_source_backfill_complete{source="a"}'
SERVICE = 'ml_service_info{ml_service="fraud", owner="risk-ml", tier="2"}'
PIPELINE = 'ml_pipeline_info{source="a", ml_service="fraud", pipeline="fraud-train", stage="training"}'
ENDPOINT = 'ml_endpoint_info{ml_service="fraud", ml_endpoint="live", stage="inference"}'
PROBED = 'ml_endpoint_last_probe_timestamp_seconds{ml_service="fraud", ml_endpoint="live", model="fraud"}'
PREDICTS = 'ml_endpoint_up{ml_service="fraud", ml_endpoint="live", model="fraud", version="3", check="predict"}'
MODEL = 'ml_model_versions{source="a", ml_service="churn", model="churn", status="READY"}'

WELL = {
    UP: "1x60",
    POLLED: "0+60x60",
    'ml_source_interval_seconds{source="a"}': "30x60",
    READ: "1x60",
    SERVICE: "1x60",
    PIPELINE: "1x60",
    ENDPOINT: "1x60",
    'ml_endpoint_interval_seconds{ml_service="fraud", ml_endpoint="live"}': "30x60",
    PROBED: "0+60x60",
    PREDICTS: "1x60",
}
"""Series → its values, one a minute."""

Series = Mapping[str, str]
States = Mapping[str, int]


def without(*gone: str, of: Series = WELL) -> dict[str, str]:
    return {series: values for series, values in of.items() if series not in gone}


def firing(severity: str, service: str = "fraud", state: str = "firing", values: str = "1x60") -> dict[str, str]:
    labels = f'alertname="MLSome", alertstate="{state}", severity="{severity}", ml_service="{service}"'
    return {f"ALERTS{{{labels}}}": values}


CASES: dict[str, tuple[Series, dict[int, States]]] = {
    "nothing wrong and all known is fine": (WELL, {30: {"fraud": FINE}}),
    "a ticket shows": (WELL | firing("ticket"), {30: {"fraud": TICKET}}),
    "a page shows before a ticket": (WELL | firing("ticket") | firing("page"), {30: {"fraud": PAGE}}),
    "what is pending or only tells something is no trouble": (
        WELL | firing("page", state="pending") | firing("info"),
        {30: {"fraud": FINE}},
    ),
    "an alert that ends gives way at once": (
        WELL | firing("page", values="1x20 stale"),
        {20: {"fraud": PAGE}, 21: {"fraud": FINE}},
    ),
    "a ticket shows before what is unknown": (WELL | {UP: "0x60"} | firing("ticket"), {30: {"fraud": TICKET}}),
    "pipelines of a source that is down are unknown": (
        WELL | {UP: "1x20 0x20 1x20"},
        {20: {"fraud": FINE}, 21: {"fraud": UNKNOWN}, 50: {"fraud": FINE}},
    ),
    "ten intervals without a poll are just not too many": (
        WELL | {POLLED: "0+60x20 1200x40"},
        {25: {"fraud": FINE}, 26: {"fraud": UNKNOWN}},
    ),
    "alerts wait for the whole history, and until then nothing is known": (
        WELL | {READ: "0x20 1x40"},
        {20: {"fraud": UNKNOWN}, 21: {"fraud": FINE}},
    ),
    "a source that was never read has no pipelines, and what should be there is unknown": (
        without(PIPELINE, POLLED) | {UP: "0x60"},
        {30: {"fraud": UNKNOWN}},
    ),
    "a source that no exporter tells of is unknown": (
        without(PIPELINE, UP, POLLED, READ),
        {30: {"fraud": UNKNOWN}},
    ),
    "models go with their source": (
        WELL | {MODEL: "1x60", UP: "1x20 0x40"},
        {20: {"fraud": FINE, "churn": FINE}, 21: {"fraud": UNKNOWN, "churn": UNKNOWN}},
    ),
    "a pipeline that a tag gives to a service goes with its source": (
        WELL | {PIPELINE.replace('"fraud"', '"churn"'): "1x60", UP: "1x20 0x40"},
        {20: {"fraud": FINE, "churn": FINE}, 21: {"fraud": UNKNOWN, "churn": UNKNOWN}},
    ),
    "an endpoint that was never probed is unknown": (without(PREDICTS, PROBED), {30: {"fraud": UNKNOWN}}),
    "one model of an endpoint that could not be probed is enough": (
        WELL | {PROBED.replace('model="fraud"', 'model="other"'): "0+60x60"},
        {30: {"fraud": UNKNOWN}},
    ),
    "a last result says nothing once probes have stopped": (
        WELL | {PROBED: "0+60x20 1200x40"},
        {25: {"fraud": FINE}, 26: {"fraud": UNKNOWN}},
    ),
    "a service of which there is nothing to see is unknown": (
        WELL | {SERVICE.replace("fraud", "bare"): "1x60"},
        {30: {"fraud": FINE, "bare": UNKNOWN}},
    ),
    "what no service claims alerts nobody, and is unknown": (
        WELL | {PIPELINE.replace("fraud", "unassigned"): "1x60"},
        {30: {"fraud": FINE, "unassigned": UNKNOWN}},
    ),
    "an alert of a service that nothing else knows shows while it fires": (
        WELL | firing("ticket", "ml-exporter", values="1x20 stale"),
        {20: {"fraud": FINE, "ml-exporter": TICKET}, 21: {"fraud": FINE}},
    ),
    "without an exporter a service is out of sight, for an hour": (
        {series: f"{values.removesuffix('x60')}x20 stale" for series, values in WELL.items()} | firing("page", "churn"),
        {20: {"fraud": FINE, "churn": PAGE}, 21: {"fraud": UNKNOWN, "churn": PAGE}, 79: {"fraud": UNKNOWN}, 82: {}},
    ),
    "a service that is taken out of the configuration is gone": (
        WELL | {SERVICE.replace("fraud", "old"): "1x20 stale"},
        {20: {"fraud": FINE, "old": UNKNOWN}, 21: {"fraud": FINE}},
    ),
}


def judge(folder: Path, cases: Iterable[tuple[str, Series, dict[int, States]]], data: Any = SERVICES) -> None:
    """Hold the recorded states, all of them, against minute → service → state."""
    tests = [
        {
            "name": name,
            "interval": "1m",
            "input_series": [{"series": each, "values": values} for each, values in series.items()],
            "promql_expr_test": [
                {"expr": "ml:service_state:worst", "eval_time": f"{minute}m", "exp_samples": _samples(states)}
                for minute, states in asked.items()
            ],
        }
        for name, series, asked in cases
    ]
    file = {
        "rule_files": ["../prometheus/rules/*.yml"],
        "evaluation_interval": "1m",
        "group_eval_order": ["ml-recording-services"],
        "tests": tests,
    }
    promtool_test(folder, "MLSome", file, data)


def _samples(states: States) -> list[dict[str, Any]]:
    return [
        {"labels": f'ml:service_state:worst{{ml_service="{service}"}}', "value": value}
        for service, value in states.items()
    ]


@pytest.mark.parametrize("name", CASES)
def test_of_a_service_the_worst_that_is_known_is_recorded(name: str, tmp_path: Path) -> None:
    judge(tmp_path, [(name, *CASES[name])])


def test_a_second_replica_changes_nothing(tmp_path: Path) -> None:
    def twice(series: Series) -> Series:
        own = {each: values for each, values in series.items() if each.startswith("ALERTS")}
        rest = {each: values for each, values in series.items() if each not in own}
        return own | {
            f'{each.removesuffix("}")}, instance="{replica}:9840"}}': values
            for replica in "ab"
            for each, values in rest.items()
        }

    judge(tmp_path, [(name, twice(series), asked) for name, (series, asked) in CASES.items()])


def test_one_replica_that_reads_and_probes_is_enough(tmp_path: Path) -> None:
    other = [f'{each.removesuffix("}")}, instance="b:9840"}}' for each in (UP, PREDICTS)]
    series = without(PREDICTS) | {UP: "0x60"} | dict.fromkeys(other, "1x60")
    judge(tmp_path, [("one replica", series, {30: {"fraud": FINE}})])


def test_everything_is_judged_while_no_service_is_configured(tmp_path: Path) -> None:
    series = {each.replace('"fraud"', '"unassigned"', 1): values for each, values in without(SERVICE).items()}
    asked: dict[int, States] = {30: {"unassigned": FINE}}
    judge(tmp_path, [("none", series, asked)], NO_SERVICE)


def test_a_page_shows_between_evaluations_that_are_far_apart(tmp_path: Path) -> None:
    series = WELL | firing("page", values="1 _x9 1 _x30")
    judge(tmp_path, [("seldom", series, {18: {"fraud": PAGE}, 32: {"fraud": FINE}})], SELDOM)
