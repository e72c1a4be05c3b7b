"""A collector that is away, slow or wrong costs spans, a line in the log, and nobody's time."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterator
from typing import Any

import pytest
from tests.support.fault_server import Behaviour, answer, answer_json, cut_off, endless, hang, page, raw
from tests.support.http_backend import run
from tests.support.memory import peak_kib
from tests.support.otlp_backend import SPAN, TAKEN, after, exporting, until

from ml_exporter.http import otlp


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(otlp, "INTERVAL", 0.02)
    return


# A collector in trouble


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_a_refusal_that_may_pass_is_tried_again(status: int) -> None:
    exporter, collector, pauses = after([SPAN], answer(status), answer(status), TAKEN)
    assert len(collector.asked) == 3
    assert pauses == [1.0, 2.0]
    assert exporter.dropped == 0


def test_the_pause_is_as_long_as_the_collector_asks() -> None:
    _, _, pauses = after([SPAN], answer(503, Retry_After="17"), answer(429, Retry_After="86400"), TAKEN)
    assert pauses == [17.0, otlp.LONGEST_PAUSE]


@pytest.mark.parametrize("behaviour", [hang, raw(b""), cut_off()], ids=["hang", "hang up", "cut off"])
def test_an_answer_that_does_not_come_is_asked_for_again(behaviour: Behaviour, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(otlp, "TIMEOUT", 0.2)
    exporter, collector, _ = after([SPAN], behaviour, TAKEN)
    assert len(collector.asked) == 2
    assert exporter.dropped == 0


def test_a_collector_that_stays_away_costs_the_spans() -> None:
    exporter, collector, pauses = after([SPAN] * 3, answer(503))
    assert len(collector.asked) == otlp.ATTEMPTS
    assert pauses == [1.0, 2.0, 4.0, 8.0, 16.0]
    assert exporter.dropped == 3


def test_a_refused_connection_costs_the_spans() -> None:
    async def test() -> None:
        async with exporting(TAKEN) as (exporter, collector, pauses):
            collector.refuse()
            exporter.offer(SPAN)
            await until(lambda: exporter.dropped)
            assert len(pauses) == otlp.ATTEMPTS - 1

    run(test())


@pytest.mark.parametrize("status", [301, 400, 401, 404, 413, 500, 501])
def test_another_refusal_is_final(status: int) -> None:
    exporter, collector, _ = after([SPAN] * 2, answer(status))
    assert len(collector.asked) == 1
    assert exporter.dropped == 2


@pytest.mark.parametrize("count", ["3", 3])
def test_spans_that_a_partial_success_rejects_are_counted(count: Any) -> None:
    partial = answer_json({"partialSuccess": {"rejectedSpans": count, "errorMessage": "no room"}, "new": 1})
    exporter, _, _ = after([SPAN] * 5, partial)
    assert exporter.dropped == 3


def test_no_more_is_counted_as_rejected_than_was_sent() -> None:
    exporter, _, _ = after([SPAN], answer_json({"partialSuccess": {"rejectedSpans": "9" * 19}}))
    assert exporter.dropped == 1


def test_an_empty_answer_is_a_success() -> None:
    exporter, collector, _ = after([SPAN], answer(200, b""))
    assert (len(collector.asked), exporter.dropped) == (1, 0)


async def hundred_megabytes(writer: asyncio.StreamWriter) -> None:
    """Piece by piece: the collector shares our process, and our memory is what is measured."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100000000\r\n\r\n")
    for _ in range(100):
        writer.write(b" " * 1_000_000)
        await writer.drain()


@pytest.mark.parametrize(
    "behaviour",
    [
        page(),
        answer(200, b"\xff\x00garbage"),
        answer_json({"partialSuccess": {"rejectedSpans": "many"}}),
        answer(200, b"[" * 60_000),
        raw(b"garbage\r\n\r\n"),
        hundred_megabytes,
        endless,
    ],
    ids=["page", "bytes", "wrong type", "nested", "no HTTP", "100 MB", "endless"],
)
def test_an_answer_that_is_no_collectors_costs_the_spans_and_no_memory(behaviour: Behaviour) -> None:
    before = peak_kib(reset=True)
    began = time.monotonic()
    exporter, collector, _ = after([SPAN], behaviour)
    assert exporter.dropped == 1
    assert len(collector.asked) == 1
    assert time.monotonic() - began < 5
    grown = peak_kib() - before
    assert grown < 50_000  # kB


def test_offers_to_a_collector_that_hangs_take_no_time() -> None:
    async def test() -> None:
        async with exporting(hang) as (exporter, collector, _):
            exporter.offer(SPAN)
            await until(lambda: collector.asked)
            began = time.perf_counter()
            for _ in range(2 * otlp.QUEUE):
                exporter.offer(SPAN)
            assert time.perf_counter() - began < 2  # 100 µs each: twenty times what it takes
            assert len(exporter._queue) == otlp.QUEUE
            assert exporter.dropped == otlp.QUEUE + 1
            exporter._queue.clear()

    run(test())


# What is said of it


def test_trouble_and_its_end_are_a_line_each(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "ml_exporter")
    after([SPAN], answer(503), answer(504), TAKEN)
    assert [r.getMessage() for r in caplog.records] == ["export of spans fails", "export of spans succeeds again"]
    assert "status 503" in vars(caplog.records[0])["error"]


def test_a_rejection_is_told_with_its_reason(caplog: pytest.LogCaptureFixture) -> None:
    after([SPAN], answer_json({"partialSuccess": {"rejectedSpans": "1", "errorMessage": "no room"}}))
    assert vars(caplog.records[0])["error"] == "1 of 1 spans were rejected: no room"


def test_no_secret_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    after([SPAN], answer(401, b"who is Bearer s3cret-token?"), headers={"Authorization": "Bearer s3cret-token"})
    after(
        [SPAN],
        answer_json({"partialSuccess": {"rejectedSpans": "1", "errorMessage": "s3cret-token"}}),
        headers={"Authorization": "Bearer s3cret-token"},
    )
    assert len(caplog.records) == 2
    assert not any("s3cret" in str(vars(record)) for record in caplog.records)
