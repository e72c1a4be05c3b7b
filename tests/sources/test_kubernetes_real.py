"""The Kubernetes source against a real API server with its real Job and CronJob controllers."""

from __future__ import annotations

import datetime
import itertools
import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.support.debian import Unavailable
from tests.support.kubernetes_server import KubernetesServer, start_kubernetes
from tests.support.recorded import Watched

from ml_exporter import reading

pytestmark = pytest.mark.schedulers

NUMBERS = itertools.count()
PAGE = Path(__file__).parents[2] / "docs/sources/kubernetes.md"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KubernetesServer]:
    try:
        started = start_kubernetes(tmp_path_factory.mktemp("kubernetes"))
    except Unavailable as reason:
        pytest.skip(str(reason))
    yield started
    started.stop()


@pytest.fixture(scope="module")
def reader(server: KubernetesServer) -> Path:
    """The token of a service account with the rights that the documentation gives it, and no others."""
    blocks = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL)
    [text] = [block for block in blocks if "kind: ClusterRole\n" in block]
    server.namespace("monitoring")
    return server.account(list(yaml.safe_load_all(text)))


def instant(text: str) -> float:
    return datetime.datetime.fromisoformat(text).timestamp()


@dataclass
class Cluster:
    """An exporter's poller on one namespace of the server."""

    server: KubernetesServer
    namespace: str
    watched: Watched

    def poll(self) -> None:
        """As of now, and once more when newborn pipelines have been shown at 0 for long enough."""
        self.watched.now = max(self.watched.now, time.time())
        assert self.watched.poll() is None
        assert self.watched.poll(later=31) is None

    def value(self, family: str, pipeline: str, state: str = "") -> float | None:
        labels = f'source="it",ml_service="unassigned",pipeline="{self.namespace}/{pipeline}"'
        more = f',state="{state}"' if state else ""
        return self.watched.series(family).get(f"{family}{{{labels}{more}}}")

    def finished(self, pipeline: str) -> dict[str, float]:
        states = ("succeeded", "failed", "cancelled", "timed_out")
        found = {state: self.value("ml_runs_finished_total", pipeline, state) for state in states}
        return {state: value for state, value in found.items() if value}

    def jobs(self) -> dict[str, dict[str, Any]]:
        """What Kubernetes' own client says."""
        listed = json.loads(self.server.kubectl("get", "jobs", "-n", self.namespace, "-o", "json"))
        return {item["metadata"]["name"]: item["status"] for item in listed["items"]}


def watched(server: KubernetesServer, token: Path, folder: Path, **options: Any) -> Watched:
    settings = {"ca_file": str(server.ca_file), "token_file": str(token), "watch": "1s", **options}
    return Watched("kubernetes", server.url, folder, time.time(), settings)


@pytest.fixture
def cluster(server: KubernetesServer, reader: Path, tmp_path: Path) -> Iterator[Cluster]:
    namespace = server.namespace(f"ns-{next(NUMBERS)}")
    with watched(server, reader, tmp_path, namespaces=[namespace]) as made:
        watching = Cluster(server, namespace, made)
        watching.poll()
        yield watching


def test_jobs_that_succeed_fail_and_run_out_of_time_are_counted_as_kubernetes_says(cluster: Cluster) -> None:
    server, namespace = cluster.server, cluster.namespace
    for name in ("good", "bad", "runs"):
        server.job(namespace, name)
    server.job(namespace, "slow", activeDeadlineSeconds=1)
    server.finish(namespace, "good")
    server.finish(namespace, "bad", "Failed")
    server.until(lambda: cluster.jobs()["slow"].get("conditions"), "the deadline passes")
    cluster.poll()
    said = cluster.jobs()
    assert {name: cluster.finished(name) for name in said} == {
        "good": {"succeeded": said["good"]["succeeded"]},
        "bad": {"failed": said["bad"]["failed"]},
        "slow": {"timed_out": 1},
        "runs": {},
    }
    assert said["slow"]["conditions"][0]["reason"] == "DeadlineExceeded"
    assert cluster.value("ml_runs_active", "runs", "running") == said["runs"]["active"] == 1
    ended = cluster.value("ml_run_last_finished_timestamp_seconds", "bad", "failed")
    assert ended == pytest.approx(instant(said["bad"]["conditions"][0]["lastTransitionTime"]))
    assert "completionTime" not in said["bad"]


