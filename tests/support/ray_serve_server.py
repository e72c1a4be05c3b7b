"""A real Ray Serve with the model of served_models/sums.py, in a network namespace of its own: Ray listens everywhere.

Without Ray's dashboard. Its own metrics are read from within the namespace.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests
from tests.support import debian, marked, netns_relay, ray_server
from tests.support.programs import NotReadyError, Process, free_port, get, start, wait_until
from tests.support.served_models.control import FOLDER, Control

READY_WITHIN = 120.0
"""Seconds."""
ROUTE = "/sums"
_HTTP, _METRICS = 8000, 20_004
_MARK = "RAY_SERVE_TEST_FOLDER"
_READ = "import sys, urllib.request; sys.stdout.buffer.write(urllib.request.urlopen(sys.argv[1], timeout=10).read())"


@dataclass(frozen=True)
class RayServeServer:
    """A running cluster of one node and one application: `POST /sums`, `{"x": [[1, 2]]}` → `[[3.0]]`.

    Told `not_ready`, it serves no application: before its first one `/-/healthz` answers 503, later 200 all the same.
    """

    url: str
    control: Control
    process: Process

    def routes(self) -> bytes:
        """`/-/routes`; nothing while it does not answer 200."""
        return get(f"{self.url}/-/routes") or b""

    def deploy(self) -> None:
        """Serve the application, and wait until it answers."""
        self.control.set("ok")
        wait_until(lambda: _answers(self.url), READY_WITHIN, f"{ROUTE} answers", watch=[self.process])

    def undeploy(self) -> None:
        """Stop serving it, and wait until its route is gone."""
        self.control.set("not_ready")
        wait_until(lambda: ROUTE.encode() not in self.routes(), READY_WITHIN, f"{ROUTE} is gone", watch=[self.process])

    def metrics(self) -> str:
        """What it says of itself, as Prometheus would read it; up to a second old."""
        inside = ["nsenter", "--net", "--target", str(self._pid_inside()), sys.executable, "-IS", "-c", _READ]
        done = subprocess.run(
            [*inside, f"http://127.0.0.1:{_METRICS}/metrics"], capture_output=True, text=True, timeout=30
        )
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout

    def _pid_inside(self) -> int:
        """Of the relay: it is the leash's only child."""
        return int(Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()[0])


@contextmanager
def ray_serve(folder: Path, *, deployed: bool = True) -> Iterator[RayServeServer]:
    """A cluster until the end of the block, reached at 127.0.0.1.

    `deployed`: begin once the application answers, else as soon as the server does, with no application.
    Raises `debian.Unavailable` where no Ray or no namespace can be had, `NotReadyError` with its log.
    """
    program, outer, control = ray_server.environment(), free_port(), Control.within(folder)
    if not deployed:
        control.set("not_ready")
    short = Path(tempfile.mkdtemp(prefix="ray-"))  # its sockets' paths must be short
    command: list[str | Path] = [
        *(sys.executable, "-IS", netns_relay.__file__, str(outer), str(_HTTP)),
        *(program, FOLDER / "ray_application.py", short, str(_HTTP), str(_METRICS)),
    ]
    environment = {
        **control.environment,
        "HOME": str(short),
        "PYTHONDONTWRITEBYTECODE": "1",
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_metrics_report_interval_ms": "500",
        _MARK: str(folder),
    }
    process = start("ray-serve", command, log=folder / "ray-serve.log", cwd=folder, env=environment, grace=2.0)
    server = RayServeServer(f"http://127.0.0.1:{outer}", control, process)
    try:
        _wait(server, deployed)
        yield server
    finally:
        process.stop()
        marked.kill(f"{_MARK}={folder}")  # Ray's own are in sessions of their own
        shutil.rmtree(short, ignore_errors=True)


def _wait(server: RayServeServer, deployed: bool) -> None:
    """Until it answers at all, or until its application does."""
    try:
        if deployed:
            server.deploy()
        else:
            wait_until(lambda: _listens(server.url), READY_WITHIN, "its proxy answers", watch=[server.process])
    except NotReadyError as reason:
        if server.process.exit_code == netns_relay.NO_NAMESPACE:
            raise debian.Unavailable(f"Ray needs a network namespace of its own: {reason}") from None
        raise


def _answers(url: str) -> bool:
    """Its route is listed before it does: the first request waits for the replica."""
    try:
        return requests.post(f"{url}{ROUTE}", json={"x": [[0, 0]]}, timeout=10).status_code == 200
    except requests.RequestException:
        return False


def _listens(url: str) -> bool:
    """The relay takes every connection: only an answer counts, of whatever status."""
    try:
        return requests.get(f"{url}/-/healthz", timeout=2).status_code > 0
    except requests.RequestException:
        return False
