"""The demo's model server, with a real registry and models that the demo's pipelines trained."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from tests.support.mlflow_server import MlflowServer, start_mlflow
from tests.support.probing import Probing
from tests.support.programs import Process, free_port, start, wait_until

from ml_exporter.demo.pipelines.trainings import REGISTERED_EVERY
from ml_exporter.model import Outcome

pytestmark = pytest.mark.system

ROW = [[-0.0455, -0.0446, -0.073, -0.0814, 0.0837, 0.0278, 0.1738, -0.0395, -0.0042, 0.0031]]
REQUEST = {"inputs": ROW}


@pytest.fixture(scope="module")
def mlflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    server = start_mlflow(tmp_path_factory.mktemp("mlflow"), free_port())
    yield server
    server.stop()


class Serving:
    """The serving part of the demo, following the champion of `demand`."""

    def __init__(self, folder: Path, tracking_uri: str) -> None:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        arguments = ["--tracking-uri", tracking_uri, "--model", "demand", "--port", str(port)]
        module = [sys.executable, "-m", "ml_exporter.demo.serving"]
        self.process: Process = start("serving", [*module, *arguments], log=folder / "serving.log", cwd=folder)

    def status(self, path: str = "/ping") -> int:
        """0 while nobody listens."""
        try:
            return requests.get(self.url + path, timeout=10).status_code
        except requests.ConnectionError:
            return 0

    def said(self, text: str) -> bool:
        return text in self.process.log.read_text()


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory, mlflow: MlflowServer) -> Iterator[Serving]:
    serving = Serving(tmp_path_factory.mktemp("serving"), mlflow.url)
    yield serving
    serving.process.stop()


def train(mlflow: MlflowServer, rounds: int) -> None:
    """So many rounds of the demo's pipelines, at once."""
    module = [sys.executable, "-m", "ml_exporter.demo.pipelines", "--cycle", "0"]
    subprocess.run([*module, "--tracking-uri", mlflow.url, "--rounds", str(rounds)], check=True, timeout=240)


class Client(threading.Thread):
    """Asks for predictions, one after the other, until it is told to stop."""

    def __init__(self, serving: Serving) -> None:
        super().__init__()
        self._serving, self._stop_asking = serving, threading.Event()
        self.answers: list[tuple[int, Any]] = []

    def run(self) -> None:
        with requests.Session() as session:
            while not self._stop_asking.wait(0.02):
                answer = session.post(f"{self._serving.url}/invocations", json=REQUEST, timeout=10)
                self.answers.append((answer.status_code, answer.text))

    def stop(self) -> None:
        self._stop_asking.set()
        self.join()


def test_without_a_champion_it_is_not_ready_and_says_so(mlflow: MlflowServer, serving: Serving) -> None:
    wait_until(lambda: serving.said("demand@champion: "), 120, "it has looked for a champion", watch=[serving.process])
    assert [serving.status(path) for path in ("/ping", "/health", "/invocations")] == [503, 503, 503]
    with Probing({"name": "demand", "protocol": "mlflow_scoring", "url": serving.url}) as probing:
        assert probing.probe().outcome is Outcome.HTTP_ERROR


def test_the_champion_is_served_and_the_next_one_takes_over_without_a_request_lost(
    mlflow: MlflowServer, serving: Serving
) -> None:
    train(mlflow, 1)
    wait_until(lambda: serving.status() == 200, 120, "the first champion is served", watch=[serving.process])
    assert serving.said("serves demand 1\n")
    canary = {"request": REQUEST, "expect": [{"shape": [1], "datatype": "number", "min": 25, "max": 346}]}
    with Probing({"name": "demand", "protocol": "mlflow_scoring", "url": serving.url, "canary": canary}) as probing:
        result = probing.probe()
    assert (result.outcome, result.finding.version) == (Outcome.OK, None)
    client = Client(serving)
    client.start()
    try:
        train(mlflow, REGISTERED_EVERY)
        wait_until(lambda: serving.said("serves demand 2\n"), 60, "the next one is served", watch=[serving.process])
        answered = len(client.answers)
        wait_until(lambda: len(client.answers) > answered + 5, 30, "more has been answered")
    finally:
        client.stop()
    assert {status for status, _ in client.answers} == {200}
    assert len({body for _, body in client.answers}) == 2, "each version predicts something else"
    assert client.answers[0][1] != client.answers[-1][1]


def test_sigterm_ends_it_at_once_even_while_it_waits_for_a_registry(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        serving = Serving(tmp_path, f"http://127.0.0.1:{silent.getsockname()[1]}")
        try:
            wait_until(lambda: serving.status() == 503, 60, "it listens", watch=[serving.process])
            serving.process.terminate()
            wait_until(lambda: serving.process.exit_code is not None, 5, "it has ended")
        finally:
            serving.process.stop()
    assert serving.process.exit_code in (0, 128 + signal.SIGTERM)
