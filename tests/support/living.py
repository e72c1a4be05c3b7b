"""Which processes are there: for tests that nothing is left behind. Linux only."""

from __future__ import annotations

from pathlib import Path


def living_in(folder: Path) -> list[str]:
    """Command lines of processes that work in a folder or below it."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            where = (process / "cwd").readlink()
            words = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue  # it has gone, or is a zombie
        if where.is_relative_to(folder):
            found.append(words)
    return found
