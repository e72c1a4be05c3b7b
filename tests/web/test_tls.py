"""What the TLS part of the web configuration does on a real socket."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import trustme
from tests.support.web_backend import run, serving
from tests.support.web_files import HASH, basic, issue, status, status_with, tls, trusting, write

from ml_exporter.errors import ConfigError
from ml_exporter.web.toolkit import load, ssl_context


def test_it_serves_tls_with_files_beside_the_configuration(folder: Path, authority: trustme.CA) -> None:
    assert status_with(write(folder, tls()), ssl=trusting(authority)) == 200


def test_plain_http_is_not_answered_where_tls_is(folder: Path) -> None:
    async def test() -> None:
        async with serving(config=load(write(folder, tls()))) as (runner, session):
            with pytest.raises(aiohttp.ClientError):
                await session.get(f"http://{runner.address}/")

    run(test())


@pytest.mark.parametrize(
    ("policy", "without", "known", "stranger"),
    [
        ("NoClientCert", True, True, True),
        ("RequestClientCert", True, True, True),
        ("RequireAnyClientCert", False, True, False),
        ("VerifyClientCertIfGiven", True, True, False),
        ("RequireAndVerifyClientCert", False, True, False),
    ],
)
def test_each_policy_lets_in_whom_it_says(
    folder: Path, authority: trustme.CA, policy: str, without: bool, known: bool, stranger: bool
) -> None:
    more = {} if policy == "NoClientCert" else {"client_ca_file": "ca.pem"}
    path = write(folder, tls(client_auth_type=policy, **more))
    clients = (None, authority.issue_cert("me@example.org"), trustme.CA().issue_cert("me@example.org"))

    async def test() -> list[bool]:
        async with serving(config=load(path)) as (_, session):
            return [await _is_let_in(session, trusting(authority, client)) for client in clients]

    async def _is_let_in(session: aiohttp.ClientSession, context: ssl.SSLContext) -> bool:
        with contextlib.suppress(aiohttp.ClientError):
            return await status(session, ssl=context) == 200
        return False

    assert run(test()) == [without, known, stranger]


@pytest.mark.parametrize(
    ("go", "openssl"),
    [
        ("TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", "ECDHE-ECDSA-AES128-GCM-SHA256"),
        ("TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", "ECDHE-ECDSA-AES256-GCM-SHA384"),
        ("TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256", "ECDHE-RSA-AES128-SHA256"),
        ("TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", "ECDHE-ECDSA-CHACHA20-POLY1305"),
        ("TLS_RSA_WITH_AES_256_GCM_SHA384", "AES256-GCM-SHA384"),
        ("ECDHE-RSA-AES256-GCM-SHA384", "ECDHE-RSA-AES256-GCM-SHA384"),
    ],
)
def test_cipher_suites_may_have_the_names_of_go_or_of_openssl(folder: Path, go: str, openssl: str) -> None:
    context = ssl_context(load(write(folder, tls(cipher_suites=[go, "TLS_AES_128_GCM_SHA256"]))))
    assert context is not None
    older = [cipher["name"] for cipher in context.get_ciphers() if cipher["protocol"] != "TLSv1.3"]
    assert older == [openssl]


@pytest.mark.parametrize(
    ("more", "version"),
    [
        ({"max_version": "TLS12"}, "TLSv1.2"),
        ({}, "TLSv1.3"),
        ({"cipher_suites": ["TLS_AES_128_GCM_SHA256"]}, "TLSv1.3"),
    ],
)
def test_the_version_is_what_was_asked_for(
    folder: Path, authority: trustme.CA, more: dict[str, Any], version: str
) -> None:
    async def test() -> str | None:
        async with serving(config=load(write(folder, tls(**more)))) as (runner, _):
            _, writer = await asyncio.open_connection("127.0.0.1", runner.port, ssl=trusting(authority))
            found: str | None = writer.get_extra_info("ssl_object").version()
            writer.close()
            await writer.wait_closed()
            return found

    assert run(test()) == version


def test_an_old_minimum_version_is_taken_without_a_warning(folder: Path) -> None:
    context = ssl_context(load(write(folder, tls(min_version="TLS10"))))
    assert context is not None
    assert context.minimum_version == ssl.TLSVersion.TLSv1


def test_a_reload_takes_the_new_certificate_and_keeps_open_connections(folder: Path, authority: trustme.CA) -> None:
    async def serial(port: int) -> str:
        _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trusting(authority))
        found: str = writer.get_extra_info("ssl_object").getpeercert()["serialNumber"]
        writer.close()
        await writer.wait_closed()
        return found

    async def test() -> None:
        async with serving(config=load(write(folder, tls()))) as (runner, session):
            assert await status(session, ssl=trusting(authority)) == 200
            before, port = await serial(runner.port), runner.port
            issue(authority, folder)
            await runner.reload()
            assert runner.port == port
            assert await serial(port) != before
            assert await status(session, ssl=trusting(authority)) == 200

    run(test())


def test_a_bad_reload_keeps_what_was(folder: Path, authority: trustme.CA) -> None:
    async def test() -> None:
        async with serving(config=load(write(folder, {**tls(), "basic_auth_users": {"me": HASH}}))) as (
            runner,
            session,
        ):
            (folder / "cert.pem").write_text("broken")
            with pytest.raises(ConfigError, match="key_file"):
                await runner.reload()
            context = trusting(authority)
            assert await status(session, ssl=context, headers=basic("me", "open sesame")) == 200
            assert await status(session, ssl=context) == 401

    run(test())
