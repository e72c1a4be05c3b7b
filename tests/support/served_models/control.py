"""What tests tell the served model."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

from tests.support.served_models import sums

FOLDER = Path(__file__).parent
"""To be on the servers' PYTHONPATH."""


@dataclass(frozen=True)
class Control:
    """The file that one server's model looks at with each prediction."""

    file: Path

    @classmethod
    def within(cls, folder: Path) -> Control:
        """A new one, telling the model to do well."""
        folder.mkdir(parents=True, exist_ok=True)
        control = cls(folder / "control.json")
        control.set("ok")
        return control

    @property
    def environment(self) -> dict[str, str]:
        """For the server's process; hides our own packages from it."""
        return {sums.CONTROL: str(self.file), "PYTHONPATH": str(FOLDER), "VIRTUAL_ENV": ""}

    def set(self, mode: str, **values: float) -> None:
        """ok, wrong_value, wrong_shape, error, slow with `seconds`, hang or not_ready. Never half-written."""
        new = self.file.with_suffix(f".{os.getpid()}")
        new.write_text(json.dumps({"mode": mode, **values}), encoding="utf-8")
        new.replace(self.file)
