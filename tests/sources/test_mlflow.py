"""The MLflow source, poll by poll, against a fake that can travel in time. Times are seconds."""

from __future__ import annotations

import itertools

import pytest
from tests.support.fake_mlflow import NOW, server, source
from tests.support.polling import Listener

from ml_exporter.errors import Malformed
from ml_exporter.model import RunState
from ml_exporter.ports import Reply

# Watermark


def test_a_run_that_ended_since_the_last_poll_is_told_once_more_poll_costs_nothing() -> None:
    fake, src = server(), source()
    listener = Listener().poll(src, fake, NOW)
    fake.run("r", start=NOW + 1, end=NOW + 20)
    listener.poll(src, fake, NOW + 30)
    listener.poll(src, fake, NOW + 60)
    assert [(run.id, run.state, run.ended_at) for run in listener.told] == [("r", RunState.SUCCEEDED, NOW + 20)]


def test_a_run_that_ended_before_another_but_was_written_later_is_found_within_the_overlap() -> None:
    fake, src = server(), source(overlap=300.0)
    listener = Listener().poll(src, fake, NOW)
    fake.run("late", start=NOW, end=NOW + 100)
    listener.poll(src, fake, NOW + 120)
    fake.run("early", start=NOW - 190, end=NOW - 180)
    listener.poll(src, fake, NOW + 150)
    assert set(listener.runs) == {"late", "early"}


def test_runs_told_before_a_restart_are_told_again_rather_than_lost() -> None:
    fake, src = server(), source()
    listener = Listener().poll(src, fake, NOW)
    fake.run("r", start=NOW + 1, end=NOW + 20)
    listener.poll(src, fake, NOW + 30)
    listener.poll(source(), fake, NOW + 60)
    assert [run.id for run in listener.told] == ["r", "r"]


def test_what_ended_while_nobody_looked_is_found_page_by_page() -> None:
    fake = server()
    listener = Listener().poll(source(), fake, NOW)
    for number in range(250):
        fake.run(f"r{number}", start=NOW + number, end=NOW + number + 1)
    listener.poll(source(page_size=20), fake, NOW + 3600)
    assert len(listener.runs) == 250
    assert all(len(batch.runs) <= 20 for batch in listener.batches)


def test_a_client_whose_clock_is_ahead_does_not_drag_the_watermark_along() -> None:
    fake, src = server(), source()
    listener = Listener().poll(src, fake, NOW)
    fake.run("ahead", start=NOW, end=NOW + 1e6)
    listener.poll(src, fake, NOW + 30)
    assert listener.cursor["ended"] == (NOW + 30) * 1000
    fake.run("right", start=NOW, end=NOW + 50)
    assert "right" in listener.poll(src, fake, NOW + 60).runs


@pytest.mark.parametrize("busy", [True, False])
@pytest.mark.parametrize("resumed_at", range(1, 12))
def test_a_run_that_ends_again_before_anyone_saw_it_resumed_is_told_with_its_new_end(
    resumed_at: int, busy: bool
) -> None:
    fake, src = server(), source(overlap=300.0, active_interval=1e6)
    listener = Listener().poll(src, fake, NOW)
    fake.run("r", start=NOW, end=NOW + 5)
    for step in range(1, 30):
        now = NOW + step * 30
        if step == resumed_at + 1:
            fake.run("r", status="FAILED", start=NOW, end=now - 10)
        if busy or step == 25:
            fake.run(f"other{step}", start=now - 20, end=now - 1)  # moves the watermark
        listener.poll(src, fake, now)
    assert (listener.runs["r"].state, listener.runs["r"].ended_at) == (RunState.FAILED, NOW + resumed_at * 30 + 20)


def test_what_was_read_is_not_sent_again_in_every_poll() -> None:
    fake, src = server(), source(overlap=300.0)
    listener = Listener().poll(src, fake, NOW)
    for number in range(100):
        fake.run(f"r{number}", start=NOW + 1, end=NOW + 20)
    for step in range(1, 11):
        listener.poll(src, fake, NOW + step * 30)
    assert len(listener.told) == 200  # ten polls within the overlap: once, and once more for a second look


def test_a_quiet_server_is_asked_four_things() -> None:
    fake, src = server(), source()
    listener = Listener().poll(src, fake, NOW)
    fake.calls.clear()
    listener.poll(src, fake, NOW + 30)
    assert [call.path.partition("mlflow/")[2] for call in fake.calls] == ["experiments/search"] + ["runs/search"] * 3


# Active runs


def test_a_run_that_starts_is_told_with_the_next_poll() -> None:
    fake, src = server(), source()
    listener = Listener().poll(src, fake, NOW)
    fake.run("running", status="RUNNING", start=NOW + 10)
    fake.run("queued", status="SCHEDULED", start=NOW + 10)
    listener.poll(src, fake, NOW + 30)
    assert (listener.runs["running"].state, listener.runs["running"].started_at) == (RunState.RUNNING, NOW + 10)
    assert (listener.runs["queued"].state, listener.runs["queued"].queued_at) == (RunState.QUEUED, NOW + 10)


