"""One probe over real sockets: which outcome each kind of answer has, how much it may cost, and what is sent."""

from __future__ import annotations

import asyncio
import os
import re
import resource
import ssl
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import pytest
import trustme
from tests.support import fault_server as faults
from tests.support.fault_server import Behaviour, FaultServer, answer, answer_json

from ml_exporter import discovery
from ml_exporter.errors import MlExporterError
from ml_exporter.expectations import Expected
from ml_exporter.http import HttpSettings
from ml_exporter.http.probing import ProbeClient
from ml_exporter.http.resolver import Resolver
from ml_exporter.model import Check, Outcome
from ml_exporter.ports import Answer, Call, Canary, Finding, Result, Step, Target

REQUEST = b'{"inputs":[{"name":"x","shape":[1,2],"datatype":"FP32","data":[1,2]}]}'
GOOD = {
    "model_name": "m",
    "model_version": "3",
    "outputs": [{"name": "y", "shape": [1, 1], "datatype": "FP32", "data": [3.0]}],
}
CANARY = Canary(REQUEST, "application/json", (Expected("y", shape=(1, 1), values=[3.0]),))
STEPS = discovery.steps("open_inference", Target("m", None, CANARY))
PREDICT = STEPS[-1:]
WELL = answer(200, b"")


@asynccontextmanager
async def client_of(server: FaultServer, **options: Any) -> AsyncIterator[ProbeClient]:
    resolver = Resolver()
    fresh = options.pop("fresh", False)
    client = ProbeClient(HttpSettings(url=options.pop("url", server.url), **options), resolver, fresh=fresh)
    try:
        yield client
    finally:
        await client.close()
        resolver.shut_down()


def probed(
    *script: Behaviour, steps: Sequence[Step] = PREDICT, timeout: float = 5.0, times: int = 1, **options: Any
) -> tuple[Result, FaultServer]:
    """The last of `times` probes of a server that behaves as `script` says."""

    async def run() -> tuple[Result, FaultServer]:
        async with FaultServer(*script, tls=options.pop("tls", None)) as server, client_of(server, **options) as client:
            for _ in range(times):
                result = await client.probe(steps, timeout)
            return result, server

    return asyncio.run(run())


def checks(result: Result) -> dict[Check, Outcome]:
    return {step.check: step.outcome for step in result.steps}


def test_a_right_prediction_is_ok_and_tells_the_version() -> None:
    result, server = probed(WELL, WELL, answer_json(GOOD), steps=STEPS)
    assert result.outcome is Outcome.OK
    assert result.problem is None
    assert checks(result) == dict.fromkeys(Check, Outcome.OK)
    assert result.finding.version == "3"
    assert [asked.target for asked in server.asked] == ["/v2/health/live", "/v2/models/m/ready", "/v2/models/m/infer"]
    assert server.asked[-1].body == REQUEST
    assert {asked.connection for asked in server.asked} == {1}


def test_every_request_of_a_probe_carries_its_trace() -> None:
    result, server = probed(WELL, WELL, answer_json(GOOD), steps=STEPS)
    assert re.fullmatch(r"[0-9a-f]{32}", result.trace_id)
    expected = f"00-{result.trace_id}-{result.span_id}-01"
    assert [asked.headers["traceparent"] for asked in server.asked] == [expected] * 3


WRONG = answer_json({**GOOD, "outputs": [{"name": "y", "shape": [1, 1], "datatype": "FP32", "data": [9.0]}]})


