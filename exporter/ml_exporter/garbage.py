"""When the exporter looks for garbage that refers to itself.

Left to itself, Python looks through everything there is whenever a quarter more has come: with 20,000 endpoints that
takes two seconds, in which nothing is probed, and comes back several times a minute.
"""

from __future__ import annotations

import asyncio
import gc
import time

SHARE = 0.003
"""Of the time that looking through everything may take: less than one probe in a hundred is late by it."""
SELDOM = 10.0
"""Seconds between two looks, at least."""
LONG = 0.2
"""Seconds that a look may take before what it found in use is left out of the next ones."""
SETTLED = 300.0
"""Seconds after which what is new is not there to stay."""
HASTE = 5.0
"""How much more of the time it may take until then: many short looks at what has come instead of a long one."""
_NEVER = 2**31 - 1


def leave() -> None:
    """Look for none from now on: what is made at the start stays, and at the end all goes with the process."""
    gc.disable()
    gc.freeze()


async def collect_for_ever(*, anew: bool = False) -> None:
    """Look through what is young as Python does, and through everything at a pace that follows what it takes.

    `anew`: much of what was made to stay may have been replaced.
    """
    (gc.unfreeze if anew else gc.freeze)()
    gc.set_threshold(*gc.get_threshold()[:2], _NEVER)
    gc.enable()
    settled, pause = time.monotonic() + SETTLED, SELDOM
    while True:
        await asyncio.sleep(pause)
        began = time.monotonic()
        gc.collect()
        took = time.monotonic() - began
        growing = began < settled
        if growing and took > LONG:
            gc.freeze()
        pause = max(SELDOM, took / (SHARE * HASTE if growing else SHARE))
