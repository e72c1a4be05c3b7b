"""What a cluster has and what waits for it, by partition."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.fake_slurm import HOUR, NEW, NOW, OLD, FakeSlurm, watch

from ml_exporter.catalog import BY_NAME
from ml_exporter.model import Sample


def gauges(fake: FakeSlurm, family: str) -> dict[tuple[str, ...], float]:
    told = [batch.gauges for batch in watch(fake).listener.batches if batch.gauges is not None]
    samples: tuple[Sample, ...] = told[-1]
    assert all(len(s.labels) == len(BY_NAME[s.family].own_labels) for s in samples)
    return {s.labels: s.value for s in samples if s.family == f"ml_scheduler_{family}"}


def node(**record: Any) -> dict[str, Any]:
    return {"name": "n", "partitions": ["main"], "state": ["IDLE"], "cpus": 8, "alloc_cpus": 0, "gres": "", **record}


def units(resource: str = "cpu", **record: Any) -> tuple[float, ...]:
    """Used, free and unavailable units of one node."""
    found = gauges(FakeSlurm(nodes=[node(**record)]), "capacity")
    return tuple(found[key] for key in (("main", resource, state) for state in ("used", "free", "unavailable")))


@pytest.mark.parametrize(
    ("state", "split"),
    [
        (["IDLE"], (2, 6, 0)),
        (["MIXED", "PLANNED"], (2, 6, 0)),
        (["IDLE", "POWERED_DOWN", "CLOUD"], (2, 6, 0)),
        (["MIXED", "DRAIN"], (2, 0, 6)),
        (["ALLOCATED", "MAINTENANCE"], (2, 0, 6)),
        (["DOWN"], (0, 0, 8)),
        (["IDLE", "NOT_RESPONDING"], (0, 0, 8)),
        (["DOWN", "POWERED_DOWN"], (0, 0, 8)),
        ("mixed", (2, 6, 0)),
        ("down", (0, 0, 8)),
    ],
)
def test_what_a_node_of_some_state_has(state: Any, split: tuple[float, ...]) -> None:
    assert units(state=state, alloc_cpus=2) == split


def test_flags_of_the_old_api_stand_apart() -> None:
    assert units(state="idle", state_flags=["DRAIN"], alloc_cpus=2) == (2, 0, 6)


@pytest.mark.parametrize(
    ("gres", "used", "split"),
    [
        ("gpu:2", "gpu:1", (1, 1, 0)),
        ("gpu:a100:4(S:0-1)", "gpu:a100:3(IDX:0-2)", (3, 1, 0)),
        ("gpu:a100:4(S:0,1),gpu:v100:2,shard:a100:8", "gpu:a100:0(IDX:N/A),gpu:v100:2(IDX:0-1)", (2, 4, 0)),
        ("gpu:4", "gpu:9", (4, 0, 0)),
    ],
)
def test_gpus_of_all_types_together(gres: str, used: str, split: tuple[float, ...]) -> None:
    assert units("gpu", gres=gres, gres_used=used) == split


def test_a_partition_has_no_series_of_a_resource_that_it_lacks() -> None:
    found = gauges(FakeSlurm(nodes=[node(gres="fpga:2"), node(partitions=["a", "b"], gres="gpu:1")]), "capacity")
    assert {(queue, resource) for queue, resource, _ in found} == {
        ("main", "cpu"),
        *((queue, resource) for queue in "ab" for resource in ("cpu", "gpu")),
    }


@pytest.mark.parametrize("field", ["name", "partitions", "state", "state_flags", "cpus", "alloc_cpus", "gres"])
def test_no_value_of_a_field_harms_anything(field: str) -> None:
    nasty = [None, -1, 2**80, 1e300, 0.5, "x" * 1_000_000, [], [None, 7], {}, True]
    nodes = [node(**{field: value}) for value in nasty] + [node(partitions=["fine"])]
    found = gauges(FakeSlurm(nodes=nodes), "capacity")
    assert found["fine", "cpu", "free"] == 8
    assert all(0 <= value < 1e9 for value in found.values())


def pending(fake: FakeSlurm, id_: int, **record: Any) -> None:
    fake.job(id_, state="PENDING", **record)


@pytest.mark.parametrize("version", [OLD, NEW])
def test_the_queue_is_what_could_run_now(version: str) -> None:
    fake = FakeSlurm(version)
    pending(fake, 1)
    pending(fake, 2, partition="main,gpu")
    pending(fake, 3, array=3, array_task_string="0-9%2")
    pending(fake, 4, eligible=None)  # held, or waiting for another job
    pending(fake, 5, eligible=NOW + HOUR)
    pending(fake, 7, state_reason="JobHeldUser")
    fake.job(6, state="RUNNING", partition="idle")
    assert gauges(fake, "queue_length") == {("main",): 12, ("gpu",): 1, ("idle",): 0}


@pytest.mark.parametrize(
    ("text", "tasks"),
    [("0-9", 10), ("1,3,5-7", 5), ("0-20:5%3", 5), ("1-3,5,...", 4), ("", 1), ("9-1", 1), ("x", 1), (7, 1)],
)
def test_tasks_that_wait_are_counted(text: Any, tasks: int) -> None:
    fake = FakeSlurm()
    pending(fake, 3, array=3, array_task_string=text)
    assert gauges(fake, "queue_length") == {("main",): tasks}


def test_the_queue_holds_jobs_that_are_not_watched_too() -> None:
    fake = FakeSlurm()
    pending(fake, 1, name="bash")
    watching = watch(fake, exclude=("*",))
    assert not watching.listener.runs
    told = [batch.gauges for batch in watching.listener.batches if batch.gauges is not None]
    assert Sample("ml_scheduler_queue_length", ("main",), 1) in told[-1]


@pytest.mark.parametrize(
    ("pings", "alive"),
    [
        ([{"ping": "UP", "mode": "primary"}], {"slurmctld"}),
        ([{"pinged": "DOWN", "responding": False, "primary": True}], set()),
        ([{"responding": False, "primary": True}, {"responding": True, "primary": False}], {"slurmctld-backup"}),
        ([{"ping": "UP", "mode": "primary"}, {"ping": "UP", "mode": "backup1"}], {"slurmctld", "slurmctld-backup"}),
        ([{"ping": 7, "mode": 7, "responding": "yes"}], set()),
    ],
)
def test_a_controller_that_answers_has_a_heartbeat(pings: list[dict[str, Any]], alive: set[str]) -> None:
    found = gauges(FakeSlurm(pings=pings, has_database=False), "heartbeat_timestamp_seconds")
    assert found == {(part,): NOW for part in alive}


def test_a_heartbeat_that_stops_keeps_its_time() -> None:
    fake = FakeSlurm(has_database=False)
    watching = watch(fake)
    fake.pings = [{"responding": False, "primary": True}]
    watching.poll(600)
    told = [batch.gauges for batch in watching.listener.batches if batch.gauges is not None]
    assert Sample("ml_scheduler_heartbeat_timestamp_seconds", ("slurmctld",), NOW) in told[-1]


def test_a_reading_of_slurmdbd_is_its_heartbeat() -> None:
    fake = FakeSlurm()
    fake.job(1)
    assert gauges(fake, "heartbeat_timestamp_seconds") == {("slurmctld",): NOW, ("slurmdbd",): NOW}
