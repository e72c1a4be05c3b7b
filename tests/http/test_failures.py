"""Refusals: their reason, how often they are tried, and what an error quotes."""

from __future__ import annotations

from email.utils import formatdate

import pytest
from tests.support.fault_server import answer, redirect
from tests.support.http_backend import GOOD, NOW, error_of, reply_of

from ml_exporter.errors import Reason, Rejected


@pytest.mark.parametrize(
    ("status", "reason", "requests"),
    [
        (400, Reason.REJECTED, 1),
        (401, Reason.AUTH, 1),
        (403, Reason.AUTH, 1),
        (404, Reason.REJECTED, 1),
        (429, Reason.RATE_LIMITED, 3),
        (500, Reason.SERVER_ERROR, 3),
        (502, Reason.SERVER_ERROR, 3),
        (503, Reason.SERVER_ERROR, 3),
        (504, Reason.SERVER_ERROR, 3),
    ],
)
def test_every_status_has_its_reason_and_its_number_of_tries(status: int, reason: Reason, requests: int) -> None:
    error, backend = error_of(answer(status, b"no way"))
    assert isinstance(error, Rejected)
    assert error.reason is reason
    assert backend.client.requests == requests
    assert str(error).startswith(f"GET {backend.server.url}/api/runs: status {status}")
    assert "no way" in str(error)


@pytest.mark.parametrize("target", ["https://login.example.org/?state=hush", "/api/runs"], ids=["elsewhere", "itself"])
def test_a_redirect_is_not_followed_and_says_where_to(target: str) -> None:
    error, backend = error_of(redirect(target))
    assert isinstance(error, Rejected)
    assert error.reason is Reason.REDIRECT
    assert target.partition("?")[0] in str(error)
    assert "hush" not in str(error)
    assert backend.client.requests == 1


def test_an_error_quotes_at_most_200_printable_characters() -> None:
    error, _ = error_of(answer(400, b"\x1b[31mred\r\n\x00" + "é".encode() * 5000))
    assert str(error).isprintable()
    assert len(str(error).partition("status 400: ")[2]) == 200


def test_a_short_retry_after_is_waited_for() -> None:
    reply, backend = reply_of(answer(429, b"", Retry_After="7"), GOOD)
    assert reply.status == 200
    assert backend.pauses == [7.0]


def test_retry_after_may_be_a_date() -> None:
    _, backend = reply_of(answer(503, b"", Retry_After=formatdate(NOW + 12, usegmt=True)), GOOD)
    assert backend.pauses == [12.0]


def test_a_long_retry_after_is_handed_on_at_once() -> None:
    error, backend = error_of(answer(429, b"", Retry_After="3600"))
    assert error.retry_after == 3600
    assert backend.pauses == []


@pytest.mark.parametrize("value", ["soon", "-5", "", "9" * 400])
def test_a_senseless_retry_after_does_no_harm(value: str) -> None:
    error, _ = error_of(answer(429, b"", Retry_After=value))
    assert error.reason is Reason.RATE_LIMITED
    assert error.retry_after is None or error.retry_after <= 86_400