@pytest.mark.parametrize(
    ("behaviour", "outcome", "said"),
    [
        (WRONG, Outcome.BAD_PREDICTION, "'y' holds 9.0 at 0; expected is 3.0"),
        (answer(200, b'{"outputs": [{"name'), Outcome.BAD_PREDICTION, "truncated JSON"),
        (answer(200, b"\xff\xfe\x00 not text"), Outcome.BAD_PREDICTION, "not JSON"),
        (answer(200, b""), Outcome.BAD_PREDICTION, "empty"),
        (answer(200, b'{"outputs":' + b"[" * 200_000), Outcome.BAD_PREDICTION, "nested too deeply|not what the API"),
        (faults.page(), Outcome.BAD_PREDICTION, "HTML page"),
        (answer_json({"error": "negative"}, 500), Outcome.HTTP_ERROR, "status 500.*negative"),
        (answer_json({"error": "Model m not found"}, 404), Outcome.HTTP_ERROR, "status 404.*not found"),
        (answer(401, b"who are you?"), Outcome.HTTP_ERROR, "not authorised"),
        (answer(204, b""), Outcome.HTTP_ERROR, "status 204"),
        (faults.hang, Outcome.TIMEOUT, "no complete answer within 0.5 s, none began"),
        (faults.drip, Outcome.TIMEOUT, "no complete answer within 0.5 s, stopped"),
        (faults.hang_up, Outcome.UNREACHABLE, "closed the connection"),
        (faults.cut_off(), Outcome.UNREACHABLE, "broke off"),
        (faults.raw(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"), Outcome.HTTP_ERROR, "not a valid HTTP answer"),
        (faults.huge_headers(), Outcome.HTTP_ERROR, "not a valid HTTP answer"),
        (faults.gzip_bomb(), Outcome.HTTP_ERROR, "compressed"),
        (faults.redirect("/v2/models/m/infer", 307), Outcome.HTTP_ERROR, "more than 5 redirects"),
        (faults.redirect("http://169.254.169.254/latest"), Outcome.HTTP_ERROR, "redirect to http://169.254.169.254"),
        (faults.redirect("//evil.example/x"), Outcome.HTTP_ERROR, "only redirects on the host"),
        (faults.redirect("http://[not-an-address"), Outcome.HTTP_ERROR, "redirect to nowhere"),
    ],
)
def test_what_goes_wrong_has_one_outcome_and_a_reason(behaviour: Behaviour, outcome: Outcome, said: str) -> None:
    result, _ = probed(behaviour, timeout=0.5 if outcome is Outcome.TIMEOUT else 10.0)
    assert (result.outcome, bool(re.search(said, result.problem or ""))) == (outcome, True), result.problem


def test_a_refused_connection_is_unreachable_and_nothing_more_is_asked() -> None:
    async def run() -> Result:
        async with FaultServer(WELL) as server:
            server.refuse()
            async with client_of(server) as client:
                return await client.probe(STEPS, 5.0)

    result = asyncio.run(run())
    assert checks(result) == {Check.LIVE: Outcome.UNREACHABLE}
    assert result.outcome is Outcome.UNREACHABLE
    assert "refused" in (result.problem or "")


def test_a_model_that_is_not_ready_is_still_asked_for_a_prediction() -> None:
    result, _ = probed(WELL, answer(400, b"not ready"), answer_json(GOOD), steps=STEPS)
    assert checks(result) == {Check.LIVE: Outcome.OK, Check.READY: Outcome.HTTP_ERROR, Check.PREDICT: Outcome.OK}
    assert result.outcome is Outcome.OK


def test_without_a_canary_the_first_check_that_fails_is_the_outcome() -> None:
    result, _ = probed(WELL, answer(503, b"loading"), steps=STEPS[:2])
    assert result.outcome is Outcome.HTTP_ERROR
    assert "loading" in (result.problem or "")


def test_all_checks_together_have_one_time_limit() -> None:
    start = time.monotonic()
    result, _ = probed(WELL, faults.hang, steps=STEPS, timeout=0.4)
    assert time.monotonic() - start < 3
    assert checks(result) == {Check.LIVE: Outcome.OK, Check.READY: Outcome.TIMEOUT}
    assert result.outcome is Outcome.TIMEOUT


def test_an_answer_of_a_gigabyte_ends_within_bounded_memory() -> None:
    async def gigabyte(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000000000\r\n\r\n")
        for _ in range(1000):
            writer.write(b" " * 1_000_000)
            await writer.drain()

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for behaviour in (gigabyte, faults.endless):
        result, _ = probed(behaviour, timeout=20.0, max_response_bytes=5_000_000)
        assert result.outcome is Outcome.BAD_PREDICTION
        assert "max_response_bytes" in (result.problem or "")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # KiB


def test_what_a_health_check_says_at_length_is_not_read() -> None:
    result, _ = probed(faults.endless, steps=STEPS[:1])
    assert result.outcome is Outcome.OK


def test_redirects_on_the_host_are_followed() -> None:
    result, server = probed(faults.redirect("/moved", 308), answer_json(GOOD))
    assert result.outcome is Outcome.OK
    assert [(asked.method, asked.target) for asked in server.asked] == [
        ("POST", "/v2/models/m/infer"),
        ("POST", "/moved"),
    ]
    assert server.asked[-1].body == REQUEST


def test_a_303_is_followed_by_a_get_without_the_body() -> None:
    _, server = probed(faults.redirect("/moved", 303), answer_json(GOOD))
    assert (server.asked[-1].method, server.asked[-1].body) == ("GET", b"")


def test_connections_are_kept_from_probe_to_probe() -> None:
    _, server = probed(answer_json(GOOD), times=3)
    assert [asked.connection for asked in server.asked] == [1, 1, 1]


def test_fresh_connections_are_one_for_each_probe() -> None:
    _, server = probed(WELL, WELL, answer_json(GOOD), WELL, WELL, answer_json(GOOD), steps=STEPS, times=2, fresh=True)
    assert [asked.connection for asked in server.asked] == [1, 1, 1, 2, 2, 2]


def test_a_kept_connection_that_the_server_has_closed_is_no_failure() -> None:
    async def then_close(writer: asyncio.StreamWriter) -> None:
        await answer_json(GOOD)(writer)
        await writer.drain()
        asyncio.get_running_loop().call_later(0.05, writer.close)

    async def run() -> list[Outcome]:
        async with FaultServer(then_close) as server, client_of(server) as client:
            outcomes = []
            for _ in range(20):
                outcomes.append((await client.probe(PREDICT, 5.0)).outcome)
                await asyncio.sleep(0.0499)
            return outcomes

    assert asyncio.run(run()) == [Outcome.OK] * 20


def test_a_server_that_dies_of_the_canary_is_not_asked_twice_on_a_new_connection() -> None:
    result, server = probed(faults.hang_up)
    assert result.outcome is Outcome.UNREACHABLE
    assert len(server.asked) == 1


def test_secrets_are_sent_and_never_told(tmp_path: Any) -> None:
    (tmp_path / "token").write_text("s3cr3t-token\n")
    echo = answer(403, b'{"error": "s3cr3t-token may not do this"}')
    result, server = probed(echo, token_file=str(tmp_path / "token"))
    assert server.asked[0].headers["authorization"] == "Bearer s3cr3t-token"
    assert "s3cr3t" not in (result.problem or "")
    assert "***" in (result.problem or "")


def test_a_token_that_was_renewed_in_its_file_is_taken_at_once(tmp_path: Any) -> None:
    file = tmp_path / "token"
    file.write_text("old")

    async def renew(writer: asyncio.StreamWriter) -> None:
        file.write_text("new-token")
        await answer(401)(writer)

    result, server = probed(renew, answer_json(GOOD), token_file=str(file))
    assert result.outcome is Outcome.OK
    assert [asked.headers["authorization"] for asked in server.asked] == ["Bearer old", "Bearer new-token"]


def test_the_certificate_tells_until_when_it_is_valid(tmp_path: Any) -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")

    async def run(ca_file: str | None) -> tuple[Result, float | None]:
        async with FaultServer(answer_json(GOOD), tls=context) as server, client_of(server, ca_file=ca_file) as client:
            return await client.probe(PREDICT, 5.0), client.not_after

    result, not_after = asyncio.run(run(str(tmp_path / "ca.pem")))
    assert result.outcome is Outcome.OK
    assert not_after is not None
    assert not_after > time.time() + 86400
    result, not_after = asyncio.run(run(None))
    assert (result.outcome, not_after) == (Outcome.UNREACHABLE, None)
    assert "TLS failed" in (result.problem or "")


@contextmanager
def no_more_files() -> Iterator[None]:
    """This process may open nothing."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    first_free = os.dup(0)
    os.close(first_free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (first_free, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_process_out_of_file_descriptors_blames_no_endpoint() -> None:
    async def run() -> None:
        async with FaultServer(WELL) as server, client_of(server) as client:
            with no_more_files(), pytest.raises(MlExporterError, match="Too many open files: raise the limit"):
                await client.probe(STEPS, 5.0)
            assert (await client.probe(STEPS[:1], 5.0)).outcome is Outcome.OK

    asyncio.run(run())


def test_only_sampled_traces_say_that_they_are_recorded() -> None:
    async def flags(ratio: float) -> str:
        async with FaultServer(answer_json(GOOD)) as server:
            client = ProbeClient(HttpSettings(url=server.url), Resolver(), sample_ratio=ratio)
            for _ in range(40):
                await client.probe(PREDICT, 5.0)
            await client.close()
            return "".join(sorted({asked.headers["traceparent"][-2:] for asked in server.asked}))

    assert [asyncio.run(flags(ratio)) for ratio in (0.0, 0.5, 1.0)] == ["00", "0001", "01"]


def test_a_stream_ends_at_its_last_line_even_if_the_server_goes_on() -> None:
    async def stream(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: a\n\ndata: b\n\ndata: [DO")
        await writer.drain()
        writer.write(b"NE]\n\n")
        await writer.drain()
        await asyncio.Event().wait()

    heard: list[bytes] = []

    def judge(answered: Answer) -> Finding:
        heard.extend(line for _, line in answered.lines)
        return Finding()

    step = Step(Check.PREDICT, Call("GET", "/"), judge, stream=True, last_line=b"data: [DONE]")
    result, _ = probed(stream, steps=[step], timeout=3.0)
    assert (result.outcome, heard) == (Outcome.OK, [b"data: a", b"data: b", b"data: [DONE]"])
