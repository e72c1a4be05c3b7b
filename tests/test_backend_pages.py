"""From a source and a pipeline's name to a page that a browser can open."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from ml_exporter import backend_pages, discovery
from ml_exporter.config import from_data
from ml_exporter.ports import Source


def poller(kind: str = "mlflow", known: dict[str, tuple[str, str | None]] | None = None, **settings: Any) -> Any:
    """As much of a poller as leads to pages. known: pipeline → its id, and its last failed run."""
    data = {"name": "it", "kind": kind, "url": "http://backend:5000/base", **settings}
    configured = from_data({"sources": [data]}, {}).sources[0]
    source: Source = discovery.create(kind, "it", configured.options, configured.common.url)
    pipelines = {
        name: SimpleNamespace(id=id_, last_failed_id=lambda failed=failed: failed)
        for name, (id_, failed) in (known or {"fraud": ("7", "r1")}).items()
    }
    ledger = SimpleNamespace(pipelines=pipelines)
    return SimpleNamespace(name="it", configured=configured, source=source, ledger=ledger)


def test_pages_are_where_the_exporter_reads_unless_a_browser_finds_them_elsewhere() -> None:
    assert backend_pages.of_pipeline(poller(), "fraud") == "http://backend:5000/base/#/experiments/7"
    elsewhere = poller(browser_url="https://mlflow.example/ui/")
    assert backend_pages.of_pipeline(elsewhere, "fraud") == "https://mlflow.example/ui/#/experiments/7"
    assert backend_pages.of_last_failed(elsewhere, "fraud") == "https://mlflow.example/ui/#/experiments/7/runs/r1"
    assert backend_pages.of_backend(elsewhere) == "https://mlflow.example/ui"


def test_a_browser_finds_the_pages_of_prefect_beside_its_api() -> None:
    prefect = poller("prefect", {"etl/daily": ("d1", None)}, url="http://p:4200/api", browser_url="https://p.example")
    assert backend_pages.of_pipeline(prefect, "etl/daily") == "https://p.example/deployments/deployment/d1"


def test_what_is_not_known_has_no_page() -> None:
    assert backend_pages.of_pipeline(poller(), "churn") is None
    assert backend_pages.of_last_failed(poller(), "churn") is None
    assert backend_pages.of_last_failed(poller(known={"fraud": ("7", None)}), "fraud") is None


@pytest.mark.parametrize("kind", ["kubernetes", "argo", "slurm"])
def test_a_backend_without_pages_may_have_those_of_another_program(kind: str) -> None:
    assert backend_pages.of_backend(poller(kind)) is None
    shown = poller(kind, browser_url="https://argo.example")
    assert backend_pages.of_backend(shown) == "https://argo.example"
    assert backend_pages.of_pipeline(shown, "fraud") is None


def test_a_page_elsewhere_stays_where_it_is() -> None:
    """A source may name pages of another host, such as a scheduler's own."""
    shown = poller(browser_url="https://mlflow.example")
    shown.source = SimpleNamespace(home_url=shown.source.home_url, pipeline_url=lambda *_: "https://other.example/7")
    assert backend_pages.of_pipeline(shown, "fraud") == "https://other.example/7"
