"""Prometheus' own checker, where it is installed: with what it refuses, Prometheus would not even start."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from ml_exporter.errors import RenderError

TIMEOUT = 60.0
"""Seconds."""
_RULES = "prometheus/rules/"
_SHOWN = 3
"""Lines of what it says."""


def check_rules(files: Mapping[str, bytes]) -> bool:
    """Have the rules among the generated files (relative path → content) checked; False where there is no promtool.

    Raises `RenderError` with promtool's own words.
    """
    program = shutil.which("promtool")
    rules = {name.removeprefix(_RULES): content for name, content in files.items() if name.startswith(_RULES)}
    if not program or not rules:
        return False
    with tempfile.TemporaryDirectory() as folder:
        for name, content in rules.items():
            (Path(folder) / name).write_bytes(content)
        command = [program, "check", "rules", *sorted(rules)]
        try:
            done = subprocess.run(  # noqa: S603 — a program of the PATH, with names of our own
                command, cwd=folder, capture_output=True, text=True, timeout=TIMEOUT, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise RenderError(f"promtool: {error}; take it from the PATH to do without") from error
    if done.returncode != 0:
        raise RenderError(f"promtool refuses the rules, so Prometheus would, too: {_words(done.stdout + done.stderr)}")
    return True


def _words(said: str) -> str:
    lines = [line.strip() for line in said.splitlines()]
    telling = [line for line in lines if line and not line.startswith(("Checking", "SUCCESS", "FAILED"))]
    return "; ".join(telling[:_SHOWN])
