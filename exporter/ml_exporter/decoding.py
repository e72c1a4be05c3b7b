"""Bytes of a reply → the value that a source asked for, or `Malformed` that says what they are instead."""

from __future__ import annotations

import functools
import json
import re
from typing import Any

import msgspec

from ml_exporter.errors import Malformed

QUOTE = 200
"""Characters of a backend's reply that an error may quote."""
_SURROGATES = re.compile("[\ud800-\udfff]")


def printable(text: str, limit: int = QUOTE) -> str:
    """One line of at most `limit` printable characters."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text[: 4 * limit]).split())
    return line if len(line) <= limit and len(text) <= 4 * limit else line[: limit - 1] + "…"


def text_of(body: bytes, limit: int = 4_096) -> str:
    """The beginning of a reply as text, whatever its bytes are."""
    return body[:limit].decode("utf-8", "replace")


def decode(body: bytes, kind: Any, content_type: str = "") -> Any:
    """Decode JSON into the type `kind` by msgspec's rules; `bytes` leaves it as it came.

    Raises `Malformed` with what was found, without a prefix. Replies that are JSON but for broken Unicode
    (backends hold whatever their users typed) are read with the broken characters replaced.
    """
    if kind is bytes:
        return body
    _refuse_pages(body, content_type)
    try:
        return _decoder(kind).decode(body)
    except msgspec.ValidationError as error:
        raise Malformed(f"the reply is not what the API promises: {printable(str(error))}") from None
    except RecursionError:
        raise Malformed("the reply is nested too deeply") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return _decode_leniently(body, kind, error)


@functools.lru_cache(maxsize=256)
def _decoder(kind: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(kind)


def _refuse_pages(body: bytes, content_type: str) -> None:
    start = body[:64].lstrip().lower()
    if content_type.partition(";")[0].strip().lower() == "text/html" or start.startswith((b"<!doctype html", b"<html")):
        raise Malformed(
            f"an HTML page, starting with '{printable(text_of(body), 80)}'; is this the right address, or a login page?"
        )
    if not body.strip():
        raise Malformed("an empty reply where JSON was expected")


def _decode_leniently(body: bytes, kind: Any, first: Exception) -> Any:
    try:
        value = _without_surrogates(json.loads(body.decode("utf-8", "replace")))
        return msgspec.convert(value, kind, strict=True)
    except msgspec.ValidationError as error:
        raise Malformed(f"the reply is not what the API promises: {printable(str(error))}") from None
    except RecursionError:
        raise Malformed("the reply is nested too deeply") from None
    except ValueError as error:
        if "truncated" in str(first):
            raise Malformed(f"truncated JSON: it ends after {len(body)} bytes in the middle") from None
        why = printable(str(error))
        raise Malformed(f"not JSON ({why}), starting with '{printable(text_of(body), 80)}'") from None


def _without_surrogates(value: Any) -> Any:
    match value:
        case str():
            return _SURROGATES.sub("\ufffd", value)
        case dict():
            return {_without_surrogates(key): _without_surrogates(item) for key, item in value.items()}
        case list():
            return [_without_surrogates(item) for item in value]
    return value
