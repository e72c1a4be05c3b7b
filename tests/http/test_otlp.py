"""Spans on their way to a collector: which are taken, how they are sent, and what happens at the end."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trustme
from tests.support.fault_server import FaultServer, hang
from tests.support.http_backend import run
from tests.support.otlp_backend import BAD, MANY, SPAN, TAKEN, after, exporting, spans_of, until
from tests.support.otlp_schema import parsed

from ml_exporter.endpoint_settings import Tracing
from ml_exporter.errors import ConfigError
from ml_exporter.http import otlp
from ml_exporter.http.otlp import Span, SpanExporter


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(otlp, "INTERVAL", 0.02)
    return


# What is posted


def test_a_span_arrives_as_it_was_offered() -> None:
    _, collector, _ = after([SPAN], TAKEN)
    asked = collector.asked[0]
    assert (asked.method, asked.target, asked.headers["content-type"]) == ("POST", "/v1/traces", "application/json")
    assert [span.name for span in spans_of(collector)] == ["probe fraud"]


def test_headers_and_the_folder_of_the_address_are_kept() -> None:
    async def test() -> None:
        async with FaultServer(TAKEN) as collector:
            headers = {"Authorization": "Bearer s3cret-token", "accept-encoding": "gzip"}
            exporter = SpanExporter(Tracing(collector.url + "/otlp/", headers))
            exporter.offer(SPAN)
            task = asyncio.create_task(exporter.run())
            await until(lambda: not exporter._queue)
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            asked = collector.asked[0]
            assert asked.target == "/otlp/v1/traces"
            assert asked.headers["authorization"] == "Bearer s3cret-token"
            assert asked.headers["accept-encoding"] == "identity"

    run(test())


def test_the_authority_of_a_collector_may_be_its_own(tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    trusting, _, _ = after([SPAN], TAKEN, tls=tls, ca_file=str(tmp_path / "ca.pem"))
    assert trusting.dropped == 0
    strict, collector, _ = after([SPAN], TAKEN, tls=tls)
    assert (strict.dropped, collector.asked) == (1, [])


def test_spans_go_in_batches_of_512() -> None:
    _, collector, _ = after([SPAN] * 1200, TAKEN)
    sizes = [len(parsed(asked.body).scope_spans[0].spans) for asked in collector.asked]
    assert sizes == [512, 512, 176]


def test_a_full_batch_does_not_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(otlp, "INTERVAL", 3600.0)

    async def test() -> None:
        async with exporting(TAKEN) as (exporter, collector, _):
            await asyncio.sleep(0)  # it waits already
            for _ in range(513):
                exporter.offer(SPAN)
            await until(lambda: len(exporter._queue) == 1)
            assert len(collector.asked) == 1

    run(test())


# What is taken


def test_without_an_address_nothing_is_taken() -> None:
    exporter = SpanExporter(Tracing())
    exporter.offer(BAD)
    run(exporter.run())
    assert not exporter._queue
    assert exporter.dropped == 0


def test_the_trace_id_alone_decides_what_is_sampled() -> None:
    first, again = (SpanExporter(Tracing("http://x", sample_ratio=0.25)) for _ in range(2))
    for exporter in (first, again):
        for span in MANY:
            exporter.offer(span)
    assert list(first._queue) == list(again._queue)
    assert 200 < len(first._queue) < 300
    assert first.dropped == 0


def test_what_a_smaller_ratio_takes_a_larger_one_takes_too() -> None:
    small, large = (SpanExporter(Tracing("http://x", sample_ratio=ratio)) for ratio in (0.1, 0.5))
    for span in MANY:
        small.offer(span)
        large.offer(span)
    assert 0 < len(small._queue) < len(large._queue)
    assert set(small._queue) <= set(large._queue)


def test_a_span_with_an_error_is_always_taken() -> None:
    exporter = SpanExporter(Tracing("http://x", sample_ratio=0.0))
    exporter.offer(replace(SPAN, trace_id="f" * 32))
    exporter.offer(BAD)
    assert len(exporter._queue) == 1


def test_a_full_queue_drops_and_counts() -> None:
    exporter = SpanExporter(Tracing("http://x"))
    for _ in range(otlp.QUEUE + 7):
        exporter.offer(SPAN)
    assert len(exporter._queue) == otlp.QUEUE
    assert exporter.dropped == 7


@pytest.mark.parametrize(
    "span",
    [
        replace(SPAN, name="\ud800"),
        replace(SPAN, began=float("nan")),
        replace(SPAN, ended=float("inf")),
        replace(SPAN, attributes=None),
        replace(SPAN, trace_id="not hex"),
    ],
    ids=["lone surrogate", "no time", "endless", "no attributes", "no trace id"],
)
def test_a_span_that_cannot_be_told_is_dropped_and_spoils_no_other(span: Span) -> None:
    exporter, collector, _ = after([span, SPAN], TAKEN, sample_ratio=0.999)
    assert len(spans_of(collector)) == 1
    assert exporter.dropped == 1


@pytest.mark.parametrize(
    ("keys", "said"),
    [({"headers": {"X": "a\nb"}}, r"^tracing\.headers\.X: "), ({"ca_file": "/absent"}, r"^tracing\.ca_file /absent: ")],
)
def test_what_cannot_be_used_is_refused_at_the_start_with_its_key(keys: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        SpanExporter(Tracing("http://x", **keys))


# The end


def test_what_waits_is_sent_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(otlp, "INTERVAL", 3600.0)

    async def test() -> FaultServer:
        async with exporting(TAKEN) as (exporter, collector, _):
            await asyncio.sleep(0)
            for _ in range(600):
                exporter.offer(SPAN)
            await until(lambda: collector.asked)
        assert exporter.dropped == 0
        return collector

    assert len(spans_of(run(test()))) >= 600


def test_a_batch_that_the_end_interrupts_is_sent_again() -> None:
    async def test() -> FaultServer:
        async with exporting(hang, TAKEN) as (exporter, collector, _):
            exporter.offer(SPAN)
            await until(lambda: collector.asked)
        assert exporter.dropped == 0
        return collector

    assert [span.span_id for span in spans_of(run(test()))] == [bytes.fromhex(SPAN.span_id)] * 2


def test_a_collector_that_hangs_does_not_delay_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(otlp, "LAST_FLUSH", 0.2)

    async def test() -> None:
        async with exporting(hang) as (exporter, collector, _):
            for _ in range(600):
                exporter.offer(SPAN)
            await until(lambda: collector.asked)
            began = time.monotonic()
        assert time.monotonic() - began < 2
        assert exporter.dropped == 600

    run(test())
