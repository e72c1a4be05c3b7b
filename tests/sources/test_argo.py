"""The Argo source against a fake API: names, states, timetables, tasks and what a poll costs."""

from __future__ import annotations

import math
from typing import Any

import pytest
from tests.support.fake_kubernetes import CRON_WORKFLOWS, NOW, WORKFLOWS, FakeKubernetes, at, meta
from tests.support.polling import Listener

from ml_exporter.errors import Malformed
from ml_exporter.model import RunState, TaskRun
from ml_exporter.sources import argo
from ml_exporter.sources.argo.source import ArgoSource

Object = dict[str, Any]


def source(**options: Any) -> ArgoSource:
    return argo.create("argo", argo.Options(**options), "")


def workflow(uid: str, phase: str = "", *, labels: Any = None, spec: Any = None, **status: Any) -> Object:
    written = {"phase": phase, "startedAt": at(NOW - 90), **status}
    return {"metadata": meta(uid, labels=labels or {}), "spec": spec or {}, "status": written}


def ended(uid: str, phase: str = "Succeeded", **more: Any) -> Object:
    return workflow(uid, phase, **{"finishedAt": at(NOW - 10), **more})


def cron(name: str, **more: Any) -> Object:
    status = more.pop("status", {})
    return {"metadata": meta(f"cron-{name}", name, NOW - 1e6), "spec": more, "status": status}


def cluster(*workflows: Object, crons: tuple[Object, ...] = ()) -> FakeKubernetes:
    fake = FakeKubernetes()
    for item in workflows:
        fake.put(WORKFLOWS, item)
    for item in crons:
        fake.put(CRON_WORKFLOWS, item)
    return fake


def first_poll(fake: FakeKubernetes, **options: Any) -> Listener:
    return Listener().poll(source(**options), fake, NOW)


# States


@pytest.mark.parametrize(
    ("item", "state"),
    [
        ({"metadata": meta("w"), "spec": {}}, RunState.QUEUED),
        (workflow("w", ""), RunState.QUEUED),
        (workflow("w", "Pending", message="Waiting for team/ConfigMap/locks lock"), RunState.QUEUED),
        (workflow("w", "Running"), RunState.RUNNING),
        (workflow("w", "Running", spec={"suspend": True}), RunState.RUNNING),
        (workflow("w", "Rewinding"), RunState.RUNNING),
        (ended("w", "Succeeded"), RunState.SUCCEEDED),
        (ended("w", "Failed", message="child 'w-1' failed"), RunState.FAILED),
        (ended("w", "Error", message="pod deleted"), RunState.FAILED),
        (ended("w", "Failed", message="Step exceeded its deadline"), RunState.TIMED_OUT),
        (ended("w", "Failed", message="child failed", spec={"activeDeadlineSeconds": 60}), RunState.TIMED_OUT),
        (
            ended("w", "Failed", message="Pod ran longer than the specified deadline"),
            RunState.TIMED_OUT,
        ),
        (ended("w", "Error", message="Get https://10.0.0.1: context deadline exceeded"), RunState.FAILED),
        (ended("w", "Error", message="dial tcp: i/o timeout"), RunState.FAILED),
        (ended("w", "Failed", message="child failed", spec={"activeDeadlineSeconds": 600}), RunState.FAILED),
        (ended("w", "Failed", spec={"activeDeadlineSeconds": "{{workflow.parameters.limit}}"}), RunState.FAILED),
        (ended("w", "Succeeded", spec={"activeDeadlineSeconds": 60}), RunState.SUCCEEDED),
        (ended("w", "Failed", spec={"shutdown": "Terminate", "activeDeadlineSeconds": 60}), RunState.CANCELLED),
        (ended("w", "Failed", message="Stopped with strategy 'Stop'"), RunState.CANCELLED),
        (ended("w", "Succeeded", spec={"shutdown": "Stop"}), RunState.SUCCEEDED),
    ],
)
def test_the_state_of_a_workflow(item: Object, state: RunState) -> None:
    assert first_poll(cluster(item)).runs["w"].state is state


def test_the_times_of_a_workflow() -> None:
    run = first_poll(cluster(ended("w"))).runs["w"]
    assert (run.queued_at, run.started_at, run.ended_at) == (NOW - 100, NOW - 90, NOW - 10)


def test_a_workflow_that_is_retried_runs_again() -> None:
    fake, src = cluster(ended("w", "Failed")), source()
    listener = Listener().poll(src, fake, NOW)
    fake.put(WORKFLOWS, workflow("w", "Running"))
    listener.poll(src, fake, NOW + 30)
    fake.put(WORKFLOWS, ended("w", finishedAt=at(NOW + 40)))
    listener.poll(src, fake, NOW + 60)
    assert [run.state for run in listener.told] == [RunState.FAILED, RunState.RUNNING, RunState.SUCCEEDED]


