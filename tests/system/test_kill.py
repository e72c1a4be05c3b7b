"""kill -9 at the worst moments, on a real MLflow: nothing lost, nothing twice, no second reading of the history."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from tests.support.exporter import Exporter
from tests.support.mlflow_server import MlflowServer
from tests.support.proxy import Fault, Proxy

pytestmark = pytest.mark.system


def test_killed_between_two_polls_it_goes_on_where_it_was(
    mlflow: MlflowServer, proxy: Proxy, exporter: Callable[..., Exporter]
) -> None:
    experiment = mlflow.experiment("kill-between")
    for _ in range(3):
        mlflow.run(experiment, "FAILED", start=time.time() - 9, end=time.time())
    it = exporter(proxy.url, include=["kill-between"], active_interval="10m").start()
    it.until_series("ml_runs_finished_total kill-between failed", 3)
    it.until_series("ml_source_backfill_complete", 1)
    it.kill()

    while_down = mlflow.run(experiment, "FAILED", start=time.time() - 5, end=time.time())
    assert while_down
    proxy.requests.clear()
    it.start()
    assert it.series()["ml_runs_finished_total kill-between failed"] in (3, 4)
    it.until_series("ml_runs_finished_total kill-between failed", 4)
    it.until_series("ml_source_up", 1)
    history = [r for r in proxy.requests if b"start_time ASC" in r.body and b"status" not in r.body]
    assert not history, "the history was read again"
    time.sleep(2.5)
    assert it.series()["ml_runs_finished_total kill-between failed"] == 4


def test_killed_again_and_again_in_the_middle_of_the_backfill_it_counts_every_run_once(
    mlflow: MlflowServer, proxy: Proxy, exporter: Callable[..., Exporter]
) -> None:
    experiment = mlflow.experiment("kill-backfill")
    began = time.time() - 86400
    for i in range(60):
        mlflow.run(experiment, "FAILED" if i % 3 else "FINISHED", start=began + i * 60, end=began + i * 60 + 30)
    it = exporter(proxy.url, include=["kill-backfill"], page_size=5, backfill_pages=2)
    # Slow enough that each life reads a few pages of the twelve.
    proxy.fault = lambda request: Fault(delay=0.15, forward=True) if b"start_time" in request.body else None
    for _ in range(4):
        it.start()
        began_at = len(proxy.requests)
        it.until(lambda n=began_at: len(proxy.requests) > n + 5, "it has asked for some pages")  # type: ignore[misc]
        it.kill()
    proxy.fault = None
    it.start()
    it.until_series("ml_source_backfill_complete", 1)
    series = it.series()
    assert series["ml_runs_finished_total kill-backfill failed"] == 40
    assert series["ml_runs_finished_total kill-backfill succeeded"] == 20
    assert series["ml_run_duration_seconds_count kill-backfill"] == 20
    assert series["ml_run_duration_seconds_sum kill-backfill"] == pytest.approx(20 * 30)
    assert series["ml_run_busy_seconds_total kill-backfill"] == pytest.approx(60 * 30)
    pages = [r.body for r in proxy.requests if b"start_time ASC" in r.body and b"status" not in r.body]
    # A page begins with the last run of the one before: 5 and then 4 new ones, 15 pages for 60 runs. Each of the
    # four deaths may have cost the one page that it fell on.
    assert 15 <= len(pages) <= 15 + 4, len(pages)
