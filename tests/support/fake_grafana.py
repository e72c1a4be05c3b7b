"""A stand-in for Grafana, for our own side of its HTTP API: it answers in the form that its documentation gives.

It is no proof of what Grafana does. It knows no PromQL: a query that holds a word of `refused` is answered by an error.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class FakeGrafana:
    """What it has, what it refuses, and what it was asked."""

    dashboards: dict[str, dict[str, Any]] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    """A word of a query → the error that it gets."""
    broken: bool = False
    """Whether a proxy answers in its place."""
    asked: list[dict[str, Any]] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    url: str = ""

    def get(self, path: str) -> tuple[int, Any]:
        plain = path.partition("?")[0]
        if plain == "/api/health":
            return 200, {"database": "ok", "version": "12.4.0"}
        uid = plain.removeprefix("/api/dashboards/uid/")
        if uid in self.dashboards:
            return 200, {"meta": {"provisioned": True, "folderUid": "ml-exporter"}, "dashboard": self.dashboards[uid]}
        if "/resources/api/v1/label/" in plain:
            self.labels.append(path)
            return 200, {"status": "success", "data": []}
        return 404, {"message": "Not found"}

    def query(self, body: dict[str, Any]) -> tuple[int, Any]:
        self.asked.append(body)
        results: dict[str, Any] = {}
        for query in body["queries"]:
            error = next((text for word, text in self.refused.items() if word in query["expr"]), None)
            answer = {"status": 400, "error": error} if error else {"status": 200, "frames": []}
            results[query["refId"]] = answer
        return (400 if any("error" in result for result in results.values()) else 200), {"results": results}


@contextmanager
def serving(grafana: FakeGrafana) -> Iterator[FakeGrafana]:
    """On 127.0.0.1, in a thread, while the context lasts."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.answer(*grafana.get(self.path))

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.answer(*grafana.query(json.loads(body)))

        def answer(self, status: int, content: Any) -> None:
            body = b"<html>bad gateway</html>" if grafana.broken else json.dumps(content).encode()
            self.send_response(502 if grafana.broken else status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    grafana.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield grafana
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
