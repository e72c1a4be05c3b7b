"""How the prober ends: at once, whatever is under way, and without leaving anything behind."""

from __future__ import annotations

import asyncio
import gc
from pathlib import Path
from typing import Any

from tests.support import fault_server as faults
from tests.support.fault_server import FaultServer
from tests.support.running_prober import Running, live

MANY = 300
TIMEOUT = 8.0
AT_ONCE = 2 * TIMEOUT
"""Seconds: what waits for its probes one after the other needs a hundred times as long."""


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_the_end_waits_for_no_probe_that_is_under_way_and_counts_none() -> None:
    async def run() -> tuple[int, list[Any], list[str]]:
        async with FaultServer(faults.hang) as dead:
            before = open_files()
            endpoints = [live(f"dead-{n}", dead.url, interval="10s", timeout=f"{TIMEOUT:g}s") for n in range(MANY)]
            async with Running(endpoints=endpoints) as running:
                probed = [model for endpoint in running.prober.endpoints.values() for model in endpoint.models.values()]
                await running.until(lambda: len(dead.asked) == MANY)
                async with asyncio.timeout(AT_ONCE):
                    await running.prober.close()
            counted = [running.told, *(model.served.last for model in probed if model.served.last)]
            left = [task.get_name() for task in asyncio.all_tasks() if task.get_name().startswith("probe")]
            # The server's own ends are still open: it never looks at what it hears.
            return open_files() - before - MANY, counted, left

    ours, counted, left = asyncio.run(run())
    gc.collect()  # what was not closed says so when it is collected, which fails the test
    assert ours <= 0
    assert counted == [[]]
    assert left == []
