"""A real BentoML that serves the model of served_models/sums.py, in Python packages of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support import environments, marked, served
from tests.support.programs import Process, free_port, start
from tests.support.served_models.control import FOLDER, Control

VERSION = "1.4.39"
READY_WITHIN = 120.0
"""Seconds."""
_MARK = "BENTOML_TEST_FOLDER"


def python() -> Path:
    """The Python that has BentoML. Raises `debian.Unavailable`."""
    return environments.python(f"bentoml-{VERSION}", f"bentoml=={VERSION}")


@dataclass(frozen=True)
class BentomlServer:
    """A running server of one API: `POST /predict`, `{"x": [[1, 2]]}` → `[[3.0]]`.

    Told `not_ready`, its `/readyz` answers 503.
    """

    url: str
    control: Control
    process: Process

    @property
    def metrics_url(self) -> str:
        return f"{self.url}/metrics"

    def metrics(self) -> str:
        """What it says of itself, as Prometheus would read it."""
        return served.metrics(self.metrics_url)


@contextmanager
def bentoml_server(folder: Path) -> Iterator[BentomlServer]:
    """A server on 127.0.0.1 until the end of the block. Raises `debian.Unavailable`, `NotReadyError`."""
    control, port = Control.within(folder), free_port()
    url = f"http://127.0.0.1:{port}"
    command: list[str | Path] = [
        *(python(), "-m", "bentoml", "serve", "bentoml_service:Sums", "--working-dir", FOLDER),
        *("--host", "127.0.0.1", "--port", str(port)),
    ]
    environment = {
        **control.environment,
        "HOME": str(folder),
        "PYTHONDONTWRITEBYTECODE": "1",
        "BENTOML_DO_NOT_TRACK": "True",
        _MARK: str(folder),
    }
    try:
        process = start(
            "bentoml",
            command,
            log=folder / "bentoml.log",
            cwd=folder,
            env=environment,
            ready_url=f"{url}/readyz",
            timeout=READY_WITHIN,
            grace=3.0,
        )
        with served.ended(control, process):
            yield BentomlServer(url, control, process)
    finally:
        marked.kill(f"{_MARK}={folder}")  # its workers are in sessions of their own
