"""Takes what a real Alertmanager sends: HTTP for chats and pagers, SMTP for mail."""

from __future__ import annotations

import email.policy
import json
import socketserver
import threading
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, cast


class _HttpServer(ThreadingHTTPServer):
    request_queue_size = 128  # all channels are told at once


class _SmtpServer(socketserver.ThreadingTCPServer):
    request_queue_size = 128
    daemon_threads = True


class Sink:
    """Both servers on free ports of 127.0.0.1, while in its context; `posts` is (path, JSON) in order of arrival."""

    def __init__(self) -> None:
        self.posts: list[tuple[str, Any]] = []
        self.mails: list[EmailMessage] = []
        self._http = _HttpServer(("127.0.0.1", 0), type("Handler", (_Http,), {"sink": self}))
        self._smtp = _SmtpServer(("127.0.0.1", 0), type("Handler", (_Smtp,), {"sink": self}))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_port}"

    @property
    def smarthost(self) -> str:
        return f"127.0.0.1:{self._smtp.server_address[1]}"

    def at(self, path: str) -> list[Any]:
        return [body for where, body in list(self.posts) if where == path]

    def __enter__(self) -> Sink:
        for server in (self._http, self._smtp):
            threading.Thread(target=server.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        for server in (self._http, self._smtp):
            server.shutdown()
            server.server_close()


class _Http(BaseHTTPRequestHandler):
    sink: Sink

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.sink.posts.append((self.path, body))
        # 202 is what PagerDuty and Opsgenie answer; Slack's client wants 200 and `ok`.
        self.send_response(200 if self.path.startswith("/slack") else 202)
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, format: str, *args: Any) -> None:
        """Silent."""


class _Smtp(socketserver.StreamRequestHandler):
    """As much of RFC 5321 as it takes to be handed a mail."""

    sink: Sink

    def handle(self) -> None:
        self._say("220 sink")
        while line := self.rfile.readline():
            match line.split()[0].upper():
                case b"DATA":
                    self._say("354 go on")
                    self.sink.mails.append(self._mail())
                    self._say("250 taken")
                case b"QUIT":
                    self._say("221 bye")
                    return
                case _:
                    self._say("250 ok")

    def _mail(self) -> EmailMessage:
        lines = []
        while (line := self.rfile.readline()) not in (b".\r\n", b""):
            lines.append(line.removeprefix(b"."))
        parsed = email.message_from_bytes(b"".join(lines), policy=email.policy.default)
        return cast(EmailMessage, parsed)  # which the policy makes it

    def _say(self, text: str) -> None:
        self.wfile.write(f"{text}\r\n".encode())
