"""A real Prefect 3 server on SQLite, in Python packages of its own; told what to hold over REST and by real flows."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import requests
from tests.support import environments
from tests.support.programs import NotReadyError, Process, free_port, start

VERSION = "3.8.8"
# Newer ones break this Prefect: it imports what they have dropped.
PINS = (f"prefect=={VERSION}", "fastapi<0.140", "sqlalchemy<2.1")
USER, PASSWORD = "admin", "hush-hush"
FLOWS = Path(__file__).with_name("prefect_flows.py")
READY_WITHIN = 180.0

_CLIENT = """
import json, sys
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterState, FlowRunFilterStateName
begun = FlowRunFilter(state=FlowRunFilterState(name=FlowRunFilterStateName(not_any_=["Scheduled"])))
with get_client(sync_client=True) as client:
    said = {
        "runs": [r.model_dump(mode="json") for r in client.read_flow_runs(flow_run_filter=begun, limit=200)],
        "flows": [f.model_dump(mode="json") for f in client.read_flows(limit=200)],
        "deployments": [d.model_dump(mode="json") for d in client.read_deployments(limit=200)],
    }
print(json.dumps(said))
"""


def python() -> Path:
    """The Python that has Prefect. Raises `debian.Unavailable`."""
    return environments.python(f"prefect-{VERSION}", *PINS)


def iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat()


@dataclass
class PrefectServer:
    """A running server that wants basic authentication and guards against forged requests.

    `stop` ends it and all that was started beside it.
    """

    url: str
    home: Path
    environment: dict[str, str]
    processes: list[Process] = field(default_factory=list)
    session: requests.Session = field(default_factory=requests.Session)

    def __post_init__(self) -> None:
        self.session.auth = (USER, PASSWORD)
        token = self.send("GET", "/csrf-token?client=tests")["token"]
        self.session.headers.update({"Prefect-Csrf-Token": token, "Prefect-Csrf-Client": "tests"})

    def stop(self) -> None:
        self.session.close()
        for process in reversed(self.processes):
            process.stop()

    def send(self, method: str, path: str, body: Any = None) -> Any:
        for pause in (0.3, 1.0, 3.0, 0.0):
            answer = self.session.request(method, f"{self.url}/api{path}", json=body, timeout=30)
            if answer.status_code != 503:  # SQLite was busy with Prefect's own services
                break
            time.sleep(pause)
        assert answer.ok, f"{method} {path}: {answer.status_code} {answer.text[:500]}"
        return answer.json() if answer.content else None

    def post(self, path: str, /, **body: Any) -> Any:
        return self.send("POST", path, body)

    # What tests tell it

    def flow(self, name: str, *tags: str) -> str:
        id_: str = self.post("/flows/", name=name, tags=tags)["id"]
        return id_

    def deployment(self, flow_id: str, name: str, *schedules: dict[str, Any], **more: Any) -> str:
        """`schedules`: as Prefect has them, {"cron": …}, {"interval": …} or {"rrule": …}."""
        listed = [{"schedule": schedule, "active": True} for schedule in schedules]
        id_: str = self.post("/deployments/", name=name, flow_id=flow_id, schedules=listed, **more)["id"]
        return id_

    def run(self, flow_id: str, type_: str, name: str | None = None, *, at: float | None = None, **more: Any) -> str:
        """A flow run that is born in a state; `at`: when it is scheduled for, in seconds."""
        state: dict[str, Any] = {"type": type_, "name": name}
        if at is not None:
            state["state_details"] = {"scheduled_time": iso(at)}
        id_: str = self.post("/flow_runs/", flow_id=flow_id, state=state, **more)["id"]
        return id_

    def deployed_run(self, deployment_id: str, type_: str = "SCHEDULED", name: str | None = None) -> str:
        """A run of a deployment, as its button in the pages makes one."""
        id_: str = self.post(f"/deployments/{deployment_id}/create_flow_run", state={"type": type_, "name": name})["id"]
        return id_

    def move(self, run_id: str, type_: str, name: str | None = None) -> None:
        """Put a run into a state; Prefect stamps the times."""
        reply = self.post(f"/flow_runs/{run_id}/set_state", state={"type": type_, "name": name}, force=True)
        assert reply["status"] == "ACCEPT", reply

    def delete(self, path: str) -> None:
        self.send("DELETE", path)

    def wait(self, what: str, happened: Callable[[], Any], seconds: float = 60.0) -> Any:
        """The first truth that `happened` returns."""
        deadline = time.monotonic() + seconds
        while not (found := happened()):
            assert time.monotonic() < deadline, f"{what}: not within {seconds:.0f} s"
            time.sleep(0.3)
        return found

    # Prefect's own programs

    def client(self) -> dict[str, Any]:
        """What Prefect's own client says of runs (but those only planned), flows and deployments."""
        done = self._python(["-c", _CLIENT])
        assert done.returncode == 0, done.stderr[-2000:]
        said: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return said

    def run_flows(self, *names: str) -> None:
        """Run flows of prefect_flows.py to their end, one after the other."""
        done = self._python([str(FLOWS), *names])
        assert done.returncode == 0, done.stderr[-2000:]

    def start_flows(self, *names: str) -> Process:
        """Run flows in the background."""
        return self._start(f"flows-{'-'.join(names)}", [python(), FLOWS, *names])

    def start_worker(self, pool: str) -> Process:
        arguments = [python(), "-m", "prefect", "worker", "start", "--pool", pool, "--type", "process"]
        return self._start(f"worker-{pool}", arguments)

    def _start(self, name: str, arguments: list[str | Path]) -> Process:
        log = self.home / f"{name}.log"
        process = start(name, arguments, log=log, cwd=self.home, env=self.environment)
        self.processes.append(process)
        return process

    def _python(self, arguments: list[str]) -> subprocess.CompletedProcess[str]:
        command = [str(python()), *arguments]
        environment = {**os.environ, **self.environment}
        return subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=self.home, env=environment)


