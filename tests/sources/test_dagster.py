"""The Dagster source, poll by poll, against a fake that can travel in time. Times are seconds."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.fake_dagster import NOW, FakeDagster, History, Row, repository, source
from tests.support.polling import CutShortError, Listener

from ml_exporter.errors import Malformed
from ml_exporter.model import Batch, Pipeline, Receipt, RunState
from ml_exporter.ports import Call, Reply

OLD = NOW - 5000.0


def polled(fake: FakeDagster, now: float = NOW, **options: Any) -> Listener:
    return Listener().poll(source(**options), fake, now)


def finished(fake: FakeDagster, id_: str, end: float, **values: Any) -> None:
    fake.add(id_, created=end - 20.0, start=end - 10.0, end=end, **values)


# Watermark


def test_a_run_that_ended_since_the_last_poll_is_told_once() -> None:
    fake, src = FakeDagster(), source()
    listener = Listener().poll(src, fake, NOW)
    finished(fake, "r", NOW + 20)
    for step in range(1, 6):
        listener.poll(src, fake, NOW + step * 30)
    assert [(run.id, run.state, run.ended_at) for run in listener.told] == [("r", RunState.SUCCEEDED, NOW + 20)]


def test_an_event_that_is_written_late_is_found_within_the_overlap() -> None:
    fake, src = FakeDagster(), source(overlap=300.0)
    listener = Listener().poll(src, fake, NOW)
    finished(fake, "late", NOW + 100)
    listener.poll(src, fake, NOW + 120)
    finished(fake, "early", NOW - 180)
    assert set(listener.poll(src, fake, NOW + 150).runs) == {"late", "early"}


def test_two_runs_that_end_at_the_same_instant_are_both_told() -> None:
    # updatedAfter is exclusive.
    fake, src = FakeDagster(), source(overlap=1.0)
    finished(fake, "one", NOW - 1)
    listener = Listener().poll(src, fake, NOW)
    finished(fake, "two", NOW - 1)
    assert set(listener.poll(src, fake, NOW + 30).runs) == {"one", "two"}


def test_runs_told_before_a_restart_are_told_again_rather_than_lost() -> None:
    fake = FakeDagster()
    finished(fake, "r", NOW - 20)
    listener = Listener().poll(source(), fake, NOW)
    listener.poll(source(), fake, NOW + 60)
    assert [run.id for run in listener.told] == ["r", "r"]


def test_a_clock_that_is_ahead_does_not_drag_the_watermark_along() -> None:
    fake, src = FakeDagster(), source()
    finished(fake, "ahead", NOW + 1e6)
    listener = Listener().poll(src, fake, NOW)
    assert listener.cursor["since"] == NOW
    finished(fake, "right", NOW + 20)
    assert "right" in listener.poll(src, fake, NOW + 30).runs


def test_after_silence_the_runs_before_it_are_no_longer_read() -> None:
    fake, src = FakeDagster(), source()
    for number in range(50):
        finished(fake, f"r{number}", NOW - 50 + number)
    listener = Listener().poll(src, fake, NOW)
    replies: list[int] = []

    def answer(call: Call) -> Reply:
        reply = fake(call)
        if "updatedAfter" in str(call.body["variables"]):
            replies.append(len(reply.value.data["runs"]["results"]))
        return reply

    for step in range(1, 61):
        listener.poll(src, answer, NOW + step * 30)
    assert (replies[0], replies[-1]) == (50, 0)


def test_history_is_read_as_far_back_as_is_wanted() -> None:
    fake = FakeDagster()
    finished(fake, "old", NOW - 3 * 86400)
    finished(fake, "young", NOW - 86400)
    assert set(polled(fake, history=2 * 86400.0).runs) == {"young"}


# Pages


@pytest.mark.parametrize("most", [100_000, 3])
def test_every_page_is_read_though_the_server_gives_fewer_than_were_asked_for(most: int) -> None:
    fake = FakeDagster(most=most)
    for number in range(23):
        finished(fake, f"r{number}", OLD + number)
    listener = polled(fake, page_size=5)
    assert len(listener.runs) == 23
    assert listener.last.caught_up or listener.last.active_listed is not None


def test_a_long_history_is_read_in_several_polls_that_go_on_where_they_were() -> None:
    fake = FakeDagster({"lab": [repository("job0")]}, history=History(250, NOW - 1, 60))
    listener = Listener()
    for _ in range(2):
        listener.poll(source(page_size=5), fake, NOW)  # a new process each time
        assert not listener.last.complete
        assert not any(batch.caught_up for batch in listener.batches)
    listener.poll(source(page_size=5), fake, NOW)
    assert listener.last.complete
    assert any(batch.caught_up for batch in listener.batches)
    assert len(listener.runs) == 250
    assert [run.id for run in listener.told] == [f"h{249 - n}" for n in range(250)]
    progress = [batch.progress for batch in listener.batches if batch.progress is not None]
    assert progress == sorted(progress)
    assert 0 < progress[0] < progress[-1] < 1


def test_what_changed_on_a_page_that_was_read_before_is_found_after_a_long_walk() -> None:
    fake = FakeDagster({"lab": [repository("job0", "train")]}, history=History(250, NOW - 400, 60))
    fake.add("r", "train", "STARTED", created=NOW - 390, start=NOW - 380)
    listener = Listener()
    src = source(page_size=5, overlap=1.0)
    listener.poll(src, fake, NOW)
    finished(fake, "r", NOW + 1)
    for step in range(2, 6):
        listener.poll(src, fake, NOW + step)
    assert listener.runs["r"].state is RunState.SUCCEEDED


def test_a_process_that_dies_between_two_pages_goes_on_with_the_second() -> None:
    fake = FakeDagster()
    for number in range(12):
        finished(fake, f"r{number}", OLD + number)
    listener = Listener()
    with pytest.raises(CutShortError):
        listener.poll(source(page_size=5), fake, NOW, cut_after=2)  # the roster, and one page
    listener.poll(source(page_size=5), fake, NOW)
    assert [run.id for run in listener.told] == [f"r{11 - n}" for n in range(12)]


def test_a_page_that_could_not_be_committed_is_read_again() -> None:
    fake, src = FakeDagster({"lab": [repository("job0")]}, history=History(250, NOW - 1, 60)), source(page_size=5)
    listener = Listener().poll(src, fake, NOW)
    full = listener.commit

    def disk_full(batch: Batch) -> Receipt:
        raise OSError("no space left on device")

    listener.commit = disk_full  # type: ignore[method-assign]
    with pytest.raises(OSError, match="no space"):
        listener.poll(src, fake, NOW)
    listener.commit = full  # type: ignore[method-assign]
    while not listener.last.complete:
        listener.poll(src, fake, NOW)
    assert len(listener.runs) == 250


def test_the_page_after_a_run_that_was_deleted_meanwhile_is_not_the_end() -> None:
    fake = FakeDagster()
    for number in range(12):
        finished(fake, f"r{number}", OLD + number)
    listener = Listener()
    with pytest.raises(CutShortError):
        listener.poll(source(page_size=5), fake, NOW, cut_after=2)
    fake.delete("r7")  # the last one of the first page
    listener.poll(source(page_size=5), fake, NOW)
    assert {f"r{n}" for n in range(12)} == set(listener.runs)
    assert listener.batches[-1].complete


def test_a_page_without_the_run_it_should_follow_and_without_its_time_is_malformed() -> None:
    fake = FakeDagster()
    for number in range(12):
        fake.add(f"r{number}", end=OLD + number)
    listener = Listener()
    with pytest.raises(CutShortError):
        listener.poll(source(page_size=5), fake, NOW, cut_after=2)
    fake.delete("r7")
    with pytest.raises(Malformed, match="run 'r7' was deleted"):
        listener.poll(source(page_size=5), fake, NOW)


def endless(call: Call, count: int = 10**9) -> Row | None:
    """The same page for ever."""
    if "MlExporterRuns" not in call.body["query"]:
        return None
    page = {"__typename": "Runs", "results": [{"runId": "r", "jobName": "train", "status": "SUCCESS"}], "count": count}
    return {"data": {"runs": page, "anchor": {"__typename": "Run"}}}


def test_pages_that_do_not_get_on_are_malformed() -> None:
    with pytest.raises(Malformed, match="came twice"):
        polled(FakeDagster(fault=endless))


def test_runs_that_are_counted_but_not_listed_are_malformed() -> None:
    empty = {"data": {"runs": {"__typename": "Runs", "results": [], "count": 7}}}
    fake = FakeDagster(fault=lambda call: empty if "MlExporterRuns" in call.body["query"] else None)
    with pytest.raises(Malformed, match="7 runs are counted, but none is listed"):
        polled(fake)


# Active runs


def test_a_run_from_queue_to_end_is_told_with_every_change() -> None:
    fake, src = FakeDagster(), source()
    listener = Listener().poll(src, fake, NOW)
    states = []
    for step, (status, times) in enumerate(
        [
            ("QUEUED", {}),
            ("STARTING", {}),
            ("STARTED", {"start": NOW + 75.0}),
            ("CANCELING", {"start": NOW + 75.0}),
            ("CANCELED", {"start": NOW + 75.0, "end": NOW + 130.0}),
        ],
        start=1,
    ):
        fake.add("r", status=status, created=NOW + 10.0, updated=NOW + step * 30 - 5.0, **times)
        states.append(str(listener.poll(src, fake, NOW + step * 30).runs["r"].state))
    assert states == ["queued", "queued", "running", "running", "cancelled"]


def test_more_active_runs_than_fit_on_two_pages_are_listed_over_several_polls() -> None:
    fake, src = FakeDagster(), source(page_size=10, history=0.0)
    for number in range(35):
        fake.add(f"r{number}", status="QUEUED", created=OLD + number)
    listener = Listener().poll(src, fake, NOW)
    assert not any(batch.active_listed for batch in listener.batches)
    fake.add("r0", status="STARTED", created=OLD, start=NOW + 20.0)  # on a page to come
    fake.add("r34", status="STARTED", created=OLD + 34, start=NOW + 20.0)  # on a page that was read
    fake.add("r33", status="SUCCESS", created=OLD + 33, start=NOW + 20.0, end=NOW + 25.0)
    listener.poll(src, fake, NOW + 30)
    [listed] = [batch for batch in listener.batches if batch.active_listed is not None]
    assert len(listed.runs) == 34
    running = {run.id for run in listed.runs if run.state is RunState.RUNNING}
    assert (running, listener.runs["r33"].state) == ({"r0", "r34"}, RunState.SUCCEEDED)


def test_an_end_that_was_written_far_too_late_is_found_by_asking_for_the_run() -> None:
    fake, src = FakeDagster(), source()
    fake.add("r", status="STARTED", created=OLD, start=OLD + 5)
    listener = Listener().poll(src, fake, NOW)
    fake.add("r", status="FAILURE", created=OLD, start=OLD + 5, end=OLD + 50)
    listener.poll(src, fake, NOW + 310)
    assert (listener.runs["r"].state, listener.runs["r"].ended_at) == (RunState.FAILED, OLD + 50)


def test_an_active_run_that_was_deleted_is_forgotten() -> None:
    fake, src = FakeDagster(), source()
    fake.add("r", status="STARTED", created=OLD, start=OLD + 5)
    fake.add("s", status="STARTED", created=OLD, start=OLD + 5)
    listener = Listener().poll(src, fake, NOW)
    fake.delete("r")
    listener.poll(src, fake, NOW + 310)
    assert (listener.forgotten, set(listener.runs)) == (["r"], {"s"})


def test_missing_runs_that_the_server_did_not_get_round_to_are_not_forgotten() -> None:
    fake, src = FakeDagster(), source()
    for number in range(5):
        fake.add(f"r{number}", status="STARTED", created=OLD + number, start=OLD + 50)
    listener = Listener().poll(src, fake, NOW)
    for number in range(5):
        fake.add(f"r{number}", status="SUCCESS", created=OLD + number, start=OLD + 50, end=OLD + 60)
    fake.most = 2
    states = [listener.poll(src, fake, NOW + step * 310).runs for step in (1, 2, 3)][-1]
    assert {run.state for run in states.values()} == {RunState.SUCCEEDED}
    assert (len(states), listener.forgotten) == (5, [])


def test_the_page_of_a_run_is_that_of_the_webserver() -> None:
    pipeline = Pipeline("it", "lab/train")
    assert source().run_url(pipeline, None, "a/b") == "http://dagster:3000/runs/a%2Fb"
