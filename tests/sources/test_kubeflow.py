"""The Kubeflow source, poll by poll, against a fake that is written from the published API. Times are seconds."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.fake_kubeflow import NOW, RUNS, FakeKubeflow, at, source
from tests.support.polling import CutShortError, Listener

from ml_exporter.errors import Malformed, Reason, Rejected
from ml_exporter.model import Pipeline, RunState, Sample

DAY = 86_400.0


def server(**more: Any) -> FakeKubeflow:
    return FakeKubeflow(pipelines={"p1": {"pipeline_id": "p1", "display_name": "fraud"}}, **more)


def told(fake: FakeKubeflow, **options: Any) -> dict[str, Any]:
    return dict(Listener().poll(source(**options), fake, NOW).runs)


# Runs


@pytest.mark.parametrize(
    ("word", "ran", "state"),
    [
        ("PENDING", None, RunState.QUEUED),
        ("RUNNING", None, RunState.RUNNING),
        ("PAUSED", None, RunState.RUNNING),
        ("CANCELING", None, RunState.RUNNING),
        ("SUCCEEDED", 60, RunState.SUCCEEDED),
        ("FAILED", 60, RunState.FAILED),
        ("CANCELED", 60, RunState.CANCELLED),
        ("SKIPPED", 60, RunState.CANCELLED),
        ("EVAPORATED", 60, RunState.CANCELLED),
    ],
)
def test_every_state_of_a_run_has_its_word(word: str, ran: float | None, state: RunState) -> None:
    fake = server()
    fake.run("r", word, created=NOW - 600, ran=ran)
    assert told(fake)["r"].state is state


def test_a_run_waits_from_its_creation_until_it_runs_and_1970_is_no_end() -> None:
    fake = server()
    fake.run("waits", "PENDING", created=NOW - 60)
    fake.run("runs", "RUNNING", created=NOW - 60)
    fake.run("ended", created=NOW - 60, ran=30)
    times = {id_: (run.queued_at, run.started_at, run.ended_at) for id_, run in told(fake).items()}
    assert times == {
        "waits": (NOW - 60, None, None),
        "runs": (NOW - 60, NOW - 55, None),
        "ended": (NOW - 60, NOW - 55, NOW - 25),
    }


def test_a_run_without_history_began_when_it_was_created() -> None:
    fake = server()
    fake.run("r", created=NOW - 60, ran=30, state_history=None)
    run = told(fake)["r"]
    assert (run.queued_at, run.started_at, run.ended_at) == (None, NOW - 60, NOW - 25)


def test_a_run_that_is_tried_again_did_not_wait_for_days() -> None:
    fake = server()
    history = [(-3 * DAY, "PENDING"), (-3 * DAY + 5, "RUNNING"), (-3 * DAY + 60, "FAILED"), (-100, "RUNNING")]
    states = [{"update_time": at(NOW + when), "state": state} for when, state in history]
    fake.run("r", created=NOW - 3 * DAY, finished_at=at(NOW - 10), state_history=states)
    run = told(fake)["r"]
    assert (run.queued_at, run.started_at, run.ended_at) == (None, NOW - 100, NOW - 10)


def test_times_that_run_backwards_are_left_out() -> None:
    fake = server()
    fake.run("r", created=NOW - 60, finished_at=at(NOW - 90))
    assert (told(fake)["r"].started_at, told(fake)["r"].ended_at) == (None, NOW - 90)


def test_an_ended_run_is_told_once_and_again_when_it_was_retried() -> None:
    fake, src, listener = server(), source(), Listener()
    listener.poll(src, fake, NOW)
    fake.run("r", "FAILED", created=NOW + 1, ran=10)
    for step in range(1, 5):
        listener.poll(src, fake, NOW + 30 * step)
    fake.run("r", created=NOW + 1, ran=140)
    for step in range(5, 9):
        listener.poll(src, fake, NOW + 30 * step)
    assert [(run.state, run.ended_at) for run in listener.told] == [
        (RunState.FAILED, NOW + 16),
        (RunState.SUCCEEDED, NOW + 146),
    ]


def test_archived_runs_count_like_others() -> None:
    fake = server()
    fake.run("r", created=NOW - 60, ran=30, storage_state="ARCHIVED")
    assert told(fake)["r"].state is RunState.SUCCEEDED


def test_a_run_that_the_server_cannot_read_is_counted_and_not_gone() -> None:
    fake, src = server(), source()
    fake.run("r", "RUNNING", created=NOW - 60)
    listener = Listener().poll(src, fake, NOW)
    broken = {"run_id": "r", "experiment_id": "e1", "error": {"code": 13, "message": "Failed to parse"}}
    fake.instead = {RUNS: {"runs": [broken]}, f"{RUNS}/r": broken}
    listener.poll(src, fake, NOW + 30)
    assert listener.forgotten == []
    assert listener.runs["r"].state is RunState.RUNNING
    assert Sample("ml_scheduler_load_errors", ("runs",), 2) in (listener.last.gauges or ())
    fake.instead = {}
    fake.run("r", created=NOW - 60, ran=100)
    assert listener.poll(src, fake, NOW + 60).runs["r"].state is RunState.SUCCEEDED


def test_an_end_that_was_reported_late_is_found_by_the_id_of_the_run() -> None:
    fake, listener = server(), Listener()
    fake.run("late", "RUNNING", created=NOW - 7200)
    fake.run("early", created=NOW - 60, ran=10)
    listener.poll(source(), fake, NOW)
    fake.run("late", created=NOW - 7200, ran=3600)  # its end is long before the watermark
    listener.poll(source(), fake, NOW + 30)  # and the process is new
    assert (listener.runs["late"].state, listener.runs["late"].ended_at) == (RunState.SUCCEEDED, NOW - 3595)


def test_a_deleted_run_is_forgotten_only_if_kubeflow_says_so() -> None:
    fake, src = server(), source()
    fake.run("r", "RUNNING", created=NOW - 60)
    listener = Listener().poll(src, fake, NOW)
    del fake.runs["r"]
    assert listener.poll(src, fake, NOW + 30).forgotten == ["r"]
    assert listener.poll(src, fake, NOW + 60).forgotten == ["r"]


def test_a_run_that_goes_on_longer_than_listings_reach_is_asked_for_now_and_then() -> None:
    fake, src = server(), source(longest_run=DAY)
    fake.run("r", "RUNNING", created=NOW - DAY + 60)
    listener = Listener().poll(src, fake, NOW)
    for step in range(1, 41):
        listener.poll(src, fake, NOW + 30 * step)
    assert fake.asked(f"{RUNS}/r") == 2
    assert listener.runs["r"].state is RunState.RUNNING
    fake.run("r", created=NOW - DAY + 60, ran=DAY + 1200)
    for step in range(41, 62):
        listener.poll(src, fake, NOW + 30 * step)
    assert listener.runs["r"].state is RunState.SUCCEEDED


# Trouble


def test_a_404_that_is_not_kubeflows_is_no_answer() -> None:
    fake, src = server(), source()
    fake.run("r", "RUNNING", created=NOW - 60)
    listener = Listener().poll(src, fake, NOW)
    del fake.runs["r"]
    fake.not_found = b"<html>no route</html>"
    with pytest.raises(Malformed, match="a 404 that is not Kubeflow's"):
        listener.poll(src, fake, NOW + 30)
    assert listener.forgotten == []


@pytest.mark.parametrize(("code", "reason"), [(7, Reason.AUTH), (16, Reason.AUTH), (13, Reason.REJECTED)])
def test_an_error_in_place_of_runs_is_a_failure_with_its_reason(code: int, reason: Reason) -> None:
    fake = server(instead={RUNS: {"code": code, "message": "no\nway", "details": []}})
    with pytest.raises(Rejected, match=rf"/apis/v2beta1/runs: error {code}: 'no\\nway'") as raised:
        Listener().poll(source(), fake, NOW)
    assert raised.value.reason is reason


@pytest.mark.parametrize("value", [None, -1, 0, 1e300, 10**30, "soon", "9999-12-31T00:00:00Z", [], {"a": 1}, True])
@pytest.mark.parametrize("key", ["run_id", "state", "state_history", "created_at", "finished_at", "display_name"])
def test_a_run_that_cannot_be_true_hides_no_other(key: str, value: Any) -> None:
    fake = server()
    fake.run("good", created=NOW - 60, ran=10)
    fake.run("bad", created=NOW - 60, ran=10)
    fake.instead = {RUNS: {"runs": [{**fake.runs["bad"], key: value}, fake.runs["good"]]}}
    assert told(fake)["good"].state is RunState.SUCCEEDED


def test_names_of_a_megabyte_are_cut() -> None:
    fake = server()
    fake.run("a", created=NOW - 60, ran=1, pipeline_version_reference=None, display_name=" 1" * 500_000 + "x")
    fake.recur("rr", "n" * 1_000_000, {}, created=NOW)
    fake.run("b", created=NOW - 60, ran=1, recurring_run_id="rr")
    assert max(len(run.pipeline.name) for run in told(fake).values()) == 200


# History and cost


def test_history_is_read_page_by_page_and_resumed_where_it_was() -> None:
    fake = server()
    for number in range(300):
        fake.run(f"r{number}", created=NOW - 13 * DAY + number * 600, ran=100)
    fake.run("ancient", created=NOW - 20 * DAY, ran=100)
    listener = Listener()
    with pytest.raises(CutShortError):
        listener.poll(source(page_size=5), fake, NOW, cut_after=8)
    src = source(page_size=5)
    while not (listener.batches and listener.last.caught_up):
        listener.poll(src, fake, NOW)
    assert len(listener.runs) == 300
    assert [batch.complete for batch in listener.batches].count(False) == 2
    progress = [batch.progress for batch in listener.batches if batch.progress is not None]
    assert progress == sorted(progress)


def test_more_runs_than_a_poll_reads_that_end_at_once_do_not_hold_it_up() -> None:
    fake = server()
    for number in range(150):
        fake.run(f"r{number}", created=NOW - 600, ran=100)
    listener = Listener()
    for _ in range(2):
        listener.poll(source(page_size=5), fake, NOW)
    assert len(listener.runs) == 150
    assert listener.last.caught_up


def test_a_quiet_poll_is_two_listings_whatever_the_history_holds() -> None:
    fake = server()
    for number in range(450):
        fake.recur(f"rr{number}", f"train-{number}", {}, created=NOW - DAY)
    for number in range(3000):
        fake.run(f"old{number}", created=NOW - 60 * DAY - number, ran=100)
    for number in range(100):
        fake.run(f"new{number}", created=NOW - DAY - number, ran=100, recurring_run_id=f"rr{number}")
    fake.run("active", "RUNNING", created=NOW - 60)
    src = source()
    listener = Listener().poll(src, fake, NOW)
    fake.calls.clear()
    fake.seen.clear()
    for step in range(1, 21):
        listener.poll(src, fake, NOW + 30 * step)
    assert fake.asked(RUNS) == 40
    assert len(fake.calls) - 40 <= 3 + 1 + 5  # 450 recurring runs and a pipeline in pages of 200
    assert max(fake.seen) == 101, "the index on the time of creation leaves the history alone"
    assert len(listener.told) == 100 + 21  # the active run with every poll


def test_a_run_has_its_page() -> None:
    assert source().run_url(Pipeline("kfp", "fraud"), None, "a/b") == "http://kfp:8888/#/runs/details/a%2Fb"
