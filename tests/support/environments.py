"""Virtual environments of real servers: each made once, in the cache, apart from our own packages."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.support import debian

INSTALL_WITHIN = 900
"""Seconds."""


def python(name: str, *pins: str, script: str = "") -> Path:
    """The Python of an environment with these packages. Raises `debian.Unavailable`.

    `script`: a program of theirs that is run by its name, by others too.
    """
    digest = hashlib.sha256("\n".join(pins).encode()).hexdigest()[:8]
    home = debian.cache() / f"{name}-python{sys.version_info.major}.{sys.version_info.minor}-{digest}"
    if not home.exists():
        staging = home.with_name(f"{home.name}.{os.getpid()}")
        try:
            _install(staging, pins)
            if script:
                # It names the folder that it was made in, and this one is renamed.
                (staging / "bin" / script).write_text(f'#!/bin/sh\nexec "$(dirname "$0")/python" -m {script} "$@"\n')
            staging.rename(home)
        except OSError:
            if not home.exists():  # else another test run was quicker
                raise
        finally:
            shutil.rmtree(staging, ignore_errors=True)
    return home / "bin/python"


def _install(folder: Path, pins: tuple[str, ...]) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    beside = Path(sys.executable).with_name("uv")
    uv = str(beside) if beside.exists() else shutil.which("uv")
    inside = str(folder / "bin/python")
    if uv:
        _run([uv, "venv", "--quiet", "--python", sys.executable, str(folder)], pins)
        _run([uv, "pip", "install", "--quiet", "--python", inside, *pins], pins)
    else:
        _run([sys.executable, "-m", "venv", str(folder)], pins)
        _run([inside, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *pins], pins)


def _run(command: list[str], pins: tuple[str, ...]) -> None:
    """Nicely: tests that look at the clock may run beside it."""
    try:
        done = subprocess.run(["nice", *command], capture_output=True, text=True, timeout=INSTALL_WITHIN)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise debian.Unavailable(f"{pins[0]} cannot be installed: {error}") from None
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise debian.Unavailable(f"{pins[0]} cannot be installed: {last}")
