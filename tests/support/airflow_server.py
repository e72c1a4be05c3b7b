"""A real Airflow 3 or 2 (`airflow standalone`, SQLite), in Python packages of its own, told over REST what to run."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import requests
from tests.support import environments
from tests.support.programs import free_port

VERSIONS = {3: "3.3.2", 2: "2.11.2"}
DAGS = Path(__file__).with_name("airflow_dags.py")
NAMES = ("hourly", "impatient", "on_data", "one_at_a_time", "paused", "train", "weekdays")
READY_WITHIN = 240.0
VIEWER = "watcher"


def programs(version: str) -> Path:
    """The folder with the `airflow` of this version. Raises `debian.Unavailable`."""
    return environments.python(f"airflow-{version}", f"apache-airflow=={version}", script="airflow").parent


@dataclass
class AirflowServer:
    """A running Airflow; `stop` ends it and every task that it started."""

    url: str
    major: int
    home: Path
    environment: dict[str, str]
    process: subprocess.Popen[bytes]
    viewer_password: str = field(default_factory=lambda: secrets.token_hex(8))
    session: requests.Session = field(default_factory=requests.Session)

    def stop(self) -> None:
        self.session.close()
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(10)
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        for pid in _pids_of(self.home):  # tasks and others make groups of their own
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def send(self, method: str, path: str, body: Any = None, **params: Any) -> Any:
        """As the administrator. `path` is below /api/v1 or /api/v2."""
        prefix = "/api/v2" if self.major == 3 else "/api/v1"
        for _ in range(10):
            answer = self.session.request(method, self.url + prefix + path, json=body, params=params, timeout=60)
            if answer.status_code != 500 or "Database error" not in answer.text:
                break
            time.sleep(1)  # SQLite was locked for too long: nothing was done
        assert answer.ok, f"{method} {path}: {answer.status_code} {answer.text[:500]}"
        return answer.json() if answer.content else None

    # What tests tell it

    def trigger(self, dag_id: str, at: float | None = None, **conf: Any) -> str:
        """Start a run: `seconds` it takes, whether to `fail`; `at`: what it is due at, by its own account. Its id."""
        due = None if at is None else datetime.fromtimestamp(at, UTC).isoformat()
        body: dict[str, Any] = {"conf": conf}
        if self.major == 3:
            body["logical_date"] = None
        if due:
            body["run_after" if self.major == 3 else "logical_date"] = due
        run_id: str = self.send("POST", f"/dags/{dag_id}/dagRuns", body)["dag_run_id"]
        return run_id

    def run(self, dag_id: str, run_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.send("GET", f"/dags/{dag_id}/dagRuns/{run_id}")
        return found

    def wait(self, dag_id: str, run_id: str, *states: str, within: float = 120.0) -> dict[str, Any]:
        """The run once it is in one of these states."""
        deadline = time.monotonic() + within
        while (found := self.run(dag_id, run_id))["state"] not in states:
            assert time.monotonic() < deadline, f"{run_id} of {dag_id} is {found['state']}, not {states}"
            time.sleep(0.5)
        return found

    def mark(self, dag_id: str, run_id: str, state: str) -> None:
        """What Airflow has in place of cancelling: a person says how the run ended."""
        for _ in range(5):
            self.send("PATCH", f"/dags/{dag_id}/dagRuns/{run_id}", {"state": state})
            time.sleep(2)  # a scheduler that has the run in hand may write over it
            if self.run(dag_id, run_id)["state"] == state:
                return
        raise AssertionError(f"{run_id} of {dag_id} does not stay {state}")

    def clear(self, dag_id: str, run_id: str) -> None:
        """Have a run that ended do everything again."""
        self.send("POST", f"/dags/{dag_id}/dagRuns/{run_id}/clear", {"dry_run": False})

    def delete(self, dag_id: str, run_id: str) -> None:
        self.send("DELETE", f"/dags/{dag_id}/dagRuns/{run_id}")

    def pause(self, dag_id: str, paused: bool) -> None:
        self.send("PATCH", f"/dags/{dag_id}", {"is_paused": paused})

    # What it says itself

    def cli(self, *arguments: str) -> Any:
        """What Airflow's own command line says, as JSON."""
        command = ["airflow", *arguments, "--output", "json"]
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, f"{' '.join(command)}: {done.stderr[-2000:]}"
        # Airflow 2 logs to the same place.
        return json.loads(next(line for line in reversed(done.stdout.splitlines()) if line.startswith("[{")))

    def runs_said(self, dag_id: str) -> list[dict[str, Any]]:
        """The runs of a DAG by `airflow dags list-runs`."""
        found: list[dict[str, Any]] = self.cli("dags", "list-runs", *([] if self.major == 3 else ["-d"]), dag_id)
        return found


