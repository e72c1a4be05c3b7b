"""How many calls the Airflow source makes, whatever the history holds."""

from __future__ import annotations

import math
from collections import Counter

import pytest
from tests.support.fake_airflow import DAY, HOUR, NOW, FakeAirflow, Item, Listing, Watch, dag, run

from ml_exporter.ports import Call


def listings(fake: FakeAirflow) -> list[Call]:
    return [call for call in fake.calls if call.path.endswith(("/dagRuns", "/taskInstances"))]


def offsets(fake: FakeAirflow) -> list[int]:
    return [int(dict(call.params).get("offset", 0)) for call in listings(fake)]


def large(version: int = 2, dags: int = 1000, runs: int = 500_000) -> FakeAirflow:
    """Every DAG runs on the same hour: a thousand runs share each birth. The last ones are two hours old."""
    names = [f"dag-{number:04}" for number in range(dags)]
    begin = NOW - 2 * HOUR - (runs // dags) * HOUR

    def born(number: int) -> float:
        return begin + (number // dags) * HOUR

    def make(number: int) -> Item:
        return run(names[number % dags], f"scheduled__{number // dags}", "success", born(number))

    fake = FakeAirflow(version=version, dags=[dag(name) for name in names], history=Listing(runs, born, make))
    fake.runs = [run(names[0], "now", "running", NOW - 60)]
    return fake


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("tasks", [False, True])
def test_a_quiet_poll_costs_little_whatever_the_history_holds(version: int, tasks: bool) -> None:
    fake = large(version)
    watch = Watch(fake, history=DAY, tasks=tasks)
    watch.catch_up()
    met = {id_ for id_, known in watch.listener.runs.items() if known.state.is_terminal}
    expected = len(fake.history.numbers(NOW - DAY, None, None)) if fake.history else 0
    assert len(met) == expected > 20_000
    watch.poll(700)
    for _ in range(20):
        fake.calls.clear()
        watch.poll(30)
        assert len(listings(fake)) <= (3 if tasks and version == 2 else 2)
        assert max(offsets(fake)) == 0


@pytest.mark.parametrize("version", [1, 2])
def test_roster_schedules_and_capacity_cost_little_in_ten_minutes(version: int) -> None:
    fake = large(version)
    fake.pools = [{"name": f"p{n}", "slots": 1, "occupied_slots": 0} for n in range(20)]
    watch = Watch(fake, history=0.0)
    watch.catch_up()
    for _ in range(3):
        fake.calls.clear()
        for _ in range(20):
            watch.poll(30)
        others = Counter(call.path.rpartition("/")[2] for call in fake.calls if call not in listings(fake))
        assert others.total() <= math.ceil(1000 / 100) + 5, others


def test_a_new_process_stays_within_the_budget_too() -> None:
    fake = large()
    Watch(fake, history=0.0).catch_up()
    others = [call for call in fake.calls if call not in listings(fake)]
    assert len(others) <= math.ceil(1000 / 100) + 5


def test_a_catch_up_reads_every_run_once_with_shallow_offsets_and_few_pages_a_poll() -> None:
    fake = large(runs=50_000)
    watch = Watch(fake, history=400 * DAY)
    polls = watch.catch_up()
    assert len(watch.listener.runs) == 50_001
    assert max(offsets(fake)) < 1000, "never deeper than the runs that share one instant"
    assert len(listings(fake)) < 50_000 / 100 * 1.2 + polls
    assert len(listings(fake)) / polls <= 21
    progress = [batch.progress for batch in watch.listener.batches if batch.progress is not None]
    assert progress == sorted(progress)
    assert progress[-1] == 1.0
