"""Logs, one line an event: logfmt for people and grep, JSON for machines."""

from __future__ import annotations

import json
import logging
import math
import re
import sys
from datetime import UTC, datetime
from typing import Any, Literal, TextIO

Format = Literal["logfmt", "json"]

_BARE = re.compile(r'[^\s"=\\]+')
_NOT_IN_KEYS = re.compile(r"[^A-Za-z0-9_.-]")
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_OURS = ("ts", "level", "logger", "msg", "traceback")


def configure(format: Format = "logfmt", level: str = "info", stream: TextIO | None = None) -> None:
    """Send every log of the process to `stream` (standard error) in the given format, from `level` up."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(Formatter(format))
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level.upper())
    # Any port scanner could fill the log with what it sent; errors of our own pages are logged by the web surface.
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)


class Formatter(logging.Formatter):
    """A record's `extra` becomes keys of the line. Line breaks and quotes in values are escaped."""

    def __init__(self, format: Format) -> None:
        super().__init__()
        self._write = _json if format == "json" else _logfmt

    def format(self, record: logging.LogRecord) -> str:
        event: dict[str, Any] = {
            "ts": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "msg": record.getMessage(),
        }
        for key, value in vars(record).items():
            if key not in _STANDARD:
                event[f"{key}_" if key in _OURS else key] = value
        if record.exc_info and record.exc_info[0]:
            event.setdefault("error", f"{record.exc_info[0].__name__}: {record.exc_info[1]}")
            event["traceback"] = self.formatException(record.exc_info)
        return self._write(event)


def _json(event: dict[str, Any]) -> str:
    return json.dumps({key: _plain(value) for key, value in event.items()}, default=str)


def _logfmt(event: dict[str, Any]) -> str:
    return " ".join(f"{_NOT_IN_KEYS.sub('_', key)}={_logfmt_value(value)}" for key, value in event.items())


def _logfmt_value(value: Any) -> str:
    text = (
        {None: "null", True: "true", False: "false"}.get(value)
        if value is None or value is True or value is False
        else None
    )
    if text is None:
        text = f"{value:.6g}" if isinstance(value, float) else str(value)
    if _BARE.fullmatch(text) and text.isprintable():
        return text
    quoted = json.dumps(text, ensure_ascii=False)
    return "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in quoted)


def _plain(value: Any) -> Any:
    """JSON knows no NaN."""
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
