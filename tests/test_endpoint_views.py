"""What people see of endpoints that were really probed: states, order, and each step without secrets."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from tests.support.fault_server import Behaviour, FaultServer, answer, answer_json
from tests.support.on_demand import CANARY, LIVE, READY, prediction

from ml_exporter import config, endpoint_views
from ml_exporter.exposition import Exposition
from ml_exporter.http.resolver import Resolver
from ml_exporter.prober import Prober
from ml_exporter.web.backend import EndpointViews

OPEN = {"protocol": "open_inference", "interval": "1h", "timeout": "5s"}
INDEX = answer_json([{"name": "b", "state": "READY"}, {"name": "a", "state": "READY"}])


def looked_at(
    *script: Behaviour, names: tuple[str, ...] = ("fraud",), probes: int = 1, lost: bool = False, **keys: Any
) -> tuple[EndpointViews, dict[str, Any]]:
    """The views after so many probes of a server that behaves as `script` says, and the debug page of the first.

    `lost`: and after one that could not be made.
    """

    async def run() -> tuple[EndpointViews, dict[str, Any]]:
        async with FaultServer(*script) as server:
            endpoints = [{"name": name, "url": server.url, **OPEN, **keys} for name in names]
            loaded, resolver, told = config.from_data({"endpoints": endpoints}), Resolver(), asyncio.Queue[None]()
            prober = Prober(Exposition(), resolver, told=lambda *_: told.put_nowait(None))
            await prober.apply(loaded, prober.clients(loaded))
            try:
                async with asyncio.timeout(10):
                    for _ in range(probes):
                        await told.get()
                    models = prober.endpoints[names[0]].models
                    while lost and not any(model.served.lost for model in models.values()):  # noqa: ASYNC110 — nobody is told
                        await asyncio.sleep(0.01)
                found = prober.endpoints
                debug = json.loads(json.dumps(endpoint_views.debug(found[names[0]])))
                return endpoint_views.views(found.values()), debug
            finally:
                await prober.close()
                resolver.shut_down()

    return asyncio.run(run())


def test_an_endpoint_that_predicts_is_up() -> None:
    views, debug = looked_at(LIVE, READY, prediction(), model="fraud", canary=CANARY)
    [view] = views.shown
    [model] = view.models
    assert (view.state, view.more, view.index_error) == ("up", 0, None)
    assert (model.model, model.version, model.outcome, model.problem) == ("fraud", "3", "ok", None)
    assert model.checks == {"live": True, "ready": True, "predict": True}
    assert model.at is not None
    assert (debug["endpoint"], debug["index"], debug["models"][0]["failures"]) == ("fraud", None, 0)


def test_an_endpoint_that_fails_is_down_and_the_debug_page_shows_each_step() -> None:
    views, debug = looked_at(LIVE, answer(400, b"loading"), prediction(4.0), model="fraud", canary=CANARY)
    assert views.shown[0].state == "down"
    assert views.shown[0].models[0].checks == {"live": True, "ready": False, "predict": False}
    last = debug["models"][0]["last_probe"]
    assert (last["outcome"], last["problem"], last["version"]) == (
        "bad_prediction",
        "'y' holds 4.0 at 0; expected is 3.0",
        "3",
    )
    assert [(step["check"], step["status"], step["outcome"]) for step in last["steps"]] == [
        ("live", 200, "ok"),
        ("ready", 400, "http_error"),
        ("predict", 200, "bad_prediction"),
    ]
    assert last["steps"][1]["received"] == "loading"
    assert last["steps"][2]["request"] == f"POST {debug['url']}/v2/models/fraud/infer"
    assert last["steps"][2]["sent"].startswith('{"inputs":')
    assert all(0 <= step["seconds"] < 5 for step in last["steps"])


def test_what_was_not_probed_yet_is_starting() -> None:
    views, debug = looked_at(LIVE, probes=0, model="fraud")
    assert views.counts == {"down": 0, "unknown": 0, "starting": 1, "up": 0}
    assert views.shown[0].models[0].at is None
    assert debug["models"][0]["last_probe"] is None


def test_what_failed_and_then_could_not_be_probed_is_neither_down_nor_starting(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("t")

    async def refuse(writer: asyncio.StreamWriter) -> None:
        token.unlink()  # the next probe cannot be made
        await answer(500)(writer)

    keys = {"token_file": str(token), "interval": "1s", "timeout": "1s", "checks": ["live"]}
    views, debug = looked_at(refuse, lost=True, model="fraud", **keys)
    assert views.counts == {"down": 0, "unknown": 1, "starting": 0, "up": 0}
    assert views.shown[0].models[0].lost
    assert debug["models"][0]["lost"]


def test_secrets_stay_out_of_the_debug_page(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("s3cr3t-token")
    echo = answer(403, b"Bearer s3cr3t-token may not, nor may header-secret")
    keys = {"token_file": str(tmp_path / "token"), "headers": {"X-Key": "header-secret"}}
    _, debug = looked_at(echo, model="fraud", **keys)
    text = json.dumps(debug)
    assert "s3cr3t" not in text
    assert "header-secret" not in text
    assert "***" in text


def test_models_that_fail_come_first(monkeypatch: pytest.MonkeyPatch) -> None:
    # Two models, each asked for once: whichever comes first is ready, the other is not.
    monkeypatch.setattr(endpoint_views, "MODELS_TOLD", 1)
    views, debug = looked_at(INDEX, READY, answer(400), probes=2, discover=True, checks=["ready"])
    [view] = views.shown
    assert view.state == "down"
    assert [model.outcome for model in view.models] == ["http_error", "ok"]
    assert (debug["index"]["up"], debug["index"]["models"]) == (True, 2)
    assert [model["last_probe"]["outcome"] for model in debug["models"]] == ["http_error"]
    assert debug["more"] == 1


def test_endpoints_that_fail_come_first_and_only_some_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint_views, "ENDPOINTS_SHOWN", 2)
    monkeypatch.setattr(endpoint_views, "MODELS_SHOWN", 0)
    names = ("one", "two", "three", "four")
    views, _ = looked_at(LIVE, LIVE, answer(500), LIVE, names=names, probes=4, model="fraud", checks=["live"])
    assert views.counts == {"down": 1, "unknown": 0, "starting": 0, "up": 3}
    assert [view.state for view in views.shown] == ["down", "up"]
    assert [view.more for view in views.shown] == [1, 1]
