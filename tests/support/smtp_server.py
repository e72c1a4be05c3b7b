"""A mail server that keeps what it is given: with STARTTLS if it has a certificate, and a password if it has one."""

from __future__ import annotations

import base64
import socketserver
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage


class SmtpServer(socketserver.ThreadingTCPServer):
    """`messages`: what came; `commands`: how, each with whether it was encrypted."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, tls: ssl.SSLContext | None, login: tuple[str, str] | None) -> None:
        super().__init__(("127.0.0.1", 0), _Conversation)
        self.tls, self.login = tls, login
        self.messages: list[EmailMessage] = []
        self.commands: list[tuple[str, bool]] = []

    @property
    def address(self) -> str:
        return f"localhost:{self.server_address[1]}"


@contextmanager
def smtp_server(tls: ssl.SSLContext | None = None, login: tuple[str, str] | None = None) -> Iterator[SmtpServer]:
    with SmtpServer(tls, login) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


class _Conversation(socketserver.StreamRequestHandler):
    server: SmtpServer
    encrypted = False

    def handle(self) -> None:
        self._say("220 here")
        while line := self.rfile.readline().decode().strip():
            command, _, rest = line.partition(" ")
            self.server.commands.append((command.upper(), self.encrypted))
            if command.upper() == "QUIT":
                self._say("221 bye")
                return
            getattr(self, f"_{command.lower()}", self._fine)(rest)

    def finish(self) -> None:
        super().finish()
        self.request.close()  # the server knows only the one from before STARTTLS

    def _ehlo(self, _rest: str) -> None:
        offered = ["here"]
        offered += ["STARTTLS"] if self.server.tls and not self.encrypted else []
        offered += ["AUTH PLAIN"] if self.server.login else []
        self._say(*[f"250{'-' if word != offered[-1] else ' '}{word}" for word in offered])

    def _starttls(self, _rest: str) -> None:
        assert self.server.tls
        self._say("220 go ahead")
        self.request = self.server.tls.wrap_socket(self.request, server_side=True)
        self.rfile, self.wfile = self.request.makefile("rb"), self.request.makefile("wb", buffering=0)
        self.encrypted = True

    def _auth(self, rest: str) -> None:
        given = base64.b64decode(rest.partition(" ")[2]).decode().split("\0")[1:]
        self._say("235 welcome" if tuple(given) == self.server.login else "535 nobody knows you")

    def _data(self, _rest: str) -> None:
        self._say("354 go on")
        lines = []
        while (line := self.rfile.readline()) != b".\r\n":
            lines.append(line)
        self.server.messages.append(message_from_bytes(b"".join(lines), policy=policy.default))
        self._say("250 kept")

    def _fine(self, _rest: str) -> None:
        self._say("250 fine")

    def _say(self, *lines: str) -> None:
        self.wfile.write("".join(f"{line}\r\n" for line in lines).encode())
