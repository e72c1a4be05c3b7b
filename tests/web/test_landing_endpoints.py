"""What the landing page and the debug page say of endpoints."""

from __future__ import annotations

import json

import aiohttp
from tests.support.html_page import HtmlPage
from tests.support.web_backend import NOW, CannedBackend, run, serving

from ml_exporter.web.backend import EndpointView, EndpointViews, ModelView, SourceView

HOSTILE = "<script>alert(1)</script>\"'&"
WELL = ModelView("fraud", "3", {"live": True, "predict": True}, "ok", None, NOW - 12)
WRONG = ModelView("churn", "", {"live": True, "predict": False}, "bad_prediction", "'y' holds 4.0", NOW - 90)


def endpoint(name: str = "triton", **overrides: object) -> EndpointView:
    given = {"protocol": "open_inference", "url": "http://triton:8000", "state": "up", "models": (WELL,), **overrides}
    return EndpointView(name, **given)  # type: ignore[arg-type]


def get(path: str, *shown: EndpointView, more: int = 0, views: tuple[SourceView, ...] = ()) -> tuple[int, str]:
    counts = {state: sum(view.state == state for view in shown) for state in ("up", "down", "unknown", "starting")}
    counts["up"] += more
    backend = CannedBackend(views=list(views), endpoint_views=EndpointViews(counts, shown))  # type: ignore[arg-type]

    async def test() -> tuple[int, str]:
        async with serving(backend) as (_, session), session.get(path, raise_for_status=False) as response:
            assert isinstance(response, aiohttp.ClientResponse)
            return response.status, await response.text()

    return run(test())


def test_each_model_is_shown_with_its_checks_its_outcome_and_its_age() -> None:
    failing = endpoint("ray", state="down", models=(WRONG, WELL), more=7)
    page = HtmlPage(get("/", failing, endpoint())[1])
    for text in (
        "Endpoints: 1 up, 1 down",
        "ray ✗ down",
        "churn: bad_prediction (live ✓, predict ✗), probed 1 min ago",
        "'y' holds 4.0",
        "fraud version 3: ok (live ✓, predict ✓), probed 12 s ago",
        "And 7 more models",
        "open_inference at http://triton:8000",
    ):
        assert text in page.text
    assert {"debug/endpoints/ray", "debug/endpoints/triton", "http://triton:8000"} <= set(page.links)


def test_what_has_not_been_probed_and_an_index_that_cannot_be_read_are_said() -> None:
    new = endpoint("new", state="starting", models=(ModelView("", ""),))
    page = HtmlPage(get("/", new, endpoint("all", state="down", models=(), index_error="status 503"))[1])
    assert "The model: not probed yet" in page.text
    assert "The index of models cannot be read:status 503" in page.text


def test_what_could_not_be_probed_is_said_to_be_unknown_not_new() -> None:
    lost = endpoint("lost", state="unknown", models=(ModelView("fraud", "3", lost=True),))
    page = HtmlPage(get("/", lost)[1])
    assert "Endpoints: 1 unknown" in page.text
    assert "lost ? unknown" in page.text
    assert "fraud version 3: not known, for the last probe could not be made" in page.text


def test_of_very_many_only_some_are_shown() -> None:
    page = HtmlPage(get("/", endpoint(state="down"), more=500)[1])
    assert "Endpoints: 500 up, 1 down" in page.text
    assert "And 500 more" in page.text


def test_sources_and_endpoints_are_counted_together_in_the_title() -> None:
    source = SourceView("tracking", "mlflow", "http://mlflow", "up")
    page = HtmlPage(get("/", endpoint(), endpoint("ray", state="down"), views=(source,))[1])
    assert "ml-exporter: 2 up, 1 down" in page.text
    assert "Sources: 1 up" in page.text


def test_who_has_only_endpoints_is_not_told_of_missing_sources() -> None:
    assert "No source is configured." not in get("/", endpoint())[1]
    assert "Endpoints" not in get("/")[1]


def test_hostile_names_and_answers_are_escaped() -> None:
    model = ModelView(HOSTILE, HOSTILE, {HOSTILE: False}, HOSTILE, HOSTILE + "\ud800", NOW)
    hostile = endpoint(HOSTILE, protocol=HOSTILE, url=f"javascript:{HOSTILE}", models=(model,), index_error=HOSTILE)
    page = HtmlPage(get("/", hostile)[1])
    assert "script" not in page.tags
    assert page.text.count(HOSTILE) >= 8
    assert not any(link.startswith("javascript") for link in page.links)


def test_the_debug_page_is_json_and_of_an_unknown_endpoint_lists_the_known_ones() -> None:
    status, body = get("/debug/endpoints/triton", endpoint())
    assert (status, json.loads(body)) == (200, {"models": ["triton"]})
    status, body = get("/debug/endpoints/tirton", endpoint())
    assert (status, json.loads(body)["known"]) == (404, ["triton"])
