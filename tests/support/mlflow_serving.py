"""A real `mlflow models serve` of a local folder; no import of mlflow, which takes 4 s."""

from __future__ import annotations

import json
import os
import re
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml
from tests.support.programs import Process, free_port, start
from tests.support.served import ended
from tests.support.served_models.control import Control

READY_WITHIN = 180.0
"""Seconds; it imports MLflow twice."""
_TENSOR = [{"type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [-1, 2]}}]


@dataclass
class MlflowServing:
    """A running server of one model: `inputs` of [n, 2] numbers to `predictions` of [n, 1]. It has no metrics."""

    url: str
    control: Control
    process: Process

    def logged(self) -> Counter[tuple[str, int]]:
        """(path, status) → requests, by its access log."""
        lines = re.findall(r'"[A-Z]+ (/\S*) HTTP/1\.1" (\d+)', self.process.log.read_text(encoding="utf-8"))
        return Counter((path, int(status)) for path, status in lines)


@contextmanager
def mlflow_serving(folder: Path) -> Iterator[MlflowServing]:
    """A server on 127.0.0.1 until the end of the block. Raises `NotReadyError`.

    It listens only once its model is loaded: up and not ready is a state that it does not have.
    """
    control = Control.within(folder)
    _write_model(folder / "model")
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    process = start(
        "mlflow-serve",
        [
            *(sys.executable, "-m", "mlflow", "models", "serve", "--env-manager", "local"),
            *("--model-uri", folder / "model", "--host", "127.0.0.1", "--port", str(port)),
        ],
        log=folder / "mlflow-serve.log",
        cwd=folder,
        env={
            **control.environment,
            # It calls `uvicorn` by its name.
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "MLFLOW_DISABLE_TELEMETRY": "true",
        },
        ready_url=f"{url}/ping",
        timeout=READY_WITHIN,
        grace=3.0,
    )
    with ended(control, process):
        yield MlflowServing(url, control, process)


def _write_model(folder: Path) -> None:
    """What `mlflow.pyfunc.save_model` writes for a loader module, as far as it is read again."""
    model = {
        "flavors": {"python_function": {"loader_module": "mlflow_loader", "env": {}}},
        "signature": {"inputs": json.dumps(_TENSOR), "outputs": json.dumps(_TENSOR)},
    }
    folder.mkdir()
    (folder / "MLmodel").write_text(yaml.safe_dump(model), encoding="utf-8")
