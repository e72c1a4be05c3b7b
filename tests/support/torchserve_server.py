"""A real TorchServe that serves the model of served_models/sums.py: its Java frontend and its own Python worker.

Torch itself is left out: the model needs none, and the worker only asks whether an output is one of its tensors.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests
from tests.support import debian, environments, served
from tests.support.programs import Process, free_port, start, wait_until
from tests.support.served_models.control import FOLDER, Control

VERSION = "0.12.0"
MODEL, MODEL_VERSION = "sums", "1.0"
READY_WITHIN = 120.0
"""Seconds."""
_START = "from ts.model_server import start; start()"
_MANIFEST = {
    "runtime": "python",
    "model": {"modelName": MODEL, "modelVersion": MODEL_VERSION, "handler": "torchserve_handler.py"},
    "archiverVersion": VERSION,
}


def python() -> Path:
    """The Python that has TorchServe. Raises `debian.Unavailable`."""
    if not shutil.which("java"):
        raise debian.Unavailable("TorchServe needs Java")
    return environments.python(f"torchserve-{VERSION}", f"torchserve=={VERSION}", "packaging", "psutil", "pyyaml")


@dataclass(frozen=True)
class TorchServer:
    """A running server with one model: `POST /predictions/sums`, `{"x": [[1, 2]]}` → `[[3.0]]`."""

    url: str
    management_url: str
    metrics_url: str
    control: Control
    process: Process

    def scale(self, workers: int) -> None:
        """Let the model have so many workers; none: it is there, and cannot predict."""
        query = f"min_worker={workers}&max_worker={workers}&synchronous=true"
        requests.put(f"{self.management_url}/models/{MODEL}?{query}", timeout=60).raise_for_status()

    def metrics(self) -> str:
        """What it says of itself, as Prometheus would read it."""
        return served.metrics(self.metrics_url)


@contextmanager
def torchserve(folder: Path) -> Iterator[TorchServer]:
    """A server on 127.0.0.1 until the end of the block. Raises `debian.Unavailable`, `NotReadyError`."""
    program, control = python(), Control.within(folder)
    http, management, metrics = (f"http://127.0.0.1:{free_port()}" for _ in range(3))
    _configure(folder, inference_address=http, management_address=management, metrics_address=metrics)
    (folder / "packages").mkdir()
    (folder / "packages/torch.py").write_text("class Tensor: ...\n", encoding="utf-8")
    short = tempfile.mkdtemp(prefix="ts-")  # its sockets' paths must be short, and are the same for all servers
    process = start(
        "torchserve",
        [program, "-c", _START, "--start", "--foreground", "--ts-config", folder / "config.properties"],
        log=folder / "torchserve.log",
        cwd=folder,
        env={
            **control.environment,
            "PYTHONPATH": os.pathsep.join(map(str, (FOLDER, folder / "packages"))),
            "PATH": f"{program.parent}:/usr/local/bin:/usr/bin:/bin",
            "HOME": str(folder),
            "TS_DISABLE_TOKEN_AUTHORIZATION": "true",
            "TEMP": short,
            "LOG_LOCATION": str(folder / "logs"),
            "METRICS_LOCATION": str(folder / "logs"),
        },
        grace=2.0,
    )
    server = TorchServer(http, management, f"{metrics}/metrics", control, process)
    try:
        wait_until(lambda: _predicts(server), READY_WITHIN, "the model answers", watch=[process])
        yield server
    finally:
        process.stop()
        shutil.rmtree(short, ignore_errors=True)


def _configure(folder: Path, **addresses: str) -> None:
    settings = {
        **addresses,
        "grpc_inference_port": free_port(),
        "grpc_management_port": free_port(),
        "model_store": folder / "store",
        "load_models": f"{MODEL}.mar",
        "default_workers_per_model": 1,
        "metrics_mode": "prometheus",
        "disable_token_authorization": "true",
    }
    lines = "".join(f"{key}={value}\n" for key, value in settings.items())
    (folder / "config.properties").write_text(lines, encoding="utf-8")
    (folder / "store").mkdir()
    with zipfile.ZipFile(folder / "store" / f"{MODEL}.mar", "w") as archive:
        archive.write(FOLDER / "torchserve_handler.py", "torchserve_handler.py")
        archive.writestr("MAR-INF/MANIFEST.json", json.dumps(_MANIFEST))


def _predicts(server: TorchServer) -> bool:
    try:
        answer = requests.post(f"{server.url}/predictions/{MODEL}", json={"x": [[0, 0]]}, timeout=2)
    except (requests.ConnectionError, requests.Timeout):
        return False
    return answer.status_code == 200
