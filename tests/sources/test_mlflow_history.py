"""Backfill and daily pass of the MLflow source: complete, resumable, and done once. Times are seconds."""

from __future__ import annotations

import pytest
from tests.support.fake_mlflow import NOW, FakeMlflow, source
from tests.support.polling import CutShortError, Listener

from ml_exporter.ports import Source

DAY = 86400.0


def history(runs: int, *, same_start: int = 0, experiments: int = 3) -> FakeMlflow:
    """Old runs, one a minute, the first `same_start` of them started in the same millisecond."""
    fake = FakeMlflow(now=NOW)
    for number in range(1, experiments + 1):
        fake.experiment(str(number), f"e{number}", created=NOW - 1e7)
    for number in range(runs):
        start = NOW - (runs + 10 - max(0, number - same_start + 1)) * 60
        fake.run(f"r{number}", str(number % experiments + 1), start=start, end=start + 30)
    return fake


def poll_until_complete(listener: Listener, src: Source, fake: FakeMlflow, now: float) -> int:
    polls = 0
    while polls == 0 or not listener.last.complete:
        listener.poll(src, fake, now + polls)
        polls += 1
        assert polls < 1000
    return polls


def test_the_backfill_tells_every_run_and_takes_so_many_pages_a_poll() -> None:
    fake, src = history(95), source(page_size=10, backfill_pages=3)
    listener = Listener()
    polls = poll_until_complete(listener, src, fake, NOW)
    assert len(listener.runs) == 95
    assert polls == 4  # a page begins with the run that the one before ended with: 9 new ones each
    assert listener.backfilled == {"e1", "e2", "e3"}


def test_progress_grows_to_one() -> None:
    fake, src = history(95), source(page_size=10, backfill_pages=2)
    listener = Listener()
    poll_until_complete(listener, src, fake, NOW)
    progress = [batch.progress for batch in listener.batches if batch.progress is not None]
    assert progress == sorted(progress)
    assert 0 <= progress[0] < 0.5 < progress[-2] < progress[-1] == 1.0


def test_only_the_finished_pass_says_so() -> None:
    fake, src = history(25), source(page_size=10)
    listener = Listener()
    poll_until_complete(listener, src, fake, NOW)
    assert [scan.finished for scan in listener.scans] == [False, False, True]
    assert {(scan.number, scan.started_at) for scan in listener.scans} == {(1, NOW)}


def test_more_runs_with_one_start_time_than_fit_on_a_page_are_all_told() -> None:
    fake, src = history(60, same_start=35), source(page_size=10)
    listener = Listener()
    poll_until_complete(listener, src, fake, NOW)
    assert len(listener.runs) == 60


@pytest.mark.parametrize("same_start", [0, 35])
def test_killed_after_any_batch_nothing_is_lost_and_no_page_is_read_twice(same_start: int) -> None:
    whole = Listener()
    uncut = history(95, same_start=same_start)
    poll_until_complete(whole, source(page_size=10, backfill_pages=4), uncut, NOW)
    pages = _history_pages(uncut)
    for cut in range(1, len(whole.batches) + 1):
        fake, listener = history(95, same_start=same_start), Listener()
        poll_until_cut(listener, fake, cut)
        poll_until_complete(listener, source(page_size=10, backfill_pages=4), fake, NOW + 30)
        assert set(listener.runs) == set(whole.runs), f"cut after batch {cut}"
        assert listener.backfilled == whole.backfilled, f"cut after batch {cut}"
        assert _history_pages(fake) == pages, f"cut after batch {cut}"


def test_killed_after_every_single_batch_the_backfill_still_ends() -> None:
    fake, listener, cuts = history(95), Listener(), 0
    while not listener.backfilled:
        try:
            # The first batches of a process are its roster, active runs and models; then one page of history.
            listener.poll(source(page_size=10), fake, NOW + cuts, cut_after=4)
        except CutShortError:
            cuts += 1
        assert cuts < 100
    assert len(listener.runs) == 95
    assert cuts >= 9


def poll_until_cut(listener: Listener, fake: FakeMlflow, batches: int) -> None:
    """Let a process live for so many batches."""
    src = source(page_size=10, backfill_pages=4)
    for step in range(batches):
        try:
            listener.poll(src, fake, NOW + step, cut_after=batches - len(listener.batches))
        except CutShortError:
            return
    raise AssertionError(f"the source told less than {batches} batches")


def _history_pages(fake: FakeMlflow) -> int:
    """Requests for history: in order of start, of any status."""
    return sum(
        1
        for call in fake.calls
        if call.path.endswith("runs/search")
        and call.body.get("order_by") == ["attributes.start_time ASC"]
        and "status" not in call.body.get("filter", "")
    )


def test_an_experiment_without_runs_is_backfilled_too() -> None:
    listener = Listener().poll(source(), history(0), NOW)
    assert listener.backfilled == {"e1", "e2", "e3"}
    assert listener.last.complete


def test_a_server_without_experiments_is_done_at_once() -> None:
    listener = Listener().poll(source(), FakeMlflow(), NOW)
    assert (listener.last.progress, listener.last.complete) == (1.0, True)
    assert listener.scans[-1].finished


def test_an_experiment_born_later_needs_no_backfill() -> None:
    fake, src = history(5), source()
    listener = Listener().poll(src, fake, NOW)
    fake.experiment("4", "new", created=NOW + 20)
    fake.run("first", "4", start=NOW + 21, end=NOW + 25)
    listener.poll(src, fake, NOW + 30)
    assert "new" in listener.backfilled
    assert "first" in listener.runs
    assert {scan.number for scan in listener.scans} == {1}


