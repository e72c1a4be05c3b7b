"""Dagster's code locations, daemons and queues. Times are seconds."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.fake_dagster import NOW, FakeDagster, Row, broken, gauges, repository, sensor, source
from tests.support.polling import Listener

from ml_exporter.model import PipelineInfo
from ml_exporter.sources import dagster


def infos(fake: FakeDagster, **options: Any) -> dict[str, PipelineInfo]:
    batch = Listener().poll(source(**options), fake, NOW).batches[0]
    return {info.pipeline.name.removeprefix("lab/"): info for info in batch.roster or ()}


# Names and tags


def test_the_tag_of_a_job_names_its_service() -> None:
    fake = FakeDagster({"lab": [repository("train", tags={"train": {"service": "fraud", "team": "risk"}})]})
    assert infos(fake)["train"].tags == ("fraud",)
    assert infos(fake, service_tag="team")["train"].tags == ("risk",)
    assert infos(fake, service_tag="other")["train"].tags == ()


def test_without_a_service_tag_no_tags_are_asked_for() -> None:
    fake = FakeDagster()
    infos(fake, service_tag="")
    assert [call.body["variables"]["tags"] for call in fake.calls if "MlExporterState" in call.body["query"]] == [False]


def test_the_job_of_all_assets_is_a_pipeline_that_can_be_excluded() -> None:
    fake = FakeDagster({"lab": [repository("train", "__ASSET_JOB", sensors=[sensor("__ASSET_JOB")])]})
    assert infos(fake)["__ASSET_JOB"].schedule is None
    assert set(infos(fake, exclude=("*/__ASSET_JOB",))) == {"train"}


# Locations


@pytest.mark.parametrize("held", [broken(), None], ids=["does not load", "is loading"])
@pytest.mark.parametrize("restarted", [False, True], ids=["", "after a restart"])
def test_the_jobs_of_a_location_that_is_not_loaded_are_not_gone(held: Row | None, restarted: bool) -> None:
    fake = FakeDagster({"a": [repository("train")], "b": [repository("clean")]})
    src = source()
    listener = Listener().poll(src, fake, NOW)
    fake.locations["b"] = held
    fake.add("r", "clean", location="b", created=NOW + 10.0, start=NOW + 11.0, end=NOW + 20.0)
    fake.add("s", "clean", "STARTED", location="b", created=NOW - 500.0, start=NOW - 490.0, updated=NOW - 490.0)
    before = len(listener.batches)
    listener.poll(source() if restarted else src, fake, NOW + 400)
    later = listener.batches[before:]
    assert [batch.roster for batch in later if batch.roster is not None] == []
    assert [info.pipeline.name for batch in later for info in batch.pipelines] == ["a/train"]
    assert {run.pipeline.name for run in listener.runs.values()} == {"b/clean"}
    assert any("b/clean" in (batch.active_listed or ()) for batch in later)
    fake.locations["b"] = []
    assert set(listener.poll(src, fake, NOW + 700).roster) == {"a/train"}


def test_a_location_that_does_not_load_is_counted_by_its_name() -> None:
    fake = FakeDagster({"a": [repository("train")], "b": broken(), "c": None})
    found = gauges(Listener().poll(source(), fake, NOW))
    assert {key[1]: value for key, value in found.items() if key[0] == "ml_scheduler_load_errors"} == {
        "a": 0,
        "b": 1,
        "timetables": 0,
    }


def test_the_first_roster_is_told_though_a_location_does_not_load() -> None:
    fake = FakeDagster({"a": [repository("train")], "b": broken()})
    assert set(Listener().poll(source(), fake, NOW).roster) == {"a/train"}


# Daemons and queues


def instance(**values: Any) -> Row:
    daemons = [
        {"daemonType": "SCHEDULER", "required": True, "lastHeartbeatTime": NOW - 20.0},
        {"daemonType": "SENSOR", "required": True, "lastHeartbeatTime": None},
        {"daemonType": "ASSET", "required": True, "lastHeartbeatTime": float("nan")},
        {"daemonType": "MONITORING", "required": False, "lastHeartbeatTime": NOW - 1e6},
    ]
    pool = {"concurrencyKey": "gpu", "slotCount": 4, "activeSlotCount": 3, "pendingStepCount": 7}
    queue = {"runQueueConfig": {"maxConcurrentRuns": 3}, "concurrencyLimits": [pool]}
    return {"daemonHealth": {"allDaemonStatuses": daemons}, **queue, **values}


def of_instance(**values: Any) -> dict[tuple[str, ...], float]:
    fake = FakeDagster(instance=instance(**values))
    for number, status in enumerate(["QUEUED", "QUEUED", "STARTED", "STARTING", "CANCELING", "STARTED"]):
        fake.add(f"r{number}", status=status, created=NOW - 50.0)
    return gauges(Listener().poll(source(), fake, NOW))


def test_heartbeats_are_those_of_the_daemons_that_are_required_and_have_lived() -> None:
    beats = {key[1:]: value for key, value in of_instance().items() if "heartbeat" in key[0]}
    assert beats == {("SCHEDULER",): NOW - 20.0}


def test_queues_are_the_queue_of_runs_and_the_pools() -> None:
    found = of_instance()
    assert {key[1:]: value for key, value in found.items() if key[0] == "ml_scheduler_queue_length"} == {
        ("runs",): 2,
        ("pool:gpu",): 7,
    }
    assert {key[1:]: value for key, value in found.items() if key[0] == "ml_scheduler_capacity"} == {
        ("runs", "slots", "used"): 4,
        ("runs", "slots", "free"): 0,
        ("pool:gpu", "slots", "used"): 3,
        ("pool:gpu", "slots", "free"): 1,
    }


@pytest.mark.parametrize("config", [None, {"maxConcurrentRuns": -1}])
def test_a_queue_without_a_limit_has_no_capacity(config: Row | None) -> None:
    found = of_instance(runQueueConfig=config)
    assert ("ml_scheduler_queue_length", "runs") in found
    assert not [key for key in found if key[:2] == ("ml_scheduler_capacity", "runs")]


def test_an_instance_that_queues_nothing_has_no_queue_of_runs() -> None:
    assert not [key for key in of_instance(runQueuingSupported=False) if "runs" in key]


def test_a_token_goes_into_the_header_that_dagster_plus_wants() -> None:
    assert dagster.auth(dagster.Options()).token_header is None
    assert dagster.auth(dagster.Options(dagster_plus=True)).token_header == "Dagster-Cloud-Api-Token"
