"""The bench of false alarms: its traffic, what it may leave out, and a few simulated hours in promtool."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from bench import alarm_screen, faults, rule_engine, traffic
from bench.rule_engine import Alarm
from bench.traffic import DAY, NOT_READ, WEEK, Counted, Fault, Service
from tests.support.programs import program

SEED = 1


def a_service(rate: float = 10.0, objective: float = 99.9, **changes: object) -> Service:
    return replace(traffic.service("s", (SEED, 7), rate, objective), **changes)


def read(service: Service, minutes: int) -> Counted:
    return traffic.readings(service, traffic.events(service, minutes))


def test_the_same_seed_gives_the_same_traffic_and_another_one_does_not() -> None:
    first, again, other = (traffic.events(traffic.fleet(seed)[30], DAY) for seed in (SEED, SEED, SEED + 1))
    assert (first.total == again.total).all()
    assert (first.bad == again.bad).all()
    assert (first.total != other.total).any()


def test_the_generator_is_frozen() -> None:
    """Alarms of a seed stay the alarms of that seed: whoever changes the generator changes this figure."""
    happened = traffic.events(traffic.fleet(SEED)[31], DAY)
    assert (int(happened.total.sum()), int(happened.bad.sum())) == FROZEN


FROZEN = (293032, 58)


def test_a_longer_time_begins_with_the_same_days() -> None:
    long, short = read(a_service(), WEEK + DAY), read(a_service(), DAY)
    assert (long.total[:DAY] == short.total).all()
    assert (long.bad[:DAY] == short.bad).all()


def test_the_fleet_has_every_objective_and_traffic_from_little_to_much() -> None:
    fleet = traffic.fleet(SEED)
    assert len(fleet) == 50
    assert {service.objective for service in fleet} == set(traffic.OBJECTIVES)
    assert min(service.rate for service in fleet) * 3600 == pytest.approx(20)
    assert max(service.rate for service in fleet) >= 90


def test_a_day_is_five_times_as_busy_at_its_peak_as_at_night() -> None:
    service = a_service(rate=100)
    total = traffic.events(service, DAY).total
    peak, night = (total[np.arange(at - 10, at + 10) % DAY].sum() for at in (service.peak, service.peak + DAY // 2))
    assert peak / night == pytest.approx(traffic.SWING, rel=0.05)


def test_a_healthy_month_burns_a_fifth_to_a_half_of_the_budget() -> None:
    for service in traffic.fleet(SEED)[-8:]:
        happened = traffic.events(service, 30 * DAY)
        burnt = happened.bad.sum() / happened.total.sum() / service.budget
        assert burnt == pytest.approx(service.burnt, rel=0.05)
        assert 0.18 < burnt < 0.52


def test_counters_are_whole_grow_and_start_again_once_a_week() -> None:
    seen = read(a_service(), WEEK).total
    steps = np.diff(seen[seen != NOT_READ])
    assert seen.dtype.kind == "i"
    assert seen[0] == 0
    assert (steps < 0).sum() == traffic.RESTARTS_A_WEEK


def test_three_times_a_week_two_readings_fail_and_one_at_the_restart() -> None:
    seen = read(a_service(), WEEK)
    assert (seen.total == NOT_READ).sum() == 3 * 2 + 1
    assert ((seen.total == NOT_READ) == (seen.bad == NOT_READ)).all()


def test_a_fault_within_a_minute_is_part_of_that_minute() -> None:
    outage = a_service(rate=100, fault=Fault(start=60.5, length=10, share=1.0))
    happened = traffic.events(outage, 120)
    assert happened.bad[60] / happened.total[60] == pytest.approx(0.5, abs=0.05)
    assert (happened.bad[61:70] == happened.total[61:70]).all()
    assert happened.bad[72:].sum() < happened.total[72:].sum() / 100


def test_every_fault_begins_within_what_is_simulated_and_leaves_time_to_be_found() -> None:
    assert len(faults.KINDS) == 20
    for kind in faults.KINDS:
        fault = faults.injected(kind, SEED).fault
        assert fault is not None
        assert kind.before <= fault.start
        assert fault.start + min(60 * kind.hours, 50 * 60) <= kind.minutes


def test_an_outage_is_found_by_its_first_page_and_a_leak_by_anything() -> None:
    fault = Fault(start=100.5, length=60, share=1.0)
    alarms = [Alarm(alert, severity, "f", minute, 1) for alert, severity, minute in _ALARMS]
    outage, leak = faults.found(faults.OUTAGES[0], fault, alarms), faults.found(faults.LEAKS[0], fault, alarms)
    assert outage == faults.Found("Fast", 9.5)
    assert leak == faults.Found("Slow", 4.5)
    assert faults.found(faults.LEAKS[0], fault, alarms[:1]) is None


_ALARMS = (("Early", "page", 90), ("Slow", "ticket", 105), ("Fast", "page", 110))


def test_an_outage_is_bound_to_page_by_its_budget() -> None:
    assert faults.Kind("", 1, 99).bound == pytest.approx(60 * 14.4 * 0.01 + 2 + 2)
    assert faults.Kind("", 1, 99.9).bound == pytest.approx(60 * 14.4 * 0.001 + 2 + 2)
    assert faults.Kind("", 1, 99, share=0.1).bound is None


def test_an_outage_in_falling_traffic_may_take_longer_to_be_as_large_a_share_of_the_last_hour() -> None:
    kind = faults.OUTAGES[0]
    dues = []
    for quarter in (1, 3):
        outage = replace(faults.injected(kind, SEED), fault=Fault(600, 60, 1.0), peak=(600 - quarter * DAY // 4) % DAY)
        dues.append(faults.due(kind, outage, traffic.events(outage, DAY)))
    falling, rising = dues
    assert falling is not None
    assert rising is not None
    assert kind.bound is not None
    assert rising < kind.bound < falling


def test_an_outage_of_little_traffic_is_due_at_no_time() -> None:
    little = faults.OUTAGES[5]
    service = faults.injected(little, SEED)
    assert faults.due(little, service, traffic.events(service, DAY)) is None


def test_the_screen_leaves_out_a_service_without_bad_events() -> None:
    happened = traffic.events(a_service(), 10 * DAY)
    assert list(alarm_screen.episodes(replace(happened, bad=0 * happened.bad), 0.001, near=0.7)) == []


def test_the_screen_keeps_a_fault_with_the_history_that_its_windows_need() -> None:
    fault = Fault(start=5 * DAY, length=60, share=0.1)
    happened = traffic.events(a_service(fault=fault), 10 * DAY)
    [episode] = alarm_screen.episodes(happened, 0.001, near=0.7)
    assert episode.begin <= 2 * DAY + 60
    assert 5 * DAY <= episode.counts_from <= 5 * DAY + 60
    assert episode.end >= 5 * DAY + 6 * 60


def test_the_screen_knows_the_shipped_tiers() -> None:
    """Its windows, factors and least numbers are those in the rules."""
    alerts = next(group for group in rule_engine.rules((99.9,)) if group["name"] == rule_engine.ALERTS)["rules"]
    texts = [rule["expr"] for rule in alerts if "slo:burn_rate:ratio" in rule["expr"]]
    assert len(texts) == len(alarm_screen.TIERS)
    for text, tier in zip(texts, alarm_screen.TIERS, strict=True):
        window = f"{tier.window // DAY}d" if tier.window >= DAY else f"{tier.window // 60}h"
        assert f'window="{window}"}} > {tier.factor:g}\n' in text
        least = re.search(r">= ([0-9.]+)\n", text)
        assert least is not None
        assert math.ceil(float(least[1])) == tier.bad  # a little is lost between scrapes


def test_the_rule_engine_pages_for_an_outage_in_time_and_stays_silent_without(tmp_path: Path) -> None:
    program("promtool")
    kind = faults.OUTAGES[1]
    outage = replace(faults.injected(kind, SEED), fault=Fault(start=120.5, length=60, share=1.0))
    healthy = replace(outage, fault=None)
    series = {name: (99.9, read(service, 180)) for name, service in (("outage", outage), ("healthy", healthy))}
    alarms = rule_engine.run(tmp_path, series, 180, timeout=250)
    assert {alarm.series for alarm in alarms} == {"outage"}
    assert alarms[0].alert == "MLObjectiveBurningFast"
    assert kind.bound is not None
    assert 120.5 + 2 < alarms[0].minute <= 120.5 + kind.bound


def test_what_is_recorded_is_what_happened_whatever_readings_were_lost(tmp_path: Path) -> None:
    """Else the screen would leave out what the rules see."""
    program("promtool")
    minutes = 400
    lossy = a_service(rate=0.2, fault=Fault(0, minutes, 0.1), gaps=(150, 390), restarts=(300,))
    happened = traffic.events(lossy, minutes)
    series = {"lossy": (99.9, traffic.readings(lossy, happened))}
    [(_, found)] = rule_engine.ask(tmp_path, series, [('slo:bad_events:sum{window="6h"}', minutes - 1)], timeout=250)
    assert list(found.values()) == [pytest.approx(happened.bad[minutes - 361 : minutes - 1].sum(), rel=0.05)]


def test_rules_that_promtool_refuses_are_an_error_with_its_words(tmp_path: Path) -> None:
    program("promtool")
    with pytest.raises(rule_engine.EngineError, match="parse"):
        rule_engine.run(tmp_path, {'a"b': (99.9, read(a_service(), 10))}, 10, timeout=60)
