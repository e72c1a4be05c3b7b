"""The Kubernetes source against a fake API: names, states, schedules, gauges and what a poll costs."""

from __future__ import annotations

import math
from typing import Any

import pytest
from tests.support.fake_kubernetes import (
    CRON_JOBS,
    JOBS,
    NOW,
    FakeKubernetes,
    at,
    cron_job,
    ended,
    job,
    owned,
    running,
)
from tests.support.polling import Listener

from ml_exporter.errors import Malformed
from ml_exporter.model import Batch, PipelineInfo, RunState
from ml_exporter.sources import kubernetes
from ml_exporter.sources.kubernetes.quotas import quantity
from ml_exporter.sources.kubernetes.source import KubernetesSource

LEASE = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/kube-controller-manager"
QUOTAS = "/api/v1/resourcequotas"


def source(**options: Any) -> KubernetesSource:
    return kubernetes.create("cluster", kubernetes.Options(**options), "")


def cluster(*jobs: dict[str, Any], crons: tuple[dict[str, Any], ...] = ()) -> FakeKubernetes:
    fake = FakeKubernetes(replies={QUOTAS: {"items": []}})
    for item in jobs:
        fake.put(JOBS, item)
    for cron in crons:
        fake.put(CRON_JOBS, cron)
    return fake


def first_poll(fake: FakeKubernetes, **options: Any) -> Listener:
    return Listener().poll(source(**options), fake, NOW)


def infos(batches: list[Batch]) -> dict[str, PipelineInfo]:
    """The last thing that was said of each pipeline."""
    told = [info for batch in batches for info in (*(batch.roster or ()), *batch.pipelines)]
    return {info.pipeline.name: info for info in told}


def gauges(listener: Listener) -> dict[tuple[str, ...], float]:
    told = [batch.gauges for batch in listener.batches if batch.gauges is not None][-1]
    return {(sample.family.removeprefix("ml_scheduler_"), *sample.labels): sample.value for sample in told}


# States

UNCOUNTED = {"uncountedTerminatedPods": {"succeeded": ["p"]}}


@pytest.mark.parametrize(
    ("item", "state"),
    [
        (ended("j"), RunState.SUCCEEDED),
        (ended("j", kind="Failed", reason="BackoffLimitExceeded"), RunState.FAILED),
        (ended("j", kind="Failed", reason="PodFailurePolicy"), RunState.FAILED),
        (ended("j", kind="Failed", reason="DeadlineExceeded"), RunState.TIMED_OUT),
        (ended("j", kind="FailureTarget", reason="DeadlineExceeded"), RunState.QUEUED),
        (running("j"), RunState.RUNNING),
        (job("j", startTime=at(NOW), active=1), RunState.RUNNING),
        (job("j"), RunState.QUEUED),
        (job("j", startTime=at(NOW), active=1, ready=0), RunState.QUEUED),
        (job("j", startTime=at(NOW)), RunState.QUEUED),
        (job("j", startTime=at(NOW), active=1, ready=0, failed=1), RunState.RUNNING),
        (job("j", startTime=at(NOW), ready=0, **UNCOUNTED), RunState.RUNNING),
        (job("j", spec={"suspend": True}, startTime=at(NOW), active=1, ready=1), RunState.QUEUED),
        (job("j", startTime=at(NOW), active=1, conditions=[{"type": "Failed", "status": "False"}]), RunState.RUNNING),
    ],
)
def test_the_state_of_a_job(item: dict[str, Any], state: RunState) -> None:
    assert first_poll(cluster(item)).runs["j"].state is state


def test_a_failed_job_ends_when_its_condition_changed_for_it_has_no_completion_time() -> None:
    run = first_poll(cluster(ended("j", NOW - 10, "Failed", created=NOW - 100))).runs["j"]
    assert (run.queued_at, run.started_at, run.ended_at) == (NOW - 100, NOW - 90, NOW - 10)


def test_a_job_that_failed_before_any_pod_started_has_no_start() -> None:
    item = ended("j", NOW - 10, "Failed")
    del item["status"]["startTime"]
    assert first_poll(cluster(item)).runs["j"].started_at is None


def test_times_that_run_backwards_are_left_out() -> None:
    run = first_poll(cluster(ended("j", end=NOW - 100, started=NOW - 90))).runs["j"]
    assert (run.started_at, run.ended_at) == (None, NOW - 100)


# Names


@pytest.mark.parametrize(
    ("item", "name"),
    [
        (owned(running("nightly-28"), "CronJob", "nightly"), "team/nightly"),
        (owned(running("x", name="ray-abc"), "RayJob", "ray"), "team/rayjob/ray"),
        (running("x", name="train-v1"), "team/train-v1"),
    ],
)
def test_the_pipeline_of_a_job(item: dict[str, Any], name: str) -> None:
    assert first_poll(cluster(item)).runs[item["metadata"]["uid"]].pipeline.name == name


