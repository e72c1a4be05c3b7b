"""A real Ray Serve, and what our probe says of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import requests
from tests.support.debian import Unavailable
from tests.support.ray_serve_server import ROUTE, RayServeServer, ray_serve

pytestmark = pytest.mark.servers


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RayServeServer]:
    try:
        with ray_serve(tmp_path_factory.mktemp("ray-serve"), deployed=False) as server:
            yield server
    except Unavailable as reason:
        pytest.skip(str(reason))


def ask(server: RayServeServer, route: str = ROUTE, timeout: float = 10) -> requests.Response:
    return requests.post(f"{server.url}{route}", json={"x": [[1, 2], [3, 4]]}, timeout=timeout)


def test_the_model_obeys(server: RayServeServer) -> None:
    assert requests.get(f"{server.url}/-/healthz", timeout=10).status_code == 503
    server.deploy()
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
    assert ask(server, "/nope").status_code == 404
    server.undeploy()
    assert ask(server).status_code == 404
    assert requests.get(f"{server.url}/-/healthz", timeout=10).status_code == 200
    import time; time.sleep(1)
    print([line for line in server.metrics().splitlines() if line.startswith("ray_serve_num_http_requests_total")])
