"""What is recorded of each service for the overview, as promtool evaluates it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.support.alerts import promtool_test

DATA: dict[str, Any] = {
    "sources": [{"name": "a", "kind": "mlflow", "url": "http://127.0.0.1:1"}],
    "services": [{"name": "fraud", "owner": "risk-ml"}],
}
SERVICE = 'ml_service="fraud"'


def pipeline(metric: str, name: str, more: str = "") -> str:
    return f'{metric}{{source="a", {SERVICE}, pipeline="{name}"{more}}}'


def model(metric: str, name: str, more: str) -> str:
    return f'{metric}{{{SERVICE}, ml_endpoint="live", model="{name}", version="3", {more}}}'


def of_unread() -> dict[str, str]:
    """A pipeline that did well, in a source whose last poll failed."""
    of = f'source="down", {SERVICE}, pipeline="unread"'
    return {
        'ml_source_up{source="down"}': "0x90",
        'ml_source_last_success_timestamp_seconds{source="down"}': "0x90",
        'ml_source_interval_seconds{source="down"}': "60x90",
        'ml_source_backfill_complete{source="down"}': "1x90",
        f'ml_pipeline_info{{{of}, stage="features"}}': "1x90",
        f"ml_pipeline_consecutive_failures{{{of}}}": "0x90",
        f"ml_pipeline_last_due_timestamp_seconds{{{of}}}": "0x90",
        f'ml_run_last_finished_timestamp_seconds{{{of}, state="succeeded"}}': "0x90",
    }


EXPOSED = {
    'ml_source_up{source="a"}': "1x90",
    'ml_source_last_success_timestamp_seconds{source="a"}': "0+60x90",
    'ml_source_interval_seconds{source="a"}': "60x90",
    'ml_source_backfill_complete{source="a"}': "1x90",
    **{
        pipeline("ml_pipeline_info", name, f', stage="{stage}"'): "1x90"
        for name, stage in (("read", "ingestion"), ("clean", "features"), ("train", "training"), ("watch", ""))
    },
    **{
        pipeline("ml_run_last_finished_timestamp_seconds", name, ', state="succeeded"'): "0x90"
        for name in ("read", "clean", "train", "watch")
    },
    # "never" has not failed, for no run of it has ended; what is known of "unread" is old.
    pipeline("ml_pipeline_info", "never", ', stage="features"'): "1x90",
    pipeline("ml_pipeline_consecutive_failures", "never"): "0x90",
    **of_unread(),
    pipeline("ml_pipeline_consecutive_failures", "read"): "0x90",
    pipeline("ml_pipeline_consecutive_failures", "clean"): "3x90",
    pipeline("ml_pipeline_consecutive_failures", "train"): "2x90",
    pipeline("ml_pipeline_consecutive_failures", "watch"): "0x90",
    # Nothing wants "train" at any time; "clean" has been due for a quarter of an hour, "read" for a minute.
    pipeline("ml_pipeline_last_due_timestamp_seconds", "read"): "0x90",
    pipeline("ml_pipeline_last_due_timestamp_seconds", "clean"): "2700x90",
    pipeline("ml_pipeline_last_due_timestamp_seconds", "watch"): "0x90",
    pipeline("ml_pipeline_unmet_due_timestamp_seconds", "clean"): "2700x90",
    model("ml_endpoint_up", "fast", 'check="predict"'): "1x90",
    model("ml_endpoint_up", "slow", 'check="predict"'): "0x90",
    model("ml_endpoint_up", "slow", 'check="ready"'): "1x90",
    model("ml_endpoint_probe_duration_seconds_bucket", "fast", 'le="0.1"'): "0+10x90",
    model("ml_endpoint_probe_duration_seconds_bucket", "fast", 'le="+Inf"'): "0+10x90",
    model("ml_endpoint_probe_duration_seconds_bucket", "slow", 'le="0.1"'): "0x90",
    model("ml_endpoint_probe_duration_seconds_bucket", "slow", 'le="2"'): "0+10x90",
    model("ml_endpoint_probe_duration_seconds_bucket", "slow", 'le="+Inf"'): "0+10x90",
    'ml_endpoint_probe_duration_seconds_bucket{ml_service="idle", ml_endpoint="idle", model="m", le="+Inf"}': "5x90",
}
"""Series → its values, one a minute."""
MOVED = {
    f'ml_model_alias_changed_timestamp_seconds{{source="a", {SERVICE}, model="fraud", alias="{alias}"}}': values
    for alias, values in (("champion", "60x90"), ("challenger", "-90000x90"))
}
SERVED = {
    f'ml:{record}:rate5m{{{SERVICE}, ml_endpoint="{endpoint}", model="m", server="triton"}}': f"{value}x90"
    for endpoint in ("live", "spare")
    for record, value in (("requests", 10), ("requests_bad", 1), ("requests_timed", 8), ("requests_slow", 2))
}
LIVE = {
    f'ml:model_metric_degradation_ratio:live{{source="a", {SERVICE}, model="fraud", metric="{metric}"}}': values
    for metric, values in (("as_good", "0.05x90"), ("worse", "0.06x90"))
}
RECORDED = {
    'ml:pipelines:count{layer="data"}': 2,
    'ml:pipelines_succeeding:count{layer="data"}': 1,
    'ml:pipelines_timed:count{layer="data"}': 2,
    'ml:pipelines_on_time:count{layer="data"}': 1,
    'ml:pipelines:count{layer="model"}': 1,
    'ml:pipelines_succeeding:count{layer="model"}': 0,
    "ml:pipeline_late_seconds:max": 900,
    'ml:pipeline_late:seconds{source="a", pipeline="clean"}': 900,
    "ml:endpoint_models:count": 2,
    "ml:endpoint_models_predicting:count": 1,
    "ml:probe_seconds:p99_1h_max": 0.1 + 0.99 * 1.9,
    "ml:live_figures:count": 2,
    "ml:live_figures_as_good:count": 1,
    "ml:service_requests:rate5m": 20,
    "ml:service_requests_bad:rate5m": 2,
    "ml:service_requests_timed:rate5m": 16,
    "ml:service_requests_slow:rate5m": 4,
    # The other alias moved more than a day ago.
    'ml:model_alias_moved:timestamp_seconds{source="a", model="fraud", alias="champion"}': 60,
}
"""All that the group records, after an hour."""


def judge(folder: Path, exposed: dict[str, str]) -> None:
    everything = (
        '{__name__=~"ml:(pipeline|live_figures|endpoint_models|probe_seconds|service_requests|model_alias_moved).+"}'
    )
    samples = [{"labels": _of_service(name), "value": value} for name, value in RECORDED.items()]
    test = {
        "interval": "1m",
        "input_series": [{"series": each, "values": values} for each, values in (exposed | SERVED | LIVE).items()],
        "promql_expr_test": [{"expr": everything, "eval_time": "60m", "exp_samples": samples}],
    }
    file = {
        "rule_files": [f"../prometheus/rules/recording-{name}.yml" for name in ("services", "layers", "overview")],
        "evaluation_interval": "1m",
        "tests": [test],
    }
    promtool_test(folder, "overview", file, DATA)


def _of_service(name: str) -> str:
    return name.replace("{", f"{{{SERVICE}, ") if "{" in name else f"{name}{{{SERVICE}}}"


def test_pipelines_and_endpoints_are_counted_by_service(tmp_path: Path) -> None:
    judge(tmp_path, EXPOSED | MOVED)


def test_a_second_replica_changes_nothing(tmp_path: Path) -> None:
    judge(
        tmp_path,
        {
            f'{series.removesuffix("}")}, instance="{replica}:9840"}}': values
            for replica in "ab"
            for series, values in (EXPOSED | MOVED).items()
        },
    )
