"""Real flows, run by Prefect's own Python (never imported by ours): `python prefect_flows.py good slow …`."""

from __future__ import annotations

import os
import sys
import time
from contextlib import suppress

from prefect import flow


@flow
def good() -> int:
    time.sleep(1)
    return 1


@flow
def bad() -> None:
    raise ValueError("boom")


@flow(timeout_seconds=1)
def too_slow() -> None:
    time.sleep(30)


@flow(retries=1, retry_delay_seconds=600)
def stubborn() -> None:
    raise ValueError("boom, and boom again in ten minutes")


@flow
def slow() -> None:
    time.sleep(600)


@flow
def child() -> int:
    return 1


@flow
def parent() -> int:
    return child() + child()


@flow
def killed() -> None:
    """Dies without a word: a worker that watches it reports a crash."""
    os._exit(9)


if __name__ == "__main__":
    for name in sys.argv[1:]:
        with suppress(Exception):
            globals()[name]()