def test_a_generated_name_loses_its_suffix_and_a_label_goes_before_it() -> None:
    generated, labelled = running("g", name="train-x7k2p"), running("l", name="train-9xq4b")
    generated["metadata"]["generateName"] = labelled["metadata"]["generateName"] = "train-"
    labelled["metadata"]["labels"] = {"app": "churn"}
    runs = first_poll(cluster(generated, labelled), pipeline_label="app").runs
    assert {run.pipeline.name for run in runs.values()} == {"team/train", "team/churn"}


def test_a_label_may_name_the_service_of_a_cron_job_and_of_a_job() -> None:
    alone, cron = running("alone"), cron_job("nightly")
    alone["metadata"]["labels"] = {"app.kubernetes.io/part-of": "fraud"}
    cron["spec"]["jobTemplate"] = {"metadata": {"labels": {"app.kubernetes.io/part-of": "churn"}}}
    told = infos(first_poll(cluster(alone, crons=(cron,))).batches)
    assert (told["team/alone"].tags, told["team/nightly"].tags) == (("fraud",), ("churn",))


def test_what_is_excluded_is_not_told() -> None:
    fake = cluster(running("a"), running("b"), crons=(cron_job("c"), cron_job("d")))
    listener = first_poll(fake, exclude=("team/[bd]",))
    assert (set(listener.runs), set(listener.roster)) == ({"a"}, {"team/c"})


# Schedules


def test_a_cron_job_is_due_by_its_own_timetable_in_its_own_zone() -> None:
    fake = cluster(crons=(cron_job("b", "30 6 * * *", timeZone="Asia/Kolkata"), cron_job("u", "@every 2h")))
    told = infos(first_poll(fake).batches)
    day = NOW - NOW % 86400
    schedule = told["team/b"].schedule
    assert schedule is not None
    assert schedule.next_due == (day + 3600 if day + 3600 > NOW else day + 90000)
    every = told["team/u"].schedule
    assert every is not None
    assert every.next_due == NOW - 1e6 + math.ceil(1e6 / 7200) * 7200, "counted from its creation"


def test_a_suspended_cron_job_is_paused_and_goes_on() -> None:
    fake, src = cluster(crons=(cron_job("c", suspend=True),)), source()
    listener = Listener().poll(src, fake, NOW)
    assert infos(listener.batches)["team/c"].paused is True
    fake.put(CRON_JOBS, cron_job("c"))
    listener.poll(src, fake, NOW + 300)
    assert infos(listener.batches)["team/c"].paused is False
    assert fake.count(CRON_JOBS, limit="500") == 1, "changes come by a watch"


def test_a_due_time_that_passes_is_told_and_nothing_else_is() -> None:
    fake, src = cluster(crons=(cron_job("c", "0 * * * *"), cron_job("y", "0 0 1 1 *"))), source()
    listener = Listener().poll(src, fake, NOW)
    told = len(listener.batches)
    listener.poll(src, fake, NOW + 3600 - NOW % 3600 + 1)
    [batch] = [batch for batch in listener.batches[told:] if batch.roster or batch.pipelines]
    assert "team/c" in infos([batch])


def test_a_timetable_that_cannot_be_read_is_counted_and_expects_nothing() -> None:
    fake = cluster(crons=(cron_job("bad", "61 * * * *"), cron_job("zone", timeZone="Mars/Base"), cron_job("good")))
    listener = first_poll(fake)
    told = infos(listener.batches)
    assert [told[f"team/{name}"].schedule is None for name in ("bad", "zone", "good")] == [True, True, False]
    assert gauges(listener)["load_errors", "timetables"] == 2


def test_a_deleted_cron_job_leaves_the_roster() -> None:
    fake, src = cluster(crons=(cron_job("a"), cron_job("b"))), source()
    listener = Listener().poll(src, fake, NOW)
    fake.delete(CRON_JOBS, "cron-a")
    assert set(listener.poll(src, fake, NOW + 300).roster) == {"team/b"}


def test_cron_jobs_are_listed_anew_when_their_watch_is_gone() -> None:
    fake, src = cluster(crons=(cron_job("a"),)), source()
    listener = Listener().poll(src, fake, NOW)
    fake.delete(CRON_JOBS, "cron-a")
    fake.put(CRON_JOBS, cron_job("b"))
    fake.oldest = fake.version
    assert set(listener.poll(src, fake, NOW + 300).roster) == {"team/b"}


# Gauges


