"""From a link in a dashboard, by way of the exporter, to a page of a real MLflow."""

from __future__ import annotations

import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest
from tests.support.exporter import Exporter
from tests.support.mlflow_server import MlflowServer

pytestmark = pytest.mark.system

NAME = "ways-out/fraud score"


class _Staying(urllib.request.HTTPRedirectHandler):
    """Follows nothing."""

    def redirect_request(self, *arguments: Any) -> None:
        return None


def led(exporter: Exporter, *parts: str) -> tuple[int, str | None]:
    """The status of /go/…, and where it leads."""
    path = "/".join(urllib.parse.quote(part, safe="") for part in parts)
    try:
        with urllib.request.build_opener(_Staying).open(f"{exporter.url}/go/{path}", timeout=10) as answer:
            return answer.status, None
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers["Location"]


def test_links_lead_to_the_experiment_and_its_last_failed_run_where_a_browser_finds_them(
    mlflow: MlflowServer, exporter: Callable[..., Exporter]
) -> None:
    experiment = mlflow.experiment(NAME)
    run = mlflow.run(experiment, "FAILED", start=time.time() - 60, end=time.time() - 30)
    one = exporter(mlflow.url, browser_url="https://mlflow.example/ui").start()
    one.until(lambda: led(one, "mlflow", NAME, "last-failed")[0] == 302, "the failed run was read")
    page = f"https://mlflow.example/ui/#/experiments/{experiment}"
    assert led(one, "mlflow", NAME) == (302, page)
    assert led(one, "mlflow", NAME, "last-failed") == (302, f"{page}/runs/{run}")
    assert led(one, "mlflow") == (302, "https://mlflow.example/ui")
    assert led(one, "mlflow", "no such pipeline") == (404, None)
    assert led(one, "no such source") == (404, None)
