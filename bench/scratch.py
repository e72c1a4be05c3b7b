"""Where benchmarks keep what they make: outside the tree, emptied by the next run."""

from __future__ import annotations

import os
import shutil
import socket
from pathlib import Path

CACHE = "ML_EXPORTER_BENCH_CACHE"


def cache() -> Path:
    """What may stay between runs (an empty MLflow schema), and the folders of the runs."""
    path = Path(os.environ.get(CACHE) or Path.home() / ".cache" / "ml-exporter-bench")
    path.mkdir(parents=True, exist_ok=True)
    return path


def fresh(name: str) -> Path:
    """An empty folder of this name in the cache."""
    path = cache() / name
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir()
    return path


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
