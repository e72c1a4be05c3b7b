"""A real MLServer with a model of its own runtime, in Python packages of its own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests
from tests.support import environments
from tests.support.open_inference import MODEL
from tests.support.programs import Process, free_port, start, wait_until
from tests.support.served_models.control import Control

VERSION = "1.7.1"
MODEL_VERSION = "v1"
READY_WITHIN = 120.0
"""Seconds."""


def python() -> Path:
    """The Python that has MLServer. Raises `debian.Unavailable`."""
    return environments.python(f"mlserver-{VERSION}", f"mlserver=={VERSION}")


@dataclass
class MlserverServer:
    """A running server with one model: `x` FP32 [n, 2] to `y` FP32 [n, 1]."""

    url: str
    metrics_url: str
    control: Control
    process: Process

    def load(self) -> None:
        self._repository("load")

    def unload(self) -> None:
        self._repository("unload")

    def release(self, version: str) -> None:
        """Serve the same model as this version instead."""
        _describe_model(self.control.file.parent, version)
        self.load()

    def metrics(self) -> str:
        """What it says of itself, as Prometheus would read it."""
        answer = requests.get(self.metrics_url, timeout=10)
        answer.raise_for_status()
        return answer.text

    def _repository(self, verb: str) -> None:
        requests.post(f"{self.url}/v2/repository/models/{MODEL}/{verb}", timeout=30).raise_for_status()


@contextmanager
def mlserver(folder: Path) -> Iterator[MlserverServer]:
    """A server on 127.0.0.1 until the end of the block, its model ready.

    Raises `debian.Unavailable`, `NotReadyError`.
    """
    control = Control.within(folder)
    http, grpc, metrics = free_port(), free_port(), free_port()
    _configure(folder, http=http, grpc=grpc, metrics=metrics)
    process = start(
        "mlserver",
        [python(), "-c", "from mlserver.cli import main; main()", "start", folder],
        log=folder / "mlserver.log",
        cwd=folder,
        env={**control.environment, "HOME": str(folder)},
        grace=2.0,
    )
    url = f"http://127.0.0.1:{http}"
    try:
        ready = f"{url}/v2/models/{MODEL}/ready"
        wait_until(lambda: _ok(ready), READY_WITHIN, f"{ready} answers", watch=[process])
        yield MlserverServer(url, f"http://127.0.0.1:{metrics}/metrics", control, process)
    finally:
        control.set("ok")  # wakes what hangs, so that it ends by itself
        process.stop()


def _configure(folder: Path, **ports: int) -> None:
    settings = {
        "host": "127.0.0.1",
        **{f"{name}_port": port for name, port in ports.items()},
        "parallel_workers": 0,  # with more, its workers may crash in a loop
        "debug": False,  # else a failure answers with its whole traceback
        "metrics_dir": str(folder / "metrics"),
    }
    (folder / "metrics").mkdir()
    (folder / MODEL).mkdir()
    (folder / "settings.json").write_text(json.dumps(settings), encoding="utf-8")
    _describe_model(folder, MODEL_VERSION)


def _describe_model(folder: Path, version: str) -> None:
    model = {"name": MODEL, "implementation": "mlserver_runtime.Sums", "parameters": {"version": version}}
    (folder / MODEL / "model-settings.json").write_text(json.dumps(model), encoding="utf-8")


def _ok(url: str) -> bool:
    try:
        return requests.get(url, timeout=2).status_code == 200
    except requests.ConnectionError:
        return False
