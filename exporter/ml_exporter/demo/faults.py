"""Faults that game days put into the demo: a file in a folder is a fault, and removing it takes the fault back."""

from __future__ import annotations

from pathlib import Path

SLOW, WRONG = "serving-slow", "serving-wrong"
"""Of the model server: answers late; answers what no patient can have."""
BROKEN, STOPPED, WORSE = "broken", "stopped", "worse"
"""Of a pipeline: its data has holes; its runs stop; what it trains is good for nothing."""

DEAD = "scheduler-dead"
"""Of the scheduler's stand-in: its heart stops, and it still answers."""


class Faults:
    """A folder of faults. Without a folder there are none, and none can be put in."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def there(self, *name: str) -> bool:
        """Whether a fault is in: its name, or a kind and the pipeline that has it."""
        return self._folder is not None and (self._folder / "-".join(name)).exists()

    def put(self, *name: str) -> None:
        """Raises `ValueError` without a folder."""
        if self._folder is None:
            raise ValueError("there is no folder for faults")
        self._folder.mkdir(parents=True, exist_ok=True)
        (self._folder / "-".join(name)).touch()

    def take_back(self, *name: str) -> None:
        """A fault that is not there stays so."""
        if self._folder is not None:
            (self._folder / "-".join(name)).unlink(missing_ok=True)
