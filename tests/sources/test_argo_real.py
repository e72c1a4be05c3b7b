"""The Argo source against a real Kubernetes API server; what a workflow controller would write is written by hand."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.support.debian import Unavailable
from tests.support.kubernetes_server import KubernetesServer, start_kubernetes
from tests.support.recorded import Watched

pytestmark = pytest.mark.schedulers

PAGE = Path(__file__).parents[2] / "docs/sources/argo.md"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KubernetesServer]:
    try:
        started = start_kubernetes(tmp_path_factory.mktemp("kubernetes"))
    except Unavailable as reason:
        pytest.skip(str(reason))
    for kind in ("Workflow", "CronWorkflow"):
        started.define("argoproj.io", "v1alpha1", kind)
    started.namespace("monitoring")
    started.namespace("ml")
    yield started
    started.stop()


@pytest.fixture(scope="module")
def token(server: KubernetesServer) -> Path:
    """Of a service account with the rights that the documentation gives it, and no others."""
    blocks = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL)
    [text] = [block for block in blocks if "kind: ClusterRole\n" in block]
    return server.account(list(yaml.safe_load_all(text)))


@pytest.fixture
def watched(server: KubernetesServer, token: Path, tmp_path: Path) -> Iterator[Watched]:
    settings = {"ca_file": str(server.ca_file), "token_file": str(token), "watch": "1s", "tasks": True}
    with Watched("argo", server.url, tmp_path, time.time(), settings) as made:
        assert made.poll() is None
        yield made


def polled(watched: Watched) -> dict[str, float]:
    """Ended and active runs after a poll, and another one when newborn pipelines have been shown for long enough."""
    watched.now = max(watched.now, time.time())
    assert watched.poll() is None
    assert watched.poll(later=31) is None
    series = watched.series("ml_runs_finished_total", "ml_runs_active", "ml_task_runs_finished_total")
    short = {re.sub(r'source="it",ml_service="unassigned",', "", name): value for name, value in series.items()}
    return {name: value for name, value in short.items() if value}


def create(server: KubernetesServer, kind: str, name: str, **parts: Any) -> str:
    path = f"/apis/argoproj.io/v1alpha1/namespaces/ml/{kind.lower()}s"
    labels = parts.pop("labels", {})
    key = "generateName" if name.endswith("-") else "name"
    body = {"apiVersion": "argoproj.io/v1alpha1", "kind": kind, "metadata": {key: name, "labels": labels}, **parts}
    return str(server.post(path, body)["metadata"]["name"])


def update(server: KubernetesServer, name: str, phase: str, **more: Any) -> None:
    """What the workflow controller does."""
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    times = {"startedAt": now, **({"finishedAt": now} if phase in ("Succeeded", "Failed", "Error") else {})}
    server.patch(f"/apis/argoproj.io/v1alpha1/namespaces/ml/workflows/{name}", {"status": {**times, "phase": phase}})
    if more:
        server.patch(f"/apis/argoproj.io/v1alpha1/namespaces/ml/workflows/{name}", more)


def test_workflows_of_a_template_are_counted_as_kubectl_lists_them(server: KubernetesServer, watched: Watched) -> None:
    spec = {"workflowTemplateRef": {"name": "train"}}
    names = [create(server, "Workflow", "train-", spec=spec) for _ in range(5)]
    nodes = {"n": {"id": "n", "type": "Pod", "phase": "Succeeded", "templateName": "fit"}}
    server.patch(f"/apis/argoproj.io/v1alpha1/namespaces/ml/workflows/{names[0]}", {"status": {"nodes": nodes}})
    update(server, names[0], "Succeeded")
    update(server, names[1], "Failed")
    update(server, names[2], "Failed", spec={"shutdown": "Terminate"})
    update(server, names[3], "Running")
    listed = json.loads(server.kubectl("get", "workflows", "-n", "ml", "-o", "json"))["items"]
    phases = sorted(item.get("status", {}).get("phase", "") for item in listed)
    assert phases == ["", "Failed", "Failed", "Running", "Succeeded"]
    assert polled(watched) == {
        'ml_runs_finished_total{pipeline="ml/train",state="succeeded"}': 1,
        'ml_runs_finished_total{pipeline="ml/train",state="failed"}': 1,
        'ml_runs_finished_total{pipeline="ml/train",state="cancelled"}': 1,
        'ml_runs_active{pipeline="ml/train",state="running"}': 1,
        'ml_runs_active{pipeline="ml/train",state="queued"}': 1,
        'ml_task_runs_finished_total{pipeline="ml/train",task="fit",state="succeeded"}': 1,
    }
    for name in names:
        server.delete(f"/apis/argoproj.io/v1alpha1/namespaces/ml/workflows/{name}")
    after = polled(watched)
    assert not [name for name in after if "active" in name], "deleted before it ended: forgotten"
    assert after['ml_runs_finished_total{pipeline="ml/train",state="succeeded"}'] == 1


def test_a_position_from_too_long_ago_is_a_new_listing(server: KubernetesServer, watched: Watched) -> None:
    """The API server answers 200 with an ERROR event of code 410."""
    ends, vanishes = (create(server, "Workflow", f"{name}-") for name in ("ends", "vanishes"))
    for name in (ends, vanishes):
        update(server, name, "Running")
    assert polled(watched)['ml_runs_active{pipeline="ml/vanishes",state="running"}'] == 1
    update(server, ends, "Succeeded")
    server.delete(f"/apis/argoproj.io/v1alpha1/namespaces/ml/workflows/{vanishes}")
    watched.poller.cursor["versions"] = {"": "1"}
    assert watched.poll() is None
    [watch, listing] = [exchange for exchange in watched.client.trace if "/workflows?" in exchange.path][-2:]
    assert "resourceVersion=1&" in watch.path
    assert '"code":410' in watch.reply
    assert "limit=100" in listing.path
    found = polled(watched)
    assert found['ml_runs_finished_total{pipeline="ml/ends",state="succeeded"}'] == 1
    assert 'ml_runs_active{pipeline="ml/vanishes",state="running"}' not in found


def test_a_cron_workflow_names_its_runs_and_is_due(server: KubernetesServer, watched: Watched) -> None:
    create(server, "CronWorkflow", "nightly", spec={"schedules": ["0 0 * * *"], "suspend": False})
    create(server, "CronWorkflow", "old", spec={"schedule": "@hourly", "suspend": True})
    name = create(server, "Workflow", "nightly-", labels={"workflows.argoproj.io/cron-workflow": "nightly"})
    update(server, name, "Succeeded")
    watched.restart()
    assert polled(watched)['ml_runs_finished_total{pipeline="ml/nightly",state="succeeded"}'] == 1
    [(name, due)] = watched.series("ml_pipeline_next_due_timestamp_seconds").items()
    midnight = watched.now - watched.now % 86400 + 86400
    assert 'pipeline="ml/nightly"' in name
    assert due == midnight
    paused = watched.series("ml_pipeline_paused")
    assert sorted(paused.values()) == [0, 1]
