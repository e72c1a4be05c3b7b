"""A span and its OTLP form: what a probe did, when, and how it ended."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import msgspec

from ml_exporter import __version__

Attribute: TypeAlias = "str | int | float | bool"

_TEXT = 1_000
"""Characters of a text that are kept: a queue of spans is bounded by their number."""
_CLIENT = 3
_ERROR = 2
_LARGEST = 2**63
_RANDOM_BITS = 56
"""Of a trace id, at its end: those that W3C promises to be random."""
_ENCODER = msgspec.json.Encoder()


@dataclass(frozen=True, slots=True)
class Span:
    """One probe. Ids are lower-case hex digits, 32 of the trace and 16 of the span; times seconds since the epoch."""

    trace_id: str
    span_id: str
    name: str
    began: float
    ended: float
    attributes: Mapping[str, Attribute]
    error: str | None
    """Why it failed; None: it ended well."""


def sampled(trace_id: str, ratio: float) -> bool:
    """Whether a trace belongs to the share of all traces that is recorded: by its id, so that all who ask agree."""
    return int(trace_id[-_RANDOM_BITS // 4 :], 16) >= (1.0 - ratio) * float(2**_RANDOM_BITS)


def encoded(span: Span) -> bytes:
    """A span as OTLP/JSON wants it.

    Raises `ValueError` or `OverflowError` for what has no such form: a time that is no number, text that is no Unicode.
    """
    wire = {
        "traceId": span.trace_id,
        "spanId": span.span_id,
        "name": span.name[:_TEXT],
        "kind": _CLIENT,
        "startTimeUnixNano": _nanoseconds(span.began),
        "endTimeUnixNano": _nanoseconds(max(span.began, span.ended)),
        "attributes": [
            # Most are texts, and a probe's span should cost little beside the probe.
            {"key": key, "value": {"stringValue": value[:_TEXT]} if type(value) is str else _value(value)}
            for key, value in span.attributes.items()
        ],
        "status": {} if span.error is None else {"code": _ERROR, "message": span.error[:_TEXT]},
    }
    return _ENCODER.encode(wire)


def request(spans: Sequence[bytes]) -> bytes:
    """The body of an export of encoded spans."""
    return _BEFORE + b",".join(spans) + _AFTER


def _nanoseconds(at: float) -> str:
    # A float holds microseconds today, no more. 64-bit integers travel as strings: JavaScript would round them.
    return f"{round(at * 1e6)}000"


def _value(value: Attribute) -> dict[str, object]:
    match value:
        case bool():
            return {"boolValue": value}
        case int() if -_LARGEST <= value < _LARGEST:
            return {"intValue": str(value)}
        case float() if math.isfinite(value):
            return {"doubleValue": value}
    return {"stringValue": str(value)[:_TEXT]}


def _envelope() -> tuple[bytes, bytes]:
    named = {"service.name": "ml-exporter", "service.version": __version__}
    attributes = [{"key": key, "value": _value(value)} for key, value in named.items()]
    scope = {"name": "ml-exporter", "version": __version__}
    whole = {"resourceSpans": [{"resource": {"attributes": attributes}, "scopeSpans": [{"scope": scope, "spans": []}]}]}
    before, end, after = msgspec.json.encode(whole).rpartition(b"[]")
    return before + end[:1], end[1:] + after


_BEFORE, _AFTER = _envelope()
