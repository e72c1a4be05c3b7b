"""What counts, what is remembered, what is let go."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ml_exporter.ledger import GONE_KEPT, Ledger
from ml_exporter.model import (
    Batch,
    Model,
    ModelMetric,
    ModelVersion,
    Pipeline,
    PipelineInfo,
    Receipt,
    Run,
    RunState,
    Scan,
)

NOW = 1_000_000.0


class Book:
    """A ledger with its committed ids, fed batch by batch."""

    def __init__(self, *names: str, installed: float = NOW) -> None:
        self.ledger, self.counted, self.now = Ledger(), set[str](), installed
        self.feed(roster=infos(*(names or ("train",))), backfilled=frozenset(names or ("train",)))

    def feed(self, *runs: Run, **batch: Any) -> Receipt:
        change = self.ledger.fold(Batch(cursor={}, runs=runs, **batch), self.counted, self.now)
        self.counted |= change.counted
        self.ledger.adopt(change)
        return change.receipt

    def __getitem__(self, name: str) -> Any:
        return self.ledger.pipelines[name]


def infos(*names: str, created_at: float | None = 1.0) -> tuple[PipelineInfo, ...]:
    return tuple(PipelineInfo(Pipeline("mlflow", name), f"id-{name}", created_at) for name in names)


def run(
    run_id: str, state: str = "succeeded", end: float | None = NOW + 60, start: float | None = NOW, **more: Any
) -> Run:
    state_ = RunState(state)
    return Run(run_id, Pipeline("mlflow", "train"), state_, None, start, end if state_.is_terminal else None, **more)


def test_a_run_read_again_within_the_overlap_is_counted_once() -> None:
    book = Book()
    for _ in range(3):
        book.feed(run("a"), run("a"))
    assert book["train"].finished == {RunState.SUCCEEDED: 1}


def test_a_run_resumed_and_finished_again_moves_the_times_but_not_the_counter() -> None:
    book = Book()
    book.feed(run("a", "failed", NOW + 10))
    book.feed(run("a", "running"))
    book.feed(run("a", "succeeded", NOW + 99))
    assert book["train"].finished == {RunState.FAILED: 1}
    assert book["train"].last_finished(RunState.SUCCEEDED) == NOW + 99
    assert book["train"].last_finished(RunState.FAILED) is None
    assert book["train"].consecutive_failures() == 0
    assert book["train"].active == {}


def test_every_finished_run_is_paid_for_once_however_it_ended() -> None:
    book = Book()
    ends = {"succeeded": 10, "failed": 200, "cancelled": 3_000, "timed_out": 40_000}
    for _ in range(2):
        book.feed(*(run(state, state, NOW + seconds) for state, seconds in ends.items()))
    assert book["train"].busy == 43_210
    assert book["train"].total == 10


def test_a_run_that_is_active_or_has_no_start_or_no_end_takes_no_time_that_is_known() -> None:
    book = Book()
    book.feed(run("a", "running"), run("b", "failed", None), run("c", "failed", start=None))
    assert book["train"].busy == 0


def test_a_run_resumed_is_paid_for_up_to_its_first_end() -> None:
    book = Book()
    book.feed(run("a", "failed", NOW + 10))
    book.feed(run("a", "succeeded", NOW + 99))
    assert book["train"].busy == 10


def test_steps_of_a_run_are_remembered_and_filled_in_when_it_is_read_again() -> None:
    book = Book()
    book.feed(run("a"))
    assert book["train"].successes[-1].steps is None
    book.feed(run("a", steps=12))
    assert book["train"].successes[-1].steps == 12


def test_only_failures_after_the_last_success_are_consecutive_in_whatever_order_they_arrive() -> None:
    book = Book()
    book.feed(run("late", "failed", NOW + 300), run("later", "timed_out", NOW + 400))
    book.feed(run("before", "failed", NOW + 100), run("cancelled", "cancelled", NOW + 500))
    assert book["train"].consecutive_failures() == 3
    book.feed(run("success", "succeeded", NOW + 200))
    assert book["train"].consecutive_failures() == 2


def test_consecutive_failures_stop_at_fifty() -> None:
    book = Book()
    book.feed(*(run(f"r{i}", "failed", NOW + i) for i in range(80)))
    assert book["train"].consecutive_failures() == 50
    assert book["train"].finished == {RunState.FAILED: 80}


def test_typical_duration_is_the_median_of_the_last_twenty_successes_and_needs_five() -> None:
    book = Book()
    book.feed(*(run(f"r{i}", end=NOW + i, start=NOW + i - 1000) for i in range(4)))
    assert book["train"].typical_duration() is None
    book.feed(*(run(f"s{i}", end=NOW + 100 + i, start=NOW + 100) for i in range(20)))
    assert book["train"].typical_duration() == pytest.approx(9.5)


def test_baseline_is_the_median_before_the_last_success() -> None:
    book = Book()
    for i in range(7):
        book.feed(run(f"r{i}", end=NOW + i, metrics=(("auc", float(i)),)))
    assert book["train"].baseline("auc", "r6") == 2.5
    assert book["train"].baseline("auc", "r4") is None
    assert book["train"].baseline("loss", "r6") is None


def test_a_run_without_an_end_time_counts_and_moves_no_time() -> None:
    book = Book()
    book.feed(run("a", "failed", None))
    assert book["train"].finished == {RunState.FAILED: 1}
    assert book["train"].last_finished(RunState.FAILED) is None


def test_runs_active_before_the_pipeline_was_first_read_are_counted_but_do_not_look_stuck() -> None:
    book = Book()
    book.feed(run("zombie", "running", start=NOW - 1e6), run("new", "running", start=NOW + 5))
    assert len(book["train"].active) == 2
    assert book["train"].oldest_active(RunState.RUNNING) == NOW + 5


def test_an_active_run_that_a_whole_listing_lacks_is_reported_missing_and_stays_until_it_is_settled() -> None:
    book = Book()
    book.feed(run("a", "running"), run("b", "running"))
    receipt = book.feed(run("b", "running"), active_listed=frozenset({"train"}))
    assert receipt.missing == ("a",)
    assert set(book["train"].active) == {"a", "b"}
    book.feed(forgotten=("a",))
    assert set(book["train"].active) == {"b"}


def test_utilization_is_the_mean_over_running_runs_that_report_it() -> None:
    book = Book()
    book.feed(
        run("a", "running", utilization=(("gpu", 0.2),)),
        run("b", "running", utilization=(("gpu", 0.6), ("cpu", 1.0))),
        run("c", "running"),
    )
    assert book["train"].utilization() == {"gpu": 0.4, "cpu": 1.0}


def test_a_pass_over_the_history_drops_what_it_did_not_meet() -> None:
    book = Book()
    book.feed(run("kept"), run("deleted", end=NOW + 70), run("no-start", end=NOW + 80, start=None))
    started = NOW + 1000
    scan = Scan(number=2, started_at=started, pipelines=frozenset({"train"}))
    book.feed(run("kept"), scan=scan)
    book.feed(run("during", end=started + 10, start=started + 5))
    book.feed(scan=replace(scan, finished=True))
    assert [r.id for r in book["train"].recent] == ["kept", "no-start", "during"]
    assert book["train"].finished == {RunState.SUCCEEDED: 4}


def test_a_run_that_ended_before_the_pass_but_was_read_during_it_is_kept() -> None:
    book = Book()
    scan = Scan(number=2, started_at=NOW + 1000, pipelines=frozenset({"train"}))
    book.feed(scan=scan)
    book.feed(run("late-write", end=NOW + 500, start=NOW + 400))
    book.feed(scan=replace(scan, finished=True))
    assert [r.id for r in book["train"].recent] == ["late-write"]


def test_a_vanished_pipeline_is_kept_for_ninety_days_and_comes_back_with_its_counters() -> None:
    book = Book("train", "other")
    book.feed(run("a"))
    book.feed(roster=infos("other"))
    assert book["train"].gone_at == NOW
    book.feed(roster=infos("train", "other"))
    assert book["train"].gone_at is None
    assert book["train"].finished == {RunState.SUCCEEDED: 1}
    book.feed(roster=infos("other"))
    book.now += GONE_KEPT + 1
    book.feed(roster=infos("other"))
    assert "train" not in book.ledger.pipelines


def test_a_renamed_pipeline_keeps_its_memory() -> None:
    book = Book()
    book.feed(run("a"))
    book.feed(roster=(PipelineInfo(Pipeline("mlflow", "train-v2"), "id-train", 1.0),))
    assert "train" not in book.ledger.pipelines
    assert book["train-v2"].finished == {RunState.SUCCEEDED: 1}


def test_a_pipeline_born_under_our_eyes_is_unannounced_and_an_older_one_is_not() -> None:
    book = Book()
    book.now += 50
    book.feed(roster=infos("train") + infos("new", created_at=NOW + 20) + infos("restored", created_at=NOW - 20))
    assert book.ledger.unannounced() == ["new"]
    assert book["new"].first_seen == NOW + 20
    assert book["restored"].first_seen == NOW + 50
    book.ledger.adopt(book.ledger.announce(["new"]))
    assert book.ledger.unannounced() == []


def test_backfill_is_complete_when_every_pipeline_is() -> None:
    book = Book("a", "b")
    assert book.ledger.source.backfill_complete
    fresh = Ledger()
    fresh.adopt(fresh.fold(Batch({}, roster=infos("a", "b"), progress=0.3), (), NOW))
    fresh.adopt(fresh.fold(Batch({}, backfilled=frozenset({"a"}), progress=0.2), (), NOW))
    assert (fresh.source.backfill_complete, fresh.source.progress) == (False, 0.3)
    fresh.adopt(fresh.fold(Batch({}, backfilled=frozenset({"b"})), (), NOW))
    assert (fresh.source.backfill_complete, fresh.source.progress) == (True, 1.0)


def test_folding_changes_nothing_until_it_is_adopted() -> None:
    book = Book()
    book.feed(run("a"))
    before = book["train"].copy()
    book.ledger.fold(Batch({}, runs=(run("b"), run("c", "running"))), (), NOW)
    assert book["train"] == before


def model(alias: str | None, *versions: ModelVersion) -> Model:
    return Model("fraud", (("champion", alias),) if alias else (), (("READY", len(versions)),), versions)


def test_an_alias_has_a_time_only_when_it_was_seen_to_move() -> None:
    book = Book()
    book.feed(models=(model("1"),))
    assert book.ledger.models["fraud"].changed == {}
    book.now += 100
    book.feed(models=(model("2"),))
    assert book.ledger.models["fraud"].changed == {"champion": NOW + 100}
    book.now += 100
    book.feed(models=(model("2"),))
    assert book.ledger.models["fraud"].changed == {"champion": NOW + 100}
    book.feed(models=(model(None),))
    assert book.ledger.models["fraud"].changed == {}
    book.feed(models=())
    assert book.ledger.models == {}


def test_a_model_born_after_the_first_reading_has_an_alias_that_moved() -> None:
    book = Book()
    book.feed(models=())
    book.feed(models=(model("1"),))
    assert book.ledger.models["fraud"].changed == {"champion": NOW}


def version(number: str, run_id: str, auc: float) -> ModelVersion:
    return ModelVersion(number, NOW, run_id, "train", None, (ModelMetric("auc", "", auc),))


def test_the_baseline_of_a_version_is_fixed_when_its_training_run_is_settled() -> None:
    book = Book()
    for i in range(6):
        book.feed(run(f"r{i}", end=NOW + i, metrics=(("auc", 0.9),)))
    book.feed(run("v", "running"))
    book.feed(models=(model("1", version("1", "v", 0.7)),))
    assert book.ledger.models["fraud"].versions["1"].baselines is None
    book.feed(run("v", end=NOW + 100, metrics=(("auc", 0.7),)))
    book.feed(models=(model("1", version("1", "v", 0.7)),))
    assert book.ledger.models["fraud"].versions["1"].baselines == {"auc": 0.9}
    for i in range(30):
        book.feed(run(f"s{i}", end=NOW + 200 + i, metrics=(("auc", 0.1),)))
    book.feed(models=(model("1", version("1", "v", 0.7)),))
    assert book.ledger.models["fraud"].versions["1"].baselines == {"auc": 0.9}


def test_a_version_older_than_what_is_remembered_has_no_baseline() -> None:
    book = Book()
    book.feed(models=(model("1", version("1", "ancient", 0.7)),))
    assert book.ledger.models["fraud"].versions["1"].baselines == {}


def test_a_figure_has_a_time_when_it_appears_or_changes_in_a_version_that_was_known() -> None:
    book = Book()

    def figures() -> dict[str, float | None]:
        found = book.ledger.models["fraud"].versions["1"].metrics
        return {figure.dataset: figure.changed_at for figure in found}

    def read(**values: float) -> None:
        metrics = tuple(ModelMetric("auc", dataset, value) for dataset, value in values.items())
        book.feed(models=(model("1", ModelVersion("1", NOW, "v", "train", None, metrics)),))

    read(holdout=0.9)
    assert figures() == {"holdout": None}
    book.now += 100
    read(holdout=0.9, november=0.6)
    assert figures() == {"holdout": None, "november": NOW + 100}
    book.now += 100
    read(holdout=0.8, november=0.6)
    assert figures() == {"holdout": NOW + 200, "november": NOW + 100}
