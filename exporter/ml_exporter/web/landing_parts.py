"""What the sections of the page at `/` share."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from html import escape
from urllib.parse import urlsplit

from ml_exporter.web.backend import State

MARKS: Mapping[State, str] = {"up": "✓ up", "down": "✗ down", "unknown": "? unknown", "starting": "… starting"}
_UNITS = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))


def summary(counts: Mapping[State, int]) -> str:
    """How many are in each state, without those that nothing is in."""
    return ", ".join(f"{counts[state]} {state}" for state in MARKS if counts.get(state)) or "none"


def address(url: str) -> str:
    """A link, where the address is one of the web."""
    shown = escape(url)
    return f'<a href="{shown}">{shown}</a>' if urlsplit(url).scheme in ("http", "https") else shown


def ago(at: float, now: float) -> str:
    """A moment and its age; both are seconds since the epoch."""
    moment = datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    return f'<time datetime="{moment[:10]}T{moment[11:19]}Z">{_age(now - at)} ago ({moment})</time>'


def _age(seconds: float) -> str:
    whole = max(0, int(seconds))
    unit, name = next(((unit, name) for unit, name in _UNITS if whole >= unit), (1, "s"))
    return f"{whole // unit} {name}"
