"""DAGs of the real Airflow in the tests: read by Airflow 2 and 3, in their own Python."""

from __future__ import annotations

import time
from datetime import datetime, timedelta, timezone

try:  # Airflow 3
    from airflow.sdk import DAG, Asset, task
except ImportError:
    from airflow import DAG
    from airflow.datasets import Dataset as Asset
    from airflow.decorators import task

BEGIN = datetime(2026, 1, 1, tzinfo=timezone.utc)  # noqa: UP017 — as Airflow 2 on an older Python has it


@task
def work(dag_run=None):
    """Does what the run was told: waits, then fails or not."""
    told = dag_run.conf or {}
    time.sleep(float(told.get("seconds", 0)))
    if told.get("fail"):
        raise ValueError("told to fail")


def dag(name, schedule=None, **more):
    options = {"start_date": BEGIN, "catchup": False, "is_paused_upon_creation": False, "max_active_runs": 8, **more}
    with DAG(dag_id=name, schedule=schedule, **options) as made:
        work()
    return made


train = dag("train", tags=["fraud-detection", "nightly"])
one_at_a_time = dag("one_at_a_time", max_active_runs=1)
impatient = dag("impatient", dagrun_timeout=timedelta(seconds=4))
hourly = dag("hourly", "17 * * * *")
weekdays = dag("weekdays", "30 6 * * 1-5")
paused = dag("paused", "@daily", is_paused_upon_creation=True)
on_data = dag("on_data", [Asset("features_ready")])
