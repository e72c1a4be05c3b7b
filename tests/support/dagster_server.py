"""A real Dagster (webserver and daemon on SQLite), in Python packages of its own; told what to do over GraphQL."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests
from tests.support import environments
from tests.support.programs import Process, free_port, start

VERSION = "1.13.27"
PINS = (f"dagster=={VERSION}", f"dagster-webserver=={VERSION}")
JOBS = Path(__file__).with_name("dagster_jobs.py")
READY_WITHIN = 180.0
REPOSITORY = "__repository__"
BROKEN_LOCATION = 'raise ImportError("no module named pandas")\n'
MENDED_LOCATION = """
import dagster as dg
@dg.op
def nothing(): pass
@dg.job
def prepare(): nothing()
defs = dg.Definitions(jobs=[prepare])
"""

_INSTANCE = """
telemetry: {enabled: false}
run_coordinator:
  module: dagster.core.run_coordinator
  class: QueuedRunCoordinator
  config:
    max_concurrent_runs: 6
    dequeue_interval_seconds: 1
    tag_concurrency_limits: [{key: limited, limit: 1}]
run_monitoring: {enabled: true, poll_interval_seconds: 3}
"""
_WORKSPACE = """
load_from:
  - python_file: {relative_path: jobs.py, location_name: training}
  - python_file: {relative_path: other.py, location_name: preparation}
"""
_CLIENT = """
import json, sys
from dagster import DagsterInstance
def said(instance):
    runs = [
        {
            "id": r.dagster_run.run_id, "job": r.dagster_run.job_name, "status": r.dagster_run.status.value,
            "created": r.create_timestamp.timestamp(), "start": r.start_time, "end": r.end_time,
            "tags": dict(r.dagster_run.tags),
        }
        for r in instance.get_run_records()
    ]
    statuses = instance.get_daemon_statuses().items()
    daemons = {name: status.last_heartbeat.timestamp for name, status in statuses if status.last_heartbeat}
    storage = instance.event_log_storage
    pools = {key: storage.get_concurrency_info(key).slot_count for key in storage.get_concurrency_keys()}
    return {"runs": runs, "daemons": daemons, "pools": pools}
with DagsterInstance.get() as instance:
    for line in sys.stdin:
        print(json.dumps(said(instance)), flush=True)