def start_prefect(folder: Path) -> PrefectServer:
    """Start a server on 127.0.0.1 and wait until it answers. Raises `debian.Unavailable`, `NotReadyError`."""
    folder.mkdir(parents=True, exist_ok=True)
    program, port = python(), free_port()
    url = f"http://127.0.0.1:{port}"
    environment = {
        "HOME": str(folder),
        # Its processes must not see our own packages.
        "PYTHONPATH": "",
        "VIRTUAL_ENV": "",
        "PREFECT_HOME": str(folder / "prefect"),
        "PREFECT_PROFILES_PATH": str(folder / "profiles.toml"),
        "PREFECT_API_URL": f"{url}/api",
        "PREFECT_SERVER_API_AUTH_STRING": f"{USER}:{PASSWORD}",
        "PREFECT_API_AUTH_STRING": f"{USER}:{PASSWORD}",
        "PREFECT_SERVER_CSRF_PROTECTION_ENABLED": "true",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        "PREFECT_SERVER_UI_ENABLED": "false",
        "PREFECT_SERVER_SERVICES_SCHEDULER_LOOP_SECONDS": "2",
        "PREFECT_SERVER_SERVICES_LATE_RUNS_LOOP_SECONDS": "1",
        "PREFECT_SERVER_SERVICES_LATE_RUNS_AFTER_SECONDS": "2",
        "PREFECT_WORKER_QUERY_SECONDS": "1",
        "PREFECT_WORKER_HEARTBEAT_SECONDS": "2",
    }
    factory = "prefect.server.api.server:create_app"
    arguments = [program, "-m", "uvicorn", "--factory", "--host", "127.0.0.1", "--port", str(port), factory]
    process = start(
        "prefect",
        arguments,
        log=folder / "prefect.log",
        cwd=folder,
        env=environment,
        ready_url=f"{url}/api/health",
        timeout=READY_WITHIN,
    )
    return PrefectServer(url, folder, environment, [process])


__all__ = ["NotReadyError", "PrefectServer", "iso", "python", "start_prefect"]
