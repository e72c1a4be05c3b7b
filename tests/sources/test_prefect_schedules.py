"""When Prefect's runs are due, how full its pools are, and what a poll costs, against a fake. Times are seconds."""

from __future__ import annotations

import math
from typing import Any

import pytest
from tests.support.fake_prefect import NOW, FakePrefect, Heard, Row, source

from ml_exporter.model import Schedule
from ml_exporter.reading import iso

HOUR = 3600.0
HOURLY = {"cron": "0 * * * *", "timezone": "UTC"}
RULE = {"rrule": "FREQ=WEEKLY;BYDAY=MO", "timezone": "UTC"}


def plan(fake: FakePrefect, deployment: str, *times: float) -> None:
    """What Prefect's scheduler makes ahead."""
    for at in times:
        values = {"expected": at, "next": at, "deployment_id": deployment, "auto_scheduled": True, "run_count": 0}
        fake.run(f"{deployment} at {at:.0f}", "SCHEDULED", **values)


# When runs are due


@pytest.mark.parametrize(
    ("timing", "last", "following"),
    [
        (HOURLY, 0, HOUR),
        ({"cron": "30 9 * * *", "timezone": "Europe/Berlin"}, 8.5 * HOUR - 24 * HOUR, 8.5 * HOUR),
        ({"interval": 7200.0, "anchor_date": "2020-01-01T01:00:00Z", "timezone": "UTC"}, -HOUR, HOUR),
        ({"interval": 86_400.0, "anchor_date": "2020-01-01T00:00:00Z", "timezone": "UTC"}, 0, 24 * HOUR),
    ],
)
def test_cron_and_interval_are_computed(timing: Row, last: float, following: float) -> None:
    fake, midnight = FakePrefect(), NOW - NOW % 86_400
    fake.deployment("etl", "d", timing, created=iso(NOW - 1e7))
    info = Heard().poll(source(), fake, midnight + 1).infos["etl/d"]
    assert (info.schedule, info.paused) == (Schedule(midnight + following, midnight + last), False)
    assert fake.count()["flow_runs"] == 3


@pytest.mark.parametrize(
    "timing",
    [
        RULE,
        {"cron": "0 0 13 * 5", "day_or": False, "timezone": "UTC"},
        {"cron": "0 0 * * * 30", "timezone": "UTC"},  # croniter's seconds
        {"cron": "0 0 * * *", "timezone": "Mars/Olympus"},
        {"cron": "H H * * *", "timezone": "UTC"},
        # Prefect counts days from now on by the clock on the wall, and by seconds when it begins anew.
        {"interval": 86_400.0, "anchor_date": "2020-01-01T00:00:00Z", "timezone": "Europe/Berlin"},
    ],
)
def test_what_only_prefect_can_compute_is_read_off_its_planned_runs(timing: Row) -> None:
    fake, src = FakePrefect(), source()
    fake.deployment("etl", "d", timing)
    plan(fake, "etl-d", NOW + 100, NOW + 200)
    listener = Heard().poll(src, fake, NOW)
    assert listener.infos["etl/d"].schedule == Schedule(NOW + 100)
    listener.poll(src, fake, NOW + 130)
    assert listener.infos["etl/d"].schedule == Schedule(NOW + 200, NOW + 100)


def test_several_schedules_are_due_when_any_of_them_is() -> None:
    fake = FakePrefect()
    fake.deployment("etl", "d", HOURLY, RULE)
    plan(fake, "etl-d", NOW + 100)
    begun = NOW - NOW % HOUR
    assert Heard().poll(source(), fake, NOW).infos["etl/d"].schedule == Schedule(NOW + 100, begun)


@pytest.mark.parametrize("how", ["deployment", "schedules"])
def test_nothing_is_due_while_paused(how: str) -> None:
    fake = FakePrefect()
    fake.deployment("etl", "d", HOURLY, paused=how == "deployment")
    if how == "schedules":
        fake.tables["deployments"][0]["schedules"][0]["active"] = False
    info = Heard().poll(source(), fake, NOW).infos["etl/d"]
    assert (info.schedule, info.paused) == (None, True)


def test_a_deployment_without_schedule_expects_nothing() -> None:
    fake = FakePrefect()
    fake.deployment("etl", "by hand")
    info = Heard().poll(source(), fake, NOW).infos["etl/by hand"]
    assert (info.schedule, info.paused) == (None, False)


def test_nothing_was_due_before_the_timetable_was_as_it_is() -> None:
    fake = FakePrefect()
    fake.deployment("etl", "resumed", HOURLY, updated=iso(NOW + 5))
    schedule = Heard().poll(source(), fake, NOW + 10).infos["etl/resumed"].schedule
    assert schedule == Schedule(NOW - NOW % HOUR + HOUR)


def test_a_due_time_that_passes_is_told_without_a_call() -> None:
    fake, src = FakePrefect(), source()
    fake.deployment("etl", "d", HOURLY)
    listener = Heard().poll(src, fake, NOW - NOW % HOUR + HOUR - 10)
    listener.poll(src, fake, NOW - NOW % HOUR + HOUR + 20)
    assert listener.infos["etl/d"].schedule == Schedule(NOW - NOW % HOUR + 2 * HOUR, NOW - NOW % HOUR + HOUR)
    assert fake.count()["deployments"] == 1


