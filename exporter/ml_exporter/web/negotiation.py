"""Which exposition a scraper wants, from its Accept and Accept-Encoding headers (RFC 9110, 12.5)."""

from __future__ import annotations

from dataclasses import dataclass

TEXT = "text/plain; version=0.0.4; charset=utf-8"
_OPENMETRICS = "application/openmetrics-text"
_OPENMETRICS_VERSIONS = ("1.0.0", "0.0.1")  # one body serves both: they differ in nothing that is exposed here
_TEXT_RANGES = ("text/plain", "text/*", "*/*")  # the most specific one that is given counts


@dataclass(frozen=True, slots=True)
class _Item:
    value: str
    parameters: dict[str, str]
    q: float


def content_type(accept: str) -> str:
    """The content type to answer with; plain text when nothing on offer is acceptable, as other exporters do."""
    items = _parse(accept)
    wanted = [
        (item.q, item.parameters.get("version", "1.0.0"))
        for item in items
        if item.value == _OPENMETRICS and item.parameters.get("version", "1.0.0") in _OPENMETRICS_VERSIONS
    ]
    q, version = max(wanted, default=(0.0, ""))
    if q > 0 and q >= _text_quality(items):
        return f"{_OPENMETRICS}; version={version}; charset=utf-8"
    return TEXT


def is_openmetrics(content_type: str) -> bool:
    return content_type.startswith(_OPENMETRICS)


def takes_gzip(accept_encoding: str) -> bool:
    """Whether gzip is acceptable, and not less welcome than an uncompressed answer."""
    quality = {item.value: item.q for item in _parse(accept_encoding)}
    gzip = quality.get("gzip", quality.get("*", 0.0))
    return gzip > 0 and gzip >= quality.get("identity", 0.0)


def _text_quality(items: list[_Item]) -> float:
    for media_range in _TEXT_RANGES:
        found = [item.q for item in items if item.value == media_range]
        if found:
            return max(found)
    return 0.0


def _parse(header: str) -> list[_Item]:
    return [_item(part) for part in header[:4096].split(",") if part.strip()]


def _item(part: str) -> _Item:
    value, *rest = (piece.strip() for piece in part.split(";"))
    pairs = (piece.partition("=") for piece in rest)
    parameters = {name.strip().lower(): text.strip().strip('"') for name, _, text in pairs}
    return _Item(value.lower(), parameters, _quality(parameters.get("q", "1")))


def _quality(text: str) -> float:
    try:
        q = float(text)
    except ValueError:
        return 0.0
    return q if 0 <= q <= 1 else 0.0
