"""The Airflow source on a fake one: DAGs and their schedules, the scheduler itself, tasks."""

from __future__ import annotations

from typing import Any

from tests.support.fake_airflow import NOW, FakeAirflow, Watch, dag, run, stamp, with_dags

from ml_exporter.model import Pipeline, PipelineInfo, RunState, Schedule
from ml_exporter.ports import Reply


def test_dags_with_their_schedules_tags_and_pauses() -> None:
    due, interval = stamp(NOW + 60), stamp(NOW - 60)
    fake = FakeAirflow(
        dags=[
            dag("cron", next_dagrun_run_after=due, tags=[{"name": "fraud", "dag_id": "cron"}]),
            dag("two", next_dagrun_create_after=due),
            dag("full", next_dagrun_data_interval_end=interval),
            dag("by_hand"),
            dag("on_data", timetable_summary="Asset"),
            dag("endless", timetable_summary="@continuous", next_dagrun_run_after=due),
            dag("endless_two", schedule_interval={"value": "@continuous"}, next_dagrun_create_after=due),
            dag("paused", next_dagrun_run_after=due, is_paused=True),
        ]
    )
    watch = Watch(fake)
    watch.poll()
    infos = watch.infos()
    expected = {name: Schedule(next_due=NOW + 60) for name in ("cron", "two", "paused")}
    expected["full"] = Schedule(next_due=NOW - 60)
    assert {name: info.schedule for name, info in infos.items() if info.schedule} == expected
    assert {name for name, info in infos.items() if info.paused} == {"paused"}
    assert infos["cron"] == PipelineInfo(
        Pipeline("it", "cron"), "cron", schedule=expected["cron"], paused=False, tags=("fraud",)
    )


def test_include_and_exclude_choose_dags_and_their_runs() -> None:
    fake = with_dags("fraud-a", "fraud-scratch", "other")
    fake.runs = [run(name, "r", "success", NOW - 600) for name in ("fraud-a", "fraud-scratch", "other")]
    watch = Watch(fake, include=("fraud-*",), exclude=("*-scratch",))
    watch.poll()
    assert (set(watch.infos()), set(watch.states())) == ({"fraud-a"}, {"fraud-a/r"})
    assert len(fake.asked("/dags")) == 1


def test_a_dag_that_appears_with_a_run_is_read_before_its_run_is_told() -> None:
    fake = with_dags("train")
    watch = Watch(fake)
    watch.poll()
    fake.dags.append(dag("new"))
    fake.runs.append(run("new", "r", "success", NOW - 50))
    watch.poll(30)
    assert set(watch.infos()) == {"train", "new"}
    assert set(watch.states()) == {"new/r"}


def test_runs_of_a_dag_whose_file_is_gone_are_left_out_and_looked_for_once() -> None:
    fake = with_dags("train")
    fake.runs = [run("gone", "r", "running", NOW - 600), run("gone", "s", "success", NOW - 600)]
    watch = Watch(fake)
    for _ in range(4):
        watch.poll(30)
    assert watch.states() == {}
    assert len(fake.asked("/dags")) == 1
    for _ in range(25):
        watch.poll(30)
    assert len(fake.asked("/dags")) == 2, "only at its cadence"


# The scheduler itself