def test_rules_that_crowd_each_other_off_a_page_get_their_turn() -> None:
    fake, src = FakePrefect(), source(page_size=4)
    for name in "abc":
        fake.deployment("etl", name, RULE)
    plan(fake, "etl-a", *(NOW + 100 * n for n in range(1, 9)))
    plan(fake, "etl-b", NOW + 5000)
    listener = Heard()
    for step in range(3):
        listener.poll(src, fake, NOW + step * 30)
    due = {name: info.schedule and info.schedule.next_due for name, info in listener.infos.items()}
    assert due == {"etl/a": NOW + 100, "etl/b": NOW + 5000, "etl/c": None}


# Work pools


def pools(**limits: int | None) -> FakePrefect:
    fake = FakePrefect()
    for name, limit in limits.items():
        fake.deployment("etl", name, work_pool_name=name)
        fake.tables["work_pools"].append({"id": name, "name": name, "concurrency_limit": limit})
        fake.tables["work_queues"].append({"id": name, "name": "default", "work_pool_name": name})
    return fake


def held(fake: FakePrefect, state: str, count: int, pool: str, **values: Any) -> None:
    for number in range(count):
        deployment = {"deployment_id": f"etl-{pool}", "work_pool_name": pool, "work_queue_name": "default"}
        fake.run(f"{pool} {state} {number}", state, **deployment, **values)


def test_waiting_runs_and_slots_are_counted_by_pool() -> None:
    fake = pools(gpu=5, cpu=None)
    held(fake, "RUNNING", 2, "gpu", parent_task_run_id="t")  # part of another flow: a slot all the same
    held(fake, "PENDING", 1, "gpu")
    held(fake, "CANCELLING", 1, "gpu")  # Prefect's scheduler does not count it
    held(fake, "SCHEDULED:Late", 4, "gpu", expected=NOW - 50, next=NOW - 50)
    held(fake, "SCHEDULED:AwaitingRetry", 1, "gpu", next=NOW + 50)
    gauges = Heard().poll(source(), fake, NOW).gauges
    assert gauges == {
        ("queue_length", "gpu"): 4,
        ("queue_length", "cpu"): 0,
        ("capacity", "gpu", "slots", "used"): 3,
        ("capacity", "gpu", "slots", "free"): 2,
        ("capacity", "gpu", "slots", "unavailable"): 0,
    }


def test_a_queue_with_a_limit_of_its_own_is_told_too() -> None:
    fake = pools(gpu=None)
    fake.tables["work_queues"][0]["concurrency_limit"] = 2
    held(fake, "RUNNING", 2, "gpu")
    held(fake, "SCHEDULED:Late", 3, "gpu", expected=NOW - 50, next=NOW - 50)
    gauges = Heard().poll(source(), fake, NOW).gauges
    assert gauges["queue_length", "gpu/default"] == 3
    assert gauges["capacity", "gpu/default", "slots", "free"] == 0


def test_the_slots_of_a_paused_pool_are_unavailable() -> None:
    fake = pools(gpu=5)
    fake.tables["work_pools"][0]["is_paused"] = True
    held(fake, "RUNNING", 2, "gpu")
    gauges = Heard().poll(source(), fake, NOW).gauges
    assert [gauges["capacity", "gpu", "slots", state] for state in ("used", "free", "unavailable")] == [2, 0, 3]


def test_workers_are_expected_only_where_deployments_need_them() -> None:
    fake = pools(gpu=1, paused=1, idle=1)
    for number, queue in enumerate(fake.tables["work_queues"]):
        queue["last_polled"] = iso(NOW - 100 - number)
    fake.tables["work_pools"][1]["is_paused"] = True
    fake.tables["deployments"][2]["paused"] = True
    gauges = Heard().poll(source(), fake, NOW).gauges
    found = {key: value for key, value in gauges.items() if key[0].startswith("heartbeat")}
    assert found == {("heartbeat_timestamp_seconds", "workers of gpu"): NOW - 100}


# Cost


@pytest.mark.parametrize("runs", [0, 2000])
def test_a_quiet_poll_costs_three_listings_whatever_the_history_holds(runs: int) -> None:
    fake, src = pools(gpu=5, cpu=5), source()
    for number in range(1000):
        fake.deployment(f"flow{number // 10}", f"d{number}", RULE if number % 100 == 0 else HOURLY)
        plan(fake, f"flow{number // 10}-d{number}", NOW + 86_400)
    for number in range(runs):
        fake.run(f"r{number}", flow_id="flow-etl", start=NOW - 200 * number - 90, end=NOW - 200 * number - 60)
    listener = Heard()
    while not listener.batches or not listener.last.caught_up:
        listener.poll(src, fake, NOW)
    for window in range(2):
        others = 0
        for step in range(1, 21):
            fake.calls.clear()
            listener.poll(src, fake, NOW + window * 600 + step * 30)
            counted = fake.count()
            assert counted.pop("flow_runs") <= 3
            others += counted.total()
        assert others <= math.ceil(1004 / 200) + 5
    assert len(listener.runs) == runs


def test_a_poll_that_reads_planned_runs_leaves_what_ended_to_the_next_one() -> None:
    fake, src = FakePrefect(), source()
    fake.deployment("etl", "d", RULE)
    plan(fake, "etl-d", NOW + 45)
    listener = Heard().poll(src, fake, NOW)
    fake.tables["flow_runs"].clear()
    plan(fake, "etl-d", NOW + 86_400)
    fake.run("r", start=NOW + 610, end=NOW + 620)
    fake.calls.clear()
    listener.poll(src, fake, NOW + 630)
    assert fake.count()["flow_runs"] == 3
    assert (listener.infos["etl/d"].schedule, listener.runs) == (Schedule(NOW + 86_400, NOW + 45), {})
    listener.poll(src, fake, NOW + 660)
    assert set(listener.runs) == {"r"}
