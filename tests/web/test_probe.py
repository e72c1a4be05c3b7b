"""/probe, asked as Prometheus asks it, about real servers: its metrics, its parameters, its time."""

from __future__ import annotations

import asyncio
import re
import ssl
import time
from pathlib import Path

import aiohttp
import pytest
import trustme
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics_families
from tests.support import fault_server as faults
from tests.support.fault_server import FaultServer, answer, answer_json
from tests.support.on_demand import CANARY, LIVE, READY, ProbingBackend, ask, prediction, probe
from tests.support.web_backend import CannedBackend, run, serving

from ml_exporter import on_demand
from ml_exporter.catalog import FAMILIES
from ml_exporter.model import Outcome
from ml_exporter.probe_page import PROBE_FAMILIES
from ml_exporter.web.backend import ProbePage, ProbeRequest

OPEN = {"protocol": "open_inference", "model": "fraud"}
MODULES = {"modules": {"fraud": {**OPEN, "canary": CANARY, "timeout": "5s"}}}
GOOD = (LIVE, READY, prediction())


def test_a_right_prediction_is_a_page_of_metrics() -> None:
    got = probe(*GOOD, probes=MODULES, module="fraud")
    assert (got.status, got.headers["Content-Type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
    series = got.series
    assert series["ml_probe_success"] == 1
    assert {name: series[f"ml_probe_outcome {name}"] for name in Outcome} == {
        name: int(name is Outcome.OK) for name in Outcome
    }
    assert [series[f"ml_probe_check_success {check}"] for check in ("live", "ready", "predict")] == [1, 1, 1]
    checks = sum(series[f"ml_probe_check_duration_seconds {check}"] for check in ("live", "ready", "predict"))
    assert 0 < checks <= series["ml_probe_duration_seconds"] < 5
    assert series["ml_probe_http_status_code"] == 200
    assert series["ml_probe_model_info fraud 3"] == 1
    assert not any(name.startswith(("ml_probe_tls", "ml_probe_time", "ml_probe_inter")) for name in series)
    assert [asked.target for asked in got.server.asked] == [
        "/v2/health/live",
        "/v2/models/fraud/ready",
        "/v2/models/fraud/infer",
    ]


def test_openmetrics_are_for_who_asks() -> None:
    got = probe(*GOOD, probes=MODULES, module="fraud", headers={"Accept": "application/openmetrics-text"})
    assert got.headers["Content-Type"] == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    assert {family.name for family in openmetrics_families(got.text)} <= PROBE_FAMILIES.keys()


def test_a_probe_that_fails_is_a_page_too() -> None:
    got = probe(LIVE, answer(400), prediction(4.0), probes=MODULES, module="fraud")
    assert got.status == 200
    assert got.series["ml_probe_success"] == 0
    assert got.series["ml_probe_outcome bad_prediction"] == 1
    assert got.series["ml_probe_check_success ready"] == 0
    assert got.series["ml_probe_model_info fraud 3"] == 1


def test_checks_that_were_not_made_have_failed_and_have_no_duration() -> None:
    got = probe(LIVE, probes=MODULES, module="fraud", target="http://127.0.0.1:1")
    assert got.series["ml_probe_outcome unreachable"] == 1
    assert got.series["ml_probe_http_status_code"] == 0
    assert got.series["ml_probe_check_success predict"] == 0
    assert "ml_probe_check_duration_seconds predict" not in got.series


def test_a_protocol_will_do_where_no_canary_is_sent() -> None:
    got = probe(LIVE, READY, **OPEN, version="7")
    assert got.series["ml_probe_success"] == 1
    assert got.series["ml_probe_model_info fraud 7"] == 1
    assert "ml_probe_check_success predict" not in got.series
    assert got.server.asked[-1].target == "/v2/models/fraud/versions/7/ready"


def test_model_and_version_of_the_request_go_over_those_of_the_module() -> None:
    reply = answer_json({"model_name": "churn", "model_version": "9", "outputs": []})
    got = probe(LIVE, READY, reply, probes=MODULES, module="fraud", model="churn", version="9")
    assert got.server.asked[-1].target == "/v2/models/churn/versions/9/infer"
    assert got.series["ml_probe_model_info churn 9"] == 1


def test_tokens_of_a_stream_are_timed() -> None:
    def event(text: str) -> bytes:
        return b'data: {"choices":[{"text":"%s","index":0}]}\n\n' % text.encode()

    async def stream(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n")
        for text in ("a", "b", "c"):
            await asyncio.sleep(0.05)
            writer.write(event(text))
            await writer.drain()
        writer.write(b"data: [DONE]\n\n")
        await writer.drain()
        writer.close()

    chat = {"protocol": "openai", "checks": ["predict"], "canary": {"request": {"prompt": "1 + 2 =", "max_tokens": 4}}}
    got = probe(stream, probes={"modules": {"chat": chat}}, module="chat", model="llama")
    assert got.series["ml_probe_success"] == 1, got.text
    assert got.series["ml_probe_output_tokens"] == 3
    assert 0.04 < got.series["ml_probe_time_to_first_token_seconds"] < 1
    assert 0.02 < got.series["ml_probe_inter_token_seconds"] < 1


def test_the_certificate_is_told(tmp_path: Path) -> None:
    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    module = {"protocol": "http", "live_path": "/", "ca_file": str(tmp_path / "ca.pem")}
    got = probe(LIVE, tls=context, probes={"modules": {"page": module}}, module="page")
    assert got.series["ml_probe_success"] == 1
    assert got.series["ml_probe_tls_not_after_timestamp_seconds"] > time.time()


def test_metrics_and_probe_share_no_name() -> None:
    assert not {family.name for family in FAMILIES} & PROBE_FAMILIES.keys()
    assert all(name.startswith("ml_probe_") for name in PROBE_FAMILIES)


# Parameters


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"target": "", **OPEN}, "target: missing"),
        ({"target": "127.0.0.1:PORT", **OPEN}, "target: allowed is http(s)://"),
        ({"target": "http://user:pa55word@127.0.0.1:PORT", **OPEN}, "target: allowed is http(s)://"),
        ({"target": "http://127.0.0.1/#x", **OPEN}, "target: allowed is http(s)://"),
        ({"target": f"http://127.0.0.1/{'a' * 2000}", **OPEN}, "target: 2017 characters; allowed are 2000"),
        ({}, "protocol: missing, as module is; allowed are http, "),
        ({"protocol": "open_inferense"}, "protocol: found 'open_inferense'; did you mean 'open_inference'?"),
        ({"protocol": "open_inference"}, "model: missing"),
        ({"protocol": "http"}, "checks: nothing is left to ask"),
        ({"module": "fruad"}, "module: found 'fruad'; did you mean 'fraud'?"),
        ({"module": "fraud", "protocol": "http"}, "protocol: found 'http'; the module 'fraud' has open_inference"),
        ({**OPEN, "model": "m" * 201}, "model: allowed are 200 printable characters"),
        ({**OPEN, "version": "3\r\n"}, "version: allowed are 200 printable characters"),
        ({**OPEN, "versoin": "x"}, "versoin: unknown parameter; did you mean 'version'?"),
        ({**OPEN, "debug": "maybe"}, "debug: allowed are true and false"),
    ],
)
def test_a_bad_parameter_is_refused_with_the_reason(parameters: dict[str, str], said: str) -> None:
    got = probe(probes=MODULES, **parameters)
    assert (got.status, got.headers["Content-Type"]) == (400, "text/plain; charset=utf-8")
    assert got.text.startswith(said)
    assert "pa55word" not in got.text
    assert got.server.asked == []


