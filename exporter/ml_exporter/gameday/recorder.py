"""Takes what Alertmanager sends, and writes down when it came: page, ticket and info, in this process."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

_MAX_BODY = 5_000_000


@dataclass(frozen=True, slots=True)
class Told:
    """One alert of one message. Times are seconds since the epoch."""

    at: float
    channel: str
    """The receiver: page, ticket, info or watchdog."""
    firing: bool
    labels: Mapping[str, str]
    starts_at: float
    summary: str = ""

    @property
    def alert(self) -> str:
        return self.labels.get("alertname", "")

    def about(self, alert: str, labels: Mapping[str, str]) -> bool:
        """Whether it is this alert, with at least these labels."""
        return self.alert == alert and labels.items() <= self.labels.items()


def told(channel: str, message: Mapping[str, Any], now: float) -> list[Told]:
    """The alerts of a webhook message (version 4). Raises `KeyError`, `TypeError` or `ValueError` for anything else."""
    return [
        Told(
            now,
            channel,
            alert["status"] == "firing",
            dict(alert["labels"]),
            datetime.fromisoformat(alert["startsAt"]).timestamp(),
            alert.get("annotations", {}).get("summary", ""),
        )
        for alert in message["alerts"]
    ]


class Recorder:
    """All that was told, oldest first; safe to use from several threads. `file` gets a line of JSON for each."""

    def __init__(self, file: Path | None = None) -> None:
        self._lock = threading.Lock()
        self._all: list[Told] = []
        self._file = file
        self._server: ThreadingHTTPServer | None = None

    def add(self, entries: list[Told]) -> None:
        with self._lock:
            self._all.extend(entries)
            if self._file:
                with self._file.open("a", encoding="utf-8") as lines:
                    lines.writelines(json.dumps(asdict(entry)) + "\n" for entry in entries)

    def all(self) -> list[Told]:
        with self._lock:
            return list(self._all)

    def listen(self, port: int) -> None:
        """Serve on 127.0.0.1 until `close`, or until this process ends. Raises `OSError` for a port that is taken."""
        handler = type("Handler", (_Handler,), {"recorder": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", port), handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        if self._server:
            self._server.shutdown()
            self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    timeout = 30
    recorder: Recorder

    def do_GET(self) -> None:
        self._answer(200)

    def do_POST(self) -> None:
        """Any path is a channel."""
        try:
            length = int(self.headers.get("Content-Length", ""))
            if not 0 <= length <= _MAX_BODY:
                raise ValueError(f"{length} bytes; allowed are {_MAX_BODY}")
            self.recorder.add(told(self.path.strip("/"), json.loads(self.rfile.read(length)), time.time()))
        except (ValueError, KeyError, TypeError, AttributeError):
            self._answer(400)
        else:
            self._answer(200)

    def _answer(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Silent: the report is what is worth reading."""
