"""What an answer may cost, however long it is, over real sockets."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest
from tests.support import fault_server as faults
from tests.support.fault_server import FaultServer, answer, answer_json, raw
from tests.support.memory import peak_kib
from tests.support.probe_client import GOOD, STEPS, client_of, probed

from ml_exporter.http.answers import BEGINNING
from ml_exporter.model import Check, Outcome
from ml_exporter.ports import Answer, Call, Finding, Step


def test_an_answer_of_a_gigabyte_ends_within_bounded_memory() -> None:
    async def gigabyte(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000000000\r\n\r\n")
        for _ in range(1000):
            writer.write(b" " * 1_000_000)
            await writer.drain()

    before = peak_kib(reset=True)
    for behaviour in (gigabyte, faults.endless):
        result, _ = probed(behaviour, timeout=20.0, max_response_bytes=5_000_000)
        assert result.outcome is Outcome.BAD_PREDICTION
        assert "max_response_bytes" in (result.problem or "")
    assert peak_kib() - before < 100_000


def test_what_a_health_check_says_at_length_is_not_read() -> None:
    result, _ = probed(faults.endless, steps=STEPS[:1])
    assert result.outcome is Outcome.OK


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


STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"


def streamed(heard: list[Answer], threads: list[int]) -> Step:
    def judge(answered: Answer) -> Finding:
        heard.append(answered)
        threads.append(threading.get_ident())
        return Finding()

    return Step(Check.PREDICT, Call("GET", "/"), judge, stream=True, last_line=b"data: [DONE]")


def test_a_stream_of_short_lines_without_end_ends_within_bounded_memory() -> None:
    heard: list[Answer] = []
    before = peak_kib(reset=True)
    result, _ = probed(
        raw(STREAM + b"ab\n" * 3_000_000), steps=[streamed(heard, [])], timeout=20.0, max_response_bytes=10_000_000
    )
    assert (result.outcome, result.problem) == (Outcome.BAD_PREDICTION, "the stream has more than 20000 lines")
    assert not heard
    assert peak_kib() - before < 100_000


def test_a_long_stream_is_heard_to_its_end_and_only_its_lines_are_kept() -> None:
    event = b": still there\r\nevent: chunk\r\nid: 7\r\ndata: a letter\r\n\r\n"
    heard: list[Answer] = []
    threads: list[int] = []
    result, _ = probed(
        raw(STREAM + event * 4_096 + b"data: [DONE]\n\n"), steps=[streamed(heard, threads)], timeout=20.0
    )
    assert result.outcome is Outcome.OK, result.problem
    assert len(heard[0].lines) == 4 * 4_096 + 1
    assert heard[0].body == (event * 4_096)[:BEGINNING]
    assert threads != [threading.get_ident()]  # so much is not judged on the loop


def test_a_stream_that_hangs_tells_how_far_it_came() -> None:
    async def a_line(writer: asyncio.StreamWriter) -> None:
        writer.write(STREAM + b"a" * 800_000)  # which takes more than one read
        await faults.hang(writer)

    result, _ = probed(a_line, steps=[streamed([], [])], timeout=1.0)
    assert result.problem == "no complete answer within 1 s, stopped after 800000 bytes"


@pytest.mark.parametrize(
    ("version", "said"),
    [
        ("9" * 201, "999999999…' of 201 characters; allowed are 200 printable ones"),
        ("9" * 800_000, "of 800000 characters"),
        ("1\n2", "'1 2' of 3 characters"),
        ("\u202e1", "of 2 characters"),
    ],
)
def test_a_version_that_is_no_label_makes_the_answer_wrong_and_is_not_kept(version: str, said: str) -> None:
    result, _ = probed(answer_json({**GOOD, "model_version": version}), max_response_bytes=1_000_000)
    assert result.outcome is Outcome.BAD_PREDICTION
    assert said in (result.problem or "")
    assert len(result.problem or "") < 200
    assert result.finding.version is None


def test_a_wrong_answer_with_a_version_that_is_no_label_is_of_none() -> None:
    result, _ = probed(answer_json({**GOOD, "model_version": "9" * 201, "outputs": []}))
    assert (result.problem, result.finding.version) == ("there are no outputs", None)


def test_a_version_of_200_characters_is_told() -> None:
    result, _ = probed(answer_json({**GOOD, "model_version": "9" * 200}))
    assert (result.outcome, result.finding.version) == (Outcome.OK, "9" * 200)


def test_judging_a_large_answer_has_the_same_time_limit_and_holds_up_nobody() -> None:
    def judge(_answer: Answer) -> Finding:
        time.sleep(1.0)
        return Finding()

    async def run() -> tuple[Outcome, float]:
        async with FaultServer(answer(200, b" " * 100_000)) as server, client_of(server) as client:
            step = Step(Check.PREDICT, Call("GET", "/"), judge)
            probing = asyncio.ensure_future(client.probe([step], 0.3))
            longest, before = 0.0, time.perf_counter()
            while not probing.done():
                await asyncio.sleep(0.01)
                longest, before = max(longest, time.perf_counter() - before), time.perf_counter()
            return probing.result().outcome, longest

    outcome, longest = asyncio.run(run())
    assert outcome is Outcome.TIMEOUT
    assert longest < 0.25
