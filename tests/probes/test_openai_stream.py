"""Probes of an OpenAI-compatible server, streamed: a small one of our own, see openai_server.py."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.openai_server import MODEL, OpenAiServer
from tests.support.probing import Probing
from tests.support.programs import wait_until

from ml_exporter.model import Check, Outcome
from ml_exporter.ports import Result

PROMPT = {"prompt": "1 + 2 is", "max_tokens": 8}
CHAT = {"messages": [{"role": "user", "content": "What is 1 + 2?"}], "max_tokens": 8}
EXPECT = {"matches": r"\b3\b"}
SLACK = 0.5
"""Seconds that a busy machine may add."""


@pytest.fixture
def server() -> Iterator[OpenAiServer]:
    with OpenAiServer() as server:
        yield server


@pytest.fixture(params=[PROMPT, CHAT], ids=["completion", "chat"])
def request_body(request: pytest.FixtureRequest) -> dict[str, Any]:
    body: dict[str, Any] = request.param
    return body


def endpoint(server: OpenAiServer, request: dict[str, Any], **changes: Any) -> dict[str, Any]:
    canary = {"request": request, "expect": [EXPECT]}
    whole = {"name": "llm", "protocol": "openai", "url": server.url, "model": MODEL, "timeout": "1s", "canary": canary}
    return {**whole, **changes}


def checks(result: Result) -> dict[Check, Outcome]:
    return {step.check: step.outcome for step in result.steps}


def test_a_stream_is_asked_for_with_its_usage(server: OpenAiServer, request_body: dict[str, Any]) -> None:
    with Probing(endpoint(server, request_body)) as probing:
        assert probing.probe().outcome is Outcome.OK
    assert [(asked.method, asked.path) for asked in server.asked] == [
        ("GET", "/health"),
        ("GET", "/v1/models"),
        ("POST", "/v1/completions" if "prompt" in request_body else "/v1/chat/completions"),
    ]
    added = {"model": MODEL, "stream": True, "stream_options": {"include_usage": True}}
    assert server.predictions() == [{**request_body, **added}]


def test_the_first_token_and_the_gaps_are_as_long_as_the_server_takes(
    server: OpenAiServer, request_body: dict[str, Any]
) -> None:
    server.set(first=0.3, between=0.2)
    with Probing(endpoint(server, request_body, timeout="5s")) as probing:
        result = probing.probe()
    assert result.outcome is Outcome.OK, result.problem
    finding = result.finding
    assert finding.first_token is not None
    assert 0.3 <= finding.first_token < 0.3 + SLACK  # the chat's role, at once, is no token
    assert len(finding.gaps) == 4
    assert statistics.median(finding.gaps) == pytest.approx(0.2, abs=0.1)
    assert 1.1 <= finding.first_token + sum(finding.gaps) <= result.steps[-1].seconds < 1.1 + SLACK


def test_its_series_are_what_was_sent(server: OpenAiServer, request_body: dict[str, Any]) -> None:
    server.set(first=0.12, between=0.03)
    with Probing(endpoint(server, request_body, timeout="5s"), probes={"buckets": [0.02, 0.1, 1]}) as probing:
        for _ in range(3):
            probing.probe()
        server.set("error")
        probing.probe()
        series = probing.series()
    sent = len(server.manner.tokens)
    assert len(server.predictions()) == 4
    of = {what: series[f"ml_endpoint_probes_total llm {MODEL}  {what}"] for what in ("ok", "http_error")}
    assert of == {"ok": 3, "http_error": 1}
    assert series[f"ml_endpoint_output_tokens_total llm {MODEL} "] == 3 * sent
    first, gaps = "ml_endpoint_time_to_first_token_seconds", "ml_endpoint_inter_token_seconds"
    assert [series[f"{first}_bucket llm {MODEL}  {le}"] for le in ("0.02", "0.1", "1.0", "+Inf")] == [0, 0, 3, 3]
    assert series[f"{first}_count llm {MODEL} "] == 3
    assert series[f"{gaps}_count llm {MODEL} "] == 3 * (sent - 1)
    total = series[f"{first}_sum llm {MODEL} "] + series[f"{gaps}_sum llm {MODEL} "]
    assert 3 * (0.12 + 4 * 0.03) <= total <= series[f"ml_endpoint_probe_duration_seconds_sum llm {MODEL} "]


def test_the_server_counts_its_tokens_better_than_its_chunks_do(
    server: OpenAiServer, request_body: dict[str, Any]
) -> None:
    server.set(counted=9)
    with Probing(endpoint(server, request_body)) as probing:
        finding = probing.probe().finding
    assert (finding.tokens, len(finding.gaps)) == (9, 4)


def test_events_may_come_in_pieces_with_comments_between(server: OpenAiServer, request_body: dict[str, Any]) -> None:
    server.set(comments=True, line_end="\r\n", piece=7, tokens=("é", "日本", " 3"))
    expect = [{"name": "text", "values": "é日本 3"}, {"name": "tokens", "values": 3}]
    with Probing(endpoint(server, request_body, canary={"request": request_body, "expect": expect})) as probing:
        result = probing.probe()
    assert result.outcome is Outcome.OK, result.problem


FAULTS = [
    ("wrong_value", Outcome.BAD_PREDICTION, "holds 'No idea'; expected is a text that matches"),
    ("wrong_shape", Outcome.BAD_PREDICTION, "no text"),
    ("empty", Outcome.BAD_PREDICTION, "no text"),
    ("error", Outcome.HTTP_ERROR, "status 500: "),
    ("error_midway", Outcome.BAD_PREDICTION, "CUDA out of memory"),
    ("cut_off", Outcome.BAD_PREDICTION, "ends after 2 chunks with text"),
    ("broken_off", Outcome.UNREACHABLE, "broke off"),
    ("garbage", Outcome.BAD_PREDICTION, "truncated JSON"),
    ("not_streamed", Outcome.BAD_PREDICTION, "no stream of events"),
    ("hang_before", Outcome.TIMEOUT, "none began"),
    ("hang", Outcome.TIMEOUT, "stopped after"),
    ("hang_midway", Outcome.TIMEOUT, "stopped after"),
]


@pytest.mark.parametrize(("mode", "outcome", "said"), FAULTS, ids=[fault[0] for fault in FAULTS])
def test_each_fault_has_its_outcome_and_passes(
    server: OpenAiServer, request_body: dict[str, Any], mode: str, outcome: Outcome, said: str
) -> None:
    with Probing(endpoint(server, request_body)) as probing:
        server.set(mode)
        result = probing.probe()
        assert (result.outcome, said in str(result.problem)) == (outcome, True), result.problem
        assert checks(result) == {Check.LIVE: Outcome.OK, Check.READY: Outcome.OK, Check.PREDICT: outcome}
        server.set("ok")
        assert probing.probe().outcome is Outcome.OK
        series = probing.series()
    assert series[f"ml_endpoint_probes_total llm {MODEL}  {outcome}"] == 1
    assert series[f"ml_endpoint_probes_total llm {MODEL}  ok"] == 1
    assert series[f"ml_endpoint_output_tokens_total llm {MODEL} "] == 5


def test_a_slow_first_token_is_no_fault_until_the_time_is_up(
    server: OpenAiServer, request_body: dict[str, Any]
) -> None:
    server.set(first=0.5)
    with Probing(endpoint(server, request_body, timeout="5s")) as probing:
        assert probing.probe().outcome is Outcome.OK
    with Probing(endpoint(server, request_body, timeout="300ms")) as probing:
        assert probing.probe().outcome is Outcome.TIMEOUT


def test_a_stream_of_short_waits_ends_when_the_time_of_the_whole_is_up(server: OpenAiServer) -> None:
    server.set(between=0.05, tokens=("and", " so", " on") * 1000)
    with Probing(endpoint(server, PROMPT, timeout="500ms")) as probing:
        result = probing.probe()
    assert result.outcome is Outcome.TIMEOUT
    assert 0.5 <= result.seconds < 0.5 + SLACK


def test_a_server_that_is_not_ready_says_so_before_it_predicts(server: OpenAiServer) -> None:
    server.set("not_ready")
    with Probing(endpoint(server, PROMPT, checks=["live", "ready"])) as probing:
        result = probing.probe()
        series = probing.series()
    assert checks(result) == {Check.LIVE: Outcome.HTTP_ERROR, Check.READY: Outcome.HTTP_ERROR}
    assert series[f"ml_endpoint_up llm {MODEL}  live"] == 0
    assert series[f"ml_endpoint_up llm {MODEL}  ready"] == 0
    assert "no model" in str(result.steps[1].problem)


def test_a_model_that_is_missing_is_not_ready_and_gives_an_error(
    server: OpenAiServer, request_body: dict[str, Any]
) -> None:
    with Probing(endpoint(server, request_body, model="nope")) as probing:
        result = probing.probe()
    assert result.outcome is Outcome.HTTP_ERROR
    assert checks(result)[Check.READY] is Outcome.HTTP_ERROR
    assert "it has 'tiny-instruct'" in str(result.steps[1].problem)
    assert "The model `nope` does not exist" in str(result.steps[2].problem)


def test_a_refused_connection_is_unreachable(server: OpenAiServer) -> None:
    with OpenAiServer() as other:
        gone = endpoint(other, PROMPT)
    with Probing({**gone, "name": "gone"}, endpoint(server, PROMPT)) as probing:
        assert probing.probe("gone").outcome is Outcome.UNREACHABLE
        assert probing.probe("llm").outcome is Outcome.OK
        series = probing.series()
    assert [series[f"ml_endpoint_up gone {MODEL}  {check}"] for check in Check] == [0, 0, 0]
    assert [series[f"ml_endpoint_up llm {MODEL}  {check}"] for check in Check] == [1, 1, 1]


def test_the_key_is_sent_and_never_told(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("sk-hush")
    with OpenAiServer(api_key="sk-hush") as server:
        whole = endpoint(server, PROMPT, token_file=str(tmp_path / "key"))
        with Probing(whole, endpoint(server, PROMPT, name="keyless")) as probing:
            assert probing.probe("llm").outcome is Outcome.OK
            refused = probing.probe("keyless")
    assert refused.outcome is Outcome.HTTP_ERROR
    assert "status 401" in str(refused.problem)
    assert checks(refused)[Check.LIVE] is Outcome.OK  # as vLLM: its health wants no key


def test_without_a_stream_the_answer_is_judged_and_no_token_timed(
    server: OpenAiServer, request_body: dict[str, Any]
) -> None:
    with Probing(endpoint(server, request_body, stream=False)) as probing:
        result = probing.probe()
        series = probing.series()
    assert result.outcome is Outcome.OK, result.problem
    assert (result.finding.tokens, result.finding.first_token, result.finding.gaps) == (5, None, ())
    assert "stream_options" not in server.predictions()[0]
    assert not [name for name in series if name.startswith("ml_endpoint_time_to_first_token")]


def test_the_trace_of_each_probe_is_its_own(server: OpenAiServer) -> None:
    with Probing(endpoint(server, PROMPT)) as probing:
        results = [probing.probe(), probing.probe()]
    sent = [asked.headers["traceparent"] for asked in server.asked]
    assert sent == [f"00-{result.trace_id}-{result.span_id}-01" for result in results for _ in range(3)]
    assert results[0].trace_id != results[1].trace_id


def test_models_are_found_in_the_list_of_the_server(server: OpenAiServer, request_body: dict[str, Any]) -> None:
    canary = {"request": request_body, "expect": [EXPECT]}
    with Probing(
        endpoint(server, request_body, discover=True, model=None, canary=None, canaries={"*": canary})
    ) as all_:
        wait_until(lambda: MODEL in all_.prober.endpoints["llm"].models, 10, "the list has been read")
        assert all_.probe("llm", MODEL).outcome is Outcome.OK
        series = all_.series()
    assert (series["ml_endpoint_index_up llm"], series["ml_endpoint_index_models llm"]) == (1, 1)
    assert server.predictions()[-1]["model"] == MODEL
