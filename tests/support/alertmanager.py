"""A real Alertmanager with the routing that is rendered for a configuration."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests
import yaml
from tests.support.programs import Process, free_port, get, program, start, wait_until

from ml_exporter import config, render

VERSIONS = [(None, "0.25"), ("0.33", "0.33")]
"""Of the program, None is the installed one; and the version that the routing is written for."""


class Alertmanager:
    """One that is ready; its address is `url`."""

    def __init__(self, url: str, process: Process) -> None:
        self.url = url
        self._process = process

    def post(self, *alerts: Mapping[str, Any]) -> None:
        answer = requests.post(f"{self.url}/api/v2/alerts", json=alerts, timeout=5)
        assert answer.status_code == 200, answer.text

    def alerts(self, **parameters: Any) -> list[dict[str, Any]]:
        answer = requests.get(f"{self.url}/api/v2/alerts", params=parameters, timeout=5)
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = answer.json()
        return found

    def wait_until(self, predicate: Callable[[], object], what: str) -> None:
        wait_until(predicate, 30, what, watch=[self._process])


@contextmanager
def running(
    data: dict[str, Any], folder: Path, version: str | None, change: Callable[[Any], None] | None = None
) -> Iterator[Alertmanager]:
    """Render `data` into `folder` and run it; `change` edits alertmanager.yml before the start."""
    binary = program("alertmanager", version)
    render.render(config.from_data(data), folder)
    file = folder / "alertmanager/alertmanager.yml"
    if change:
        whole = yaml.safe_load(file.read_text())
        change(whole)
        file.write_text(json.dumps(whole))
    url = f"http://127.0.0.1:{free_port()}"
    process = start(
        "alertmanager",
        [
            binary,
            f"--config.file={file}",
            f"--storage.path={folder}/data",
            f"--web.listen-address={url.removeprefix('http://')}",
            # What links in messages begin with.
            "--web.external-url=http://alertmanager.example:9093",
            "--web.route-prefix=/",
            "--cluster.listen-address=",
        ],
        log=folder / "alertmanager.log",
    )
    try:
        wait_until(lambda: get(f"{url}/-/ready"), 30, "Alertmanager is ready", watch=[process])
        yield Alertmanager(url, process)
    finally:
        process.stop()