def start_airflow(major: int, home: Path) -> AirflowServer:
    """Start it and wait until all DAGs are there.

    Raises `debian.Unavailable` where it cannot be had, `AssertionError` with its log if it does not start.
    """
    bin_ = programs(VERSIONS[major])
    (home / "dags").mkdir(parents=True)
    shutil.copy(DAGS, home / "dags/ml.py")
    # "airflow" and "dag" are what makes Airflow look into a file at all.
    (home / "dags/broken.py").write_text("# airflow dag\nimport nothing_of_that_name\n")
    port = free_port()
    environment = _environment(home, bin_, port)
    log = home / "standalone.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [bin_ / "airflow", "standalone"],
            stdout=out,
            stderr=subprocess.STDOUT,
            cwd=home,
            env=environment,
            start_new_session=True,
        )
    server = AirflowServer(f"http://127.0.0.1:{port}", major, home, environment, process)
    deadline = time.monotonic() + READY_WITHIN
    try:
        while time.monotonic() < deadline and process.poll() is None:
            with suppress(requests.ConnectionError, requests.Timeout, OSError, AssertionError, KeyError):
                if _ready(server):
                    return server
            time.sleep(1)
    except BaseException:
        server.stop()
        raise
    server.stop()
    raise AssertionError(f"Airflow did not get ready within {READY_WITHIN:.0f} s:\n{log.read_text()[-3000:]}")


def _ready(server: AirflowServer) -> bool:
    """Log in as the administrator, let the viewer in, and see whether all files have been read."""
    if server.major == 3 and "Authorization" not in server.session.headers:
        passwords = json.loads((server.home / "passwords.json").read_text())
        server.viewer_password = passwords[VIEWER]
        login = {"username": "admin", "password": passwords["admin"]}
        token = server.session.post(f"{server.url}/auth/token", json=login, timeout=10).json()["access_token"]
        server.session.headers["Authorization"] = f"Bearer {token}"
    if server.major == 2 and server.session.auth is None:
        password = (server.home / "standalone_admin_password.txt").read_text().strip()
        auth = ("admin", password)
        body = {"username": VIEWER, "password": server.viewer_password, "roles": [{"name": "Viewer"}]}
        names = {"first_name": "W", "last_name": "W", "email": "watcher@example.org"}
        made = server.session.post(f"{server.url}/api/v1/users", json=body | names, auth=auth, timeout=30)
        assert made.ok or made.status_code == 409, made.text
        server.session.auth = auth
    dags = {dag["dag_id"] for dag in server.send("GET", "/dags")["dags"]}
    return dags >= set(NAMES) and server.send("GET", "/importErrors")["total_entries"] == 1


def _environment(home: Path, bin_: Path, port: int) -> dict[str, str]:
    """Nothing of our own environment but what every program needs."""
    passwords = {"admin": secrets.token_hex(8), VIEWER: secrets.token_hex(8)}
    (home / "passwords.json").write_text(json.dumps(passwords))
    url = f"http://127.0.0.1:{port}"
    settings = {
        "CORE__LOAD_EXAMPLES": "False",
        "CORE__PARALLELISM": "4",
        "LOGGING__WORKER_LOG_SERVER_PORT": str(free_port()),
        "LOGGING__TRIGGER_LOG_SERVER_PORT": str(free_port()),
        # Airflow 3
        "API__HOST": "127.0.0.1",
        "API__PORT": str(port),
        "API__WORKERS": "1",
        "API__BASE_URL": url,
        "CORE__EXECUTION_API_SERVER_URL": f"{url}/execution/",
        "CORE__SIMPLE_AUTH_MANAGER_USERS": f"admin:admin,{VIEWER}:viewer",
        "CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(home / "passwords.json"),
        "DAG_PROCESSOR__REFRESH_INTERVAL": "5",
        "DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "5",
        # Airflow 2
        "WEBSERVER__WEB_SERVER_HOST": "127.0.0.1",
        "WEBSERVER__WEB_SERVER_PORT": str(port),
        "WEBSERVER__WORKERS": "1",
        "API__AUTH_BACKENDS": "airflow.api.auth.backend.basic_auth",
        "CORE__EXECUTOR": "LocalExecutor",
        "SCHEDULER__DAG_DIR_LIST_INTERVAL": "5",
        "SCHEDULER__MIN_FILE_PROCESS_INTERVAL": "5",
    }
    return {
        "PATH": f"{bin_}:/usr/local/bin:/usr/bin:/bin",
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "AIRFLOW_HOME": str(home),
        "_AIRFLOW__SKIP_DATABASE_EXECUTOR_COMPATIBILITY_CHECK": "1",  # several tasks at once, on SQLite
        **{f"AIRFLOW__{name}": value for name, value in settings.items()},
    }


def _pids_of(home: Path) -> list[int]:
    """Processes that work in this home: ours alone. Their environment says nothing: they write their title over it."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                if (entry / "cwd").readlink().is_relative_to(home):
                    found.append(int(entry.name))
    return found
