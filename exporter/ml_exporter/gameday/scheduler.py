"""A stand-in for a scheduler: answers the few questions of Airflow's REST API (version 2) that the exporter asks.

No Airflow: a real one takes minutes to install and half a gigabyte to run. Its heart beats until a fault stops it,
and it answers all the same, as Airflow's API server does when only its scheduler has died.
"""

from __future__ import annotations

import argparse
import json
import threading
import time
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from ml_exporter.demo.faults import DEAD, Faults

_BEAT = 1.0
"""Seconds between two heartbeats."""
_DAG = {"dag_id": "fraud_features", "is_paused": False, "tags": [], "timetable_summary": "None", "bundle_name": "dags"}
_POOL = {"name": "default_pool", "slots": 16, "occupied_slots": 0, "queued_slots": 0, "scheduled_slots": 0}


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


def answer(path: str, heart: Heart) -> dict[str, Any] | None:
    """What a GET of a path is answered; None for a path that the stand-in does not know."""
    match path:
        case "/api/v2/monitor/health":
            return {
                "metadatabase": {"status": "healthy"},
                "scheduler": {"status": "healthy", "latest_scheduler_heartbeat": heart.last},
            }
        case "/api/v2/dags":
            return {"dags": [_DAG], "total_entries": 1}
        case "/api/v2/dags/~/dagRuns":
            return {"dag_runs": [], "total_entries": 0}
        case "/api/v2/pools":
            return {"pools": [_POOL], "total_entries": 1}
        case "/api/v2/importErrors":
            return {"import_errors": [], "total_entries": 0}
    return None


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 30
    heart: Heart

    def do_GET(self) -> None:
        found = answer(self.path.partition("?")[0], self.heart)
        body = json.dumps(found if found is not None else {"detail": "the stand-in does not know this"}).encode()
        self.send_response(404 if found is None else 200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Silent."""


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="scheduler", description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--faults", type=Path, required=True, help="the folder whose file stops the heart")
    options = parser.parse_args(arguments)
    heart = Heart(Faults(options.faults))
    threading.Thread(target=heart.go_on, daemon=True).start()
    with ThreadingHTTPServer(("127.0.0.1", options.port), type("Handler", (_Handler,), {"heart": heart})) as server:
        server.serve_forever()


if __name__ == "__main__":
    main()
