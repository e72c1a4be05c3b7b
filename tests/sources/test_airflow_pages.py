"""Pages and replies of Airflow that are many, missing, out of order or cannot be true."""

from __future__ import annotations

from email.utils import formatdate
from typing import Any

import pytest
from tests.support.fake_airflow import DAY, HOUR, NOW, FakeAirflow, Item, Watch, dag, run, stamp

from ml_exporter.errors import Malformed, Rejected
from ml_exporter.model import RunState
from ml_exporter.ports import Call, Reply
from ml_exporter.reading import iso

RUNS = "/api/v2/dags/~/dagRuns"


def test_many_active_runs_are_listed_whole() -> None:
    fake = FakeAirflow(dags=[dag("train")])
    fake.runs = [run("train", f"r{n}", "queued", NOW - 900 + n // 150) for n in range(450)]
    assert len(Watch(fake).poll().runs) == 450
    assert max(int(dict(call.params).get("offset", 0)) for call in fake.asked("/dagRuns")) <= 100


@pytest.mark.parametrize("page_limit", [1, 2, 7])
def test_a_server_that_gives_smaller_pages_than_asked_for(page_limit: int) -> None:
    fake = FakeAirflow(dags=[dag(f"d{n}") for n in range(5)], page_limit=page_limit)
    fake.runs = [run(f"d{n % 5}", f"r{n}", "success", NOW - 900 + n // 4) for n in range(15)]
    watch = Watch(fake)
    watch.catch_up()
    assert len(watch.listener.runs) == 15
    assert len(watch.listener.roster) == 5


def test_times_survive_the_way_through_a_query_to_the_microsecond() -> None:
    fake = FakeAirflow(dags=[dag("d")])
    fake.runs = [run("d", f"r{n}", "success", NOW - 900 + n * 1e-6) for n in range(40)]
    watch = Watch(fake, page_size=3)
    watch.catch_up()
    assert len(watch.listener.runs) == 40
    assert iso(NOW + 1e-6).endswith("000001Z")


# Watermarks


def test_a_run_that_becomes_visible_late_is_met() -> None:
    fake = FakeAirflow(dags=[dag("train")])
    watch = Watch(fake)
    watch.poll()
    watch.poll(30)
    fake.runs = [run("train", "r", "success", NOW - 900, updated=NOW - 60)]
    assert set(watch.poll(30).runs) == {"train/r"}


def test_our_clock_may_be_ahead_of_the_servers() -> None:
    fake = FakeAirflow(dags=[dag("train")], clock=formatdate(NOW - HOUR, usegmt=True))
    watch = Watch(fake)
    watch.poll()
    fake.runs = [run("train", "r", "success", NOW - 2 * HOUR, updated=NOW - HOUR + 20)]
    assert set(watch.poll(30).runs) == {"train/r"}


@pytest.mark.parametrize("clock", ["", "noon", "Thu, 99 Jan 2026 00:00:00 GMT", formatdate(NOW + DAY, usegmt=True)])
def test_a_date_header_that_cannot_be_is_no_watermark(clock: str) -> None:
    fake = FakeAirflow(dags=[dag("train")], clock=clock)
    watch = Watch(fake)
    watch.poll()
    assert watch.listener.cursor["finished"] == NOW


def test_history_is_as_long_as_it_is_told_to_be() -> None:
    fake = FakeAirflow(dags=[dag("train")])
    fake.runs = [run("train", "old", "success", NOW - 3 * DAY), run("train", "new", "success", NOW - DAY)]
    assert set(Watch(fake, history=2 * DAY).poll().runs) == {"train/new"}


# What is missing, and what cannot be


def test_half_a_roster_is_a_failure() -> None:
    fake = FakeAirflow(dags=[dag(f"d{n:03}") for n in range(150)])
    fake.spoil = lambda call, reply: {**reply, "dags": []} if dict(call.params).get("offset") == "100" else reply
    watch = Watch(fake)
    with pytest.raises(Malformed, match="dags: an empty page after 100 items, though 150 are announced"):
        watch.poll()
    assert watch.listener.batches == []


def test_a_roster_that_changes_while_it_is_read_is_read_again() -> None:
    fake = FakeAirflow(dags=[dag(f"d{n:03}") for n in range(150)])

    def vanish(call: Call, reply: Item) -> Item:
        if call.path.endswith("/dags") and len(fake.dags) == 150:
            del fake.dags[0]
        return reply

    fake.spoil = vanish
    assert len(Watch(fake).poll().roster) == 149


def test_a_roster_that_changes_again_and_again_is_a_failure() -> None:
    fake = FakeAirflow(dags=[dag(f"d{n:03}") for n in range(150)])

    def grow(call: Call, reply: Item) -> Item:
        fake.dags.append(dag(f"more-{len(fake.dags)}"))
        return reply

    fake.spoil = grow
    with pytest.raises(Malformed, match="dags: the listing changed while it was read, twice"):
        Watch(fake).poll()


def spoilt(what: dict[str, Any]) -> FakeAirflow:
    """Its listing of runs says something else, beside what it holds."""
    fake = FakeAirflow(dags=[dag("train")])
    fake.runs = [run("train", f"r{n}", "success", NOW - 900 + n) for n in range(150)]
    fake.spoil = lambda call, reply: {**reply, **what} if call.path == RUNS else reply
    return fake


@pytest.mark.parametrize(
    ("what", "says"),
    [
        ({"dag_runs": []}, "an empty page, though 150 items are announced"),
        ({"dag_runs": [{"dag_id": "train"}]}, "none of which has the time they are ordered by"),
        ({"dag_runs": [run("train", "a", "success", NOW), run("train", "b", "success", NOW - 9)]}, "not in the order"),
        ({"total_entries": None}, "total_entries"),
        ({"total_entries": -1}, "total_entries"),
        ({"dag_runs": None}, "dag_runs"),
        ({"dag_runs": [7]}, "dag_runs"),
    ],
)
def test_a_page_that_cannot_be_is_a_failure(what: dict[str, Any], says: str) -> None:
    watch = Watch(spoilt(what))
    with pytest.raises(Malformed, match=says):
        watch.poll()
    assert "finished" not in watch.listener.cursor


def test_a_server_that_forgets_the_filter_does_not_hold_us_for_ever() -> None:
    same = [run("train", f"r{n}", "success", NOW - 900 + n) for n in range(100)]
    with pytest.raises(Malformed, match="not in the order that was asked for"):
        Watch(spoilt({"dag_runs": same, "total_entries": 10_000})).poll()


def test_active_runs_without_end_are_a_failure() -> None:
    fake = FakeAirflow(dags=[dag("train")])

    def endless(call: Call, reply: Item) -> Item:
        if call.path != RUNS or ("state", "running") not in call.params:
            return reply
        number = len(fake.calls)
        return {
            "dag_runs": [run("train", f"r{n}", "running", NOW + n) for n in (number, number + 1)],
            "total_entries": 9,
        }

    fake.spoil = endless
    with pytest.raises(Malformed, match="active runs: more than 1000 pages"):
        Watch(fake).poll()


def test_a_refused_listing_names_the_version() -> None:
    fake = FakeAirflow(dags=[dag("train")])
    fake.instead[RUNS] = Reply(422, {}, b'{"detail": "Invalid value for state."}')
    fake.instead["/api/v2/version"] = b'{"version": "9.0.0"}'
    with pytest.raises(Rejected, match=r"Airflow 9.0.0 refuses the question with status 422 .*Invalid value for state"):
        Watch(fake).poll()


HOSTILE = [
    None,
    "",
    0,
    -1,
    1e300,
    True,
    [],
    {},
    "x" * 1_000_000,
    "9999-12-31T23:59:59Z",
    "1900-01-01T00:00:00",
]


@pytest.mark.parametrize("value", HOSTILE, ids=lambda value: str(value)[:20])
def test_one_field_that_cannot_be_hides_nothing_else(value: Any) -> None:
    fake = FakeAirflow(dags=[dag("train"), dag("other")])
    good = run("train", "good", "success", NOW - 500)
    for name in ("dag_id", "dag_run_id", "state", "queued_at", "start_date", "end_date"):
        fake.runs.append({**run("train", f"bad-{name}", "success", NOW - 600), name: value})
    fake.runs.append(good)
    fake.dags += [{**dag("odd"), name: value} for name in ("dag_id", "is_paused", "tags", "next_dagrun_run_after")]
    fake.dags.append(dag("tagged", tags=[value, {"name": value}]))
    fake.pools = [{"name": "p", "slots": value, "occupied_slots": value, "queued_slots": value}, {"name": value}]
    fake.import_errors = [{"bundle_name": value}]
    fake.health = {"scheduler": {"latest_scheduler_heartbeat": value}}
    fake.tasks = [{"dag_id": "train", "dag_run_id": value, "task_id": value, "end_date": stamp(NOW), "state": "failed"}]
    watch = Watch(fake, tasks=True)
    found = watch.poll().runs["train/good"]
    assert (found.state, found.ended_at) == (RunState.SUCCEEDED, NOW - 438)
    assert {"train", "other", "tagged"} <= set(watch.listener.roster)
    assert all(len(name) <= 512 for name in watch.listener.roster)


def test_times_that_run_backwards_are_left_out() -> None:
    fake = FakeAirflow(dags=[dag("train")])
    fake.runs = [
        run("train", "ended-early", "success", NOW - 600, end_date=stamp(NOW - 700)),
        run("train", "queued-late", "success", NOW - 600, queued_at=stamp(NOW)),
    ]
    found = Watch(fake).poll().runs
    early, late = found["train/ended-early"], found["train/queued-late"]
    assert (early.queued_at, early.started_at, early.ended_at) == (None, None, NOW - 700)
    assert (late.queued_at, late.started_at, late.ended_at) == (None, NOW - 598, NOW - 538)
