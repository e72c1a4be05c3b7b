"""Budgets, burn rates and alerts after a month in a real Prometheus, against counts of the same events."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pytest
import yaml
from tests.support.alerts import rules_of
from tests.support.history import MINUTE, Exposed, History, Stage
from tests.support.history_cases import BEFORE, CASES, DAY, MONTH, Case
from tests.support.programs import wait_until

from ml_exporter import render

pytestmark = pytest.mark.system

WINDOWS = {"30m": 30, "1h": 60, "2h": 120, "6h": 360, "1d": DAY, "3d": 3 * DAY, "30d": MONTH}
LATE = range(0, 13, 3)
"""Minutes by which a window may end earlier: rates over 5 of them, steps of 2.5 that are one late, and our restarts."""
ROUGH = 0.02
"""In proportion: what rates add at the edges of a window."""
PRECISE = 0.002
"""Of a budget: a restart loses what was not scraped yet, and the month begins amid a step."""
HASTE = 5
"""Seconds between two evaluations of alerts."""
DATA: Mapping[str, Any] = {
    "sources": [{"name": "tracking", "kind": "mlflow", "url": "http://127.0.0.1:1"}],
    "endpoints": [{"name": "fraud", "protocol": "open_inference", "url": "http://127.0.0.1:1", "model": "fraud"}],
    "services": [{"name": "fraud", "owner": "risk-ml"}],
    "slos": list({case.name: case.slo() for case in CASES}.values()),
}


@dataclass(frozen=True)
class Month:
    """A Prometheus with the rules on it, some minutes after the `end` of the month."""

    history: History
    end: float
    names: Mapping[str, str]

    @property
    def passed(self) -> int:
        """Minutes since the end."""
        return int((time.time() - self.end) // MINUTE)

    def of(self, case: Case, name: str) -> dict[str, float]:
        """Window ('' of what has none) → value of a recorded series."""
        found = self.history.query(f'{self.names[name]}{{slo="{case.name}"}}')
        return {labels.get("window", ""): value for labels, value in found if case.group.items() <= labels.items()}

    def alerts(self, case: Case) -> set[str]:
        return {
            alert["labels"]["alertname"]
            for alert in self.history.ask("alerts")["alerts"]
            if alert["labels"]["slo"] == case.name and case.group.items() <= alert["labels"].items()
        }


@pytest.fixture(scope="module")
def month(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Month]:
    names = json.loads(render.evaluate("alerts/lib/recorded_slos.libsonnet"))
    groups = [rules_of(DATA)[f"{file}.yml"]["groups"][0] for file in ("slos", "slo-budgets", "objectives")]
    folder = tmp_path_factory.mktemp("history")
    end = time.time() // MINUTE * MINUTE
    series = [each for case in CASES for each in case.series(end)]
    history = History(folder, series, end - (MONTH + BEFORE) * MINUTE)
    for until in (lambda: end, time.time):  # the second time: what has passed meanwhile
        history.extend(until(), stages_of(groups, names))
    for group in groups:
        (folder / f"{group['name']}.yml").write_text(yaml.safe_dump({"groups": [hasty(group)]}))
    with Exposed(lambda: history.page(time.time())) as target, history.running(folder / "log", scraping(target)):
        wait_until(lambda: evaluated(history, names["budgetRemaining"]), 300, "all rules were evaluated")
        yield Month(history, end, names)


def stages_of(groups: Sequence[Mapping[str, Any]], names: Mapping[str, str]) -> list[Stage]:
    """What is read over time, in the order in which it is read."""
    every_minute, steps, _ = (group["rules"] for group in groups)
    return [
        *(Stage(recording(every_minute, names[name]), MINUTE, at=37) for name in ("slice", "bad", "total")),
        Stage(recording(steps, names["totalStep"], names["badStep"]), 150, at=101),
    ]


def recording(rules: Sequence[Mapping[str, Any]], *names: str) -> list[Mapping[str, Any]]:
    return [rule for rule in rules if rule["record"] in names]


def hasty(group: Mapping[str, Any]) -> dict[str, Any]:
    """Alerts at once: how long they wait is for the cases of promtool."""
    rules = [{key: value for key, value in rule.items() if key != "for"} for rule in group["rules"]]
    return {**group, "rules": rules, "interval": f"{HASTE}s" if group["name"] == "ml-objectives" else group["interval"]}


def scraping(target: str) -> dict[str, Any]:
    job = {"job_name": "history", "honor_labels": True, "static_configs": [{"targets": [target]}]}
    return {"rule_files": ["ml-*.yml"], "scrape_configs": [{**job, "scrape_interval": "15s"}]}


def evaluated(history: History, remaining: str) -> bool:
    """Every budget is known, alerts were judged after the last of them was, and no rule had an error."""
    groups = {group["name"]: group for group in history.ask("rules")["groups"]}
    assert [rule["lastError"] for group in groups.values() for rule in group["rules"] if rule.get("lastError")] == []
    judged = datetime.fromisoformat(groups["ml-objectives"]["lastEvaluation"]).timestamp()
    known = [at for _, at in history.query(f"timestamp({remaining})")]
    return len(known) == len(CASES) and judged > max(known) + HASTE


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.title)
def test_the_remaining_budget_is_that_of_the_events_that_were_counted(case: Case, month: Month) -> None:
    left = month.of(case, "budgetRemaining")[""]
    burns = expected(case, case.days * DAY, month.passed)
    assert 1 - max(burns) - PRECISE <= left <= 1 - min(burns) + PRECISE


@pytest.mark.parametrize("case", [case for case in CASES if case.days == 30], ids=lambda case: case.title)
def test_burn_rates_are_those_of_the_events_within_their_windows(case: Case, month: Month) -> None:
    found = month.of(case, "burnRate")
    for window, minutes in WINDOWS.items():
        if burns := expected(case, minutes, month.passed):
            assert (1 - ROUGH) * min(burns) <= found[window] <= (1 + ROUGH) * max(burns), f"{window}: {found}"


def expected(case: Case, minutes: int, passed: int) -> list[float]:
    """Burn rates of windows that end within `LATE` minutes before now; none if there was nothing in one of them."""
    counted = [case.counted(minutes, late - passed) for late in LATE]
    return [bad / total / case.budget for total, bad in counted] if all(total for total, _ in counted) else []


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.title)
def test_a_month_ends_with_its_alerts_and_no_others(case: Case, month: Month) -> None:
    assert month.alerts(case) - case.on_the_edge == case.alerts


@pytest.mark.parametrize("case", [case for case in CASES if case.name in ("slow-leak", "nan")], ids=lambda c: c.title)
def test_a_budget_lasts_as_long_as_it_does_at_the_pace_of_the_last_day(case: Case, month: Month) -> None:
    of_the_month, of_the_day = (bad / total / case.budget for total, bad in map(case.counted, (MONTH, DAY)))
    lasts = month.of(case, "exhaustedIn")[""]
    assert lasts == pytest.approx((1 - of_the_month) / of_the_day * MONTH * MINUTE, rel=ROUGH)


def test_averaged_ratios_would_be_500_times_too_high_where_traffic_varies_1000_fold(month: Month) -> None:
    """Peers average the ratios of five minutes (slok/sloth#241, #332, #618): 25 % instead of 0.05 %."""
    selector = '{slo="traffic-that-varies-1000-fold"}'
    bad, total = month.names["bad"] + selector, month.names["total"] + selector
    ((_, averaged),) = month.history.query(f"avg_over_time(({bad} / {total})[30d:5m])")
    assert averaged == pytest.approx(0.25, abs=0.01)
    (case,) = [case for case in CASES if case.name == "traffic-that-varies-1000-fold"]
    assert month.of(case, "errorRatio")["30d"] == pytest.approx(0.0005, rel=ROUGH)


def test_nothing_that_is_recorded_is_not_a_number(month: Month) -> None:
    """One NaN would spoil a budget for a month (slok/sloth#133, #231, #531)."""
    found = month.history.query('{__name__=~"slo:.+"}')
    assert len(found) > 10 * len(CASES)
    assert [labels for labels, value in found if not math.isfinite(value)] == []
