"""Replies that are not what the API promises, as a backend really sends them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.support.fault_server import answer, answer_json, endless, gzip_bomb, hang_up, page
from tests.support.http_backend import CALL, GOOD, Backend, error_of, reply_of, run

from ml_exporter.errors import Malformed, Reason, SourceError


def test_a_login_page_is_recognised() -> None:
    error, _ = error_of(page())
    assert isinstance(error, Malformed)
    assert "an HTML page, starting with '<!doctype html><title>Please log in" in str(error)
    assert "login page?" in str(error)


def test_truncated_json_is_called_so() -> None:
    error, backend = error_of(answer(200, b'{"name": "night'))
    assert isinstance(error, Malformed)
    assert "truncated JSON: it ends after 15 bytes" in str(error)
    assert backend.client.requests == 1


@pytest.mark.parametrize("body", [b"", b"OK", b"[" * 200_000, b"9" * 6_000, b"\x00\xff"])
def test_what_is_no_json_is_malformed(body: bytes) -> None:
    error, _ = error_of(answer(200, body), call=replace(CALL, reply=Any))
    assert isinstance(error, Malformed)
    assert str(error).isprintable()


def test_json_of_another_shape_says_what_was_found_and_where() -> None:
    error, _ = error_of(answer_json({"name": 7}))
    assert isinstance(error, Malformed)
    assert "Expected `str`, got `int` - at `$.name`" in str(error)
    assert "/api/runs" in str(error)


@pytest.mark.parametrize(
    ("body", "name"),
    [
        (b'{"name": "caf\xe9"}', "caf\ufffd"),
        (rb'{"name": "half \ud83d"}', "half \ufffd"),
        (rb'{"name": "whole \ud83d\ude00"}', "whole \U0001f600"),
    ],
    ids=["latin-1", "half a surrogate pair", "a whole pair"],
)
def test_broken_characters_in_a_name_are_replaced(body: bytes, name: str) -> None:
    reply, _ = reply_of(answer(200, body))
    assert reply.value.name == name


def test_broken_characters_do_not_hide_a_wrong_shape() -> None:
    error, _ = error_of(answer(200, b'{"name": 7, "x": "\xff"}'))
    assert "Expected `str`, got `int`" in str(error)


def test_numbers_that_json_does_not_know_are_read() -> None:
    reply, _ = reply_of(answer(200, b'{"name": "x", "value": Infinity}'))
    assert reply.value.value == float("inf")


def test_a_gzip_bomb_is_refused_without_unpacking_it() -> None:
    error, backend = error_of(gzip_bomb())
    assert isinstance(error, Malformed)
    assert "compressed (gzip)" in str(error)
    assert backend.client.response_bytes == 0


def test_endless_chunks_end_at_the_limit() -> None:
    error, backend = error_of(endless, max_response_bytes=100_000)
    assert isinstance(error, Malformed)
    assert error.reason is Reason.TOO_LARGE
    assert 100_000 < backend.client.response_bytes < 200_000


def test_a_reply_announced_as_too_large_is_not_read() -> None:
    error, backend = error_of(answer(200, b" " * 50_000), max_response_bytes=10_000)
    assert error.reason is Reason.TOO_LARGE
    assert backend.client.response_bytes == 0


def test_the_client_works_after_each_of_these() -> None:
    async def test() -> None:
        bad = [hang_up, page(), gzip_bomb(1000), endless, answer(200, b"{"), answer(400), GOOD]
        async with Backend(*bad, max_response_bytes=100_000) as backend:
            for _ in range(5):
                with pytest.raises(SourceError):
                    await backend.client.send(CALL)
            assert (await backend.client.send(CALL)).value.name == "nightly"

    run(test())
