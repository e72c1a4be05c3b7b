"""Stands between the exporter and a real backend: counts requests and, when told to, answers wrongly in its place."""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Fault:
    """What is answered instead: `status`, `headers`, `body`; after `delay` seconds; `cut` sends half of the body."""

    status: int = 200
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = (("Content-Type", "application/json"),)
    delay: float = 0.0
    cut: bool = False
    forward: bool = False
    """Let the real answer through, after the delay (and cut)."""


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    body: bytes


class Proxy:
    """A reverse proxy on 127.0.0.1. Assign `fault` a function of the request that gives a `Fault` or None."""

    def __init__(self, backend: str) -> None:
        self.backend = urlsplit(backend)
        self.requests: list[Request] = []
        self.fault: Callable[[Request], Fault | None] | None = None
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self) -> None:
                length = int(self.headers.get("Content-Length", 0))
                request = Request(self.command, self.path, self.rfile.read(length))
                proxy.requests.append(request)
                fault = proxy.fault(request) if proxy.fault else None
                if fault:
                    time.sleep(fault.delay)
                status, kind, body = (
                    proxy.forward(request, self.headers.get("X-MLFLOW-WORKSPACE"))
                    if fault is None or fault.forward
                    else (fault.status, "", fault.body)
                )
                self.send_response(status)
                for name, value in fault.headers if fault and not fault.forward else (("Content-Type", kind),):
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if fault and fault.cut:
                    self.wfile.write(body[: len(body) // 2])
                    self.close_connection = True
                else:
                    self.wfile.write(body)

            do_GET = do_POST = handle_any  # noqa: N815 — the names that http.server looks for

            def log_message(self, format: str, *args: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request: object, client_address: object) -> None:
                """A client that was killed breaks its connections; that is what some tests are about."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def forward(self, request: Request, workspace: str | None) -> tuple[int, str, bytes]:
        connection = http.client.HTTPConnection(self.backend.hostname or "", self.backend.port, timeout=30)
        headers = {"Content-Type": "application/json", **({"X-MLFLOW-WORKSPACE": workspace} if workspace else {})}
        try:
            connection.request(request.method, request.path, request.body or None, headers)
            answer = connection.getresponse()
            return answer.status, answer.getheader("Content-Type", ""), answer.read()
        finally:
            connection.close()

    def count(self, path: str) -> int:
        """Requests so far whose path contains this."""
        return sum(1 for request in self.requests if path in request.path)

    def __enter__(self) -> Proxy:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
