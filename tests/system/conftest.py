"""Real servers, started once for all tests of this folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.exporter import Exporter
from tests.support.mlflow_server import MlflowServer, start_mlflow
from tests.support.proxy import Proxy

from ml_exporter.demo.processes import free_port


@pytest.fixture(scope="session")
def mlflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    server = start_mlflow(tmp_path_factory.mktemp("mlflow"), free_port())
    yield server
    server.stop()


@pytest.fixture
def proxy(mlflow: MlflowServer) -> Iterator[Proxy]:
    with Proxy(mlflow.url) as between:
        yield between


@pytest.fixture
def exporter(tmp_path: Path) -> Iterator[Callable[..., Exporter]]:
    made: list[Exporter] = []

    def build(url: str, **source: Any) -> Exporter:
        """An exporter of one MLflow, polled every second; not started yet."""
        settings = {"name": "mlflow", "kind": "mlflow", "url": url, "interval": "1s", "timeout": "2s", **source}
        made.append(Exporter(tmp_path / f"exporter-{len(made)}", sources=[settings]))
        return made[-1]

    yield build
    for one in made:
        one.stop()
