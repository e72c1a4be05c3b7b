"""The Dagster source against a real Dagster: what is told is what Dagster's own client, command and pages say."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.support import debian
from tests.support.dagster_server import DagsterServer, start_dagster, start_webserver
from tests.support.dagster_watch import Watch, by_client, by_us, schedules, wanted, watch
from tests.support.polling import CutShortError
from tests.support.recorded import Watched

from ml_exporter.errors import Rejected
from ml_exporter.model import Schedule
from ml_exporter.ports import Call
from ml_exporter.timetable import Cron

pytestmark = pytest.mark.schedulers


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DagsterServer]:
    try:
        started = start_dagster(tmp_path_factory.mktemp("dagster") / "home")
    except debian.Unavailable as reason:
        pytest.skip(str(reason))
    yield started
    started.stop()


@pytest.fixture(scope="module")
def runs(server: DagsterServer) -> dict[str, str]:
    """Ids of runs in every situation, by what happened to them; and one of a schedule, a sensor, an asset."""
    jobs = {"good": "train", "bad": "broken", "too long": "endless", "cancelled": "slow", "long": "slow"}
    ids = {what: server.launch(job) for what, job in jobs.items()}
    ids |= {what: server.launch("limited") for what in ("first", "second", "cancelled in the queue")}
    server.cancel(ids["cancelled in the queue"])
    server.backfill("parted", "a", "b")
    server.wait_for(ids["cancelled"], "STARTED")
    server.cancel(ids["cancelled"])
    server.cli("job", "execute", "-f", "jobs.py", "-j", "train")
    server.wait_for(ids["too long"], "FAILURE", "CANCELED")  # whoever has the last word, the daemon or the run
    ends = {"good": "SUCCESS", "bad": "FAILURE", "cancelled": "CANCELED", "long": "STARTED"}
    for what, status in {**ends, "first": "STARTED", "cancelled in the queue": "CANCELED"}.items():
        server.wait_for(ids[what], status)
    for job, number in (("sensed", 1), ("__ASSET_JOB", 1), ("ticking", 1), ("parted", 2)):
        server.wait(f"{number} runs of {job}", lambda job=job, number=number: ended(server, job) >= number)
    return ids


def ended(server: DagsterServer, job: str) -> int:
    query = "query ($f: RunsFilter!) { runsOrError(filter: $f) { ... on Runs { count } } }"
    filter_ = {"pipelineName": job, "statuses": ["SUCCESS"]}
    number: int = server.ask(query, f=filter_)["runsOrError"]["count"]
    return number


def test_every_run_is_told_as_dagsters_client_says_it(server: DagsterServer, runs: dict[str, str]) -> None:
    watching = watch(server)
    for _ in range(5):  # the schedule of every minute may start one in between
        told = {id_: by_us(run) for id_, run in watching.poll().runs.items()}
        said = {run["id"]: by_client(run) for run in server.client()["runs"] if wanted(run)}
        if told == said:
            break
    assert told == said
    states = {what: told[id_]["state"] for what, id_ in runs.items()}
    assert states == {
        "good": "succeeded",
        "bad": "failed",
        "too long": "timed_out",
        "cancelled": "cancelled",
        "long": "running",
        "first": "running",
        "second": "queued",
        "cancelled in the queue": "cancelled",
    }
    listed = server.cli("run", "list", "--limit", "1000")
    assert all(id_ in listed for id_ in told)


def test_runs_of_backfills_are_told_if_they_are_wanted(server: DagsterServer, runs: dict[str, str]) -> None:
    parted = {run["id"] for run in server.client()["runs"] if not wanted(run)}
    assert len(parted) == 2
    assert not parted & watch(server).listener.runs.keys()
    assert parted <= watch(server, backfills=True).listener.runs.keys()


def test_pages_of_two_hold_all_runs_though_one_is_deleted_under_way(
    server: DagsterServer, runs: dict[str, str]
) -> None:
    whole = watch(server).listener.runs.keys()
    watching = Watch(server, {"page_size": 2})
    with pytest.raises(CutShortError):
        watching.poll(cut_after=3)  # the roster, and two pages
    deleted, _, seen, _ = watching.listener.cursor["walk"]["at"]  # type: ignore[index, call-overload, misc]
    assert seen == 4
    server.delete(deleted)
    watching.poll()
    assert whole - {deleted} <= watching.listener.runs.keys()


def test_series_count_what_dagsters_client_counts(server: DagsterServer, runs: dict[str, str], tmp_path: Path) -> None:
    counters = re.compile(r'ml_runs_finished_total\{.*pipeline="(.*)",state="(.*)"\}')
    with Watched("dagster", server.url, tmp_path, time.time()) as watched:
        for _ in range(5):
            watched.now = time.time()
            assert watched.poll() is None
            series = watched.series()
            found = {counters.fullmatch(name): value for name, value in series.items()}
            told = {match.groups(): value for match, value in found.items() if match and value}
            said = Counter((r["pipeline"], r["state"]) for r in map(by_client, filter(wanted, server.client()["runs"])))
            finished = {key: n for key, n in said.items() if key[1] not in ("queued", "running")}
            if told == finished:
                break
        assert told == finished
        labels = 'source="it",ml_service="unassigned",pipeline="training/limited"'
        assert series[f'ml_runs_active{{{labels},state="queued"}}'] == 1
        assert series[f'ml_runs_active{{{labels},state="running"}}'] == 1
        assert series[f"ml_run_queue_seconds_count{{{labels}}}"] == 0  # cancelled in the queue: never began


def test_what_is_due_is_what_dagster_says(server: DagsterServer, runs: dict[str, str]) -> None:
    server.wait("the schedules have ticked", lambda: ended(server, "ticking"))
    while time.time() % 60 > 40:  # not across a minute
        time.sleep(1)
    minute = time.time() // 60 * 60
    said = {name: row["next"][0] for name, row in schedules(server).items()}
    told = {i.pipeline.name: i for i in watch(server).listener.batches[0].roster or ()}
    due = {name: info.schedule for name, info in told.items() if info.schedule is not None}
    assert due["training/train"] == Schedule(min(said["daily"], said["several"]), None)
    assert due["training/ticking"].next_due == said["minutely"] or due["training/ticking"].next_due == minute
    assert (due["training/ticking"].last_due or 0) >= minute - 60
    # Its ticks fail: it is due all the same.
    assert (due["training/endless"].last_due or 0) >= minute - 60
    # Its ticks skip, or it has none.
    assert set(due) == {"training/train", "training/ticking", "training/endless"}
    listed = server.cli("schedule", "list", "-w", "workspace.yaml", "--location", "training")
    assert "stopped [STOPPED]" in listed
    paused = {name.removeprefix("training/"): info.paused for name, info in told.items()}
    jobs = {"broken": True, "train": False, "slow": False, "endless": False, "ticking": False, "sensed": False}
    assert paused == {**jobs, "limited": None, "parted": None, "__ASSET_JOB": False}
    assert told["training/train"].tags == ("fraud",)


@pytest.mark.parametrize("day", ["2026-03-26", "2026-10-22", "2027-02-27"])
def test_times_around_the_change_of_the_clocks_are_dagsters(server: DagsterServer, day: str) -> None:
    after = datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp()
    for row in schedules(server, after, 12).values():
        text, times = row["cronSchedule"], set()
        for expression in re.findall(r"'([^']+)'", text) or [text]:
            cron, at = Cron(expression, row["executionTimezone"]), after - 1
            for _ in range(12):
                at = cron.at(at).next_due or 0.0
                times.add(at)
        assert sorted(times)[:12] == row["next"], row["name"]


def test_heartbeats_queues_and_pools_are_those_that_dagster_shows(server: DagsterServer, runs: dict[str, str]) -> None:
    server.cli("instance", "concurrency", "set", "gpu", "2")
    before, gauges, after = server.client(), watch(server).gauges(), server.client()
    for daemon, beat in before["daemons"].items():
        assert beat <= gauges["heartbeat_timestamp_seconds", daemon] <= after["daemons"][daemon]
    assert {"SCHEDULER", "SENSOR", "QUEUED_RUN_COORDINATOR"} <= before["daemons"].keys()
    queued = [sum(run["status"] == "QUEUED" for run in said["runs"]) for said in (before, after)]
    assert gauges["queue_length", "runs"] in queued
    assert gauges["capacity", "runs", "slots", "used"] + gauges["capacity", "runs", "slots", "free"] == 6
    assert gauges["capacity", "pool:gpu", "slots", "free"] == after["pools"]["gpu"] == 2


def test_a_refusal_of_the_real_server_says_what_it_is(server: DagsterServer) -> None:
    watching = watch(server)

    def spoil(call: Call) -> None:
        call.body["query"] = call.body["query"].replace("creationTime", "bornOn")

    watching.driver.before = spoil
    with pytest.raises(Rejected, match=r"Dagster 1\.13\.\d+ refused the query: Cannot query field 'bornOn'"):
        watching.poll(30)


def test_a_quiet_poll_is_one_call(server: DagsterServer, runs: dict[str, str]) -> None:
    watching = watch(server)
    assert watching.driver.calls == ["MlExporterVersion", "MlExporterState", "MlExporterRuns", "MlExporterRuns"]
    watching.driver.calls.clear()
    watching.poll(30)
    assert watching.driver.calls == ["MlExporterRuns"]


def test_ticks_from_before_a_code_location_moved_are_asked_for(server: DagsterServer, tmp_path: Path) -> None:
    server.wait("the schedules have ticked", lambda: ended(server, "ticking"))
    webserver, url = start_webserver(tmp_path, server.environment)
    try:
        watching = watch(replace(server, url=url))
        watching.poll(210)
    finally:
        webserver.stop()
    first, second = [
        {info.pipeline.name: info.schedule for info in batch.roster or batch.pipelines}
        for batch in watching.listener.batches
        if batch.gauges is not None
    ]
    skipping, failing = "training/slow", "training/endless"
    assert [first[name] and first[name].last_due for name in (skipping, failing)] == [None, None]
    assert first[skipping] is not None
    assert second[skipping] is None  # all that it knows of has skipped
    assert second[failing] is not None
    assert second[failing].last_due is not None


def test_a_location_that_does_not_load_is_counted_until_it_does(server: DagsterServer) -> None:
    watching = watch(server)
    assert watching.gauges()["load_errors", "preparation"] == 1
    assert watching.gauges()["load_errors", "training"] == 0
    assert "preparation/prepare" not in watching.listener.roster
    server.mend()
    watching.poll(210)
    assert watching.gauges()["load_errors", "preparation"] == 0
    assert "preparation/prepare" in watching.listener.roster


def test_runs_that_go_on_are_followed_to_their_end(server: DagsterServer, runs: dict[str, str]) -> None:
    watching = watch(server)
    server.open_gate()
    for what in ("long", "first", "second"):
        server.wait_for(runs[what], "SUCCESS")
    told = watching.poll().runs
    assert [str(told[runs[what]].state) for what in ("long", "first", "second")] == ["succeeded"] * 3
    second = told[runs["second"]]
    assert second.started_at is not None
    assert second.queued_at is not None
    assert second.started_at - second.queued_at > 5


def test_a_deleted_run_is_forgotten_and_a_dead_daemon_is_late(server: DagsterServer, runs: dict[str, str]) -> None:
    server.daemon.stop()
    watching = watch(server)
    beats = {key: at for key, at in watching.gauges().items() if key[0].startswith("heartbeat")}
    queued = server.launch("train")
    assert str(watching.poll(60).runs[queued].state) == "queued"
    server.delete(queued)
    died = time.time()
    watching.poll(2 * 86400.0)
    assert watching.listener.forgotten == [queued]
    assert {key: at for key, at in watching.gauges().items() if key[0].startswith("heartbeat")} == beats
    told = [b.roster or b.pipelines for b in watching.listener.batches if b.gauges is not None][-1]
    due = {info.pipeline.name: info.schedule for info in told if info.schedule is not None}
    daily = due["training/train"]
    assert daily.next_due is not None
    assert daily.last_due is not None
    assert died - 86400 < daily.next_due < died + 86400
    assert watching.now - 86400 < daily.last_due < watching.now
