"""The Slurm source against real clusters of two generations: what is shown is what squeue, sacct and sinfo say."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from tests.support import debian
from tests.support.recorded import Watched
from tests.support.slurm_server import NEW, OLD, Cluster, Generation, start_slurm
from tests.support.slurm_watching import accounted, gauges, of_pipelines, poll

from ml_exporter.errors import Reason

pytestmark = pytest.mark.schedulers

Start = Callable[..., Cluster]
Watch = Callable[..., Watched]
FINISHED = "ml_runs_finished_total"


@pytest.fixture(params=[OLD, NEW], ids=lambda generation: generation.version)
def generation(request: pytest.FixtureRequest) -> Generation:
    chosen: Generation = request.param
    return chosen


@pytest.fixture(scope="module", autouse=True)
def expiring(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, tuple[Cluster, int]]]:
    """A job on each generation that runs into its limit; that takes two minutes: begun first, looked at last."""
    begun: dict[str, tuple[Cluster, int]] = {}
    for generation in (OLD, NEW):
        with suppress(debian.Unavailable):  # every test says so by itself
            cluster = start_slurm(generation, tmp_path_factory.mktemp("expiring") / "slurm")
            begun[generation.version] = (cluster, cluster.submit("slow", "sleep 300", "--time=1"))
    yield begun
    for cluster, _ in begun.values():
        cluster.stop()


@pytest.fixture
def start(generation: Generation, tmp_path: Path) -> Iterator[Start]:
    clusters: list[Cluster] = []

    def begin(**settings: Any) -> Cluster:
        try:
            clusters.append(start_slurm(generation, tmp_path / f"slurm{len(clusters)}", **settings))
        except debian.Unavailable as reason:
            pytest.skip(str(reason))
        return clusters[-1]

    yield begin
    for cluster in clusters:
        cluster.stop()


@pytest.fixture
def watch(tmp_path: Path) -> Iterator[Watch]:
    opened: list[Watched] = []

    def begin(cluster: Cluster, url: str = "", **settings: Any) -> Watched:
        folder = tmp_path / f"exporter{len(opened)}"
        folder.mkdir()
        (folder / "token").write_text(cluster.token)
        proof = {"username": "watcher", "token_file": str(folder / "token")}
        watched = Watched("slurm", url or cluster.url, folder, time.time(), {"timeout": "20s", **proof, **settings})
        opened.append(watched.__enter__())
        return watched

    yield begin
    for watched in opened:
        watched.__exit__()


def test_jobs_of_every_fate_are_shown_as_slurm_says(start: Start, watch: Watch) -> None:
    cluster = start()
    good, bad = cluster.submit("train", "sleep 1", "-A", "risk"), cluster.submit("train", "exit 3")
    array = cluster.submit("sweep", '[ "$SLURM_ARRAY_TASK_ID" != 2 ]', "--array=1-3")
    whole_array = cluster.submit("grid", "true", "--array=0-5%2")
    stopped = cluster.submit("stopped", "sleep 300")
    cluster.wait_for({good: "COMPLETED", bad: "FAILED", f"{array}_3": "COMPLETED", f"{whole_array}_5": "COMPLETED"})
    cluster.wait_for({stopped: "RUNNING", f"{array}_2": "FAILED"})
    cluster.ask("scancel", str(stopped))
    gpu = cluster.submit("gpu", "sleep 300", "--gres=gpu:1")
    cluster.wait_for({stopped: "CANCELLED", gpu: "RUNNING"})
    waiting = cluster.submit("wide", "true", "-n4", "-p", "small")
    cluster.submit("wide", "true", "-n4", "-p", "small", "--array=1-3")
    cluster.submit("held", "true", "--hold")
    cluster.submit("later", "true", "--begin=now+1hour")
    changed_mind = cluster.submit("changed-mind", "true", "-n4", "-p", "small")
    cluster.wait_for({waiting: "PENDING", changed_mind: "PENDING"})
    cluster.ask("scancel", str(changed_mind))
    cluster.wait_for({changed_mind: "CANCELLED"})
    eligible = ("squeue", "-h", "-r", "-p", "small", "-t", "PD", "-O", "EligibleTime")
    cluster.wait_until(lambda: "N/A" not in cluster.ask(*eligible), "the scheduler has seen all jobs")
    watched = watch(cluster)
    poll(watched)
    assert of_pipelines(watched, FINISHED) == {
        ("train", "succeeded"): 1,
        ("train", "failed"): 1,
        ("sweep", "failed"): 1,
        ("grid", "succeeded"): 1,
        ("stopped", "cancelled"): 1,
        ("changed-mind", "cancelled"): 1,
    }
    assert of_pipelines(watched, "ml_runs_active") == {
        ("gpu", "running"): 1,
        ("wide", "queued"): 2,
        ("held", "queued"): 1,
        ("later", "queued"): 1,
    }
    said = accounted(cluster, good, bad, stopped, *(f"{whole_array}_{task}" for task in range(6)))
    last = of_pipelines(watched, "ml_run_last_finished_timestamp_seconds")
    assert last["train", "failed"] == said[str(bad)][3]
    assert last["stopped", "cancelled"] == said[str(stopped)][3]
    tasks = [said[f"{whole_array}_{task}"] for task in range(6)]
    assert last["grid", "succeeded"] == max(end for _, _, _, end in tasks)
    durations = of_pipelines(watched, "ml_run_last_duration_seconds")
    assert durations["train", ""] == said[str(good)][3] - said[str(good)][2]
    assert durations.get(("grid", ""), 0) == last["grid", "succeeded"] - min(begun for _, _, begun, _ in tasks)
    waited = of_pipelines(watched, "ml_run_queue_seconds_sum").get(("train", ""), 0)
    assert waited == sum(said[str(job)][2] - said[str(job)][1] for job in (good, bad))
    waits = of_pipelines(watched, "ml_run_queue_seconds_count")
    assert waits["stopped", ""] == 1
    assert ("changed-mind", "") not in waits  # it never began, so nobody knows how long it would have waited
    pending = cluster.ask("squeue", "-h", "-r", "-t", "PD", "-p", "small", "-o", "%i").splitlines()
    assert gauges(watched, "ml_scheduler_queue_length", "queue") == {("small",): len(pending), ("main",): 0}
    assert len(pending) == 4
    capacity = gauges(watched, "ml_scheduler_capacity", "queue", "resource", "state")
    for partition in ("main", "small"):
        used, free, other, _ = cluster.ask("sinfo", "-h", "-p", partition, "-o", "%C").split("/")
        shown = [capacity[partition, "cpu", state] for state in ("used", "free", "unavailable")]
        assert shown == [float(used), float(free), float(other)]
    assert [capacity["main", "gpu", state] for state in ("used", "free", "unavailable")] == [1, 1, 2]
    assert [capacity["small", "gpu", state] for state in ("used", "free", "unavailable")] == [1, 1, 0]
    beats = gauges(watched, "ml_scheduler_heartbeat_timestamp_seconds", "component")
    assert beats.keys() == {("slurmctld",), ("slurmdbd",)}


def test_a_quiet_cluster_says_that_nothing_changed(start: Start, watch: Watch, generation: Generation) -> None:
    cluster = start()
    cluster.wait_for({cluster.submit("train", "true"): "COMPLETED"})
    watched = watch(cluster)
    poll(watched)
    before = watched.series(FINISHED, "ml_scheduler_queue_length")
    for _ in range(2):  # slurmctld may have touched the job once more after the first poll
        watched.now += 100
        assert watched.poll() is None
        [listing] = [seen for seen in watched.client.trace if re.match(r"/slurm/\S+/jobs", seen.path)]
        assert "update_time=" in listing.path
        if "COMPLETED" not in listing.reply:
            break
    assert listing.status == (304 if generation is OLD else 200)
    assert "COMPLETED" not in listing.reply
    assert watched.series(FINISHED, "ml_scheduler_queue_length") == before


def test_jobs_that_came_and_went_while_nobody_looked_are_counted_once(start: Start, watch: Watch) -> None:
    cluster = start(min_job_age=2)
    running = cluster.submit("train", "sleep 4")
    array = cluster.submit("sweep", 'sleep 2; [ "$SLURM_ARRAY_TASK_ID" != 2 ]', "--array=1-3%2")
    cluster.wait_for({running: "RUNNING", f"{array}_1": "RUNNING"})
    watched = watch(cluster)
    poll(watched)
    active = of_pipelines(watched, "ml_runs_active")
    assert active == {("train", "running"): 1, ("sweep", "running"): 1}
    unseen = [cluster.submit("unseen", script) for script in ("true", "exit 1")]
    ended = accounted(cluster, running, *unseen, *(f"{array}_{task}" for task in (1, 2, 3)))
    cluster.wait_until(lambda: not cluster.queue(), "slurmctld has forgotten all jobs", within=90)
    watched.restart()  # killed, for all that anybody knows
    poll(watched)
    expected = {("train", "succeeded"): 1, ("sweep", "failed"): 1, ("unseen", "succeeded"): 1, ("unseen", "failed"): 1}
    assert of_pipelines(watched, FINISHED) == expected
    assert of_pipelines(watched, "ml_runs_active") == {}
    last = of_pipelines(watched, "ml_run_last_finished_timestamp_seconds")
    assert last["train", "succeeded"] == ended[str(running)][3]
    for _ in range(2):
        watched.restart()
        poll(watched, later=300)
    assert of_pipelines(watched, FINISHED) == expected
    blind = watch(cluster, slurmdb=False)
    poll(blind)
    assert of_pipelines(blind, FINISHED) == {}


def test_a_job_that_is_queued_again_is_another_run(start: Start, watch: Watch) -> None:
    cluster = start()
    job = cluster.submit("train", "sleep 2; exit 1")
    cluster.wait_for({job: "FAILED"})
    watched = watch(cluster)
    poll(watched)
    cluster.ask("scontrol", "requeuehold", str(job))
    cluster.wait_for({job: "PENDING"})
    poll(watched, later=300)  # its clock is ahead by now, which a whole listing makes up for
    assert of_pipelines(watched, FINISHED) == {("train", "failed"): 1}
    assert of_pipelines(watched, "ml_runs_active") == {("train", "queued"): 1}
    cluster.ask("scancel", str(job))
    cluster.wait_for({job: "CANCELLED"})
    poll(watched, later=300)
    assert of_pipelines(watched, FINISHED) == {("train", "failed"): 1, ("train", "cancelled"): 1}
    assert of_pipelines(watched, "ml_runs_active") == {}


def test_slurmdbd_may_be_down_without_harm(start: Start, watch: Watch) -> None:
    cluster = start()
    cluster.wait_for({cluster.submit("train", "true"): "COMPLETED"})
    watched = watch(cluster)
    poll(watched)
    beat = gauges(watched, "ml_scheduler_heartbeat_timestamp_seconds", "component")
    cluster.end("slurmdbd")
    cluster.wait_for({cluster.submit("train", "exit 1"): "FAILED"})
    poll(watched, later=700)
    assert of_pipelines(watched, FINISHED) == {("train", "succeeded"): 1, ("train", "failed"): 1}
    later = gauges(watched, "ml_scheduler_heartbeat_timestamp_seconds", "component")
    assert later["slurmdbd",] == beat["slurmdbd",]
    assert later["slurmctld",] > beat["slurmctld",]
    fresh = watch(cluster)
    assert "slurmdb: false" in str(fresh.poll())  # an unknown past is no empty one
    cluster.start_database()
    poll(watched, later=700)
    assert of_pipelines(watched, FINISHED) == {("train", "succeeded"): 1, ("train", "failed"): 1}


def test_a_dead_slurmctld_takes_nothing_away(start: Start, watch: Watch) -> None:
    cluster = start()
    job = cluster.submit("train", "sleep 300")
    cluster.wait_for({job: "RUNNING"})
    watched = watch(cluster, timeout="15s")
    poll(watched)
    cluster.end("slurmctld")
    watched.now += 30
    error = watched.poll()
    assert error is not None
    assert getattr(error, "reason", None) in (Reason.SERVER_ERROR, Reason.TIMEOUT)
    assert of_pipelines(watched, "ml_runs_active") == {("train", "running"): 1}
    cluster.start_controller()
    cluster.wait_for({job: "RUNNING"})
    poll(watched)
    assert of_pipelines(watched, "ml_runs_active") == {("train", "running"): 1}


def test_a_token_that_has_expired_is_named(start: Start, watch: Watch, generation: Generation) -> None:
    cluster = start()
    watched = watch(cluster)
    poll(watched)
    valid = cluster.token
    token = watched.folder / "token"
    token.write_text(cluster.ask("scontrol", "token", "username=watcher", "lifespan=1").partition("=")[2])
    time.sleep(2.1)
    watched.now += 30
    error = watched.poll()
    assert "token" in str(error)
    # Slurm 22.05 says no more than "Unspecified error", as it does when slurmctld is down.
    assert getattr(error, "reason", None) is (Reason.AUTH if generation is NEW else Reason.SERVER_ERROR)
    token.unlink()
    watched.now += 30
    assert getattr(watched.poll(), "reason", None) is Reason.AUTH
    token.write_text(valid)
    poll(watched)


def test_a_unix_socket(start: Start, watch: Watch) -> None:
    cluster = start()
    cluster.wait_for({cluster.submit("train", "true"): "COMPLETED"})
    watched = watch(cluster, "http://slurmrestd", unix_socket=str(cluster.socket))
    poll(watched)
    assert of_pipelines(watched, FINISHED) == {("train", "succeeded"): 1}


@pytest.mark.parametrize("generation", [NEW], ids=[NEW.version])  # Debian 12 has no scrontab
def test_a_scrontab_job_is_due_when_slurm_says(start: Start, watch: Watch) -> None:
    cluster = start()
    (cluster.folder / "crontab").write_text("#SCRON -J nightly\n0 3 * * * true\n")
    cluster.ask("scrontab", "/srv/crontab")
    watched = watch(cluster)
    poll(watched)
    assert of_pipelines(watched, "ml_runs_active") == {("nightly", "queued"): 1}
    [said] = cluster.ask("squeue", "-h", "-o", "%S", SLURM_TIME_FORMAT="%s").splitlines()
    assert of_pipelines(watched, "ml_pipeline_next_due_timestamp_seconds") == {("nightly", ""): float(said)}


def test_a_job_that_runs_into_its_limit_times_out(
    expiring: dict[str, tuple[Cluster, int]], watch: Watch, generation: Generation
) -> None:
    if generation.version not in expiring:
        pytest.skip(f"no Slurm {generation.version} can be had here; the other tests say why")
    cluster, job = expiring[generation.version]
    watched = watch(cluster)
    poll(watched)
    cluster.wait_for({job: "TIMEOUT"}, within=150)
    poll(watched, later=300)
    assert of_pipelines(watched, FINISHED) == {("slow", "timed_out"): 1}
    assert of_pipelines(watched, "ml_runs_active") == {}
    last = of_pipelines(watched, "ml_run_last_finished_timestamp_seconds")
    assert last["slow", "timed_out"] == accounted(cluster, job)[str(job)][3]