def test_a_restart_goes_on_by_the_watch_and_counts_nothing_twice(cluster: Cluster) -> None:
    server, namespace = cluster.server, cluster.namespace
    for name in ("before", "after"):
        server.job(namespace, name)
    server.finish(namespace, "before")
    cluster.poll()
    server.finish(namespace, "after")
    cluster.watched.restart()
    cluster.poll()
    asked = [exchange.path for exchange in cluster.watched.client.trace]
    assert cluster.finished("before") == cluster.finished("after") == {"succeeded": 1}
    assert not [path for path in asked if "/jobs?limit=500" in path], "a watch, no listing"


def test_a_job_deleted_while_it_runs_is_gone_and_one_deleted_at_its_end_stays_counted(cluster: Cluster) -> None:
    server, namespace = cluster.server, cluster.namespace
    for name in ("running", "done"):
        server.job(namespace, name)
    cluster.poll()
    assert cluster.value("ml_runs_active", "running", "running") == 1
    server.finish(namespace, "done")
    for name in ("running", "done"):
        server.delete(f"/apis/batch/v1/namespaces/{namespace}/jobs/{name}")
    server.until(lambda: not cluster.jobs(), "both are gone")
    cluster.poll()
    assert cluster.value("ml_runs_active", "running", "running") == 0
    assert (cluster.finished("running"), cluster.finished("done")) == ({}, {"succeeded": 1})


def test_generated_names_are_one_pipeline(cluster: Cluster) -> None:
    for _ in range(3):
        cluster.server.job(cluster.namespace, "train-")
    names = list(cluster.jobs())
    for name in names:
        cluster.server.finish(cluster.namespace, name)
    cluster.poll()
    assert len(names) == 3
    assert cluster.finished("train") == {"succeeded": 3}


def test_a_job_without_quota_for_its_pods_waits_in_a_full_queue(cluster: Cluster) -> None:
    server, namespace = cluster.server, cluster.namespace
    quota = {"metadata": {"name": "none"}, "spec": {"hard": {"pods": "0"}}}
    path = f"/api/v1/namespaces/{namespace}/resourcequotas"
    server.post(path, quota)
    server.until(lambda: server.get(f"{path}/none")["status"].get("used"), "the quota is counted")
    server.job(namespace, "waits")
    events = f"/api/v1/namespaces/{namespace}/events"
    server.until(lambda: "exceeded quota" in json.dumps(server.get(events)), "the controller has tried to start it")
    cluster.watched.restart()
    cluster.poll()
    assert cluster.value("ml_runs_active", "waits", "queued") == 1
    gauges = cluster.watched.series("ml_scheduler_queue_length", "ml_scheduler_capacity")
    assert gauges == {
        f'ml_scheduler_queue_length{{source="it",queue="{namespace}"}}': 1,
        f'ml_scheduler_capacity{{source="it",queue="{namespace}",resource="pods",state="used"}}': 0,
        f'ml_scheduler_capacity{{source="it",queue="{namespace}",resource="pods",state="free"}}': 0,
    }


def test_the_heartbeat_is_the_one_of_the_controller_manager(cluster: Cluster) -> None:
    said = cluster.server.kubectl(
        *("get", "lease", "kube-controller-manager", "-n", "kube-system", "-o", "jsonpath={.spec.renewTime}")
    )
    cluster.watched.restart()
    cluster.poll()
    [beat] = cluster.watched.series("ml_scheduler_heartbeat_timestamp_seconds").values()
    assert 0 <= beat - instant(said) < 60


