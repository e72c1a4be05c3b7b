"""A folder that one demo has for itself."""

from __future__ import annotations

import contextlib
import fcntl
import shutil
from collections.abc import Iterator
from pathlib import Path

from ml_exporter.demo.processes import NotReadyError


@contextlib.contextmanager
def owned(folder: Path, kind: str, *, fresh: bool) -> Iterator[None]:
    """Hold the folder for a `kind` of stack, such as "demo".

    Raises `NotReadyError` if another one does, or if `fresh` would delete a folder that none of this kind has made.
    """
    lock = f"{kind}.lock"
    if fresh and folder.exists() and any(folder.iterdir()):
        if not (folder / lock).exists():
            raise NotReadyError(f"{folder} was not made by a {kind} (no {lock} in it), so it is left alone")
        with _locked(folder, kind):
            shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with _locked(folder, kind):
        yield


@contextlib.contextmanager
def _locked(folder: Path, kind: str) -> Iterator[None]:
    with (folder / f"{kind}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise NotReadyError(f"another {kind} runs in {folder}; stop it, or give --directory") from error
        yield
