"""The exporter as users run it: a process with a configuration file."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from prometheus_client.parser import text_string_to_metric_families

from ml_exporter.demo.processes import free_port, get


class Exporter:
    """`ml-exporter run --config FILE` on a free port; `config` is its configuration as data."""

    def __init__(self, folder: Path, **config: Any) -> None:
        self.folder, self.address = folder, f"127.0.0.1:{free_port()}"
        folder.mkdir(parents=True, exist_ok=True)
        self.config = {"server": {"listen": self.address}, **config}
        self.file, self.log = folder / "ml-exporter.yaml", folder / "exporter.log"
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://{self.address}"

    def start(self) -> Exporter:
        self.file.write_text(yaml.safe_dump(self.config))
        with self.log.open("ab") as log:
            command = [sys.executable, "-m", "ml_exporter", "run", "--config", str(self.file)]
            self.process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        self.until(lambda: get(f"{self.url}/-/ready") is not None, "it is ready")
        return self

    def kill(self) -> None:
        """As the kernel does it: no last words."""
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        if self.process is None:
            return 0
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGTERM)
        return self.process.wait(15)

    def series(self) -> dict[str, float]:
        """Every series as `name value-of-label …` (source and service left out) → value."""
        text = (get(f"{self.url}/metrics") or b"").decode()
        return {
            " ".join([s.name, *(v for k, v in s.labels.items() if k not in ("source", "ml_service"))]): s.value
            for family in text_string_to_metric_families(text)
            for s in family.samples
        }

    def reload(self) -> tuple[int, str]:
        request = urllib.request.Request(f"{self.url}/-/reload", method="POST")
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def until(self, predicate: Callable[[], Any], what: str, timeout: float = 30.0) -> None:
        deadline = time.monotonic() + timeout
        while not predicate():
            ended = self.process is not None and self.process.poll() is not None
            if ended or time.monotonic() > deadline:
                log = self.log.read_text()[-3000:]
                raise AssertionError(
                    f"{'the exporter ended' if ended else 'in vain'}, waiting until {what}; its log:\n{log}"
                )
            time.sleep(0.05)

    def until_series(self, name: str, value: float, timeout: float = 30.0) -> None:
        self.until(lambda: self.series().get(name) == value, f"{name} is {value}", timeout)
