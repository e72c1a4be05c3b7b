"""One source's life: commit before show, keep the last good state, never end."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from ml_exporter.config import from_data
from ml_exporter.errors import Malformed, Reason, StateError, Unreachable
from ml_exporter.exposition import Exposition
from ml_exporter.model import Batch, Cursor, Pipeline, PipelineInfo, Run, RunState, Sample, Schedule, TaskRun
from ml_exporter.poller import Poller
from ml_exporter.ports import Call, Poll, Reply
from ml_exporter.store import Store

NOW = 1_000_000.0
Step = Callable[[Cursor, float], Poll]


class Script:
    """A source that plays one function per poll."""

    def __init__(self, *polls: Step) -> None:
        self.polls = list(polls)
        self.cursors: list[Cursor] = []

    def poll(self, cursor: Cursor, now: float) -> Poll:
        self.cursors.append(cursor)
        return self.polls.pop(0)(cursor, now)

    queue_times = True

    def run_url(self, pipeline: Pipeline, pipeline_id: str | None, run_id: str) -> str | None:
        return None

    def pipeline_url(self, pipeline: Pipeline, pipeline_id: str | None) -> str | None:
        return None

    def home_url(self) -> str | None:
        return None


class Silent:
    """A client that answers every call with what the test gave it."""

    requests = response_bytes = 0

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)

    def begin_poll(self) -> None:
        pass

    async def send(self, call: Call) -> Reply:
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return Reply(200, {}, answer)


class House:
    """A poller with a state file, a clock and a page."""

    def __init__(self, path: Path, *polls: Step, answers: tuple[Any, ...] = (), more: Any = None) -> None:
        source = {"name": "s", "kind": "mlflow", "url": "http://x", "interval": "30s"}
        config = from_data({"sources": [source], **(more or {})})
        self.now, self.store, self.page = NOW, Store(path), Exposition()
        self.source = Script(*polls)
        self.poller = Poller(
            config.sources[0], config, self.source, Silent(*answers), self.store, self.page, lambda: self.now
        )
        self.poller.restore()

    def poll(self) -> Exception | None:
        return asyncio.run(self.poller.poll_once())

    def series(self) -> dict[str, float]:
        text = gzip.decompress(b"".join(self.page.scrape(openmetrics=False, gzip=True))).decode()
        return {
            " ".join([s.name, *(v for k, v in s.labels.items() if k not in ("source", "ml_service"))]): s.value
            for family in text_string_to_metric_families(text)
            for s in family.samples
        }


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Callable[..., House]]:
    made: list[House] = []

    def build(*polls: Step, **more: Any) -> House:
        if made:
            made[-1].store.close()
        made.append(House(tmp_path / "state.db", *polls, **more))
        return made[-1]

    yield build
    made[-1].store.close()


def info(name: str, created_at: float = 1.0) -> PipelineInfo:
    return PipelineInfo(Pipeline("s", name), name, created_at)


def failed(run_id: str, name: str = "train") -> Run:
    return Run(run_id, Pipeline("s", name), RunState.FAILED, None, NOW - 10, NOW)


def reads(*runs: Run, roster: tuple[PipelineInfo, ...] = (info("train"),), **more: Any) -> Step:
    def poll(cursor: Cursor, now: float) -> Poll:
        yield Batch({"at": now}, runs, roster, backfilled=frozenset(i.pipeline.name for i in roster), **more)

    return poll


def breaks(error: Exception, *runs: Run) -> Step:
    def poll(cursor: Cursor, now: float) -> Poll:
        yield Batch({"at": now}, runs)
        raise error

    return poll


FAILED = "ml_runs_finished_total train failed"


def test_before_the_first_poll_the_source_is_not_up(house: Callable[..., House]) -> None:
    series = house().series()
    assert series["ml_source_up"] == 0
    assert "ml_source_last_success_timestamp_seconds" not in series


def test_a_good_poll_is_committed_and_shown(house: Callable[..., House]) -> None:
    it = house(reads(failed("a")))
    assert it.poll() is None
    assert it.series()[FAILED] == 1
    assert it.series()["ml_source_up"] == 1
    assert it.series()["ml_source_last_success_timestamp_seconds"] == NOW
    assert it.series()["ml_source_polls_total ok none"] == 1


def test_a_poll_that_fails_half_way_shows_nothing_new_and_loses_nothing(house: Callable[..., House]) -> None:
    it = house(reads(failed("a")), breaks(Malformed("half a page"), failed("b")), reads(failed("b")))
    it.poll()
    assert isinstance(it.poll(), Malformed)
    series = it.series()
    assert series[FAILED] == 1
    assert series["ml_source_up"] == 0
    assert series["ml_source_polls_total failed malformed"] == 1
    it.poll()
    assert it.series()[FAILED] == 2
    assert it.series()["ml_source_up"] == 1


def test_every_reason_is_there_at_zero_before_it_happens(house: Callable[..., House]) -> None:
    series = house().series()
    for reason in Reason:
        assert series[f"ml_source_polls_total failed {reason}"] == 0


def test_what_the_client_raises_is_the_reason(house: Callable[..., House]) -> None:
    def asks(cursor: Cursor, now: float) -> Poll:
        yield Call("GET", "/")

    it = house(asks, answers=(Unreachable("timed out", Reason.TIMEOUT),))
    it.poll()
    assert it.series()["ml_source_polls_total failed timeout"] == 1


@pytest.mark.filterwarnings("ignore")
def test_a_bug_in_a_source_is_an_internal_failure_and_polling_goes_on(house: Callable[..., House]) -> None:
    it = house(breaks(ZeroDivisionError("oops")), reads(failed("a")))
    error = it.poll()
    assert "ZeroDivisionError: oops" in str(error)
    assert it.series()["ml_source_polls_total failed internal"] == 1
    assert it.poll() is None


def test_a_restart_shows_the_last_good_state_and_its_age_before_any_poll(house: Callable[..., House]) -> None:
    it = house(reads(failed("a")))
    it.poll()
    again = house(reads(failed("a"), failed("b")))
    assert again.series()[FAILED] == 1
    assert again.series()["ml_source_up"] == 0
    assert again.series()["ml_source_last_success_timestamp_seconds"] == NOW
    again.poll()
    assert again.series()[FAILED] == 2
    assert again.source.cursors == [{"at": NOW}]


def test_a_state_that_cannot_be_written_changes_nothing_and_is_tried_again(
    house: Callable[..., House], monkeypatch: pytest.MonkeyPatch
) -> None:
    it = house(reads(failed("a")), reads(failed("a"), failed("b")), reads(failed("a"), failed("b")))
    it.poll()

    def full(*_: Any) -> None:
        raise StateError("state file: database or disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(it.store, "commit", full)
        assert isinstance(it.poll(), StateError)
    assert it.series()["ml_source_polls_total failed state"] == 1
    assert it.series()[FAILED] == 1
    it.poll()
    assert it.series()[FAILED] == 2


def test_a_newborn_pipeline_shows_zero_before_it_shows_its_first_failure(house: Callable[..., House]) -> None:
    born = (info("train"), info("new", NOW + 5))
    first = reads(failed("x", "new"), roster=born)
    it = house(reads(), first, reads(roster=born), reads(roster=born))
    it.poll()
    it.now += 10
    it.poll()
    assert it.series()["ml_runs_finished_total new failed"] == 0
    it.now += 5
    it.poll()
    assert it.series()["ml_runs_finished_total new failed"] == 0
    it.now += 30
    it.poll()
    assert it.series()["ml_runs_finished_total new failed"] == 1


def test_history_read_at_installation_appears_whole(house: Callable[..., House]) -> None:
    def half(cursor: Cursor, now: float) -> Poll:
        yield Batch({}, (failed("a"), failed("b")), (info("train"),), progress=0.5, complete=False)

    it = house(half, reads(failed("c")))
    it.poll()
    series = it.series()
    assert FAILED not in series
    assert series["ml_source_backfill_complete"] == 0
    assert series["ml_source_backfill_progress_ratio"] == 0.5
    it.poll()
    assert it.series()[FAILED] == 3
    assert it.series()["ml_source_backfill_complete"] == 1


def test_a_pipeline_that_is_gone_takes_its_series_along(house: Callable[..., House]) -> None:
    it = house(reads(failed("a"), roster=(info("train"), info("other"))), reads(roster=(info("other"),)))
    it.poll()
    it.poll()
    assert not [name for name in it.series() if " train" in name]
    assert "ml_runs_finished_total other failed" in it.series()


def test_a_poller_that_is_stopped_in_the_middle_of_a_commit_ends_after_it(
    house: Callable[..., House], monkeypatch: pytest.MonkeyPatch
) -> None:
    it = house(reads(failed("a")))
    begun, commit = threading.Event(), it.store.commit

    def slow(*arguments: Any) -> None:
        begun.set()
        time.sleep(0.3)
        commit(*arguments)

    async def stop_it() -> None:
        task = asyncio.create_task(it.poller.run())
        await asyncio.to_thread(begun.wait)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        # Whoever takes up the state now must find it as it will stay.
        assert it.store.load("s")[0] == {"at": NOW}

    monkeypatch.setattr(it.store, "commit", slow)
    asyncio.run(stop_it())


def test_dropped_series_are_counted_by_family(house: Callable[..., House], caplog: pytest.LogCaptureFixture) -> None:
    names = [f"p{i}" for i in range(10)]
    it = house(reads(roster=tuple(map(info, names))))
    it.poller.configured = from_data(
        {"sources": [{"name": "s", "kind": "mlflow", "url": "http://x", "series_limit": 100}]}
    ).sources[0]
    it.poll()
    series = it.series()
    assert series["ml_source_series_dropped_total ml_run_duration_seconds"] == 120
    assert series["ml_source_series"] <= 100
    assert series["ml_source_series_limit"] == 100
    assert "ml_pipeline_first_seen_timestamp_seconds p0" in series
    assert "series limit reached" in caplog.text


def test_a_failing_source_is_asked_less_and_less_often_and_a_catching_up_one_at_once(
    house: Callable[..., House],
) -> None:
    it = house(reads(complete=False), *(breaks(Malformed("x")) for _ in range(6)))
    it.poll()
    assert it.poller.pause(None) < 1
    pauses = [it.poller.pause(it.poll()) for _ in range(6)]  # type: ignore[arg-type]
    assert 25 < pauses[0] < 35
    assert pauses[0] < pauses[1] < pauses[2]
    assert max(pauses) <= 132
    asked = Unreachable("later", Reason.RATE_LIMITED, retry_after=600)
    assert it.poller.pause(asked) > 500


def test_what_a_first_poll_committed_before_it_failed_is_shown_by_the_next_process(house: Callable[..., House]) -> None:
    def half(cursor: Cursor, now: float) -> Poll:
        yield Batch({"at": now}, (failed("a"),), (info("train"),), caught_up=True)
        raise Unreachable("gone")

    def nothing_new(cursor: Cursor, now: float) -> Poll:
        yield Batch({}, caught_up=True)

    it = house(half)
    assert it.poll() is not None
    assert FAILED not in it.series()
    it = house(nothing_new)
    assert FAILED not in it.series()
    assert it.poll() is None
    assert it.series()[FAILED] == 1


# What schedulers tell beside runs


def beat(component: str, at: float) -> Sample:
    return Sample("ml_scheduler_heartbeat_timestamp_seconds", (component,), at)


def test_gauges_replace_those_before_and_a_poll_without_any_leaves_them(house: Callable[..., House]) -> None:
    both, one = (beat("scheduler", NOW), beat("triggerer", NOW)), (beat("scheduler", NOW + 60),)
    it = house(reads(gauges=both), reads(), reads(gauges=one), reads(gauges=()))
    seen = []
    for _ in range(4):
        assert it.poll() is None
        it.now += 30
        seen.append({k.partition(" ")[2]: v for k, v in it.series().items() if k.startswith("ml_scheduler")})
    assert seen == [{"scheduler": NOW, "triggerer": NOW}] * 2 + [{"scheduler": NOW + 60}, {}]


def test_gauges_are_not_kept_over_a_restart_and_not_shown_by_a_failed_poll(house: Callable[..., House]) -> None:
    def half(cursor: Cursor, now: float) -> Poll:
        yield Batch({}, gauges=(beat("scheduler", NOW),))
        raise Unreachable("gone")

    it = house(half)
    assert it.poll() is not None
    assert not any(name.startswith("ml_scheduler") for name in it.series())
    assert not any(name.startswith("ml_scheduler") for name in house(reads()).series())


def test_due_times_pauses_queue_times_and_tasks_are_shown(house: Callable[..., House]) -> None:
    due = replace(info("train"), schedule=Schedule(next_due=NOW + 3600), paused=False)
    ran = Run("a", Pipeline("s", "train"), RunState.SUCCEEDED, NOW - 100, NOW - 90, NOW)
    task = TaskRun("t", Pipeline("s", "train"), "fit", RunState.FAILED, NOW - 50, NOW - 10)
    it = house(reads(ran, roster=(due,), tasks=(task, task)))
    assert it.poll() is None
    series = it.series()
    assert series["ml_pipeline_next_due_timestamp_seconds train"] == NOW + 3600
    assert series["ml_pipeline_paused train"] == 0
    assert series["ml_run_queue_seconds_sum train"] == 10
    assert series["ml_run_queue_seconds_bucket train 5.0"] == 0
    assert series["ml_run_queue_seconds_bucket train 15.0"] == 1
    assert series["ml_task_runs_finished_total train fit failed"] == 1
    assert series["ml_task_runs_finished_total train fit succeeded"] == 0
    assert series["ml_task_consecutive_failures train fit"] == 1
    assert series["ml_task_last_finished_timestamp_seconds train fit failed"] == NOW - 10
    assert "ml_pipeline_unmet_due_timestamp_seconds train" not in series


def test_what_is_known_of_due_times_survives_a_restart(house: Callable[..., House]) -> None:
    def roster(next_due: float) -> Step:
        return reads(roster=(replace(info("train"), schedule=Schedule(next_due=next_due)),))

    it = house(roster(NOW + 100), roster(NOW + 3700))
    it.poll()
    it.now += 200
    it.poll()
    assert it.series()["ml_pipeline_unmet_due_timestamp_seconds train"] == NOW + 100
    assert house(reads()).series()["ml_pipeline_unmet_due_timestamp_seconds train"] == NOW + 100


# What runs cost

BUSY = "ml_run_busy_seconds_total train"


def priced(rate: float, currency: str = "USD") -> dict[str, Any]:
    stages = {"training": [{"pipeline": "s/train", "cost_per_hour": rate}]}
    return {"services": [{"name": "fraud", "owner": "risk", "stages": stages}], "costs": {"currency": currency}}


def succeeded(run_id: str, seconds: float, steps: int | None = None) -> Run:
    return Run(run_id, Pipeline("s", "train"), RunState.SUCCEEDED, None, NOW - seconds, NOW, steps=steps)


def costs(series: dict[str, float]) -> dict[str, float]:
    return {name: value for name, value in series.items() if name.startswith("ml_cost_")}


def test_the_time_of_runs_is_shown_at_zero_before_it_counts_and_survives_a_restart(house: Callable[..., House]) -> None:
    young = (info("train", created_at=NOW + 1),)
    it = house(reads(roster=()), reads(failed("a"), roster=young), reads(roster=young))
    it.poll()
    it.now += 30
    it.poll()
    assert it.series()[BUSY] == 0
    it.now += 30
    it.poll()
    assert it.series()[BUSY] == 10
    assert house().series()[BUSY] == 10


def test_without_a_price_there_is_no_cost(house: Callable[..., House]) -> None:
    it = house(reads(succeeded("a", 1800, 10)))
    it.poll()
    assert costs(it.series()) == {}
    assert it.series()["ml_run_last_steps train"] == 10


def test_a_run_costs_its_time_and_a_step_its_share(house: Callable[..., House]) -> None:
    it = house(reads(succeeded("a", 1800, 10)), more=priced(3.0, "EUR"))
    it.poll()
    assert costs(it.series()) == {
        "ml_cost_run_per_hour train EUR": 3.0,
        "ml_cost_last_run train EUR": 1.5,
        "ml_cost_last_run_per_step train EUR": 0.15,
    }


def test_the_price_is_shown_before_anything_was_bought_and_a_run_of_unknown_length_costs_nobody_knows_what(
    house: Callable[..., House],
) -> None:
    unknown = Run("a", Pipeline("s", "train"), RunState.SUCCEEDED, None, None, NOW, steps=3)
    it = house(reads(), reads(unknown), more=priced(0.0))
    it.poll()
    assert costs(it.series()) == {"ml_cost_run_per_hour train USD": 0.0}
    it.poll()
    assert costs(it.series()) == {"ml_cost_run_per_hour train USD": 0.0}
    assert it.series()["ml_run_last_steps train"] == 3


def test_a_run_without_steps_has_no_cost_of_one(house: Callable[..., House]) -> None:
    it = house(
        reads(succeeded("a", 3600, 10)), reads(replace(succeeded("b", 3600), ended_at=NOW + 5)), more=priced(2.0)
    )
    it.poll()
    it.poll()
    assert "ml_cost_last_run_per_step train USD" not in it.series()
    assert "ml_run_last_steps train" not in it.series()


def test_another_price_moves_what_is_shown_and_no_counter(house: Callable[..., House]) -> None:
    it = house(reads(succeeded("a", 3600)), more=priced(2.0))
    it.poll()
    dearer = house(more=priced(4.0))
    assert dearer.series()["ml_cost_last_run train USD"] == 4.0
    assert dearer.series()[BUSY] == it.series()[BUSY] == 3600
    assert costs(house().series()) == {}
