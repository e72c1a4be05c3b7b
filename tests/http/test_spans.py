"""The OTLP form of a span, held against the official schema."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.support.otlp_schema import parsed

from ml_exporter.http.spans import Span, encoded, request

NOW = 1_700_000_000.0
SPAN = Span("ab" * 16, "cd" * 8, "probe fraud", NOW, NOW + 0.25, {"ml.model": "fraud"}, None)


def read(span: Span) -> Any:
    (found,) = parsed(request([encoded(span)])).scope_spans[0].spans
    return found


def test_a_span_is_what_the_official_schema_says() -> None:
    span = read(SPAN)
    assert (span.trace_id.hex(), span.span_id.hex(), span.name) == (SPAN.trace_id, SPAN.span_id, "probe fraud")
    assert span.kind == span.SPAN_KIND_CLIENT
    assert span.start_time_unix_nano == int(NOW) * 10**9
    assert span.end_time_unix_nano - span.start_time_unix_nano == 250_000_000
    assert span.status.code == span.status.STATUS_CODE_UNSET


def test_a_request_says_who_sends_it() -> None:
    whole = parsed(request([encoded(SPAN), encoded(SPAN)]))
    resource = {a.key: a.value.string_value for a in whole.resource.attributes}
    assert resource["service.name"] == "ml-exporter"
    assert resource["service.version"]
    assert whole.scope_spans[0].scope.name == "ml-exporter"
    assert len(whole.scope_spans[0].spans) == 2


@pytest.mark.parametrize("error", ["answers, but wrong", ""])
def test_an_error_is_the_status_of_its_span(error: str) -> None:
    span = read(replace(SPAN, error=error))
    assert span.status.code == span.status.STATUS_CODE_ERROR
    assert span.status.message == error


def test_attributes_keep_their_types() -> None:
    given = {"text": "ü", "true": True, "whole": 2**53 + 1, "half": 0.5}
    found = {a.key: a.value for a in read(replace(SPAN, attributes=given)).attributes}
    assert {key: getattr(value, value.WhichOneof("value")) for key, value in found.items()} == given
    assert found["true"].WhichOneof("value") == "bool_value"
    assert found["whole"].WhichOneof("value") == "int_value"


def test_numbers_that_the_schema_cannot_hold_are_texts() -> None:
    given = {"nan": float("nan"), "endless": float("-inf"), "long": 2**63}
    found = {a.key: a.value.string_value for a in read(replace(SPAN, attributes=given)).attributes}
    assert found == {"nan": "nan", "endless": "-inf", "long": str(2**63)}


def test_long_texts_are_cut() -> None:
    long = replace(SPAN, error="e" * 1_000_000, attributes={"a": "v" * 1_000_000}, name="n" * 1_000_000)
    assert len(encoded(long)) < 4_000


def test_a_clock_that_went_back_makes_no_span_of_negative_length() -> None:
    span = read(replace(SPAN, ended=NOW - 5))
    assert span.end_time_unix_nano == span.start_time_unix_nano


@pytest.mark.parametrize(
    "span",
    [replace(SPAN, name="\ud800"), replace(SPAN, began=float("nan")), replace(SPAN, ended=float("inf"))],
    ids=["lone surrogate", "no time", "endless"],
)
def test_what_has_no_otlp_form_is_an_error(span: Span) -> None:
    with pytest.raises((ValueError, OverflowError)):
        encoded(span)
