"""What the Dagster source costs: calls are counted, against a fake with a huge history."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tests.support.fake_dagster import NOW, FakeDagster, History, repository, run, source
from tests.support.polling import Listener

from ml_exporter.model import Batch, Receipt


def quiet_polls(fake: FakeDagster, listener: Listener, **options: Any) -> tuple[list[int], int]:
    """Calls that list runs in each of 20 polls after the catch-up, and all other calls of those ten minutes."""
    src = source(**options)
    while not listener.batches or not listener.last.complete:
        listener.poll(src, fake, NOW)
    listings, others = [], 0
    for step in range(1, 21):
        fake.calls.clear()
        listener.poll(src, fake, NOW + step * 30)
        listings.append(fake.count("Runs"))
        others += fake.count() - fake.count("Runs")
    return listings, others


class Counter(Listener):
    """Keeps nothing of what it is told but the cursor and the last batch."""

    def commit(self, batch: Batch) -> Receipt:
        self.batches = []
        return super().commit(replace(batch, runs=()))


def test_quiet_polls_cost_a_call_or_two_whatever_the_history_holds() -> None:
    jobs = [f"job{number}" for number in range(1000)]
    history = History(500_000, NOW - 600, 0.0625, jobs=1000)
    fake = FakeDagster({"lab": [repository(*jobs)]}, history=history)
    listings, others = quiet_polls(fake, Counter(), history=3600.0)
    assert max(listings) <= 3
    assert sum(listings) <= 24
    assert others <= 1 + 5


def test_ten_thousand_queued_runs_cost_no_more_than_three_listings_in_a_poll() -> None:
    fake = FakeDagster()
    fake.runs = [run(f"r{number}", status="QUEUED", created=NOW - 90_000 + number) for number in range(10_000)]
    listings, others = quiet_polls(fake, Counter(), history=3600.0)
    assert max(listings) <= 3
    assert others <= 1 + 5
