"""The demo's stack on ports of its own, with a receiver in this process and the means to put faults in."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from importlib import resources
from pathlib import Path
from typing import Any

from ml_exporter.demo import processes
from ml_exporter.demo.faults import Faults
from ml_exporter.demo.processes import Process
from ml_exporter.demo.stack import SERVED, Stack, module
from ml_exporter.gameday.recorder import Recorder

_FAULTS = "faults"
CYCLE = 6.0
"""Seconds between two runs of a pipeline."""
_PORTS = {
    "exporter": 9850,
    "receiver": 9851,
    "serving": 9852,
    "scheduler": 9853,
    "mlflow": 5050,
    "prometheus": 9190,
    "alertmanager": 9193,
}
"""Beside a demo that runs."""
_IMPATIENT = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0", "MLFLOW_HTTP_REQUEST_TIMEOUT": "4"}
"""While MLflow hangs, so do the pipelines: soon after it is back they must train again."""


@dataclass
class GamedayStack(Stack):
    """Starts the exporter last: what is not up yet would be told as down."""

    recorder: Recorder = field(default_factory=Recorder)

    def template(self) -> str:
        return resources.files("ml_exporter.gameday").joinpath("ml-exporter.yaml").read_text(encoding="utf-8")

    def start_told(self) -> None:
        self.recorder.listen(int(self.port("receiver")))
        given = ("--port", self.port("scheduler"), "--faults", self.folder / _FAULTS)
        self.start_part("scheduler", *module("scheduler"), *given)

    def before_exporter(self) -> None:
        waited_for = {"mlflow": "/health", "scheduler": "/api/v2/monitor/health", "alertmanager": "/-/ready"}
        for part, path in waited_for.items():
            self.wait_for(f"{part} answers at {self.url(part)}", partial(processes.answers, self.url(part) + path))
        self.wait_for(
            f"a champion of {SERVED} is served at {self.url('serving')}",
            partial(processes.answers, self.url("serving") + "/ping"),
        )

    def notified(self) -> bool:
        return bool(self.recorder.all())

    # Controls

    @property
    def faults(self) -> Faults:
        return Faults(self.folder / _FAULTS)

    def freeze(self, part: str) -> None:
        self._part(part).freeze()

    def thaw(self, part: str) -> None:
        self._part(part).thaw()

    def _part(self, name: str) -> Process:
        return next(process for process in self.processes if process.name == name)

    # What Prometheus says

    def alerts(self) -> list[dict[str, Any]]:
        """Pending and firing alerts, each with labels, state and `active_at` (seconds since the epoch)."""
        body = processes.get(f"{self.url('prometheus')}/api/v1/alerts")
        found = json.loads(body)["data"]["alerts"] if body else []
        return [
            {
                "labels": each["labels"],
                "state": each["state"],
                "active_at": datetime.fromisoformat(each["activeAt"]).timestamp(),
            }
            for each in found
        ]


def stack_in(folder: Path, timeout: float, say: Callable[[str], None]) -> GamedayStack:
    """A stack that is not started yet, in an absolute folder; `timeout`: seconds for each wait of the start."""
    return GamedayStack(
        folder,
        CYCLE,
        timeout,
        say,
        ports=_PORTS,
        fault_folder=folder / _FAULTS,
        pipelines_env=_IMPATIENT,
        recorder=Recorder(folder / "told.jsonl"),
    )
