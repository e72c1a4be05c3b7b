"""Backends that want credentials in ways of their own: a token for a password, headers of their own, a socket."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from tests.support.fault_server import Behaviour, answer, answer_json, raw
from tests.support.http_backend import CALL, GOOD, Backend, error_of, reply_of, run

from ml_exporter.errors import MlExporterError, Reason, Rejected, SourceError
from ml_exporter.http import Client, HttpSettings
from ml_exporter.ports import Auth, Login

AUTH = Auth(login=Login("/auth/token", "access_token"))
USER: dict[str, Any] = {"username": "viewer", "password": "hush-hush", "auth": AUTH}
EXPIRED = answer_json({"detail": "token expired"}, 401)


def token(text: str) -> Behaviour:
    return answer_json({"access_token": text}, 201)


def conversation(*script: Behaviour, polls: int = 1, **settings: Any) -> tuple[Backend, list[MlExporterError | None]]:
    """Send the same call some times; the backend afterwards, and how each one ended."""

    async def test() -> tuple[Backend, list[MlExporterError | None]]:
        ended: list[MlExporterError | None] = []
        async with Backend(*script, **{**USER, **settings}) as backend:
            for _ in range(polls):
                try:
                    await backend.client.send(CALL)
                    ended.append(None)
                except SourceError as error:
                    ended.append(error)
            return backend, ended

    return run(test())


def test_a_password_gets_a_token_once() -> None:
    backend, ended = conversation(token("t1"), GOOD, GOOD, polls=2)
    assert ended == [None, None]
    login, first, second = backend.server.asked
    assert (login.method, login.target) == ("POST", "/auth/token")
    assert json.loads(login.body) == {"username": "viewer", "password": "hush-hush"}
    assert "authorization" not in login.headers
    assert [first.headers["authorization"], second.headers["authorization"]] == ["Bearer t1", "Bearer t1"]


@pytest.mark.parametrize("status", [401, 403])
def test_an_expired_token_is_renewed_once_and_then_it_is_auth(status: int) -> None:
    expired = answer_json({"detail": "no"}, status)
    backend, ended = conversation(token("t1"), GOOD, expired, token("t2"), GOOD, polls=2)
    assert ended == [None, None]
    assert backend.server.asked[-1].headers["authorization"] == "Bearer t2"
    backend, [error] = conversation(token("t1"), expired, token("t2"), expired)
    assert getattr(error, "reason", None) is Reason.AUTH
    assert len(backend.server.asked) == 4


def test_a_login_that_is_refused_names_the_place_and_asks_for_nothing_else() -> None:
    backend, [error] = conversation(answer_json({"detail": "Invalid credentials"}, 401))
    assert getattr(error, "reason", None) is Reason.AUTH
    assert "login at /auth/token: status 401, not authorised" in str(error)
    assert len(backend.server.asked) == 1


@pytest.mark.parametrize("body", [b"{}", b"<html>", b"[]", b'{"access_token": 7}', b'{"access_token": "a b"}'])
def test_a_login_without_a_token_says_so(body: bytes) -> None:
    _, [error] = conversation(answer(201, body))
    assert "the reply holds no token in 'access_token'" in str(error)


@pytest.mark.parametrize("status", [404, 405])
def test_a_server_without_a_login_gets_basic_authentication(status: int) -> None:
    backend, ended = conversation(answer(status, b"no such page"), GOOD, GOOD, polls=2)
    assert ended == [None, None]
    assert [asked.target for asked in backend.server.asked] == ["/auth/token", "/api/runs", "/api/runs"]
    assert all(asked.headers["authorization"].startswith("Basic ") for asked in backend.server.asked[1:])


def test_a_changed_password_is_read_for_the_new_login(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("old")

    async def rotate(writer: asyncio.StreamWriter) -> None:
        file.write_text("new")
        await EXPIRED(writer)

    backend, ended = conversation(token("t1"), rotate, token("t2"), GOOD, password=None, password_file=str(file))
    assert ended == [None]
    assert json.loads(backend.server.asked[2].body)["password"] == "new"


def test_neither_password_nor_token_is_in_an_error_or_a_trace() -> None:
    echo = answer_json({"detail": "t0ken-1 and hush-hush are wrong"}, 400)
    backend, [error] = conversation(token("t0ken-1"), echo)
    shown = str(error) + repr(backend.client.trace)
    assert "are wrong" in shown
    assert "t0ken" not in shown
    assert "hush" not in shown


def test_without_a_password_nobody_logs_in() -> None:
    _, backend = reply_of(GOOD, auth=AUTH)
    assert len(backend.server.asked) == 1


def test_a_token_file_needs_no_login(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("given")
    _, backend = reply_of(GOOD, auth=AUTH, token_file=str(file))
    assert backend.server.asked[0].headers["authorization"] == "Bearer given"


def test_user_and_token_go_in_the_headers_that_the_backend_reads(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("jwt-secret")
    auth = Auth(token_header="X-SLURM-USER-TOKEN", user_header="X-SLURM-USER-NAME")
    _, backend = reply_of(GOOD, auth=auth, username="monitor", token_file=str(file))
    headers = backend.server.asked[0].headers
    assert (headers["x-slurm-user-name"], headers["x-slurm-user-token"]) == ("monitor", "jwt-secret")
    assert "authorization" not in headers
    error, backend = error_of(
        answer_json({"e": "jwt-secret of monitor"}, 400), auth=auth, username="monitor", token_file=str(file)
    )
    assert "*** of monitor" in str(error)


def test_a_backend_on_a_unix_socket_is_reached(tmp_path: Path) -> None:
    path = tmp_path / "s"

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await GOOD(writer)
        writer.close()

    async def test() -> str:
        async with await asyncio.start_unix_server(serve, path):
            client = Client(HttpSettings("http://slurmrestd", unix_socket=str(path)))
            try:
                return str((await client.send(CALL)).value.name)
            finally:
                await client.close()

    assert run(test()) == "nightly"


def test_a_refusal_that_is_sent_twice_is_read_once() -> None:
    """As slurmrestd 26.05 sends it."""
    body = b'{"errors": [{"error": "Protocol authentication error"}]}'
    head = b"HTTP/1.1 %s\r\nConnection: Close\r\nContent-Length: %d\r\n\r\n"
    twice = head % (b"401 UNAUTHORIZED", len(body)) + body + head % (b"401 UNAUTHORIZED", 4) + b"text"
    error, _ = error_of(raw(twice))
    assert error.reason is Reason.AUTH
    assert "Protocol authentication error" in str(error)


def test_a_socket_that_is_not_there_is_named(tmp_path: Path) -> None:
    async def test() -> str:
        async def at_once(seconds: float) -> None:
            return None

        client = Client(HttpSettings("http://slurmrestd", unix_socket=str(tmp_path / "absent")), sleep=at_once)
        try:
            with pytest.raises(SourceError) as caught:
                await client.send(CALL)
            assert not isinstance(caught.value, Rejected)
            return str(caught.value)
        finally:
            await client.close()

    said = run(test())
    assert "absent" in said
    assert "no such file" in said
