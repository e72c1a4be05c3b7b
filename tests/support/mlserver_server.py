"""A real MLServer with a model of its own runtime, in Python packages of its own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support import environments
from tests.support.open_inference import MODEL, Server
from tests.support.programs import free_port, start
from tests.support.served import ended
from tests.support.served_models.control import Control

VERSION = "1.7.1"
MODEL_VERSION = "v1"
READY_WITHIN = 120.0
"""Seconds."""


def python() -> Path:
    """The Python that has MLServer. Raises `debian.Unavailable`."""
    return environments.python(f"mlserver-{VERSION}", f"mlserver=={VERSION}")


class MlserverServer(Server):
    """A running MLServer."""

    def describe(self, version: str) -> None:
        """As `Server` says."""
        _describe_model(self.control.file.parent, version)


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
    with ended(control, process):
        server = MlserverServer(f"http://127.0.0.1:{http}", f"http://127.0.0.1:{metrics}/metrics", control, process)
        server.wait_until_ready(READY_WITHIN)
        yield server


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
