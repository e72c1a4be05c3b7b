"""The model that real servers serve in tests: a row's sum, unless a file tells it otherwise.

Standard library only: it is imported by the servers, each in packages of its own.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

CONTROL = "SERVED_MODEL_CONTROL"
"""The environment's name for the file: {"mode": "slow", "seconds": 2}; `control.py` writes it."""
HANG = 60.0
"""Seconds."""
STEP = 0.02
"""Seconds after which a sleeping model looks at its file again."""


def told() -> dict[str, object]:
    """What the file says now."""
    found: dict[str, object] = json.loads(Path(os.environ[CONTROL]).read_text(encoding="utf-8"))
    return found


def predict(rows: list[list[float]]) -> list[list[float]]:
    """One column of sums. Raises `RuntimeError` if told to fail."""
    orders = told()
    for pause in pauses(orders):
        time.sleep(pause)
    return answer(rows, orders)


def pauses(orders: Mapping[str, object]) -> Iterator[float]:
    """Seconds to sleep, again and again; they end early once the file tells something else."""
    seconds = {"slow": float(str(orders.get("seconds", 0))), "hang": HANG}.get(str(orders["mode"]), 0.0)
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0 and told() == orders:
        yield min(STEP, left)


def answer(rows: list[list[float]], orders: Mapping[str, object]) -> list[list[float]]:
    """What the orders make of the rows. Raises `RuntimeError` if they are to fail."""
    mode = orders["mode"]
    if mode == "error":
        raise RuntimeError("told to fail")
    extra = 100.0 if mode == "wrong_value" else 0.0
    columns = 2 if mode == "wrong_shape" else 1
    return [[sum(row) + extra] * columns for row in rows]