def test_more_active_runs_than_fit_on_a_page_are_all_listed() -> None:
    fake, src = server(), source(page_size=10)
    for n in range(35):
        fake.run(f"old{n}", status="RUNNING", start=NOW - 5000 + n)
    listener = Listener().poll(src, fake, NOW)
    for n in range(35):
        fake.run(f"new{n}", status="RUNNING", start=NOW + n / 2)
    listener.poll(src, fake, NOW + 30)
    assert len(listener.runs) == 70
    assert not fake.count("runs/get")


def test_every_active_run_is_read_again_within_ten_minutes_and_no_more_often_than_needed() -> None:
    fake, src = server(*(f"e{n}" for n in range(1, 51))), source(active_interval=540.0)
    for n in range(1, 51):
        fake.run(f"r{n}", str(n), "RUNNING", start=NOW - 5000)
    listener = Listener().poll(src, fake, NOW)
    seen: dict[str, list[float]] = {f"e{n}": [NOW] for n in range(1, 51)}
    for step in range(1, 61):
        before = len(listener.batches)
        listener.poll(src, fake, NOW + step * 30)
        for batch in listener.batches[before:]:
            for name in batch.active_listed or ():
                seen[name].append(NOW + step * 30)
    gaps = [later - earlier for times in seen.values() for earlier, later in itertools.pairwise(times)]
    assert max(gaps) <= 600
    assert sum(len(times) - 1 for times in seen.values()) <= 50 * 4  # 30 minutes: three rounds and a bit


def test_the_first_poll_of_a_process_reads_all_active_runs_again() -> None:
    fake = server("a", "b", "c")
    listener = Listener().poll(source(), fake, NOW)
    listener.poll(source(), fake, NOW + 30)
    assert [b.active_listed for b in listener.batches if b.active_listed] == [{"a", "b", "c"}] * 2


def test_a_run_that_ended_with_a_clock_far_behind_is_asked_for_and_told() -> None:
    fake, src = server(), source()
    fake.run("r", status="RUNNING", start=NOW - 90_000)
    listener = Listener().poll(src, fake, NOW)
    fake.run("r", status="FAILED", start=NOW - 90_000, end=NOW - 80_000)
    for step in range(1, 20):
        listener.poll(src, fake, NOW + step * 30)
    assert (listener.runs["r"].state, listener.runs["r"].ended_at) == (RunState.FAILED, NOW - 80_000)
    assert fake.count("runs/get") == 1


def test_a_run_seen_to_have_ended_without_an_end_time_ended_when_that_was_seen() -> None:
    fake, src = server(), source()
    fake.run("r", status="RUNNING", start=NOW - 100)
    listener = Listener().poll(src, fake, NOW)
    fake.run("r", status="KILLED", start=NOW - 100)
    listener.poll(src, fake, NOW + 600)
    assert (listener.runs["r"].state, listener.runs["r"].ended_at) == (RunState.CANCELLED, NOW + 600)


@pytest.mark.parametrize("how", ["deleted", "gone for good"])
def test_an_active_run_that_is_no_longer_there_is_forgotten(how: str) -> None:
    fake, src = server(), source()
    fake.run("r", status="RUNNING", start=NOW - 100)
    listener = Listener().poll(src, fake, NOW)
    if how == "deleted":
        fake.runs["r"]["info"]["lifecycle_stage"] = "deleted"
    else:
        del fake.runs["r"]
    listener.poll(src, fake, NOW + 600)
    assert listener.forgotten == ["r"]


def test_an_active_child_run_is_forgotten_when_children_are_no_longer_wanted() -> None:
    fake = server()
    fake.run("r", status="RUNNING", start=NOW - 100, tags={"mlflow.parentRunId": "p"})
    listener = Listener().poll(source(children=True), fake, NOW)
    listener.poll(source(children=False), fake, NOW + 30)
    assert listener.forgotten == ["r"]


def test_a_404_of_something_in_between_forgets_no_run() -> None:
    fake, src = server(), source()
    fake.run("r", status="RUNNING", start=NOW - 100)
    listener = Listener().poll(src, fake, NOW)
    del fake.runs["r"]
    fake.fault = lambda call: Reply(404, {}, b"<h1>no such host</h1>") if call.path.endswith("runs/get") else None
    with pytest.raises(Malformed, match="RESOURCE_DOES_NOT_EXIST"):
        listener.poll(src, fake, NOW + 600)
    assert not listener.forgotten


def test_no_more_than_200_missing_runs_are_asked_for_in_a_poll_and_the_others_later() -> None:
    fake, src = server(), source()
    for n in range(300):
        fake.run(f"r{n}", status="RUNNING", start=NOW - 100)
    listener = Listener().poll(src, fake, NOW)
    fake.runs.clear()
    listener.poll(src, fake, NOW + 600)
    assert fake.count("runs/get") == 200
    listener.poll(src, fake, NOW + 1200)
    assert len(listener.forgotten) == 300