def test_a_workflow_that_its_time_to_live_deletes_stays_counted() -> None:
    fake, src = cluster(workflow("w", "Running")), source()
    listener = Listener().poll(src, fake, NOW)
    fake.put(WORKFLOWS, ended("w", finishedAt=at(NOW + 5)))
    fake.delete(WORKFLOWS, "w")
    listener.poll(src, fake, NOW + 30)
    assert (listener.runs["w"].state, listener.forgotten) == (RunState.SUCCEEDED, [])


# Names

CRON = {"workflows.argoproj.io/cron-workflow": "nightly"}
TEMPLATE = {"workflowTemplateRef": {"name": "train"}}


@pytest.mark.parametrize(
    ("labels", "spec", "prefix", "name"),
    [
        (CRON, TEMPLATE, "nightly-", "team/nightly"),
        ({"ml-exporter/pipeline": "churn"}, TEMPLATE, "train-", "team/churn"),
        ({}, TEMPLATE, "x-", "team/train"),
        ({}, {}, "w-", "team/w"),
        ({}, {}, "", "team/w-x7k2p"),
        ({}, {"workflowTemplateRef": {}}, "other-", "team/w-x7k2p"),
    ],
)
def test_the_pipeline_of_a_workflow(labels: Object, spec: Object, prefix: str, name: str) -> None:
    item = workflow("w", "Running", labels=labels, spec=spec)
    item["metadata"] |= {"name": "w-x7k2p", "generateName": prefix}
    assert first_poll(cluster(item)).runs["w"].pipeline.name == name


# Timetables


def test_cron_workflows_of_old_and_new_shape_are_due() -> None:
    fake = cluster(
        crons=(
            cron("old", schedule="0 6 * * *", timezone="Asia/Tokyo"),
            cron("new", schedules=["30 * * * *", "15 * * * *"]),
            cron("off", schedules=["@daily"], suspend=True),
            cron("done", schedules=["@daily"], status={"phase": "Stopped"}),
            cron("bad", schedules=["every day"]),
        )
    )
    listener = first_poll(fake)
    roster = next(batch.roster for batch in listener.batches if batch.roster)
    infos = {info.pipeline.name: info for info in roster}
    assert NOW % 3600 == 0
    new, old = infos["team/new"].schedule, infos["team/old"].schedule
    assert new is not None
    assert (new.next_due, new.last_due) == (NOW + 900, NOW - 1800)
    assert old is not None
    assert old.last_due is not None
    assert old.last_due % 86400 == 21 * 3600
    assert {name for name, info in infos.items() if info.paused} == {"team/off", "team/done"}
    assert infos["team/bad"].schedule is None
    assert load_errors(listener) == 1


def test_a_cron_workflow_of_wrong_types_is_counted_until_it_is_mended() -> None:
    fake, src = (
        cluster(crons=(cron("good", schedule="@daily"), cron("bad", schedule="@daily", suspend="perhaps"))),
        source(),
    )
    listener = Listener().poll(src, fake, NOW)
    assert set(listener.roster) == {"team/good"}
    assert load_errors(listener) == 1
    fake.put(CRON_WORKFLOWS, cron("good", schedule=7))
    assert load_errors(listener.poll(src, fake, NOW + 300)) == 2
    assert listener.roster == {}
    fake.put(CRON_WORKFLOWS, cron("good", schedule="@daily"))
    fake.put(CRON_WORKFLOWS, cron("bad", schedule="@daily"))
    listener.poll(src, fake, NOW + 600)
    assert (set(listener.roster), load_errors(listener)) == ({"team/good", "team/bad"}, 0)


def load_errors(listener: Listener) -> float:
    told = [batch.gauges for batch in listener.batches if batch.gauges is not None][-1]
    [value] = [sample.value for sample in told if sample.family == "ml_scheduler_load_errors"]
    return value


# Tasks


def node(id_: str, type_: str = "Pod", phase: str = "Succeeded", **more: Any) -> Object:
    times = {"startedAt": at(NOW - 80), "finishedAt": at(NOW - 20)}
    return {"id": id_, "type": type_, "phase": phase, "displayName": f"{id_}(0:lr=0.1)", **times, **more}