def test_a_parameter_that_is_given_twice_is_refused() -> None:
    async def test() -> tuple[int, str]:
        async with (
            serving(CannedBackend()) as (_, session),
            session.get("/probe?target=http://a&target=http://b") as response,
        ):
            return response.status, await response.text()

    assert run(test()) == (400, "target: given twice\n")


def test_a_module_that_cannot_be_used_any_more_says_why(tmp_path: Path) -> None:
    module = {"protocol": "http", "live_path": "/", "ca_file": str(tmp_path / "gone.pem")}
    got = probe(probes={"modules": {"page": module}}, module="page")
    assert got.status == 500
    assert got.text.startswith(f"module: ca_file {tmp_path}/gone.pem: cannot be used")


def test_head_probes_nothing() -> None:
    got = probe(method="HEAD", **OPEN)
    assert got.status == 405
    assert got.server.asked == []


# Time


@pytest.mark.parametrize(
    ("scrape", "expected"),
    [
        ("0.7", 0.35),
        ("0.4", 0.2),
        ("10", 0.6),
        ("", 0.6),
        ("soon", 0.6),
        ("nan", 0.6),
        ("inf", 0.6),
        ("-1", 0.6),
        ("0", 0.6),
    ],
)
def test_a_probe_ends_before_its_scrape_does(scrape: str, expected: float) -> None:
    backend = ProbingBackend({"allow": ["127.0.0.1"], "modules": {"fraud": {**OPEN, "timeout": "600ms"}}})

    async def test() -> str:
        async with FaultServer(faults.hang) as server, serving(backend) as (_, session):
            headers = {"X-Prometheus-Scrape-Timeout-Seconds": scrape}
            response = await ask(session, {"target": server.url, "module": "fraud", "debug": "true"}, headers)
            return await response.text()

    text = run(test())
    backend.on_demand.close()
    assert f"Time-out {expected:g} s\n" in text
    took = re.search(r"Outcome after ([\d.]+) s: timeout", text)
    assert took, text
    assert expected - 0.05 <= float(took[1]) < expected + 0.5


