"""Serves the champion: `python -m ml_exporter.demo.serving --tracking-uri URL --model demand --port 9842`."""

from __future__ import annotations

import argparse
import threading
import time
from pathlib import Path

import uvicorn

from ml_exporter.demo import environment, processes
from ml_exporter.demo.faults import Faults
from ml_exporter.demo.serving.gate import Gate

_GRACE = 3
"""Seconds that requests under way have when we are told to end."""


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="serving", description=__doc__)
    parser.add_argument("--tracking-uri", default="http://127.0.0.1:5000", help="address of MLflow")
    parser.add_argument("--model", required=True, help="name of the registered model")
    parser.add_argument("--alias", default="champion", help="the version behind it is served (%(default)s)")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=9842)
    parser.add_argument("--faults", type=Path, help="a game day: slow or wrong as this folder says")
    options = parser.parse_args(arguments)
    environment.prepare()
    gate = Gate(Faults(options.faults))
    settings = uvicorn.Config(
        gate,
        options.host,
        options.port,
        lifespan="off",  # neither the gate nor MLflow's applications have any
        ws="none",
        log_level="warning",
        timeout_graceful_shutdown=_GRACE,
    )
    server = uvicorn.Server(settings)
    threading.Thread(target=_follow, args=(server, gate, options), daemon=True).start()
    server.run()


def _follow(server: uvicorn.Server, gate: Gate, options: argparse.Namespace) -> None:
    """Wait for MLflow for as long as it takes, then serve what is behind the alias."""
    try:
        while not processes.answers(f"{options.tracking_uri}/health"):
            time.sleep(1)
        # Only now: the import keeps a processor busy for seconds that MLflow's own start needs.
        from ml_exporter.demo.serving.champion import Champion

        Champion(gate, options.tracking_uri, options.model, options.alias).follow()
    finally:
        server.should_exit = True  # who follows nothing must not look alive


if __name__ == "__main__":
    main()
