"""What tests ask a real server of the Open Inference Protocol by themselves, past our probe."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import requests
from tests.support import served
from tests.support.programs import Process, wait_until
from tests.support.served_models.control import Control

MODEL = "sums"
REQUEST = {"inputs": [{"name": "x", "shape": [2, 2], "datatype": "FP32", "data": [1, 2, 3, 4]}]}
"""Answered with `y` FP32 [2, 1], 3 and 7."""


@dataclass
class Server(ABC):
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
        self.describe(version)
        self.load()

    @abstractmethod
    def describe(self, version: str) -> None:
        """Have the server find the model as this version when it loads it."""

    def metrics(self) -> str:
        """What it says of itself, as Prometheus would read it."""
        return served.metrics(self.metrics_url)

    def wait_until_ready(self, within: float) -> None:
        """Raises `NotReadyError` where the model is not ready within so many seconds."""
        ready = f"{self.url}/v2/models/{MODEL}/ready"
        wait_until(lambda: served.answers(ready), within, f"{ready} answers", watch=[self.process])

    def _repository(self, verb: str) -> None:
        requests.post(f"{self.url}/v2/repository/models/{MODEL}/{verb}", json={}, timeout=60).raise_for_status()


def ask(server: Server, path: str = MODEL, body: Any = REQUEST, timeout: float = 10) -> requests.Response:
    """A prediction. `path`: the model, or `model/versions/version`."""
    return requests.post(f"{server.url}/v2/models/{path}/infer", json=body, timeout=timeout)


def ready(server: Server, path: str = MODEL) -> int:
    """The status with which it says whether a model is ready."""
    return requests.get(f"{server.url}/v2/models/{path}/ready", timeout=10).status_code


def state(server: Server, timeout: float = 10) -> str:
    """Of the model, by the index of the server's repository."""
    listed = requests.post(f"{server.url}/v2/repository/index", json={}, timeout=timeout).json()
    states: list[str] = [model["state"] for model in listed if model["name"] == MODEL]
    return states[0]


def obeys(server: Server) -> None:
    """The model does as it is told."""
    found = {}
    for mode in ("ok", "wrong_value", "wrong_shape"):
        server.control.set(mode)
        output = ask(server).json()["outputs"][0]
        found[mode] = (output["shape"], output["data"])
    assert found == {
        "ok": ([2, 1], [3.0, 7.0]),
        "wrong_value": ([2, 1], [103.0, 107.0]),
        "wrong_shape": ([2, 2], [3.0, 3.0, 7.0, 7.0]),
    }


@contextmanager
def being_loaded(server: Server) -> Iterator[None]:
    """The model is there and not ready within the block, and ready after it."""
    server.unload()  # else the old one may answer until the new one is loaded
    wait_until(lambda: state(server) == "UNAVAILABLE", 10, "the model is unloaded")
    server.control.set("not_ready")
    loading = threading.Thread(target=server.load)
    loading.start()
    try:
        wait_until(lambda: _loads(server), 10, "the model is being loaded")
        yield
    finally:
        server.control.set("ok")
        loading.join()


def _loads(server: Server) -> bool:
    try:
        # LOADING as Triton says, UNKNOWN as MLServer does.
        return state(server, timeout=0.5) in ("LOADING", "UNKNOWN")
    except requests.Timeout:
        return False  # a connection of the moment when the load began: Triton answers it when that has ended
