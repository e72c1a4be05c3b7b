"""How the Prefect source finds runs that ended and runs that are active, against a fake. Times are seconds."""

from __future__ import annotations

import pytest
from tests.support.fake_prefect import NOW, FakePrefect, Heard, source, states
from tests.support.polling import CutShortError

from ml_exporter.model import RunState

# Runs that ended


def test_history_is_read_back_to_its_limit_and_no_further() -> None:
    fake = FakePrefect()
    fake.flow("etl")
    for day in range(30):
        fake.run(f"r{day:02}", start=NOW - day * 86_400 - 900, end=NOW - day * 86_400 - 600)
    listener = Heard().poll(source(history=10 * 86_400.0, page_size=3), fake, NOW)
    assert sorted(listener.runs) == [f"r{day:02}" for day in range(10)]


def test_a_long_catch_up_goes_on_where_it_was_cut_and_tells_every_run() -> None:
    fake = FakePrefect()
    fake.flow("etl")
    for number in range(1000):
        fake.run(f"r{number}", start=NOW - 9000, end=NOW - number)
    listener, src = Heard(), source(page_size=7)
    with pytest.raises(CutShortError):
        listener.poll(src, fake, NOW, cut_after=9)
    src = source(page_size=7)  # after a kill
    fake.run("new", start=NOW, end=NOW + 20)
    polls = 0
    while not listener.last.caught_up:
        listener.poll(src, fake, NOW + 30)
        assert listener.last.complete == listener.last.caught_up
        polls += 1
    listener.poll(src, fake, NOW + 60)
    assert len(listener.runs) == 1001
    assert polls == 8
    assert len(listener.told) < 1001 * 1.3
    progress = [batch.progress for batch in listener.batches if batch.progress is not None]
    assert progress[:20] == sorted(progress[:20])


def test_runs_that_ended_in_the_same_instant_are_all_told() -> None:
    fake = FakePrefect()
    fake.flow("etl")
    for number in range(50):
        fake.run(f"r{number}", start=NOW - 90, end=NOW - 60)
    assert len(Heard().poll(source(page_size=4), fake, NOW).runs) == 50


def test_what_was_told_is_not_told_again_and_a_run_that_ended_again_is() -> None:
    fake, src = FakePrefect(), source()
    fake.flow("etl")
    fake.run("r", "FAILED", start=NOW - 90, end=NOW - 60)
    listener = Heard().poll(src, fake, NOW)
    listener.poll(src, fake, NOW + 1)
    assert len(listener.told) == 1
    fake.run("r", start=NOW - 90, end=NOW + 20)
    listener.poll(src, fake, NOW + 30)
    assert (len(listener.told), listener.runs["r"].state) == (2, RunState.SUCCEEDED)


def test_a_server_whose_clock_is_ahead_does_not_drag_the_watermark_along() -> None:
    fake, src = FakePrefect(), source()
    fake.flow("etl")
    fake.run("ahead", start=NOW, end=NOW + 1e6)
    listener = Heard().poll(src, fake, NOW)
    fake.run("right", start=NOW, end=NOW + 20)
    assert set(listener.poll(src, fake, NOW + 30).runs) == {"ahead", "right"}


# Active runs


def test_more_active_runs_than_fit_on_a_page_are_all_listed() -> None:
    fake = FakePrefect()
    fake.flow("etl")
    for number in range(9):
        fake.run(f"a{number}", "RUNNING", start=NOW - 50)
        fake.run(f"q{number}", "SCHEDULED:Late", expected=NOW - 50, next=NOW - 50)
    assert len(Heard().poll(source(page_size=2), fake, NOW).runs) == 18


def test_a_run_that_is_no_longer_active_is_asked_for_and_told_or_forgotten() -> None:
    fake, src = FakePrefect(), source()
    fake.flow("etl")
    for id_ in ("ended", "deleted", "put off"):
        fake.run(id_, "SCHEDULED:Late", expected=NOW - 50, next=NOW - 50)
    listener = Heard().poll(src, fake, NOW)
    fake.run("ended", "CANCELLED", expected=NOW - 50, end=NOW - 5000)  # by a clock that is far behind
    fake.remove("deleted")
    fake.run("put off", "SCHEDULED", expected=NOW + 9000, next=NOW + 9000)
    fake.calls.clear()
    listener.poll(source(), fake, NOW + 30)
    assert states(listener) == {"ended": "cancelled"}
    assert sorted(listener.forgotten) == ["deleted", "put off"]


def test_an_ad_hoc_run_that_vanished_while_nobody_looked_is_forgotten() -> None:
    fake = FakePrefect()
    fake.flow("etl")
    fake.run("r", "RUNNING", start=NOW - 50)
    listener = Heard().poll(source(), fake, NOW)
    fake.remove("r")
    listener.poll(source(), fake, NOW + 30)
    assert listener.forgotten == ["r"]


def test_a_backlog_that_takes_many_pages_is_not_listed_with_every_poll() -> None:
    fake, src = FakePrefect(), source(page_size=10)
    fake.flow("etl")
    for number in range(200):
        fake.run(f"q{number:03}", "SCHEDULED:Late", expected=NOW - 50, next=NOW - 50)
    listener = Heard().poll(src, fake, NOW)
    fake.calls.clear()
    for step in range(1, 7):
        listener.poll(src, fake, NOW + step * 30)
    assert fake.count()["flow_runs"] == 6
    fake.tables["flow_runs"].clear()
    listener.poll(src, fake, NOW + 210)
    assert len(listener.forgotten) == 10  # a question's worth, and the others later
    assert not listener.told[200:]