def test_a_cron_job_is_one_pipeline_with_its_schedule(cluster: Cluster) -> None:
    server, namespace = cluster.server, cluster.namespace
    labels = {"app.kubernetes.io/part-of": "fraud"}
    server.cron_job(namespace, "minutely", labels, schedule="* * * * *")
    server.cron_job(namespace, "paused", schedule="@every 1h", suspend=True)
    cluster.watched.restart()
    cluster.poll()
    assert cluster.value("ml_pipeline_paused", "minutely") == 0
    assert cluster.value("ml_pipeline_paused", "paused") == 1
    due = cluster.value("ml_pipeline_next_due_timestamp_seconds", "minutely")
    assert due is not None
    assert due % 60 == 0
    path = f"/apis/batch/v1beta1/namespaces/{namespace}/cronjobs/minutely/status"
    before = {"lastScheduleTime": reading.iso(time.time() - 120).split(".")[0] + "Z"}
    server.patch(path, {"status": before})  # a run is due now, not at the end of the minute
    server.until(cluster.jobs, "the controller starts a run", timeout=90)
    [name] = list(cluster.jobs())
    server.finish(namespace, name)
    cluster.watched.now = time.time()
    cluster.poll()
    said = json.loads(server.kubectl("get", "cronjobs", "-n", namespace, "minutely", "-o", "json"))
    assert instant(said["status"]["lastScheduleTime"]) % 60 == 0
    assert cluster.finished("minutely") == {"succeeded": 1}
    assert cluster.value("ml_runs_active", "minutely", "running") is not None
    shown = cluster.watched.series("ml_pipeline_first_seen_timestamp_seconds")
    assert len(shown) == 2, "a pipeline is a CronJob, not its Jobs"


def test_without_rights_it_is_auth_and_says_what_is_missing(cluster: Cluster) -> None:
    token = cluster.server.folder / "nobody.token"
    token.write_text("not-a-token")
    cluster.watched.settings["token_file"] = str(token)
    cluster.watched.restart()
    error = cluster.watched.poll()
    assert str(getattr(error, "reason", None)) == "auth"


def test_a_role_in_a_namespace_is_enough_for_that_namespace(server: KubernetesServer, tmp_path: Path) -> None:
    server.namespace("alone")
    named = {"name": "reader", "namespace": "alone"}
    rules = [{"apiGroups": ["batch"], "resources": ["jobs", "cronjobs"], "verbs": ["list", "watch"]}]
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reader"}
    account = {"kind": "ServiceAccount", **named}
    manifests: list[dict[str, Any]] = [
        {"kind": "ServiceAccount", "metadata": named},
        {"kind": "Role", "metadata": named, "rules": rules},
        {"kind": "RoleBinding", "metadata": named, "roleRef": role, "subjects": [account]},
    ]
    token = server.account(manifests)
    server.job("alone", "seen")
    with watched(server, token, tmp_path, namespaces=["alone"]) as made:
        cluster = Cluster(server, "alone", made)
        cluster.poll()
        assert cluster.value("ml_runs_active", "seen", "running") == 1
        assert not made.series("ml_scheduler_heartbeat_timestamp_seconds", "ml_scheduler_capacity")
        made.settings["namespaces"] = []
        made.restart()
        error = made.poll()
        assert str(getattr(error, "reason", None)) == "auth"
        assert "cannot list resource" in str(error)


def test_a_quiet_poll_of_a_whole_cluster_is_one_watch(server: KubernetesServer, reader: Path, tmp_path: Path) -> None:
    namespace = server.namespace("whole")
    with watched(server, reader, tmp_path) as made:
        cluster = Cluster(server, namespace, made)
        server.job(namespace, "seen")
        cluster.poll()
        server.finish(namespace, "seen")
        cluster.poll()
        before = made.client.requests
        assert made.poll() is None
        assert cluster.finished("seen") == {"succeeded": 1}
        assert made.client.requests - before == 1
