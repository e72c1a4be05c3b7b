"""Users, tokens and the files they are in; and that they show up nowhere."""

from __future__ import annotations

import asyncio
import base64
from pathlib import Path

import pytest
from tests.support.fault_server import answer, answer_json
from tests.support.http_backend import CALL, GOOD, Backend, error_of, reply_of, run

from ml_exporter.errors import ConfigError, Reason, Rejected, SourceError
from ml_exporter.http import Client, HttpSettings
from ml_exporter.http.credentials import Credentials
from ml_exporter.ports import Call


def test_basic_auth_is_sent() -> None:
    _, backend = reply_of(GOOD, username="viewer", password="pässword")
    expected = base64.b64encode("viewer:pässword".encode()).decode()
    assert backend.server.asked[0].headers["authorization"] == f"Basic {expected}"


def test_a_token_is_read_again_when_its_file_has_changed(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("first\n")

    async def test() -> list[str]:
        async with Backend(GOOD, token_file=str(token)) as backend:
            await backend.client.send(CALL)
            token.write_text("second\n")
            await backend.client.send(CALL)
            return [asked.headers["authorization"] for asked in backend.server.asked]

    assert run(test()) == ["Bearer first", "Bearer second"]


def test_a_refused_token_is_renewed_once(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("old")
    refuse = answer(401, b"expired")

    async def rotate_and_refuse(writer: asyncio.StreamWriter) -> None:
        token.write_text("new")
        await refuse(writer)

    async def test() -> None:
        async with Backend(rotate_and_refuse, GOOD, refuse, token_file=str(token)) as backend:
            await backend.client.send(CALL)
            assert backend.server.asked[1].headers["authorization"] == "Bearer new"
            with pytest.raises(Rejected) as caught:
                await backend.client.send(CALL)
            assert caught.value.reason is Reason.AUTH
            assert backend.client.requests == 3

    run(test())


def test_a_missing_password_file_is_named_and_nothing_is_asked(tmp_path: Path) -> None:
    error, backend = error_of(GOOD, username="u", password_file=str(tmp_path / "absent"))
    assert error.reason is Reason.AUTH
    assert f"password_file {tmp_path}/absent: cannot be read: No such file" in str(error)
    assert backend.client.requests == 0


@pytest.mark.parametrize("content", [b"", b"two\nlines", b"\xff\xfe", b"a" * 100_000])
def test_a_token_file_must_hold_one_line(tmp_path: Path, content: bytes) -> None:
    token = tmp_path / "token"
    token.write_bytes(content)
    error, _ = error_of(GOOD, token_file=str(token))
    assert error.reason is Reason.AUTH
    assert str(token) in str(error)


def test_secrets_are_in_no_error_and_no_trace(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text('s3cr"et')
    echo = answer_json({"detail": 's3cr"et s3cret-header is wrong', "access_token": "other-s3cret"}, 400)
    call = Call("POST", "/x", (("api_key", "s3cret-key"), ("page_token", "p7")), body={"password": "s3cret-body"})

    async def test() -> tuple[SourceError, str]:
        async with Backend(echo, token_file=str(token), headers={"X-Api": "s3cret-header"}) as backend:
            with pytest.raises(Rejected) as caught:
                await backend.client.send(call)
            assert 's3cr"et' in backend.server.asked[0].headers["authorization"]
            return caught.value, repr(backend.client.trace)

    error, trace = run(test())
    assert "s3cr" not in str(error)
    assert "s3cr" not in trace
    assert "is wrong" in str(error)
    assert "api_key=***" in trace
    assert "page_token=p7" in trace


@pytest.mark.parametrize(
    ("text", "cut", "shown"),
    [
        ("Bearer hush-hush-hush and more", False, "Bearer *** and more"),
        ("'Bearer hush-hush-h…' is wrong", False, "'Bearer ***…' is wrong"),
        ("hush-h… and hush-hush-…", False, "***… and ***…"),
        ("Bearer hush-hush-h", True, "Bearer ***"),
        ("one hush-… two hush-hush", True, "one ***… two ***"),
        ("Bearer hush-hush-h", False, "Bearer hush-hush-h"),
        ("a hu…", True, "a hu…"),
        ("nothing of it…", True, "nothing of it…"),
    ],
)
def test_of_a_secret_that_was_cut_the_beginning_is_struck_out(text: str, cut: bool, shown: str) -> None:
    credentials = Credentials(password="hush-hush-hush")
    credentials.headers()
    assert credentials.mask(text, cut=cut) == shown


def test_settings_show_no_secrets() -> None:
    shown = repr(HttpSettings("http://x", password="hush", headers={"X": "hush"}))
    assert "hush" not in shown


def test_a_header_with_a_line_break_is_refused_at_the_start() -> None:
    with pytest.raises(ConfigError, match=r"headers\.X-Scope") as caught:
        Client(HttpSettings("http://x", headers={"X-Scope": "hush\r\nX: y"}))
    assert "hush" not in str(caught.value)
