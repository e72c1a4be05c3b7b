"""The HTTP driver: what is sent, what is counted, and a backend that cannot be reached."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import replace
from pathlib import Path

import pytest
import trustme
from tests.support.fault_server import (
    Behaviour,
    answer,
    answer_json,
    cut_off,
    drip,
    hang,
    hang_up,
    huge_headers,
    raw,
)
from tests.support.http_backend import CALL, GOOD, Backend, Run, error_of, reply_of, run

from ml_exporter.errors import ConfigError, Malformed, Reason, Unreachable
from ml_exporter.http import Client, HttpSettings
from ml_exporter.ports import Call

# A good day


def test_a_reply_is_decoded_into_the_type_the_source_asked_for() -> None:
    reply, _ = reply_of(GOOD)
    assert reply.value == Run("nightly", 1.5)
    assert reply.status == 200
    assert reply.headers["content-type"] == "application/json"


def test_a_call_arrives_with_its_path_parameters_headers_and_body() -> None:
    call = Call("POST", "/a b/ü%2F?x", (("q", "a&b"), ("q", "ü")), {"If-None-Match": '"7"'}, body={"n": 1}, reply=Run)
    _, backend = reply_of(GOOD, call=call, headers={"X-Scope": "ml", "accept": "text/x"})
    asked = backend.server.asked[0]
    assert asked.method == "POST"
    assert asked.target == "/a%20b/%C3%BC%2F%3Fx?q=a%26b&q=%C3%BC"
    assert asked.body == b'{"n":1}'
    assert asked.headers["if-none-match"] == '"7"'
    assert asked.headers["content-type"] == "application/json"
    assert asked.headers["x-scope"] == "ml"
    assert asked.headers["accept"] == "text/x"
    assert asked.headers["accept-encoding"] == "identity"


def test_a_path_that_climbs_is_sent_as_it_is() -> None:
    _, backend = reply_of(GOOD, call=replace(CALL, path="/api/dags/%2E%2E/runs"))
    assert backend.server.asked[0].target == "/api/dags/%2E%2E/runs"


def test_the_folder_of_the_address_goes_before_every_path() -> None:
    async def test() -> None:
        async with Backend(GOOD) as backend:
            client = Client(HttpSettings(backend.server.url + "/mlflow/"))
            await client.send(CALL)
            await client.close()
            assert backend.server.asked[0].target == "/mlflow/api/runs"

    run(test())


def test_bytes_are_left_as_they_came() -> None:
    reply, _ = reply_of(answer(200, b"\xff\x00raw"), call=replace(CALL, reply=bytes))
    assert reply.value == b"\xff\x00raw"


def test_another_accepted_status_is_an_answer_with_raw_bytes() -> None:
    reply, _ = reply_of(answer(404, b"gone"), call=replace(CALL, accept=frozenset({200, 404})))
    assert (reply.status, reply.value) == (404, b"gone")


def test_calls_one_after_the_other_share_a_connection() -> None:
    async def test() -> None:
        async with Backend(GOOD) as backend:
            for _ in range(5):
                await backend.client.send(CALL)
            assert {asked.connection for asked in backend.server.asked} == {1}

    run(test())


def test_calls_at_the_same_time_share_a_limited_number_of_connections() -> None:
    async def test() -> None:
        async with Backend(GOOD) as backend:
            await asyncio.gather(*(backend.client.send(CALL) for _ in range(40)))
            assert 1 <= max(asked.connection for asked in backend.server.asked) <= 8

    run(test())


def test_a_large_reply_is_decoded_too() -> None:
    reply, _ = reply_of(answer_json([{"name": f"run {n}"} for n in range(20_000)]), call=replace(CALL, reply=list[Run]))
    assert len(reply.value) == 20_000


def test_requests_and_bytes_are_counted_retries_included() -> None:
    _, backend = reply_of(answer(503, b"later"), GOOD)
    assert backend.client.requests == 2
    assert backend.client.response_bytes == len(b"later") + len(b'{"name": "nightly", "value": 1.5}')


# No answer


def test_a_refused_connection_is_tried_three_times_and_unreachable() -> None:
    async def test() -> None:
        async with Backend(GOOD) as backend:
            backend.server.refuse()
            with pytest.raises(Unreachable, match="cannot connect: connection refused") as caught:
                await backend.client.send(CALL)
            assert caught.value.reason is Reason.UNREACHABLE
            assert backend.client.requests == 3
            assert backend.pauses == [0.5, 1.0]

    run(test())


def test_an_unknown_host_is_named() -> None:
    error, _ = error_of(GOOD, url="http://no-such-host.invalid:5000")
    assert error.reason is Reason.UNREACHABLE
    assert "no-such-host.invalid" in str(error)


@pytest.mark.parametrize("behaviour", [hang, drip], ids=["hangs", "drips"])
def test_a_server_that_never_finishes_is_a_time_out(behaviour: Behaviour) -> None:
    error, backend = error_of(behaviour, timeout=0.3)
    assert isinstance(error, Unreachable)
    assert error.reason is Reason.TIMEOUT
    assert "within 0.3 s" in str(error)
    assert backend.client.requests == 3


def test_a_connection_that_closes_without_an_answer_is_tried_again() -> None:
    reply, _ = reply_of(hang_up, GOOD)
    assert reply.value.name == "nightly"


def test_a_reply_that_breaks_off_is_unreachable_and_says_after_how_much() -> None:
    error, _ = error_of(cut_off(b"12345678"))
    assert error.reason is Reason.UNREACHABLE
    assert "broke off after 8 bytes" in str(error)


def test_a_server_that_speaks_no_http_is_malformed() -> None:
    error, _ = error_of(raw(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"))
    assert isinstance(error, Malformed)
    assert "not a valid HTTP answer" in str(error)


def test_huge_headers_are_malformed() -> None:
    error, _ = error_of(huge_headers())
    assert isinstance(error, Malformed)


# TLS


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def server_tls(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


def test_a_certificate_of_ones_own_authority_is_accepted_with_ca_file(
    authority: trustme.CA, server_tls: ssl.SSLContext, tmp_path: Path
) -> None:
    ca_file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(ca_file))
    reply, _ = reply_of(GOOD, tls=server_tls, ca_file=str(ca_file))
    assert reply.value.name == "nightly"


def test_an_unknown_authority_is_a_tls_error_with_a_hint_and_no_retry(server_tls: ssl.SSLContext) -> None:
    error, backend = error_of(GOOD, tls=server_tls)
    assert isinstance(error, Unreachable)
    assert error.reason is Reason.TLS
    assert "set ca_file" in str(error)
    assert backend.client.requests == 1
    assert backend.server.asked == []


def test_a_certificate_for_another_name_is_a_tls_error(authority: trustme.CA, tmp_path: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("elsewhere.example.org").configure_cert(context)
    ca_file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(ca_file))
    error, _ = error_of(GOOD, tls=context, ca_file=str(ca_file))
    assert error.reason is Reason.TLS


def test_https_to_a_plain_server_is_a_tls_error() -> None:
    async def greet(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()
        writer.close()

    async def test() -> None:
        server = await asyncio.start_server(greet, "127.0.0.1", 0)
        client = Client(HttpSettings(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"))
        with pytest.raises(Unreachable) as caught:
            await client.send(CALL)
        await client.close()
        server.close()
        assert caught.value.reason is Reason.TLS

    run(test())


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_an_unusable_ca_file_is_named_at_the_start(tmp_path: Path, content: str | None) -> None:
    ca_file = tmp_path / "ca.pem"
    if content is not None:
        ca_file.write_text(content)
    with pytest.raises(ConfigError, match=str(ca_file)):
        Client(HttpSettings("https://x", ca_file=str(ca_file)))


# The debug page


def test_the_trace_tells_what_was_asked_and_got() -> None:
    async def test() -> None:
        async with Backend(answer(503, b"later"), GOOD, answer(200, b"{")) as backend:
            await backend.client.send(Call("POST", "/x", (("n", "1"),), body={"filter": "a = 1"}, reply=Run))
            with pytest.raises(Malformed):
                await backend.client.send(CALL)
            first, second, third = backend.client.trace
            assert (first.method, first.path, first.status, first.reply) == ("POST", "/x?n=1", 503, "later")
            assert (second.status, second.error, second.sent) == (200, None, '{"filter":"a = 1"}')
            assert second.seconds > 0
            assert second.bytes == len(second.reply) == 33
            assert third.error is not None
            assert "truncated" in third.error

    run(test())


def test_the_trace_is_of_the_current_poll_and_bounded() -> None:
    async def test() -> None:
        async with Backend(answer_json({"name": "x" * 5000})) as backend:
            for _ in range(105):
                await backend.client.send(CALL)
            assert len(backend.client.trace) == 100
            assert len(backend.client.trace[0].reply) == 500
            backend.client.begin_poll()
            assert backend.client.trace == ()

    run(test())
