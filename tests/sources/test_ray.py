"""The Ray source, poll by poll, against a fake that can travel in time. Times are seconds."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.fake_ray import NOW, FakeRay, source
from tests.support.polling import Listener

from ml_exporter.errors import ConfigError, Rejected
from ml_exporter.model import Pipeline, RunState, Sample

JOBS, STATUS = "/api/jobs/", "/api/cluster_status"


def run_of(fake: FakeRay, **options: Any) -> dict[str, Any]:
    """The runs that one poll tells, by the id without the time."""
    runs = Listener().poll(source(**options), fake, NOW).runs.values()
    return {run.id.rpartition("@")[0]: run for run in runs}


# Runs


@pytest.mark.parametrize(
    ("status", "end", "state"),
    [
        ("PENDING", None, RunState.QUEUED),
        ("RUNNING", None, RunState.RUNNING),
        ("SUCCEEDED", NOW - 10, RunState.SUCCEEDED),
        ("FAILED", NOW - 10, RunState.FAILED),
        ("STOPPED", NOW - 10, RunState.CANCELLED),
        ("HIBERNATING", None, RunState.RUNNING),
        ("EVAPORATED", NOW - 10, RunState.CANCELLED),
    ],
)
def test_every_state_of_a_job_has_its_word(status: str, end: float | None, state: RunState) -> None:
    fake = FakeRay()
    fake.job("train", status, start=NOW - 60, end=end)
    assert run_of(fake)["train"].state is state


def test_a_job_that_waited_too_long_for_its_resources_timed_out() -> None:
    fake = FakeRay()
    fake.job("train", "FAILED", start=NOW - 900, end=NOW, error_type="JOB_SUPERVISOR_ACTOR_START_TIMEOUT")
    assert run_of(fake)["train"].state is RunState.TIMED_OUT


def test_a_pending_job_has_waited_since_it_was_submitted_and_no_waiting_time_is_invented_for_others() -> None:
    fake = FakeRay()
    fake.job("waits", "PENDING", start=NOW - 60)
    fake.job("runs", "RUNNING", start=NOW - 50.5)
    fake.job("ended", start=NOW - 40, end=NOW - 10)
    runs = run_of(fake)
    assert [(r.queued_at, r.started_at, r.ended_at) for r in (runs["waits"], runs["runs"], runs["ended"])] == [
        (NOW - 60, None, None),
        (None, NOW - 50.5, None),
        (None, NOW - 40, NOW - 10),
    ]
    assert source().queue_times is False


def test_a_job_is_told_when_something_happens_to_it_and_then_no_more() -> None:
    fake, src, listener = FakeRay(), source(), Listener()
    fake.job("train-1", "PENDING", start=NOW)
    listener.poll(src, fake, NOW + 1)
    fake.job("train-1", "RUNNING", start=NOW)
    listener.poll(src, fake, NOW + 30)
    fake.job("train-1", start=NOW, end=NOW + 50)
    for step in range(2, 10):
        listener.poll(src, fake, NOW + 30 * step)
    assert [run.state for run in listener.told] == [RunState.QUEUED, RunState.RUNNING, RunState.SUCCEEDED]


def test_a_new_process_tells_once_more_what_ended_since_the_source_is_known() -> None:
    fake, listener = FakeRay(), Listener()
    fake.job("ancient-1", start=NOW - 90_000, end=NOW - 80_000)
    fake.job("recent-1", start=NOW - 900, end=NOW - 800)
    listener.poll(source(history=3600.0), fake, NOW)
    fake.job("later-1", start=NOW, end=NOW + 10)
    listener.poll(source(history=3600.0), fake, NOW + 10_000)
    assert [run.pipeline.name for run in listener.told] == ["recent", "recent", "later"]
    assert listener.roster.keys() == {"recent", "later"}


def test_an_active_job_that_is_listed_no_more_is_gone_and_did_not_succeed() -> None:
    fake, listener = FakeRay(), Listener()
    fake.job("train-1", "RUNNING", start=NOW - 60)
    fake.job("train-2", start=NOW - 60, end=NOW - 10)
    listener.poll(source(), fake, NOW)
    fake.jobs.clear()
    listener.poll(source(), fake, NOW + 30)  # the process is new, too
    assert listener.forgotten == [f"train-1@{int(NOW - 60) * 1000}"]
    assert [run.state for run in listener.runs.values()] == [RunState.SUCCEEDED]
    listener.poll(source(), fake, NOW + 60)
    assert len(listener.forgotten) == 1


def test_an_id_that_comes_again_after_a_restart_of_the_cluster_is_another_run() -> None:
    fake, src = FakeRay(), source()
    fake.job("nightly", start=NOW - 60, end=NOW - 10)
    listener = Listener().poll(src, fake, NOW)
    fake.jobs.clear()
    fake.job("nightly", "FAILED", start=NOW + 60, end=NOW + 70)
    listener.poll(src, fake, NOW + 90)
    assert [run.state for run in listener.runs.values()] == [RunState.SUCCEEDED, RunState.FAILED]


def test_a_job_that_comes_back_after_it_was_deleted_is_no_failure() -> None:
    fake, src = FakeRay(), source()
    fake.job("train-1", start=NOW - 60, end=NOW - 10)
    listener = Listener().poll(src, fake, NOW)
    ghost = {"start_time": None, "error_type": "JOB_SUPERVISOR_ACTOR_DIED", "entrypoint": "Entrypoint not found."}
    fake.job("train-1", "FAILED", **{"start": NOW, "end": NOW + 2, **ghost})
    listener.poll(src, fake, NOW + 30)
    assert [run.state for run in listener.told] == [RunState.SUCCEEDED]


def test_scripts_that_connect_by_themselves_are_read_only_if_wanted() -> None:
    fake = FakeRay()
    fake.driver("01000000", start=NOW - 60, end=NOW - 10)
    fake.driver("02000000", start=NOW - 60, end=NOW - 10, metadata={"job_name": "features"})
    assert run_of(fake) == {}
    assert {id_: run.pipeline.name for id_, run in run_of(fake, drivers=True).items()} == {
        "01000000": "driver",
        "02000000": "features",
    }


# Pipelines


@pytest.mark.parametrize(
    ("submission_id", "name"),
    [
        ("churn-train-7", "churn-train"),
        ("churn_train_2026-11-20_22-01-10", "churn_train"),
        ("embeddings-20261120T210000Z", "embeddings"),
        ("etl.2026-11-20T21:00:00", "etl"),
        ("fraud-3f2504e0-4f89-11d3-9a0c-0305e82c3301", "fraud"),
        ("fraud-9a0c0305e82c", "fraud"),
        ("raysubmit_f67JC2izg9SUUwzC", "raysubmit"),
        ("rayjob-sample-x7k2q", "rayjob-sample"),
        ("resnet50", "resnet50"),
        ("fraud-train", "fraud-train"),
        ("model-v2", "model-v2"),
        ("3f2504e0-4f89-11d3-9a0c-0305e82c3301", "unnamed"),
        ("1795212543", "unnamed"),
    ],
)
def test_what_is_counted_up_at_the_end_of_a_submission_id_is_no_part_of_the_name(submission_id: str, name: str) -> None:
    fake = FakeRay()
    fake.job(submission_id, start=NOW - 60, end=NOW)
    assert run_of(fake)[submission_id].pipeline.name == name


def test_the_metadata_names_the_pipeline_under_a_key_of_choice() -> None:
    fake = FakeRay()
    fake.job("a-1", start=NOW, end=NOW, metadata={"job_name": "fraud", "pipeline": "risk/fraud"})
    assert run_of(fake)["a-1"].pipeline == Pipeline("cluster", "fraud")
    assert run_of(fake, pipeline_key="pipeline")["a-1"].pipeline.name == "risk/fraud"
    assert run_of(fake, pipeline_key="team")["a-1"].pipeline.name == "a"
    assert run_of(fake, pipeline_key="team", suffix="^a-")["a-1"].pipeline.name == "1"


def test_a_suffix_that_is_no_regular_expression_is_named() -> None:
    with pytest.raises(ConfigError, match=r"suffix: found '\('; allowed is a regular expression"):
        source(suffix="(")


def test_the_newest_job_names_the_service() -> None:
    fake, src = FakeRay(), source()
    fake.job("fraud-1", start=NOW - 60, end=NOW - 50, metadata={"service": "risk"})
    fake.job("fraud-2", start=NOW - 40, end=NOW - 30, metadata={"service": "fraud-detection"})
    listener = Listener().poll(src, fake, NOW)
    [info] = listener.last.roster or ()
    assert (info.pipeline.name, info.tags, info.id, info.created_at) == ("fraud", ("fraud-detection",), None, NOW - 60)
    fake.job("fraud-3", start=NOW, end=NOW + 5, metadata={"service": "scoring"})
    [info] = listener.poll(src, fake, NOW + 30).last.pipelines
    assert info.tags == ("scoring",)
    assert listener.poll(src, fake, NOW + 60).last.pipelines == ()


def test_pipelines_that_are_not_wanted_are_not_told() -> None:
    fake = FakeRay()
    fake.job("fraud-1", start=NOW - 60, end=NOW - 50)
    fake.job("scratch-1", "RUNNING", start=NOW - 60)
    listener = Listener().poll(source(exclude=("scratch*",)), fake, NOW)
    assert (listener.roster.keys(), len(listener.runs)) == ({"fraud"}, 1)


def test_a_pipeline_of_which_nothing_is_heard_leaves_the_roster_though_ray_remembers_its_jobs() -> None:
    fake, src = FakeRay(), source(forget_after=86_400.0)
    fake.job("old-1", start=NOW - 600, end=NOW - 500)
    listener = Listener().poll(src, fake, NOW)
    assert listener.roster.keys() == {"old"}
    listener.poll(src, fake, NOW + 90_000)
    assert (listener.last.roster, listener.last.idle_since) == ((), NOW + 90_000 - 86_400)


# Hostile values


@pytest.mark.parametrize("value", [None, -1, 0, 1e300, 10**400, "soon", [], {"a": 1}, True])
@pytest.mark.parametrize("key", ["start_time", "end_time", "status", "metadata", "submission_id", "error_type", "type"])
def test_a_job_that_cannot_be_true_hides_no_other(key: str, value: Any) -> None:
    fake = FakeRay()
    fake.job("good-1", start=NOW - 60, end=NOW - 10)
    fake.job("bad-1", start=NOW - 60, end=NOW - 10, **{key: value})
    for run in (runs := run_of(fake)).values():
        times = [t for t in (run.queued_at, run.started_at, run.ended_at) if t is not None]
        assert all(0 < t < 5e9 for t in times)
    assert runs["good-1"].state is RunState.SUCCEEDED


def test_names_of_a_megabyte_are_cut() -> None:
    fake = FakeRay()
    fake.job("-1" * 500_000 + "x", start=NOW, end=NOW)
    fake.job("b", start=NOW, end=NOW, metadata={"job_name": "n" * 1_000_000})
    assert max(len(run.pipeline.name) for run in run_of(fake).values()) == 200


# Capacity


def test_the_cluster_says_what_it_has_and_what_waits_for_it() -> None:
    fake = FakeRay()
    fake.job("gpu-1", "PENDING", start=NOW - 60)
    assert Listener().poll(source(), fake, NOW).last.gauges == (
        Sample("ml_scheduler_heartbeat_timestamp_seconds", ("autoscaler",), NOW - 3),
        Sample("ml_scheduler_capacity", ("cluster", "cpu", "used"), 1),
        Sample("ml_scheduler_capacity", ("cluster", "cpu", "free"), 3),
        Sample("ml_scheduler_capacity", ("cluster", "gpu", "used"), 2),
        Sample("ml_scheduler_capacity", ("cluster", "gpu", "free"), 0),
        Sample("ml_scheduler_queue_length", ("cluster",), 1),
    )


@pytest.mark.parametrize(
    "fake",
    [FakeRay(autoscaler=False), FakeRay(missing=frozenset({STATUS})), FakeRay(broken=frozenset({STATUS}))],
    ids=["no autoscaler", "a proxy that hides it", "switched off"],
)
def test_without_a_status_the_queue_is_all_that_is_known(fake: FakeRay) -> None:
    listener = Listener().poll(source(capacity=STATUS not in fake.broken), fake, NOW)
    assert listener.last.gauges == (Sample("ml_scheduler_queue_length", ("cluster",), 0),)


@pytest.mark.parametrize("figures", [[5, 4], [-1, 4], [0, 0], [1], "4", None, [1, 1e300], ["a", "b"]])
def test_figures_that_cannot_be_true_are_left_out(figures: Any) -> None:
    listener = Listener().poll(source(), FakeRay(usage={"CPU": figures}), NOW)
    assert [sample.family for sample in listener.last.gauges or () if "capacity" in sample.family] == []


def test_a_status_that_fails_loses_no_job() -> None:
    fake, src, listener = FakeRay(broken=frozenset({STATUS})), source(), Listener()
    fake.job("train-1", start=NOW - 60, end=NOW - 10)
    with pytest.raises(Rejected):
        listener.poll(src, fake, NOW)
    assert listener.batches == []
    fake.broken = frozenset()
    assert len(listener.poll(src, fake, NOW + 30).told) == 1


# Cost


def test_ten_thousand_old_jobs_in_every_reply_cost_one_call_and_nothing_is_told_again() -> None:
    fake, src = FakeRay(), source()
    for number in range(10_000):
        fake.job(f"train-{number}", start=NOW - 60 - number, end=NOW - number)
    listener = Listener().poll(src, fake, NOW)
    assert len(listener.told) == 10_000
    fake.calls.clear()
    for step in range(1, 21):
        listener.poll(src, fake, NOW + 30 * step)
    assert fake.asked(JOBS) == 20
    assert len(fake.calls) - 20 <= 6  # one page of capacity, and 5
    assert len(listener.told) == 10_000
    assert all(batch.cursor == {} for batch in listener.batches[1:])


def test_ray_is_asked_to_mask_the_secrets_in_environments() -> None:
    fake = FakeRay()
    Listener().poll(source(), fake, NOW)
    assert [call.headers for call in fake.calls if call.path == JOBS] == [{"Sec-Fetch-Site": "none"}]


def test_a_run_has_its_page() -> None:
    url = source().run_url(Pipeline("cluster", "fraud"), None, "a@b/1@1795212543012")
    assert url == "http://ray:8265/#/jobs/a%40b%2F1"
