"""The pages, asked over a real socket."""

from __future__ import annotations

import gzip
import json
import logging

import aiohttp
import pytest
from tests.support.html_page import HtmlPage
from tests.support.web_backend import NOW, CannedBackend, run, serving
from yarl import URL

from ml_exporter.web.backend import SourceView

HOSTILE = "<script>alert(1)</script>\"'&"


def view(name: str = "tracking", **overrides: object) -> SourceView:
    given = {"kind": "mlflow", "url": "http://mlflow:5000", "state": "up", "last_success": NOW - 90, **overrides}
    return SourceView(name, **given)  # type: ignore[arg-type]


def ask(
    path: str | URL, backend: CannedBackend | None = None, method: str = "GET", **options: object
) -> tuple[aiohttp.ClientResponse, str]:
    async def test() -> tuple[aiohttp.ClientResponse, str]:
        async with (
            serving(backend) as (_, session),
            session.request(method, path, allow_redirects=False, **options) as response,  # type: ignore[arg-type]
        ):
            body = await response.read()
            if response.headers.get("Content-Encoding") == "gzip" and body:
                body = gzip.decompress(body)
            return response, body.decode()

    return run(test())


# /metrics


def test_metrics_are_plain_text_by_default() -> None:
    response, body = ask("/metrics", headers={"Accept-Encoding": "identity"})
    assert body == "up 1\n"
    assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert response.headers["Content-Length"] == "5"
    assert response.headers["Vary"] == "Accept, Accept-Encoding"
    assert "Content-Encoding" not in response.headers


def test_metrics_are_openmetrics_and_compressed_for_who_asks() -> None:
    response, body = ask(
        "/metrics", headers={"Accept": "application/openmetrics-text;version=1.0.0", "Accept-Encoding": "gzip"}
    )
    assert body == "# EOF\n"
    assert response.headers["Content-Type"] == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    assert response.headers["Content-Encoding"] == "gzip"


def test_head_has_the_headers_and_no_body() -> None:
    async def test() -> None:
        async with serving() as (_, session):
            for _ in range(2):  # the connection stays usable
                async with session.head("/metrics", headers={"Accept-Encoding": "identity"}) as response:
                    assert response.status == 200
                    assert response.headers["Content-Length"] == "5"
                    assert await response.read() == b""
            async with session.get("/metrics") as response:
                assert response.status == 200

    run(test())


def test_a_bug_behind_a_page_is_for_the_log_and_not_for_the_visitor(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR, "ml_exporter.web.app"):
        response, body = ask("/metrics", CannedBackend(broken=True))
    assert response.status == 500
    assert "secret" not in body
    assert "a bug with a secret in it" in caplog.text


# Health and reload


def test_it_is_healthy() -> None:
    response, body = ask("/-/healthy")
    assert (response.status, body) == (200, "ml-exporter is running\n")


@pytest.mark.parametrize(("ready", "status"), [(True, 200), (False, 503)])
def test_readiness_says_what_is_missing(ready: bool, status: int) -> None:
    response, body = ask("/-/ready", CannedBackend(is_ready=(ready, "waiting for tracking")))
    assert (response.status, body) == (status, "waiting for tracking\n")


def test_reload_is_for_post() -> None:
    backend = CannedBackend()
    response, _ = ask("/-/reload", backend)
    assert (response.status, response.headers["Allow"], backend.reloads) == (405, "POST", 0)
    response, _ = ask("/-/reload", backend, "POST")
    assert (response.status, backend.reloads) == (200, 1)


def test_a_refused_reload_says_why() -> None:
    response, body = ask("/-/reload", CannedBackend(reload_error="sources[0].url: missing"), "POST")
    assert response.status == 500
    assert "the old one keeps running: sources[0].url: missing" in body


def test_a_large_request_is_refused() -> None:
    response, _ = ask("/-/reload", method="POST", data=b"x" * 100_000)
    assert response.status == 413


# The landing page


def landing(*views: SourceView, **overrides: object) -> HtmlPage:
    response, body = ask("/", CannedBackend(views=list(views), **overrides))  # type: ignore[arg-type]
    assert response.content_type == "text/html"
    return HtmlPage(body)


def test_the_landing_page_shows_every_source_in_words() -> None:
    page = landing(
        view(series=1234, pipelines=56),
        view("airflow", state="down", last_success=None, last_error="status 403, not authorised"),
        view("new", state="starting", backfill_progress=0.999),
    )
    for text in (
        "Sources: 1 up, 1 down, 1 starting",
        "✓ up",
        "✗ down",
        "… starting",
        "Last read 1 min ago (2023-11-14 22:11:50 UTC) · 56 pipelines · 1234 series",
        "Never read",
        "status 403, not authorised",
        "Reading the history: 99 % done",
        "Version 1.2.3, configuration abc123, ready",
    ):
        assert text in page.text
    assert {"metrics", "-/healthy", "-/ready", "debug/sources/airflow", "http://mlflow:5000"} <= set(page.links)


