"""A real MLflow on SQLite, told what to hold over REST; no import of mlflow, which takes 4 s."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import requests

from ml_exporter.errors import Malformed
from ml_exporter.ports import Call, Reply

READY_WITHIN = 180.0


@dataclass
class MlflowServer:
    """A running server; `stop` ends its whole process group."""

    url: str
    process: subprocess.Popen[bytes]
    session: requests.Session = field(default_factory=requests.Session)

    def stop(self) -> None:
        self.session.close()
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(10)
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)  # workers that outlive the parent
        self.process.wait()

    def post(self, path: str, workspace: str = "", api: str = "2.0", **body: Any) -> dict[str, Any]:
        return self._send("POST", path, workspace, api, json=body)

    def get(self, path: str, workspace: str = "", **params: str) -> dict[str, Any]:
        return self._send("GET", path, workspace, "2.0", params=params)

    def delete(self, path: str, **body: Any) -> dict[str, Any]:
        return self._send("DELETE", path, "", "2.0", json=body)

    def _send(self, method: str, path: str, workspace: str, api: str, **what: Any) -> dict[str, Any]:
        headers = {"X-MLFLOW-WORKSPACE": workspace} if workspace else {}
        url = f"{self.url}/api/{api}/mlflow/{path}"
        answer = self.session.request(method, url, headers=headers, timeout=30, **what)
        assert answer.status_code in (200, 201), f"{method} {path}: {answer.status_code} {answer.text[:500]}"
        reply: dict[str, Any] = answer.json()
        return reply

    # What tests tell it

    def experiment(self, name: str, workspace: str = "") -> str:
        id_: str = self.post("experiments/create", workspace, name=name)["experiment_id"]
        return id_

    def run(
        self,
        experiment_id: str,
        status: str = "RUNNING",
        *,
        start: float | None = None,
        end: float | None = None,
        tags: dict[str, str] | None = None,
        workspace: str = "",
    ) -> str:
        """Start a run and, unless it is RUNNING, give it its status. Times in seconds."""
        start = time.time() if start is None else start
        listed = [{"key": key, "value": value} for key, value in (tags or {}).items()]
        reply = self.post(
            "runs/create", workspace, experiment_id=experiment_id, start_time=int(start * 1000), tags=listed
        )
        run_id: str = reply["run"]["info"]["run_id"]
        if status != "RUNNING":
            self.update(run_id, status, end=end, workspace=workspace)
        return run_id

    def update(self, run_id: str, status: str, *, end: float | None = None, workspace: str = "") -> None:
        times: dict[str, Any] = {} if end is None else {"end_time": int(end * 1000)}
        self.post("runs/update", workspace, run_id=run_id, status=status, **times)

    def metric(self, run_id: str, key: str, value: float | str, **more: Any) -> None:
        now = int(time.time() * 1000)
        self.post("runs/log-metric", run_id=run_id, key=key, value=value, timestamp=now, **more)


def start_mlflow(tmp_path: Path, port: int, *, workspaces: bool = False) -> MlflowServer:
    """Start `mlflow server` on 127.0.0.1 and wait until it answers. Raises `AssertionError` with its log."""
    tmp_path.mkdir(parents=True, exist_ok=True)
    log = tmp_path / "mlflow.log"
    command = [
        *(sys.executable, "-m", "mlflow", "server", "--workers", "1", "--host", "127.0.0.1", "--port", str(port)),
        *("--backend-store-uri", f"sqlite:///{tmp_path / 'mlflow.db'}"),
        *("--default-artifact-root", str(tmp_path / "artifacts")),
        *(["--enable-workspaces"] if workspaces else []),
    ]
    environment = {
        **os.environ,
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, stdout=out, stderr=subprocess.STDOUT, cwd=tmp_path, env=environment, start_new_session=True
        )
    server = MlflowServer(f"http://127.0.0.1:{port}", process)
    deadline = time.monotonic() + READY_WITHIN
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(requests.ConnectionError, requests.Timeout):
            if server.session.get(f"{server.url}/health", timeout=2).status_code == 200:
                return server
        time.sleep(0.2)
    server.stop()
    raise AssertionError(f"mlflow did not get ready within {READY_WITHIN:.0f} s:\n{log.read_text()[-3000:]}")


@dataclass
class Driver:
    """Sends calls one after the other; counts them and their bytes."""

    server: MlflowServer
    calls: list[tuple[Call, int]] = field(default_factory=list)

    def __call__(self, call: Call) -> Reply:
        json_type = {} if call.body is None else {"Content-Type": "application/json"}
        answer = self.server.session.request(
            call.method,
            self.server.url + call.path,
            params=dict(call.params),
            headers={**json_type, **call.headers},
            data=None if call.body is None else msgspec.json.encode(call.body),
            timeout=30,
        )
        self.calls.append((call, len(answer.content)))
        assert answer.status_code in call.accept, f"{call.path}: {answer.status_code} {answer.text[:500]} {call.body}"
        if answer.status_code != 200:
            return Reply(answer.status_code, dict(answer.headers), answer.content)
        try:
            value = msgspec.json.decode(answer.content, type=call.reply)
        except msgspec.ValidationError as error:
            raise Malformed(f"{call.path}: {error}") from error
        return Reply(200, dict(answer.headers), value)