"""
"""Answers each line, for importing Dagster takes seconds."""
_LAUNCH = """
mutation ($location: String!, $job: String!, $repository: String!, $tags: [ExecutionTag!]) {
  result: launchRun(executionParams: {
    selector: { repositoryLocationName: $location, repositoryName: $repository, jobName: $job }
    executionMetadata: { tags: $tags }
  }) { __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } }
}"""
_BACKFILL = """
mutation ($repository: RepositorySelector!, $set: String!, $names: [String!]!) {
  result: launchPartitionBackfill(backfillParams: {
    selector: { repositorySelector: $repository, partitionSetName: $set }, partitionNames: $names
  }) { __typename ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message } }
}"""


def python() -> Path:
    """The Python that has Dagster. Raises `debian.Unavailable`."""
    return environments.python(f"dagster-{VERSION}", *PINS)


@dataclass
class DagsterServer:
    """A running webserver and daemon; `stop` ends them and all that they started."""

    url: str
    home: Path
    environment: dict[str, str]
    webserver: Process
    daemon: Process
    session: requests.Session = field(default_factory=requests.Session)
    asked: subprocess.Popen[str] | None = None
    """Dagster's own client."""

    def stop(self) -> None:
        self.open_gate()
        self.session.close()
        if self.asked:
            self.asked.communicate()
        for process in (self.daemon, self.webserver):
            process.terminate()
        for process in (self.daemon, self.webserver):
            process.stop()

    def ask(self, query: str, **variables: Any) -> Any:
        """The data of a query. Raises `AssertionError` for an error of any kind."""
        body = {"query": query, "variables": variables}
        answer = self.session.post(f"{self.url}/graphql", json=body, timeout=60)
        assert answer.status_code == 200, f"{answer.status_code} {answer.text[:500]}"
        reply = answer.json()
        assert not reply.get("errors"), reply
        return reply["data"]

    # What tests tell it

    def launch(self, job: str, location: str = "training", **tags: str) -> str:
        listed = [{"key": key, "value": value} for key, value in tags.items()]
        said = self.ask(_LAUNCH, location=location, job=job, repository=REPOSITORY, tags=listed)["result"]
        assert said["__typename"] == "LaunchRunSuccess", said
        id_: str = said["run"]["runId"]
        return id_

    def backfill(self, job: str, *partitions: str) -> str:
        repository = {"repositoryLocationName": "training", "repositoryName": REPOSITORY}
        said = self.ask(_BACKFILL, repository=repository, set=f"{job}_partition_set", names=partitions)["result"]
        assert said["__typename"] == "LaunchBackfillSuccess", said
        id_: str = said["backfillId"]
        return id_

    def cancel(self, run_id: str) -> None:
        said = self.ask("mutation ($id: String!) { result: terminateRun(runId: $id) { __typename } }", id=run_id)
        assert said["result"]["__typename"] == "TerminateRunSuccess", said

    def delete(self, run_id: str) -> None:
        said = self.ask("mutation ($id: String!) { result: deletePipelineRun(runId: $id) { __typename } }", id=run_id)
        assert said["result"]["__typename"] == "DeletePipelineRunSuccess", said

    def mend(self) -> None:
        """Make the location load that did not."""
        (self.home / "other.py").write_text(MENDED_LOCATION)
        query = "mutation ($n: String!) { result: reloadRepositoryLocation(repositoryLocationName: $n) { __typename } }"
        self.ask(query, n="preparation")

    def open_gate(self) -> None:
        """Let the runs that wait go on."""
        Path(self.environment["GATE"]).touch()

    def wait_for(self, run_id: str, *statuses: str, seconds: float = 300.0) -> None:
        query = "query ($id: ID!) { runOrError(runId: $id) { ... on Run { status } } }"
        self.wait(
            f"run {run_id} is {statuses}",
            lambda: self.ask(query, id=run_id)["runOrError"]["status"] in statuses,
            seconds,
        )

    def wait(self, what: str, happened: Callable[[], Any], seconds: float = 300.0) -> Any:
        """The first truth that `happened` returns."""
        deadline = time.monotonic() + seconds
        while not (found := happened()):
            assert time.monotonic() < deadline, f"{what}: not within {seconds:.0f} s\n{self.daemon.tail()}"
            time.sleep(0.5)
        return found

    # Dagster's own programs

    def client(self) -> dict[str, Any]:
        """What Dagster's own Python client says of runs, daemons and pools."""
        if self.asked is None:
            environment = {**os.environ, **self.environment}
            command = [str(python()), "-c", _CLIENT]
            pipe = subprocess.PIPE
            self.asked = subprocess.Popen(
                command, stdin=pipe, stdout=pipe, text=True, cwd=self.home, env=environment, start_new_session=True
            )
        assert self.asked.stdin
        assert self.asked.stdout
        self.asked.stdin.write("\n")
        self.asked.stdin.flush()
        said: dict[str, Any] = json.loads(self.asked.stdout.readline())
        return said

    def cli(self, *arguments: str) -> str:
        """What the `dagster` command prints."""
        command = [str(python()), "-m", "dagster", *arguments]
        environment = {**os.environ, **self.environment}
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=self.home, env=environment)
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout


def start_dagster(folder: Path) -> DagsterServer:
    """Start both on 127.0.0.1 and wait until they answer. Raises `debian.Unavailable`, `NotReadyError`."""
    program = python()
    (folder / "instance").mkdir(parents=True)
    (folder / "instance/dagster.yaml").write_text(_INSTANCE)
    environment = {
        "HOME": str(folder),
        "DAGSTER_HOME": str(folder / "instance"),
        "GATE": str(folder / "gate"),
        # Its processes must not see our own packages; they start each other by name.
        "PYTHONPATH": "",
        "VIRTUAL_ENV": str(program.parents[1]),
        "PATH": f"{program.parent}{os.pathsep}{os.environ['PATH']}",
        "DAGSTER_DISABLE_TELEMETRY": "1",
    }
    webserver, url = start_webserver(folder, environment)
    # Only now: two that start at once both want to make the tables of a new SQLite.
    arguments = [program, "-m", "dagster._daemon", "run", "-w", "workspace.yaml"]
    daemon = start("dagster-daemon", arguments, log=folder / "daemon.log", cwd=folder, env=environment)
    return DagsterServer(url, folder, environment, webserver, daemon)


def start_webserver(folder: Path, environment: dict[str, str]) -> tuple[Process, str]:
    """A webserver whose code locations are in `folder`, and its address."""
    port = free_port()
    (folder / "workspace.yaml").write_text(_WORKSPACE)
    (folder / "other.py").write_text(BROKEN_LOCATION)
    shutil.copy(JOBS, folder / "jobs.py")
    url = f"http://127.0.0.1:{port}"
    webserver = start(
        "dagster-webserver",
        [python(), "-m", "dagster_webserver", "-w", "workspace.yaml", "-h", "127.0.0.1", "-p", str(port)],
        log=folder / "webserver.log",
        cwd=folder,
        env=environment,
        ready_url=f"{url}/server_info",
        timeout=READY_WITHIN,
    )
    return webserver, url
