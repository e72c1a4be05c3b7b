"""Takes what Alertmanager sends and shows it: the chat, pager and ticket queue of the demo."""

from __future__ import annotations

import argparse
import html
import json
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Iterable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

KEPT = 200
_MAX_BODY = 5_000_000
_COLUMNS = ("time", "channel", "status", "severity", "alertname", "service", "owner", "component", "summary")
_COMPONENTS = ("pipeline", "model", "version", "metric", "dataset", "ml_endpoint", "source")

Notification = dict[str, str]


class Inbox:
    """The last 200 notifications, newest last; safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: deque[Notification] = deque(maxlen=KEPT)

    def add(self, notifications: Iterable[Notification]) -> None:
        with self._lock:
            self._kept.extend(notifications)

    def all(self) -> list[Notification]:
        with self._lock:
            return list(self._kept)


def notifications(channel: str, message: Mapping[str, Any], now: float) -> list[Notification]:
    """One flat entry per alert of an Alertmanager webhook message (version 4)."""
    return [_notification(channel, alert, now) for alert in message["alerts"]]


def _notification(channel: str, alert: Mapping[str, Any], now: float) -> Notification:
    labels, notes = alert["labels"], alert.get("annotations", {})
    return {
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now)),
        "channel": channel,
        "status": alert["status"],
        "severity": labels.get("severity", ""),
        "alertname": labels.get("alertname", ""),
        "service": labels.get("ml_service", ""),
        "owner": labels.get("owner", ""),
        "component": " ".join(f"{name}={labels[name]}" for name in _COMPONENTS if name in labels),
        "pipeline": labels.get("pipeline", ""),
        "summary": notes.get("summary", ""),
        "runbook": notes.get("runbook_url", ""),
        "dashboard": notes.get("dashboard_url", ""),
    }


def line(entry: Notification) -> str:
    """One readable line; empty values are left out."""
    words = [entry["time"], entry["status"].upper(), f"[{entry['severity']}]", entry["alertname"], entry["component"]]
    named = [f"{name}={entry[name]}" for name in ("service", "owner", "runbook", "dashboard") if entry[name]]
    return " ".join(word for word in [*words, f"“{entry['summary']}”", *named] if word)


def page(entries: list[Notification]) -> str:
    """The entries as a plain page, newest first."""
    rows = "".join(
        f"<tr>{''.join(f'<td>{_cell(entry, name)}</td>' for name in _COLUMNS)}</tr>" for entry in entries[::-1]
    )
    head = "".join(f"<th>{name}</th>" for name in _COLUMNS)
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><meta http-equiv="refresh" content="5">'
        "<title>Notifications</title><style>body{font:14px sans-serif}td,th{text-align:left;padding:4px 10px;"
        "border-bottom:1px solid #8884}</style><h1>What would have been sent</h1>"
        f"<p>{len(entries)} kept (at most {KEPT}); <a href=notifications>as JSON</a></p>"
        f"<table><tr>{head}</tr>{rows}</table></html>"
    )


def _cell(entry: Notification, name: str) -> str:
    text = html.escape(entry[name])
    if name == "alertname" and entry["runbook"].startswith(("http://", "https://")):
        return f'<a href="{html.escape(entry["runbook"])}">{text}</a>'
    return text


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 30
    inbox: Inbox

    def do_GET(self) -> None:
        match self.path.partition("?")[0]:
            case "/":
                self._answer(200, page(self.inbox.all()), "text/html; charset=utf-8")
            case "/notifications":
                self._answer(200, json.dumps(self.inbox.all()), "application/json")
            case "/-/healthy":
                self._answer(200, "ok\n", "text/plain")
            case _:
                self._answer(404, "here are /, /notifications and /-/healthy\n", "text/plain")

    def do_POST(self) -> None:
        """Any path is a channel: /page, /ticket, /info, /watchdog."""
        try:
            length = int(self.headers.get("Content-Length", ""))
            if not 0 <= length <= _MAX_BODY:
                raise ValueError(f"{length} bytes; allowed are {_MAX_BODY}")
            entries = notifications(self.path.strip("/"), json.loads(self.rfile.read(length)), time.time())
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            self._answer(400, f"not a webhook message of Alertmanager: {error!r}\n", "text/plain")
            return
        self.inbox.add(entries)
        for entry in entries:
            print(line(entry), flush=True)
        self._answer(200, "", "text/plain")

    def _answer(self, status: int, text: str, kind: str) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        if status >= 400:
            self.send_header("Connection", "close")  # there may be more of the body than was read
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Silent: what is worth reading is printed per alert."""


def server(host: str, port: int) -> ThreadingHTTPServer:
    """A receiver, bound and not yet serving."""
    handler = type("Handler", (_Handler,), {"inbox": Inbox()})
    return ThreadingHTTPServer((host, port), handler)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="receiver", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=9841)
    options = parser.parse_args(arguments)
    # In a container we are process 1, which the kernel ends by SIGTERM only if there is a handler.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with server(options.host, options.port) as serving:
        serving.serve_forever()


if __name__ == "__main__":
    main()