NODES = {
    "root": node("root", "DAG", templateName="main", children=["prepare", "train"]),
    "prepare": node("prepare", templateName="prepare"),
    "train": node("train", "Retry", "Failed", templateName="train", children=["t0", "t1"]),
    "t0": node("t0", phase="Failed", templateName="train"),
    "t1": node("t1", phase="Failed", templateName="train"),
    "late": node("late", phase="Failed", templateRef={"template": "score"}, message="timeout"),
    "skipped": node("skipped", "Skipped", "Skipped", templateName="report"),
    "left": node("left", phase="Omitted", templateName="report"),
}


def tasks(*workflows: Object, **options: Any) -> list[TaskRun]:
    listener = first_poll(cluster(*workflows), **options)
    return [task for batch in listener.batches for task in batch.tasks]


def test_tasks_are_the_steps_that_ran_and_retried_ones_count_once() -> None:
    told = {task.task: (task.id, task.state) for task in tasks(ended("w", "Failed", nodes=NODES), tasks=True)}
    assert told == {
        "prepare": ("w/prepare", RunState.SUCCEEDED),
        "train": ("w/train", RunState.FAILED),
        "score": ("w/late", RunState.TIMED_OUT),
    }


def test_tasks_are_told_only_if_asked_for_and_when_their_workflow_has_ended() -> None:
    assert tasks(ended("w", nodes=NODES)) == []
    assert tasks(workflow("w", "Running", nodes=NODES), tasks=True) == []


@pytest.mark.parametrize("nodes", [None, [], {"a": 5}, {"a": {"id": 7}}, "compressed"])
def test_nodes_that_cannot_be_read_cost_the_tasks_and_nothing_else(nodes: Any) -> None:
    fake = cluster(ended("w", nodes=nodes, compressedNodes="H4sI"))
    listener = first_poll(fake, tasks=True)
    assert listener.runs["w"].state is RunState.SUCCEEDED
    assert not [task for batch in listener.batches for task in batch.tasks]


def test_a_workflow_of_very_many_nodes_is_bounded() -> None:
    many = {f"n{n}": node(f"n{n}", templateName="loop") for n in range(5000)}
    assert len(tasks(ended("w", nodes=many), tasks=True)) == 1000


# Whatever users put there


@pytest.mark.parametrize(
    "bad",
    [
        workflow("bad", phase=5),  # type: ignore[arg-type]
        workflow("bad", spec=[1]),
        {"metadata": {**meta("bad"), "labels": {"a": 1}}, "message": 7, "code": "x"},
        {"metadata": meta("bad"), "spec": {"workflowTemplateRef": "train"}, "status": "?"},
    ],
)
def test_a_workflow_of_wrong_types_does_not_hide_the_others(bad: Object) -> None:
    fake, src = cluster(bad, workflow("good", "Running")), source()
    listener = Listener().poll(src, fake, NOW)
    fake.put(WORKFLOWS, bad)
    fake.put(WORKFLOWS, ended("good"))
    listener.poll(src, fake, NOW + 30)
    assert {uid: run.state for uid, run in listener.runs.items()} == {"good": RunState.SUCCEEDED}


# What it runs on


def test_a_cluster_without_argo_is_named_with_its_version() -> None:
    fake = cluster()
    fake.replies["/apis/argoproj.io/v1alpha1"] = 404
    with pytest.raises(Malformed, match=r"v1\.33\.1 has no Workflows at /apis/argoproj.io/v1alpha1: Argo is not there"):
        first_poll(fake)


def test_an_argo_without_cron_workflows_is_read_all_the_same() -> None:
    fake = cluster(workflow("w", "Running"))
    fake.replies["/apis/argoproj.io/v1alpha1"] = {"resources": [{"name": "workflows"}]}
    assert set(first_poll(fake).runs) == {"w"}
    assert fake.count(CRON_WORKFLOWS) == 0


@pytest.mark.parametrize("crons", [3, 1200])
def test_a_quiet_poll_costs_one_watch_whatever_the_history_holds(crons: int) -> None:
    timetables = tuple(cron(f"c{n}", schedule="0 0 1 1 *") for n in range(crons))
    fake = cluster(*(ended(f"w{n}") for n in range(3000)), crons=timetables)
    src, listener = source(), Listener()
    listener.poll(src, fake, NOW)
    assert len(listener.runs) == 3000
    before = len(fake.calls)
    for number in range(1, 21):
        watches = fake.count(WORKFLOWS)
        listener.poll(src, fake, NOW + 30 * number)
        assert fake.count(WORKFLOWS) - watches <= (1 if number < 20 else 2), "a watch, and one look in ten minutes"
    assert sum(1 for call in fake.calls[before:] if call.path != WORKFLOWS) <= math.ceil(crons / 100) + 5
