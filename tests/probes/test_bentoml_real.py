"""A real BentoML, and what our probe says of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from tests.support.bentoml_server import BentomlServer, bentoml_server
from tests.support.debian import Unavailable

pytestmark = pytest.mark.servers


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BentomlServer]:
    try:
        with bentoml_server(tmp_path_factory.mktemp("bentoml")) as server:
            yield server
    except Unavailable as reason:
        pytest.skip(str(reason))


def ask(server: BentomlServer, api: str = "predict", timeout: float = 10) -> requests.Response:
    return requests.post(f"{server.url}/{api}", json={"x": [[1, 2], [3, 4]]}, timeout=timeout)


def test_the_model_obeys(server: BentomlServer) -> None:
    answers: dict[str, Any] = {}
    for mode in ("ok", "wrong_value", "wrong_shape"):
        server.control.set(mode)
        answers[mode] = ask(server).json()
    assert answers == {
        "ok": [[3.0], [7.0]],
        "wrong_value": [[103.0], [107.0]],
        "wrong_shape": [[3.0, 3.0], [7.0, 7.0]],
    }
    server.control.set("error")
    assert ask(server).status_code == 500
    server.control.set("hang")
    with pytest.raises(requests.Timeout):
        ask(server, timeout=0.5)
    server.control.set("not_ready")
    assert requests.get(f"{server.url}/readyz", timeout=10).status_code == 503
    assert requests.get(f"{server.url}/livez", timeout=10).status_code == 200
    server.control.set("ok")
    assert requests.get(f"{server.url}/readyz", timeout=10).status_code == 200
    assert ask(server, "nope").status_code == 404
    print([line for line in server.metrics().splitlines() if line.startswith("bentoml_service_request_total")])