def test_only_so_many_probes_are_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(on_demand, "AT_ONCE", 3)
    backend = ProbingBackend({"allow": ["127.0.0.1"]})

    async def test() -> list[tuple[int, str | None]]:
        async with FaultServer(faults.hang) as server, serving(backend) as (_, session):
            asked = {"target": server.url, **OPEN}
            headers = {"X-Prometheus-Scrape-Timeout-Seconds": "1.5"}
            answers = await asyncio.gather(*(ask(session, asked, headers) for _ in range(5)))
            later = await ask(session, asked, headers)
            return [(answer.status, answer.headers.get("Retry-After")) for answer in (*answers, later)]

    found = run(test())
    backend.on_demand.close()
    assert sorted(found[:5], key=str) == [(200, None)] * 3 + [(503, "1")] * 2
    assert found[5] == (200, None)


def test_who_hangs_up_ends_the_probe() -> None:
    backend = CannedBackend(hangs=True)

    async def test() -> None:
        async with serving(backend) as (_, session):
            with pytest.raises(TimeoutError):
                await session.get("/probe", timeout=aiohttp.ClientTimeout(total=0.3))
            await asyncio.wait_for(backend.cancelled.wait(), 5)

    run(test())
    assert len(backend.probes) == 1


# What the web layer hands over


def test_the_backend_gets_what_was_asked_and_its_page_goes_out_as_it_is() -> None:
    backend = CannedBackend(probe_page=ProbePage(b"what it says\n", 418))

    async def test() -> tuple[int, str]:
        async with serving(backend) as (_, session):
            headers = {"Accept": "application/openmetrics-text", "X-Prometheus-Scrape-Timeout-Seconds": "9.5"}
            response = await ask(session, {"target": "http://h", "module": "m", "debug": "TRUE", "model": ""}, headers)
            return response.status, await response.text()

    assert run(test()) == (418, "what it says\n")
    expected = ProbeRequest(target="http://h", module="m", debug=True, scrape_timeout=9.5, openmetrics=True)
    assert backend.probes == [expected]
