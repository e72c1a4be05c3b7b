"""`/probe?debug=true`: each step as people read it, without secrets."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from tests.support.fault_server import Behaviour, answer
from tests.support.on_demand import CANARY, LIVE, READY, prediction, probe

OPEN = {"protocol": "open_inference", "model": "fraud"}
MODULES = {"modules": {"fraud": {**OPEN, "canary": CANARY, "timeout": "5s"}}}


def test_the_debug_page_shows_each_step() -> None:
    got = probe(LIVE, answer(400, b"not\nready\x1b[31m"), prediction(4.0), probes=MODULES, module="fraud", debug="true")
    assert (got.status, got.headers["Content-Type"]) == (200, "text/plain; charset=utf-8")
    url = got.server.url
    for line in (
        f"Probe of {url} with open_inference (module fraud)",
        "Model 'fraud'",
        "Time-out 5 s",
        f"live: GET {url}/v2/health/live",
        f"ready: GET {url}/v2/models/fraud/ready",
        "  received: not",
        "            ready [31m",
        f"predict: POST {url}/v2/models/fraud/infer",
        '  sent: {"inputs":[{"name":"x","shape":[1,2],"datatype":"FP32","data":[1,2]}]}',
        "  'y' holds 4.0 at 0; expected is 3.0",
        'ml_probe_outcome{outcome="bad_prediction"} 1',
    ):
        assert line in got.text.splitlines()
    assert re.search(r"^  status 400 after 0\.\d{3} s: http_error$", got.text, re.MULTILINE)
    assert re.search(r"^Outcome after \d\.\d{3} s: bad_prediction: 'y'", got.text, re.MULTILINE)
    assert re.search(r"^Trace [0-9a-f]{32}$", got.text, re.MULTILINE)


def test_the_debug_page_says_what_was_not_asked() -> None:
    got = probe(target="http://127.0.0.1:1", probes=MODULES, module="fraud", debug="1")
    assert "  no answer after " in got.text
    assert "ready: not asked, after what came before\n" in got.text


def test_a_stream_of_garbage_on_the_debug_page_is_cut() -> None:
    got = probe(LIVE, READY, answer(200, b"\xff\x00" * 100_000), probes=MODULES, module="fraud", debug="true")
    assert len(got.text) < 6_000


SECRET = "s3cr3t-" + "0123456789" * 3


def echo(before: bytes) -> Behaviour:
    return answer(500, before + f"Bearer {SECRET} and more".encode())


@pytest.mark.parametrize("before", [b"", b"x" * 480, b"x" * 450, b"x" * 489])
def test_secrets_are_struck_out_wherever_the_text_is_cut(tmp_path: Path, before: bytes) -> None:
    (tmp_path / "token").write_text(SECRET)
    module = {**OPEN, "token_file": str(tmp_path / "token"), "headers": {"X-Api-Key": "another-secret"}}
    request: Any = {"canary": {**CANARY, "request": {**CANARY["request"], "parameters": {"api_key": "hidden-one"}}}}  # type: ignore[dict-item]
    got = probe(
        answer(401, b"another-secret is wrong"),
        READY,
        echo(before),
        probes={"modules": {"fraud": {**module, **request}}},
        module="fraud",
        debug="true",
    )
    assert got.server.asked[-1].headers["authorization"] == f"Bearer {SECRET}"
    assert "***" in got.text
    for secret in (SECRET[:6], "another-secret", "hidden-one"):
        assert secret not in got.text