def test_waiting_jobs_quotas_and_the_heartbeat() -> None:
    fake = cluster(job("q1"), job("q2"), running("r"))
    hard = {"requests.cpu": "8", "requests.nvidia.com/gpu": "4", "requests.memory": "2Gi", "services": "9"}
    used = {"requests.cpu": "500m", "requests.nvidia.com/gpu": "4", "requests.memory": "1Gi"}
    quota = {"metadata": {"name": "q", "uid": "q", "namespace": "team"}, "status": {"hard": hard, "used": used}}
    tight = {"metadata": {"name": "t", "uid": "t", "namespace": "team"}, "status": {"hard": {"cpu": "1"}}}
    some = {**tight, "spec": {"scopes": ["BestEffort"]}, "status": {"hard": {"cpu": "0"}}}
    fake.replies[QUOTAS] = {"items": [quota, tight, some]}
    assert gauges(first_poll(fake)) == {
        ("load_errors", "timetables"): 0,
        ("queue_length", "team"): 2,
        ("heartbeat_timestamp_seconds", "kube-controller-manager"): NOW,
        ("capacity", "team", "cpu", "used"): 0,
        ("capacity", "team", "cpu", "free"): 1,
        ("capacity", "team", "gpu", "used"): 4,
        ("capacity", "team", "gpu", "free"): 0,
        ("capacity", "team", "memory", "used"): 2**30,
        ("capacity", "team", "memory", "free"): 2**30,
    }


@pytest.mark.parametrize("status", [403, 404])
def test_what_the_credentials_may_not_read_is_left_out(status: int) -> None:
    fake = cluster(job("q"))
    fake.replies |= {LEASE: status, QUOTAS: status}
    assert set(gauges(first_poll(fake))) == {("load_errors", "timetables"), ("queue_length", "team")}


@pytest.mark.parametrize(
    ("text", "value"),
    [("500m", 0.5), ("1.5Gi", 1.5 * 2**30), ("2e3", 2000), ("3k", 3000), ("-1", None), ("1e999", None), ("NaN", None)],
)
def test_quantities(text: str, value: float | None) -> None:
    assert quantity(text) == value


# What it runs on


def test_an_older_cluster_has_its_cron_jobs_at_v1beta1() -> None:
    fake = cluster()
    fake.replies["/apis/batch/v1"] = {"resources": [{"name": "jobs"}]}
    fake.put("/apis/batch/v1beta1/cronjobs", cron_job("old"))
    assert set(first_poll(fake).roster) == {"team/old"}


@pytest.mark.parametrize(
    ("path", "reply", "says"),
    [
        ("/version", {"gitVersion": "v1.15.3"}, "v1.15.3 is too old: 1.20"),
        ("/version", {"status": "ok"}, "is this its API server"),
        ("/apis/batch/v1", 404, "v1.33.1 has no Jobs"),
        ("/apis/batch/v1", {"resources": []}, "v1.33.1 has no Jobs"),
    ],
)
def test_another_server_is_named_with_its_version(path: str, reply: Any, says: str) -> None:
    fake = cluster()
    fake.replies[path] = reply
    with pytest.raises(Malformed, match=says):
        first_poll(fake)


# Cost


@pytest.mark.parametrize("crons", [3, 1200])
def test_a_quiet_poll_costs_one_watch_whatever_the_history_holds(crons: int) -> None:
    fake = cluster(*(ended(f"j{n}") for n in range(3000)), crons=tuple(cron_job(f"c{n}") for n in range(crons)))
    src, listener = source(), Listener()
    listener.poll(src, fake, NOW)
    assert len(listener.runs) == 3000
    before, told = len(fake.calls), len(listener.told)
    for number in range(1, 21):
        listings = fake.count(JOBS)
        listener.poll(src, fake, NOW + 30 * number)
        assert fake.count(JOBS) - listings <= (1 if number < 20 else 2), "a watch, and one look every ten minutes"
    others = sum(1 for call in fake.calls[before:] if call.path != JOBS)
    assert others <= math.ceil(crons / 500) + 5
    assert len(listener.told) == told


def test_many_namespaces_take_turns() -> None:
    names = [f"n{n}" for n in range(10)]
    fake = cluster()
    fake.replies |= {f"/api/v1/namespaces/{name}/resourcequotas": 403 for name in names}
    src, listener = source(namespaces=tuple(names)), Listener()
    listener.poll(src, fake, NOW)
    late = running("late")
    late["metadata"]["namespace"] = "n9"
    fake.put(JOBS, late)
    for number in range(1, 5):
        before = len(fake.calls)
        listener.poll(src, fake, NOW + 30 * number)
        assert sum(1 for call in fake.calls[before:] if call.path.endswith("/jobs")) == 3
    assert set(listener.runs) == {"late"}
