"""A backend that answers from a fixture (tests/fixtures/sources/<kind>.json), and an exporter's poller on it.

A fixture is one JSON object:
  origin      where the replies come from: "recorded from Airflow 3.3.2", or "written from the published API …"
  now         seconds since the epoch, the instant of the polls
  options     the source's options, as in ml-exporter.yaml
  exchanges   replies: {method, path, query?, has?, status?, headers?, reply, page?}; the first one whose method and
              path are equal, whose query is contained in the request's and whose `has` (a text or several) is in the
              request's query or body answers. `reply` is JSON, or text when it is a string. `page`: 2 or more, for
              a page that another one announces
  idle        exchanges that come before those, once: what the backend says when nothing has changed
  refusals    error bodies with status 200, and whatever else must fail a poll: exchanges with a `name` more
  versions    replies of servers that are too old or too new: exchanges with `says` more, a text that the error holds
  expect      pipelines: {name: {state: number}}, by ml_runs_finished_total and ml_runs_active (0 may be left out);
              due: {name: seconds}, paused: {name: 0|1}; gauges: {series as exposed: value}, each optional
"""

from __future__ import annotations

import asyncio
import json
import re
import threading
import urllib.parse
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

from ml_exporter import discovery
from ml_exporter.app import settings_of
from ml_exporter.config import from_data
from ml_exporter.errors import MlExporterError
from ml_exporter.exposition import Exposition
from ml_exporter.http import Client
from ml_exporter.poller import Poller
from ml_exporter.store import Store

FIXTURES = Path(__file__).parents[1] / "fixtures" / "sources"

Exchange = dict[str, Any]
Answer = tuple[int, dict[str, str], bytes]


def fixture(kind: str) -> dict[str, Any]:
    data: dict[str, Any] = json.loads((FIXTURES / f"{kind}.json").read_text(encoding="utf-8"))
    return data


@dataclass
class Asked:
    method: str
    path: str
    query: dict[str, str]
    body: str
    headers: dict[str, str]

    def text(self) -> str:
        return f"{urllib.parse.urlencode(self.query)} {' '.join(self.query.values())} {self.body}"


def matches(exchange: Exchange, asked: Asked) -> bool:
    wanted = exchange.get("has", [])
    return (
        exchange.get("method", asked.method) == asked.method
        and exchange["path"] == asked.path
        and exchange.get("query", {}).items() <= asked.query.items()
        and all(word in asked.text() for word in ([wanted] if isinstance(wanted, str) else wanted))
    )


def answer_of(exchange: Exchange) -> Answer:
    reply = exchange.get("reply", "")
    text = isinstance(reply, str)
    headers = {"Content-Type": "text/plain" if text else "application/json", **exchange.get("headers", {})}
    return exchange.get("status", 200), headers, (reply if text else json.dumps(reply)).encode()


@dataclass
class Recorded:
    """Serves exchanges on 127.0.0.1, the earlier ones first; what nothing matches is a 599 and noted."""

    exchanges: list[Exchange]
    asked: list[Asked] = field(default_factory=list)
    served: list[Exchange] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    authorize: Callable[[Asked], Answer | None] = lambda asked: None
    """Answers in place of the exchanges, if it says something."""
    spoil: Callable[[Exchange, Answer], Answer] = lambda exchange, answer: answer
    before: Callable[[], None] = lambda: None
    """Called in the request's thread before it is answered: may wait."""
    busy: int = 0
    most_busy: int = 0

    def __enter__(self) -> Self:
        recorded, lock = self, threading.Lock()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1  # headers and body in one segment: else each reply waits 40 ms for an acknowledgement

            def handle_one_request(self) -> None:
                try:
                    super().handle_one_request()
                except (BrokenPipeError, ConnectionResetError):
                    self.close_connection = True

            def answer(self) -> None:
                with lock:
                    recorded.busy += 1
                    recorded.most_busy = max(recorded.most_busy, recorded.busy)
                try:
                    self.respond()
                finally:
                    with lock:
                        recorded.busy -= 1

            def respond(self) -> None:
                url = urllib.parse.urlsplit(self.path)
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
                headers = {name.lower(): value for name, value in self.headers.items()}
                query = dict(urllib.parse.parse_qsl(url.query, keep_blank_values=True))
                asked = Asked(self.command, urllib.parse.unquote(url.path), query, body, headers)
                recorded.before()
                status, sent, content = recorded.answer(asked)
                self.send_response(status)
                # A length that is larger than the body is a connection that breaks off.
                for name, value in {"Content-Length": str(len(content)), **sent}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)
                if int(sent.get("Content-Length", len(content))) > len(content):
                    self.close_connection = True

            do_GET = do_POST = answer  # noqa: N815 — the names that http.server looks for

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)

    def answer(self, asked: Asked) -> Answer:
        self.asked.append(asked)
        refused = self.authorize(asked)
        if refused is not None:
            return refused
        for exchange in self.exchanges:
            if matches(exchange, asked):
                self.served.append(exchange)
                return self.spoil(exchange, answer_of(exchange))
        self.unknown.append(f"{asked.method} {asked.path} {asked.text().strip()}")
        return 599, {}, b"nothing in the fixture answers this"


@dataclass
class Watched:
    """A poller of one source on a recorded backend, with its clock in our hands; used as a context."""

    kind: str
    url: str
    folder: Path
    now: float
    settings: dict[str, Any] = field(default_factory=dict)

    def __enter__(self) -> Self:
        self.exposition = Exposition()
        self.store = Store(self.folder / "state.db")
        self.restart()
        return self

    def __exit__(self, *error: object) -> None:
        self.store.close()

    def restart(self) -> None:
        """A new process on the same state: everything is asked anew."""
        source = {"name": "it", "kind": self.kind, "url": self.url, "timeout": "5s", **self.settings}
        config = from_data({"sources": [source]}, {}, self.folder)
        [configured] = config.sources
        self.client = Client(settings_of(configured), sleep=_no_pause)
        source_ = discovery.create(self.kind, "it", configured.options, configured.common.url)
        self.poller = Poller(
            configured, config, source_, self.client, self.store, self.exposition, clock=lambda: self.now
        )
        self.poller.restore()

    def poll(self, later: float = 0.0) -> MlExporterError | None:
        """One poll, and as many more as a catch-up asks for."""

        async def polls() -> MlExporterError | None:
            try:
                for _ in range(50):
                    error = await self.poller.poll_once()
                    if error or self.poller.pause(None) > 1.0:
                        return error
                raise AssertionError("the source never says that it is done")
            finally:
                await self.client.close()

        self.now += later
        return asyncio.run(asyncio.wait_for(polls(), 60))

    def series(self, *families: str) -> dict[str, float]:
        """Exposed series by name and labels; all of them, or those of some families."""
        body, _ = self.exposition.scrape(openmetrics=False, gzip=False)
        found = re.findall(r"^(\w+)(\{.*\})? (\S+)$", body.decode(), re.MULTILINE)
        return {name + labels: float(value) for name, labels, value in found if not families or name in families}


async def _no_pause(seconds: float) -> None:
    return None