def test_an_experiment_born_while_nobody_looked_needs_no_backfill_either() -> None:
    fake = history(5)
    listener = Listener().poll(source(), fake, NOW)
    fake.experiment("4", "new", created=NOW + 3600)
    fake.run("first", "4", start=NOW + 3601, end=NOW + 3700)
    listener.poll(source(), fake, NOW + 7200)
    assert "new" in listener.backfilled
    assert "first" in listener.runs


def test_a_restored_experiment_gets_a_pass_of_its_own() -> None:
    fake, src = history(30), source()
    fake.experiments["2"]["lifecycle_stage"] = "deleted"
    listener = Listener().poll(src, fake, NOW)
    assert len(listener.runs) == 20
    fake.now = NOW + 20
    fake.change("2", lifecycle_stage="active")
    listener.poll(src, fake, NOW + 30)
    assert listener.roster.keys() == {"e1", "e2", "e3"}
    assert len(listener.runs) == 30
    assert (listener.last.scan, listener.last.backfilled) == (listener.scans[-1], frozenset({"e2"}))
    assert (listener.scans[-1].number, listener.scans[-1].pipelines) == (2, frozenset({"e2"}))


def test_a_wider_include_pattern_backfills_only_what_is_new() -> None:
    fake = history(30)
    listener = Listener().poll(source(include=("e1",)), fake, NOW)
    fake.calls.clear()
    listener.poll(source(), fake, NOW + 30)
    assert len(listener.runs) == 30
    assert listener.scans[-1].pipelines == {"e2", "e3"}


def test_a_deleted_experiment_leaves_the_roster_and_a_renamed_one_keeps_its_id() -> None:
    fake, src = history(3), source()
    listener = Listener().poll(src, fake, NOW)
    fake.now = NOW + 10
    fake.change("1", name="renamed")
    fake.change("2", lifecycle_stage="deleted")
    listener.poll(src, fake, NOW + 30)
    assert listener.roster == {"renamed": "1", "e3": "3"}


def test_a_quiet_poll_says_nothing_of_the_roster() -> None:
    fake, src = history(3), source()
    listener = Listener().poll(src, fake, NOW)
    count = len(listener.batches)
    listener.poll(src, fake, NOW + 30)
    assert [(batch.roster, batch.scan) for batch in listener.batches[count:]] == [(None, None)]


def test_an_experiment_deleted_and_restored_during_a_pass_is_not_part_of_it() -> None:
    fake, src = history(60), source(page_size=10, backfill_pages=1)
    listener = Listener().poll(src, fake, NOW)
    for stage, at in (("deleted", NOW + 10), ("active", NOW + 40)):
        fake.now = at
        fake.change("2", lifecycle_stage=stage)
        listener.poll(src, fake, at + 5)
    poll_until_complete(listener, src, fake, NOW + 60)
    poll_until_complete(listener, src, fake, NOW + 90)
    finished = [(scan.number, scan.pipelines) for scan in listener.scans if scan.finished]
    assert finished == [(1, frozenset({"e1", "e3"})), (2, frozenset({"e2"}))]
    assert len(listener.runs) == 60


def test_the_daily_pass_goes_over_everything_a_page_a_poll_in_the_background() -> None:
    fake, src = history(45), source(page_size=20, reconcile_interval=DAY)
    listener = Listener()
    poll_until_complete(listener, src, fake, NOW)
    count = len(listener.scans)
    listener.poll(src, fake, NOW + DAY - 60)
    assert len(listener.scans) == count
    for step in range(5):
        listener.poll(src, fake, NOW + DAY + step * 30)
        assert listener.last.complete
    assert [(scan.number, scan.finished) for scan in listener.scans[count:]] == [(2, False), (2, False), (2, True)]
    assert listener.scans[-1].started_at == NOW + DAY


def test_reconciliation_can_be_turned_off() -> None:
    fake, src = history(5), source(reconcile_interval=0)
    listener = Listener().poll(src, fake, NOW)
    listener.poll(src, fake, NOW + 10 * DAY)
    assert {scan.number for scan in listener.scans} == {1}


def test_a_daily_pass_makes_way_for_a_backfill_and_begins_anew() -> None:
    fake, src = history(60), source(page_size=10)
    fake.experiments["2"]["lifecycle_stage"] = "deleted"
    listener = Listener()
    poll_until_complete(listener, src, fake, NOW)
    listener.poll(src, fake, NOW + DAY)
    fake.now = NOW + DAY + 10
    fake.change("2", lifecycle_stage="active")
    for step in range(1, 15):
        listener.poll(src, fake, NOW + DAY + step * 30)
    finished = [(scan.number, sorted(scan.pipelines)) for scan in listener.scans if scan.finished]
    assert finished == [(1, ["e1", "e3"]), (3, ["e2"]), (4, ["e1", "e2", "e3"])]


def test_thousands_of_experiments_are_asked_for_in_parts_and_the_pass_still_resumes() -> None:
    fake = history(4500, experiments=4500)
    whole, listener = Listener(), Listener()
    poll_until_complete(whole, source(), fake, NOW)
    assert len(whole.runs) == 4500
    assert max(len(c.body["experiment_ids"]) for c in fake.calls if c.path.endswith("runs/search")) == 2000
    for cut in (4, 3, 3):
        with pytest.raises(CutShortError):
            listener.poll(source(backfill_pages=2), fake, NOW, cut_after=cut)
    poll_until_complete(listener, source(), fake, NOW)
    assert len(listener.runs) == 4500


def test_the_cursor_stays_small() -> None:
    fake = history(100, experiments=5000)
    listener = Listener()
    poll_until_complete(listener, source(), fake, NOW)
    assert sum(len(str(value)) for value in listener.cursor.values()) < 500