def test_the_landing_page_loads_nothing_and_runs_nothing() -> None:
    page = landing(view())
    assert not {"script", "link", "img", "iframe", "form"} & set(page.tags)


def test_hostile_names_and_errors_are_escaped() -> None:
    page = landing(
        view(HOSTILE, kind=HOSTILE, url=f"javascript:{HOSTILE}", last_error=HOSTILE + "\ud800"),
        is_ready=(False, HOSTILE),
        version=HOSTILE,
    )
    assert "script" not in page.tags
    assert page.text.count(HOSTILE) >= 5
    assert not any(link.startswith("javascript") for link in page.links)


def test_without_sources_the_page_says_so() -> None:
    assert "No source is configured." in landing().text


# Debug pages and ways into backends


def test_the_debug_page_is_json() -> None:
    response, body = ask("/debug/sources/tracking", CannedBackend(views=[view()]))
    assert response.content_type == "application/json"
    assert json.loads(body) == {"calls": ["tracking"]}


def test_the_debug_page_of_an_unknown_source_lists_the_known_ones() -> None:
    response, body = ask("/debug/sources/trakcing", CannedBackend(views=[view()]))
    assert response.status == 404
    assert json.loads(body)["known"] == ["tracking"]


@pytest.mark.parametrize("pipeline", ["fraud", "team-a/train", "a b%2F?#ü", "x/last-failed", "..", "a//b", "per%cent"])
def test_a_link_in_an_alert_leads_to_the_failed_run_whatever_its_pipeline_is_called(pipeline: str) -> None:
    target = "http://mlflow:5000/#/experiments/1/runs/2"
    escaped = "".join(f"%{byte:02X}" for byte in pipeline.encode())
    path = URL(f"/go/tracking/{escaped}/last-failed", encoded=True)
    response, _ = ask(path, CannedBackend(failed_urls={("tracking", pipeline): target}))
    assert response.status == 302
    assert response.headers["Location"] == target


def test_without_a_failed_run_there_is_no_link() -> None:
    response, body = ask("/go/tracking/fraud/last-failed")
    assert response.status == 404
    assert "no failed run of fraud in tracking" in body


@pytest.mark.parametrize("url", ["javascript:alert(1)", "//evil.example", "http://x/\r\nSet-Cookie: a=b"])
def test_a_link_that_is_no_web_address_is_not_followed(url: str) -> None:
    pages = {("tracking", "fraud"): url}
    backend = CannedBackend(failed_urls=pages, pipeline_urls=pages, source_urls={"tracking": url})
    for path in ("/go/tracking/fraud/last-failed", "/go/tracking/fraud", "/go/tracking"):
        response, _ = ask(path, backend)
        assert response.status == 404


@pytest.mark.parametrize("pipeline", ["fraud", "team-a/train", "a b%2F?#ü", "x/last-failed", "..", "a//b", "per%cent"])
def test_a_link_in_a_dashboard_leads_to_the_pipeline_whatever_it_is_called(pipeline: str) -> None:
    target = "http://mlflow:5000/#/experiments/1"
    escaped = "".join(f"%{byte:02X}" for byte in pipeline.encode())
    backend = CannedBackend(pipeline_urls={("tracking", pipeline): target})
    response, _ = ask(URL(f"/go/tracking/{escaped}", encoded=True), backend)
    assert (response.status, response.headers.get("Location")) == (302, target)


def test_a_link_to_a_source_leads_to_where_its_own_pages_begin() -> None:
    response, _ = ask("/go/tracking", CannedBackend(source_urls={"tracking": "http://mlflow:5000"}))
    assert (response.status, response.headers.get("Location")) == (302, "http://mlflow:5000")


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("/go/tracking/fraud", "no pipeline fraud in tracking is known, or its backend has no page for it"),
        ("/go/tracking", "there is no source tracking, or it has no pages"),
    ],
)
def test_without_a_page_a_link_says_so(path: str, says: str) -> None:
    response, body = ask(path)
    assert (response.status, response.content_type, body.strip()) == (404, "text/plain", says)


# Everything


@pytest.mark.parametrize("path", ["/", "/metrics", "/-/healthy", "/nowhere", "/debug/sources/x"])
def test_every_answer_has_the_security_headers_and_no_version(path: str) -> None:
    response, _ = ask(path)
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Content-Security-Policy"].startswith("default-src 'none'; style-src 'unsafe-inline'")
    assert response.headers["Server"] == "ml-exporter"


def test_an_unknown_path_is_plain_text() -> None:
    response, body = ask("/nowhere")
    assert (response.status, response.content_type) == (404, "text/plain")
    assert "no such page" in body
