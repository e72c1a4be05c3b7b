"""Commands of ours that start a stack in a folder and stay: run as a terminal would, and gone afterwards."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.living import living_in
from tests.support.programs import program, wait_until

REPORT, SAID = "report", "said"
"""Files beside the folder: what the command writes to its standard output, and to its standard error."""


@contextmanager
def running_in(folder: Path, command: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """`ml-exporter COMMAND --directory FOLDER ARGUMENTS`, in a session of its own."""
    program("prometheus")
    program("alertmanager")
    words = [sys.executable, "-m", "ml_exporter", command, "--directory", str(folder), *arguments]
    report, said = (folder.with_name(name).open("w") for name in (REPORT, SAID))
    with (
        report,
        said,
        subprocess.Popen(words, stdout=report, stderr=said, text=True, start_new_session=True) as running,
    ):
        try:
            yield running
        finally:
            running.kill()
            running.wait()
            wait_until(lambda: not living_in(folder), 30, f"nothing of the {command} is left")


def said_in(folder: Path) -> str:
    """All that the last command in the folder has printed so far."""
    return "".join(folder.with_name(name).read_text() for name in (REPORT, SAID))


def wait_for(folder: Path, text: str, running: subprocess.Popen[str]) -> None:
    """Until the command prints it, or has ended without."""
    wait_until(lambda: text in said_in(folder) or running.poll() is not None, 120, f"the command prints {text!r}")
    assert text in said_in(folder), said_in(folder)