def test_heartbeats_pools_and_load_errors() -> None:
    beat = {"latest_scheduler_heartbeat": stamp(NOW - 3), "status": "unhealthy"}
    fake = FakeAirflow(
        dags=[dag("a"), dag("b", bundle_name="git"), dag("c", bundle_name=None)],
        health={"scheduler": beat, "triggerer": {"latest_triggerer_heartbeat": None}},
        pools=[
            {"name": "gpu", "slots": 4, "occupied_slots": 3, "queued_slots": 2, "scheduled_slots": 5},
            {"name": "endless", "slots": -1, "occupied_slots": 9, "queued_slots": 1, "scheduled_slots": 0},
            {"name": "shrunk", "slots": 2, "occupied_slots": 5, "queued_slots": 0, "scheduled_slots": 0},
        ],
        import_errors=[{"bundle_name": "git"}, {"bundle_name": "git"}, {"bundle_name": None}],
    )
    watch = Watch(fake)
    watch.poll()
    assert watch.gauges() == {
        ("heartbeat_timestamp_seconds", "scheduler"): NOW - 3,
        ("queue_length", "gpu"): 7,
        ("capacity", "gpu", "slots", "used"): 3,
        ("capacity", "gpu", "slots", "free"): 1,
        ("queue_length", "endless"): 1,
        ("queue_length", "shrunk"): 0,
        ("capacity", "shrunk", "slots", "used"): 5,
        ("capacity", "shrunk", "slots", "free"): 0,
        ("load_errors", "git"): 2,
        ("load_errors", "dags"): 1,
        ("load_errors", "dags-folder"): 0,
    }


def test_a_role_that_may_not_read_pools_and_import_errors_still_reads_runs() -> None:
    fake = with_dags("train")
    fake.runs = [run("train", "r", "success", NOW - 600)]
    for path in ("/api/v2/pools", "/api/v2/importErrors"):
        fake.instead[path] = Reply(403, {}, b'{"detail": "Forbidden"}')
    watch = Watch(fake)
    watch.poll()
    assert set(watch.states()) == {"train/r"}
    assert watch.gauges() == {}


def test_gauges_that_are_not_due_stay_beside_those_that_are() -> None:
    fake = with_dags("train", import_errors=[{"bundle_name": "git"}])
    fake.health = {"scheduler": {"latest_scheduler_heartbeat": stamp(NOW)}}
    watch = Watch(fake)
    watch.poll()
    fake.health = {"scheduler": {"latest_scheduler_heartbeat": stamp(NOW + 300)}}
    watch.poll(301)
    assert watch.gauges()["heartbeat_timestamp_seconds", "scheduler"] == NOW + 300
    assert watch.gauges()["load_errors", "git"] == 1


def test_more_files_that_cannot_be_loaded_than_a_page_are_all_counted() -> None:
    fake = with_dags("train", import_errors=[{"bundle_name": "git"}] * 130)
    watch = Watch(fake)
    watch.poll()
    assert watch.gauges()["load_errors", "git"] == 100
    assert watch.gauges()["load_errors", "(more)"] == 30


# Tasks


def task(number: int, state: str = "success", **more: Any) -> dict[str, Any]:
    times = {"start_date": stamp(NOW - 500), "end_date": stamp(NOW - 400 + number)}
    ids = {"dag_id": "train", "dag_run_id": "r", "task_id": f"t{number}", "map_index": -1, "try_number": 1}
    return {**ids, "state": state, **times, **more}


def test_tasks_are_read_only_if_asked_for() -> None:
    fake = with_dags("train", tasks=[task(1), task(2, "failed"), task(3, task_id=None), task(4, dag_id=["train"])])
    Watch(fake).poll()
    assert fake.asked("/taskInstances") == []
    told = [run for batch in Watch(fake, tasks=True).poll().batches for run in batch.tasks]
    assert [(t.task, t.state, t.ended_at) for t in told] == [
        ("t1", RunState.SUCCEEDED, NOW - 399),
        ("t2", RunState.FAILED, NOW - 398),
    ]


def test_every_attempt_and_every_mapped_instance_of_a_task_is_one() -> None:
    fake = with_dags("train", tasks=[task(1), task(1, map_index=0), task(1, try_number=2)])
    told = [run for batch in Watch(fake, tasks=True).poll().batches for run in batch.tasks]
    assert len({t.key for t in told}) == 3
    assert {t.task for t in told} == {"t1"}


def test_airflow_2_has_no_task_level() -> None:
    fake = with_dags("train", version=1, tasks=[task(1)])
    assert Watch(fake, tasks=True).poll().last.caught_up
    assert fake.asked("/taskInstances") == []
