"""One probe over real sockets: which outcome each kind of answer has, and what is sent."""

from __future__ import annotations

import asyncio
import gc
import os
import re
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.support import fault_server as faults
from tests.support.fault_server import Behaviour, FaultServer, answer, answer_json
from tests.support.probe_client import GOOD, PREDICT, REQUEST, STEPS, client_of, probed

from ml_exporter.decoding import printable
from ml_exporter.errors import MlExporterError, WrongPrediction
from ml_exporter.http import HttpSettings
from ml_exporter.http.probing import ProbeClient
from ml_exporter.http.resolver import Resolver
from ml_exporter.model import Check, Outcome
from ml_exporter.ports import Answer, Call, Finding, Result, Step

WELL = answer(200, b"")


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


@pytest.mark.parametrize(
    "behaviour", [WRONG, answer_json({"error": "negative"}, 500), faults.redirect("//evil.example/x")]
)
def test_a_failed_probe_leaves_nothing_that_waits_to_be_found_as_garbage(behaviour: Behaviour) -> None:
    async def run() -> int:
        async with FaultServer(behaviour) as server, client_of(server) as client:
            await client.probe(PREDICT, 5.0)
            gc.collect()
            gc.disable()
            try:
                for _ in range(5):
                    await client.probe(PREDICT, 5.0)
                return gc.collect()
            finally:
                gc.enable()

    assert asyncio.run(run()) == 0


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


def test_secrets_are_sent_and_never_told(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("s3cr3t-token\n")
    echo = answer(403, b'{"error": "s3cr3t-token may not do this"}')
    result, server = probed(echo, token_file=str(tmp_path / "token"))
    assert server.asked[0].headers["authorization"] == "Bearer s3cr3t-token"
    assert "s3cr3t" not in (result.problem or "")
    assert "***" in (result.problem or "")


def test_of_a_secret_that_a_quote_cuts_nothing_is_told(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("s3cr3t-token-that-is-rather-long")

    echo = answer(200, b"these are the headers: Bearer s3cr3t-token-that-is-rather-long")

    def judge(answered: Answer) -> Finding:
        raise WrongPrediction(f"the body, '{printable(answered.body.decode(), 45)}', is wrong")

    step = Step(Check.PREDICT, Call("GET", "/"), judge)
    result, _ = probed(echo, steps=[step], token_file=str(tmp_path / "token"))
    assert result.problem == "the body, 'these are the headers: Bearer ***…', is wrong"


def test_a_token_that_was_renewed_in_its_file_is_taken_at_once(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("old")

    async def renew(writer: asyncio.StreamWriter) -> None:
        file.write_text("new-token")
        await answer(401)(writer)

    result, server = probed(renew, answer_json(GOOD), token_file=str(file))
    assert result.outcome is Outcome.OK
    assert [asked.headers["authorization"] for asked in server.asked] == ["Bearer old", "Bearer new-token"]


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
            known = [(await client.probe(PREDICT, 5.0)).sampled for _ in range(40)]
            await client.close()
            told = [asked.headers["traceparent"][-2:] for asked in server.asked]
            assert told == [f"{sampled:02x}" for sampled in known]
            return "".join(sorted(set(told)))

    assert [asyncio.run(flags(ratio)) for ratio in (0.0, 0.5, 1.0)] == ["00", "0001", "01"]


def test_a_token_file_of_ours_that_cannot_be_read_blames_no_endpoint() -> None:
    async def run() -> int:
        async with FaultServer(WELL) as server, client_of(server, token_file="/nowhere/token") as client:
            with pytest.raises(MlExporterError, match="token_file /nowhere/token: cannot be read"):
                await client.probe(STEPS, 5.0)
            return len(server.asked)

    assert asyncio.run(run()) == 0
