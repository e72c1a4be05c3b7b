"""How often heartbeats are read, and what that asks of the threshold."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.fake_airflow import NOW, Watch, stamp, with_dags

from ml_exporter.config import from_data
from ml_exporter.errors import ConfigError


def config(after: str, **source: Any) -> None:
    sources = [{"name": "it", "kind": "airflow", "url": "http://it", **source}]
    from_data({"sources": sources, "alerting": {"thresholds": {"scheduler_heartbeat_after": after}}})


@pytest.mark.parametrize(
    ("after", "source", "least"),
    [
        ("9m59s", {}, "600"),
        ("1m59s", {"state_interval": "1m"}, "120"),
        ("30m", {"state_interval": "1h"}, "7200"),
        ("9m", {"kind": "prefect"}, "600"),
        ("6m", {"kind": "dagster"}, "400"),
        ("6m", {"kind": "slurm"}, "400"),
        ("1m", {"kind": "ray", "capacity_interval": "1m"}, "120"),
    ],
)
def test_a_threshold_below_two_readings_is_refused(after: str, source: dict[str, Any], least: str) -> None:
    with pytest.raises(ConfigError) as refused:
        config(after, **source)
    assert str(refused.value).startswith("alerting.thresholds.scheduler_heartbeat_after: found ")
    assert f"at least {least} s, twice the time between two readings of the heartbeats of sources[0] ('it')" in str(
        refused.value
    )


@pytest.mark.parametrize(
    ("after", "source"),
    [
        ("10m", {}),
        ("30s", {"state_interval": "15s"}),
        ("30s", {"kind": "mlflow"}),
        ("30s", {"kind": "ray", "capacity": False}),
        ("400s", {"kind": "dagster"}),
    ],
)
def test_a_threshold_of_two_readings_or_without_heartbeats_is_fine(after: str, source: dict[str, Any]) -> None:
    config(after, **source)


@pytest.mark.parametrize(("options", "every"), [({}, 300.0), ({"state_interval": 20.0}, 20.0)])
def test_airflows_heartbeat_is_read_as_often_as_its_option_says(options: dict[str, float], every: float) -> None:
    fake = with_dags("train", health={"scheduler": {"latest_scheduler_heartbeat": stamp(NOW)}})
    watch = Watch(fake, **options)
    watch.poll()
    fake.health["scheduler"] = {"latest_scheduler_heartbeat": stamp(NOW + every)}
    watch.poll(every - 1)
    assert watch.gauges()["heartbeat_timestamp_seconds", "scheduler"] == NOW
    watch.poll(1)
    assert watch.gauges()["heartbeat_timestamp_seconds", "scheduler"] == NOW + every
