"""What tests ask a real server of the Open Inference Protocol by themselves, past our probe."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import requests
from tests.support.programs import Process, wait_until
from tests.support.served_models.control import Control

MODEL = "sums"
REQUEST = {"inputs": [{"name": "x", "shape": [2, 2], "datatype": "FP32", "data": [1, 2, 3, 4]}]}
"""Answered with `y` FP32 [2, 1], 3 and 7."""


class Server(Protocol):
    """A running server with one model: `x` FP32 [n, 2] to `y` FP32 [n, 1]."""

    url: str
    control: Control
    process: Process

    def load(self) -> None: ...

    def unload(self) -> None: ...

    def release(self, version: str) -> None:
        """Serve the same model as this version instead."""

    def metrics(self) -> str:
        """What it says of itself, as Prometheus would read it."""


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
