"""A stand-in for a scheduler: answers the few questions of Airflow's REST API (version 2) that the exporter asks.

No Airflow: a real one takes minutes to install and half a gigabyte to run. Its runs are made up, and nothing is
computed in them. On a game day nothing runs, and its heart beats until a fault stops it: it answers all the same, as
Airflow's API server does when only its scheduler has died.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from ml_exporter.demo.dags import IDLE, LIVELY, LOAD_ERRORS, Dag, Item, listed_runs, listed_tasks, pools
from ml_exporter.demo.faults import DEAD, Faults

_BEAT = 1.0
"""Seconds between two heartbeats."""
_PAGE = 100
"""Items in one reply, as Airflow has it."""
_NO_PAGES = "Airflow would show this run here. ml-exporter's demo has only a stand-in for it, which has no pages.\n"


class Heart:
    """Says when it last beat."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self.beat()

    def beat(self) -> None:
        """Once, unless it has stopped."""
        if not self._faults.there(DEAD):
            self.last = datetime.now(UTC).isoformat()

    def go_on(self) -> None:
        """Beat again and again; does not return."""
        while True:
            self.beat()
            time.sleep(_BEAT)


def answer(target: str, heart: Heart, dags: Sequence[Dag] = IDLE, now: float | None = None) -> Item | None:
    """What a GET of a path with its query is answered; None for what the stand-in does not know."""
    path, wanted = urlsplit(target).path, parse_qs(urlsplit(target).query)
    now = time.time() if now is None else now
    match path.removeprefix("/api/v2").split("/"):
        case ["", "monitor", "health"]:
            return {
                "metadatabase": {"status": "healthy"},
                "scheduler": {"status": "healthy", "latest_scheduler_heartbeat": heart.last},
            }
        case ["", "dags"]:
            return _page("dags", [dag.to_item(now) for dag in dags if not dag.fleeting], wanted)
        case ["", "dags", "~", "dagRuns"]:
            return _page("dag_runs", listed_runs(dags, wanted, now), wanted)
        case ["", "dags", "~", "dagRuns", "~", "taskInstances"]:
            return _page("task_instances", listed_tasks(dags, wanted, now), wanted)
        case ["", "dags", _, "details"]:
            return {"dag_run_timeout": None}
        case ["", "dags", dag_id, "dagRuns", run_id]:
            runs = listed_runs(dags, {}, now)
            return next((run for run in runs if (run["dag_id"], run["dag_run_id"]) == (dag_id, run_id)), None)
        case ["", "pools"]:
            return _page("pools", pools(dags, now), wanted)
        case ["", "importErrors"]:
            return _page("import_errors", [] if dags is IDLE else list(LOAD_ERRORS), wanted)
    return None


def _page(key: str, items: list[Item], wanted: dict[str, list[str]]) -> Item:
    offset, limit = (int(wanted.get(name, [default])[0]) for name, default in (("offset", "0"), ("limit", "100")))
    return {key: items[offset : offset + min(limit, _PAGE)], "total_entries": len(items)}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 30
    heart: Heart
    dags: Sequence[Dag]

    def do_GET(self) -> None:
        if not self.path.startswith("/api/"):
            self._answer(200, "text/plain; charset=utf-8", _NO_PAGES)
            return
        found = answer(self.path, self.heart, self.dags)
        body = found if found is not None else {"detail": "the stand-in knows no such DagRun"}
        self._answer(404 if found is None else 200, "application/json", json.dumps(body))

    def _answer(self, status: int, kind: str, text: str) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Silent."""


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="scheduler", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=9843)
    parser.add_argument(
        "--faults", type=Path, help="a game day: nothing runs, and a file in this folder stops the heart"
    )
    options = parser.parse_args(arguments)
    # In a container we are process 1, which the kernel ends by SIGTERM only if there is a handler.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    heart = Heart(Faults(options.faults))
    threading.Thread(target=heart.go_on, daemon=True).start()
    given = {"heart": heart, "dags": IDLE if options.faults else LIVELY}
    with ThreadingHTTPServer((options.host, options.port), type("Handler", (_Handler,), given)) as server:
        server.daemon_threads = True
        server.serve_forever()


if __name__ == "__main__":
    main()
