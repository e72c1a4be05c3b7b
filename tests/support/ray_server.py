"""A real Ray with its dashboard, in a network namespace of its own: it listens on all interfaces whatever it is told.

Started by its own `ray start --head --block`, asked and told through its own client in its own virtual environment.
"""

from __future__ import annotations

import json
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests
from tests.support import debian, environments, marked, netns_relay
from tests.support.programs import free_port

VERSION = "2.60.0"
READY_WITHIN = 120.0
CPUS = 3
_DASHBOARD = 8265
_PORTS = {  # workers take theirs between 10002 and 19999
    "port": 6379,
    "dashboard-port": _DASHBOARD,
    "dashboard-agent-listen-port": 20_001,
    "dashboard-agent-grpc-port": 20_002,
    "runtime-env-agent-port": 20_003,
    "metrics-export-port": 20_004,
    "node-manager-port": 20_005,
    "object-manager-port": 20_006,
}
_CLIENT = """
import json, sys
from ray.job_submission import JobSubmissionClient
jobs = JobSubmissionClient("http://127.0.0.1:%s").list_jobs()
print(json.dumps([{"id": j.submission_id or j.job_id, "type": j.type.value, "status": j.status.value,
    "start": j.start_time, "end": j.end_time, "metadata": j.metadata} for j in jobs]))
"""
_DRIVER = "import ray, sys; ray.init(address='auto', log_to_driver=False); sys.exit(int(sys.argv[1]))"


def environment() -> Path:
    """The Python of a virtual environment with this Ray. Raises `Unavailable`."""
    return environments.python(f"ray-{VERSION}", f"ray[default,serve]=={VERSION}")


@dataclass
class RayServer:
    """A running cluster of one node; `stop` ends all that it started."""

    url: str
    token: str
    folder: Path
    python: Path
    process: subprocess.Popen[bytes]
    session: requests.Session = field(default_factory=requests.Session)

    def __post_init__(self) -> None:
        self.session.headers["Authorization"] = f"Bearer {self.token}"

    def stop(self) -> None:
        """By id only: `ray stop` ends every Ray of the machine."""
        self.session.close()
        marked.kill(f"RAY_TEST_FOLDER={self.folder}")
        self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def get(self, path: str) -> Any:
        answer = self.session.get(self.url + path, timeout=30)
        assert answer.status_code == 200, f"{path}: {answer.status_code} {answer.text[:500]}"
        return answer.json()

    # What tests tell it

    def submit(self, command: str, submission_id: str | None = None, **more: Any) -> str:
        """Submit a job; its id. `more`: metadata, entrypoint_num_cpus, runtime_env …"""
        body = {"entrypoint": command, "submission_id": submission_id, **more}
        answer = self.session.post(f"{self.url}/api/jobs/", json=body, timeout=60)
        assert answer.status_code == 200, f"{answer.status_code} {answer.text[:500]}"
        id_: str = answer.json()["submission_id"]
        return id_

    def cancel(self, submission_id: str) -> None:
        answer = self.session.post(f"{self.url}/api/jobs/{submission_id}/stop", timeout=60)
        assert answer.status_code == 200, answer.text[:500]

    def delete(self, submission_id: str) -> None:
        answer = self.session.delete(f"{self.url}/api/jobs/{submission_id}", timeout=60)
        assert answer.status_code == 200, answer.text[:500]

    def drive(self, exit_code: int) -> None:
        """A script that connects by itself, is no submitted job, and ends with this code."""
        inside = ["nsenter", "--net", "--target", str(self._inner_pid()), str(self.python), "-c", _DRIVER]
        done = subprocess.run([*inside, str(exit_code)], env=self._env(), capture_output=True, text=True, timeout=90)
        assert done.returncode == exit_code, done.stderr[-2000:]

    def wait(self, submission_id: str, *states: str, within: float = 90.0) -> dict[str, Any]:
        """The job once it is in one of these states."""
        deadline = time.monotonic() + within
        while True:
            job: dict[str, Any] = self.get(f"/api/jobs/{submission_id}")
            if job["status"] in states:
                return job
            assert time.monotonic() < deadline, f"{submission_id} is {job['status']}: {job['message']}"
            time.sleep(0.3)

    def client_says(self) -> list[dict[str, Any]]:
        """All jobs, by Ray's own `JobSubmissionClient`."""
        port = self.url.rpartition(":")[2]
        command = [str(self.python), "-c", _CLIENT % port]
        done = subprocess.run(command, env=self._env(), capture_output=True, text=True, timeout=90)
        assert done.returncode == 0, done.stderr[-2000:]
        jobs: list[dict[str, Any]] = json.loads(done.stdout)
        return jobs

    def _inner_pid(self) -> int:
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return int(children.split()[0])

    def _env(self) -> dict[str, str]:
        return _environ(self.folder, self.token, self.python)


def start_ray(port: int | None = None, **environ: str) -> RayServer:
    """Start a cluster and wait until it takes jobs. `environ` is added to its own environment.

    Raises `Unavailable` where no Ray or no namespace can be had, `AssertionError` with its log if it does not start.
    """
    python, outer = environment(), port or free_port()
    token = secrets.token_hex(24)
    folder = Path(tempfile.mkdtemp(prefix="ray-"))  # its sockets' paths must be short
    options = [f"--{name}={value}" for name, value in _PORTS.items()]
    command = [
        *(sys.executable, "-IS", netns_relay.__file__, str(outer), str(_DASHBOARD)),
        *(str(python), "-c", "from ray.scripts.scripts import main; main()", "start", "--head", "--block"),
        *("--node-ip-address=127.0.0.1", "--dashboard-host=127.0.0.1", f"--num-cpus={CPUS}", "--num-gpus=0"),
        *("--disable-usage-stats", "--include-log-monitor=false", f"--temp-dir={folder / 't'}", *options),
        "--object-store-memory=80000000",
    ]
    log = folder / "ray.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            command,
            stdout=out,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env={**_environ(folder, token, python), **environ},
            start_new_session=True,
        )
    server = RayServer(f"http://127.0.0.1:{outer}", token, folder, python, process)
    deadline = time.monotonic() + READY_WITHIN
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(requests.ConnectionError, requests.Timeout):
            answer = server.session.get(f"{server.url}/api/jobs/", timeout=5)
            if answer.status_code == 200:
                return server
        time.sleep(0.2)
    text, code = log.read_text(errors="replace")[-3000:], process.poll()
    server.stop()
    if code == netns_relay.NO_NAMESPACE:
        raise debian.Unavailable(f"Ray needs a network namespace of its own: {text.strip()}")
    raise AssertionError(f"Ray did not get ready within {READY_WITHIN:.0f} s:\n{text}")


def _environ(folder: Path, token: str, python: Path) -> dict[str, str]:
    """Nothing of our own environment but what every program needs."""
    return {
        "PATH": f"{python.parent}:/usr/local/bin:/usr/bin:/bin",
        "HOME": str(folder),
        "LANG": "C.UTF-8",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": token,
        "RAY_TEST_FOLDER": str(folder),
    }
