"""The digest of a real Prometheus, with a fortnight that is filled in and counted by hand."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.programs import free_port, program, start

from ml_exporter.config import from_data
from ml_exporter.digest.command import Options, run

pytestmark = pytest.mark.system

NOW = 1_780_300_800.0
"""2026-06-01 08:00 UTC, a Monday."""
WEEK = 7 * 24 * 60
"""Minutes."""

PAGE = 'ml_service="fraud", severity="page", alertname="MLEndpointDown", alertstate="firing"'
TICKET = 'severity="ticket", alertstate="firing"'
LATE = f'{TICKET}, ml_service="churn", alertname="MLPipelineLate", source="tracking", pipeline="churn-train"'
SLOW = f'{TICKET}, ml_service="fraud", alertname="MLRunSlow", source="tracking", pipeline="fraud-train"'
WORSE = f'{TICKET}, ml_service="fraud", alertname="MLModelQualityDegraded", model="fraud", version="7"'
TREND = 'ml_service="ml-exporter", severity="info", alertname="MLSomethingGrows", alertstate="firing"'
EPISODES = {
    'alertname="Watchdog", alertstate="firing", severity="info", ml_service="ml-exporter"': [(2 * WEEK, 2 * WEEK + 1)],
    f'{PAGE}, ml_endpoint="live"': [(3000, 20), (100, 10)],
    f'{PAGE}, ml_endpoint="batch"': [(30, 31)],
    LATE: [(WEEK + 900, 5), (WEEK + 500, 5), *((day * 1440 + 60, 5) for day in range(6))],
    SLOW: [(WEEK + 20, 40)],
    WORSE: [(WEEK + 1000, WEEK + 1001)],
    TREND: [(WEEK + 60, 60), (5000, 60), (3000, 120), (10, 5)],
    f'{TICKET}, ml_service="fraud", alertname="MLOnlyTheWeekBefore"': [(WEEK + 700, 30)],
    'alertname="NodeDown", severity="page", alertstate="firing"': [(300, 60)],
    'alertname="MLEndpointSlow", severity="ticket", alertstate="pending", ml_service="fraud"': [(300, 60)],
}
"""Labels → when it began, in minutes before now, and how many minutes it fired."""
SLO = "slo:error_budget_remaining:ratio"
BUDGETS = {
    f'{SLO}{{slo="fraud-latency", ml_service="fraud", slo_window="30d", model="a"}}': {WEEK: 0.9, 0: 0.6},
    f'{SLO}{{slo="fraud-errors", ml_service="fraud", slo_window="30d"}}': {WEEK: 0.5, 0: 0.75},
    f'{SLO}{{slo="churn-fresh", ml_service="churn", slo_window="30d"}}': {0: -0.2},
    f'{SLO}{{slo="churn-unknown", ml_service="churn", slo_window="30d"}}': {0: float("nan")},
}

TEXT = """\
Alerts from 2026-05-25 08:00 UTC to 2026-06-01 08:00 UTC (7d)

fraud (owner: risk-ml)
  page    MLEndpointDown: fired 3 times (before: never), 1h 1m in all, still firing since 2026-06-01 07:30 UTC
            ml_endpoint=live: 2 times, 30m
            ml_endpoint=batch: once, 31m
  ticket  MLModelQualityDegraded: fired once (before: once), 7d in all, still firing since before the period
            model=fraud version=7
  ticket  MLRunSlow: fired once (before: once), 19m in all
            pipeline=fraud-train source=tracking

churn (owner: growth)
  ticket  MLPipelineLate: fired 6 times (before: 2 times), 30m in all, noisy
            pipeline=churn-train source=tracking

ml-exporter
  info    MLSomethingGrows: fired 3 times (before: once), 3h 5m in all

Error budgets that are left
  churn-fresh (churn): overspent by 20.0 %
  fraud-latency (fraud) model=a: 60.0 %, 30.0 points less than at the beginning
  fraud-errors (fraud): 75.0 %, 25.0 points more than at the beginning

