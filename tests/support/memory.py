"""What this process held at most."""

from __future__ import annotations

import re
from pathlib import Path


def peak_kib(*, reset: bool = False) -> int:
    """Resident KiB at most since the last reset, which forgets what earlier tests needed. Linux only."""
    if reset:
        Path("/proc/self/clear_refs").write_text("5")
    return int(re.findall(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[0])
