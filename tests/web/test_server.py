"""Listening, stopping, and changing TLS and users without missing a connection."""

from __future__ import annotations

import asyncio
import socket
import time

import pytest
from tests.support.web_backend import CannedBackend, run, serving

from ml_exporter.errors import ConfigError
from ml_exporter.web.app import application
from ml_exporter.web.server import parse_listen, serve


@pytest.mark.parametrize(
    ("listen", "expected"),
    [
        ("127.0.0.1:9840", ("127.0.0.1", 9840)),
        ("[::1]:9840", ("::1", 9840)),
        (":9840", (None, 9840)),
        ("localhost:0", ("localhost", 0)),
    ],
)
def test_an_address_to_listen_at_has_three_forms(listen: str, expected: tuple[str | None, int]) -> None:
    assert parse_listen(listen) == expected


@pytest.mark.parametrize("listen", ["9840", "::1:9840", "host:99999", "host:", "http://host:1", "[nonsense]:1", ""])
def test_another_form_is_an_error_that_names_it(listen: str) -> None:
    with pytest.raises(ConfigError, match=r"server\.listen: found '"):
        parse_listen(listen)


async def _answer_of(port: int, host: str = "127.0.0.1", request: bytes = b"GET /-/healthy HTTP/1.0\r\n\r\n") -> bytes:
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(request)
    try:
        return await reader.read()
    finally:
        writer.close()


def _has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
def test_it_answers_where_it_listens(host: str) -> None:
    if "::" in host and not _has_ipv6():
        pytest.skip("this machine has no IPv6")

    async def test() -> None:
        runner = await serve(application(CannedBackend()), f"{host}:0")
        assert b"200 OK" in await _answer_of(runner.port, host.strip("[]"))
        await runner.stop()

    run(test())


def test_localhost_is_served_on_ipv4_too() -> None:
    async def test() -> None:
        runner = await serve(application(CannedBackend()), "localhost:0")
        assert f"127.0.0.1:{runner.port}" in runner.addresses
        await runner.stop()

    run(test())


def test_a_port_in_use_is_named_with_advice() -> None:
    async def test() -> None:
        async with serving() as (runner, _):
            with pytest.raises(ConfigError, match=rf"'127.0.0.1:{runner.port}': another program listens there"):
                await serve(application(CannedBackend()), runner.address)

    run(test())


@pytest.mark.parametrize("listen", ["192.0.2.7:0", "no-such-host.invalid:9840"])
def test_an_address_of_somebody_else_is_an_error(listen: str) -> None:
    with pytest.raises(ConfigError, match=f"'{listen}'"):
        run(serve(application(CannedBackend()), listen))


def test_nonsense_is_refused_without_a_version() -> None:
    async def test() -> None:
        async with serving() as (runner, _):
            answer = await _answer_of(runner.port, request=b"\x16\x03\x01 nonsense\r\n\r\n")
            assert b" 400 " in answer
            assert b"aiohttp" not in answer
            assert b"Python" not in answer

    run(test())


def test_a_request_in_progress_ends_before_the_server_does() -> None:
    class Slow(CannedBackend):
        async def metrics(self, openmetrics: bool, gzip: bool) -> tuple[bytes, ...]:
            asked.set()
            await asyncio.sleep(0.3)
            return (b"slow 1\n",)

    asked = asyncio.Event()

    async def test() -> None:
        runner = await serve(application(Slow()), "127.0.0.1:0")
        scrape = asyncio.create_task(_answer_of(runner.port, request=b"GET /metrics HTTP/1.0\r\n\r\n"))
        await asked.wait()
        await runner.stop()
        assert (await scrape).endswith(b"slow 1\n")
        with pytest.raises(ConnectionRefusedError):
            await _answer_of(runner.port)

    run(test())


def test_a_request_that_never_ends_does_not_keep_the_server() -> None:
    class Stuck(CannedBackend):
        async def metrics(self, openmetrics: bool, gzip: bool) -> tuple[bytes, ...]:
            asked.set()
            await asyncio.Event().wait()
            return ()

    asked = asyncio.Event()

    async def test() -> float:
        runner = await serve(application(Stuck()), "127.0.0.1:0")
        scrape = asyncio.create_task(_answer_of(runner.port, request=b"GET /metrics HTTP/1.0\r\n\r\n"))
        await asked.wait()
        began = time.monotonic()
        await runner.stop()
        took = time.monotonic() - began
        assert await scrape == b""
        return took

    assert run(test()) < 5