Noise: 1 alert fired over 5 times. Mend what they report, or where they fire.

Nothing alerted of recommendations.
"""


def history() -> str:
    """In OpenMetrics. Samples lie half a minute before the minutes that the digest looks at."""
    lines = ["# TYPE ALERTS gauge"]
    for labels, episodes in EPISODES.items():
        for before, minutes in sorted(episodes, reverse=True):
            begin = NOW - before * 60 - 30
            lines += [f"ALERTS{{{labels}}} 1 {begin + 60 * minute:.0f}" for minute in range(minutes)]
    lines += [f"# TYPE {SLO} gauge"]
    lines += [
        f"{series} {value} {NOW - before * 60 - 30:.0f}"
        for series, at in BUDGETS.items()
        for before, value in at.items()
    ]
    # No blanks between labels: OpenMetrics is strict.
    return "\n".join([*lines, "# EOF\n"]).replace(", ", ",")


@pytest.fixture(scope="module", params=[None, "3.5"])
def prometheus(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("prometheus")
    (folder / "history.txt").write_text(history())
    (folder / "prometheus.yml").write_text("")
    promtool = [
        program("promtool", request.param),
        "tsdb",
        "create-blocks-from",
        "openmetrics",
        "--max-block-duration=360h",
    ]
    done = subprocess.run([*promtool, folder / "history.txt", folder / "data"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    address = f"127.0.0.1:{free_port()}"
    process = start(
        "prometheus",
        [
            program("prometheus", request.param),
            f"--config.file={folder}/prometheus.yml",
            f"--storage.tsdb.path={folder}/data",
            "--storage.tsdb.retention.time=100y",
            f"--web.listen-address={address}",
            # What is filled in cannot say that a series has ended.
            "--query.lookback-delta=1m",
        ],
        log=folder / "prometheus.log",
        ready_url=f"http://{address}/-/ready",
    )
    yield f"http://{address}"
    process.stop()


def digest(url: str, **options: Any) -> str:
    services = [
        {"name": "fraud", "owner": "risk-ml"},
        {"name": "churn", "owner": "growth"},
        {"name": "recommendations", "owner": "shop"},
    ]
    said: list[str] = []
    config = from_data({"services": services, "stack": {"prometheus_url": url}})
    assert run(config, Options(**options), Path(), said.append, NOW + 17)
    return "\n".join(said) + "\n"


def test_a_week_is_counted_as_by_hand(prometheus: str) -> None:
    assert digest(prometheus) == TEXT


def test_a_coarser_grid_counts_the_same_episodes(prometheus: str) -> None:
    """A fortnight is looked at every two minutes; of the week before it Prometheus knows nothing."""
    found = json.loads(digest(prometheus, since="14d", format="json"))
    assert found["period"]["step"] == 120
    alerts = {alert["alert"]: alert for service in found["services"] for alert in service["alerts"]}
    assert {name: alert["fired"] for name, alert in alerts.items()} == {
        "MLEndpointDown": 3,
        "MLModelQualityDegraded": 1,
        "MLRunSlow": 1,
        "MLPipelineLate": 8,
        "MLSomethingGrows": 4,
        "MLOnlyTheWeekBefore": 1,
    }
    assert {alert["fired_before"] for alert in alerts.values()} == {None}
    assert alerts["MLRunSlow"]["seconds"] == 40 * 60
    assert alerts["MLModelQualityDegraded"]["about"][0]["since"] == NOW - (WEEK + 1000) * 60


def test_only_the_severities_that_were_asked_for_are_there(prometheus: str) -> None:
    found = json.loads(digest(prometheus, severity="page,info", format="json"))
    severities = {alert["severity"] for service in found["services"] for alert in service["alerts"]}
    assert severities == {"page", "info"}


def test_time_without_rules_is_named(prometheus: str) -> None:
    assert "Note: The rules were evaluated in 66.7 % of the period" in digest(prometheus, since="21d")
