"""Real servers for tests: where their programs are, in the versions that we promise to work with."""

from __future__ import annotations

import functools
import re
import subprocess
from pathlib import Path

import pytest
from tests.support import debian

from ml_exporter.demo import programs as installed
from ml_exporter.demo.processes import NotReadyError, Process, free_port, get, start, stop_all, wait_until

__all__ = ["NotReadyError", "Process", "free_port", "get", "program", "start", "stop_all", "wait_until"]

_PACKAGES = {
    "prometheus": "prometheus",
    "promtool": "promtool",
    "alertmanager": "prometheus-alertmanager",
    "amtool": "prometheus-alertmanager",
}


def program(name: str, version: str | None = None) -> Path:
    """The path of prometheus, promtool, alertmanager or amtool: the installed one, or one of `version` ("3.5").

    Skips the test, with the reason, if it cannot be had.
    """
    try:
        return _find(name, version)
    except (debian.Unavailable, installed.MissingError) as reason:
        pytest.skip(str(reason))


@functools.cache
def _find(name: str, version: str | None) -> Path:
    if version is None:
        return Path(installed.find(name))
    fetched = debian.fetch(_PACKAGES[name]) / "usr/bin" / installed.NAMES[name][0]
    found = _version(fetched)
    if not f"{found}.".startswith(f"{version}."):
        raise debian.Unavailable(f"{name} {version} is wanted; Debian {debian.LATER_SUITE} has {found}")
    return fetched


def _version(path: Path) -> str:
    done = subprocess.run([path, "--version"], capture_output=True, text=True, check=False)
    found = re.search(r"version (\d+(?:\.\d+)*)", done.stdout + done.stderr)
    if not found:
        raise debian.Unavailable(f"{path} does not run here: {(done.stdout + done.stderr).strip()}")
    return found[1]
