"""A running Grafana as its HTTP API shows it: what it has loaded, what it answers to panels, what it complained of."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.grafana import GLOBALS, fill, panels, variables

SOURCE = {"type": "prometheus", "uid": "ml-prometheus"}
_ERROR = re.compile(r"\b(?:level|lvl)=(?:error|eror|crit|critical|fatal)\b")
_FROZEN = ("is used more than once", "is not unique in folder", "has no database write permissions")
"""Warnings after which Grafana keeps what it had of a whole folder."""


def complaints(log: str) -> list[str]:
    """The lines of a log that say that something was not provisioned."""
    lines = [line for line in log.splitlines() if "logger=provisioning" in line]
    return [line for line in lines if _ERROR.search(line) or any(words in line for words in _FROZEN)]


def everything_chosen(dashboard: Mapping[str, Any]) -> dict[str, str]:
    """Its variables as All; those of Grafana are left for Grafana."""
    own = dict.fromkeys(variables(dashboard), ".*")
    return own | {name: f"${name}" for name in GLOBALS}


@dataclass(frozen=True)
class GrafanaServer:
    """Asked as a visitor who has not logged in."""

    url: str

    def get(self, path: str) -> Any:
        """The decoded answer; None while there is none."""
        try:
            with urllib.request.urlopen(f"{self.url}{path}", timeout=30) as answer:
                return json.load(answer)
        except (OSError, ValueError):
            return None

    def is_up(self) -> bool:
        return bool((self.get("/api/health") or {}).get("database") == "ok")

    def ask(self, queries: list[dict[str, Any]], seconds: float = 3600.0) -> dict[str, str]:
        """Letter of a query → what is wrong with its answer."""
        now = time.time()
        body = {"queries": queries, "from": f"{(now - seconds) * 1000:.0f}", "to": f"{now * 1000:.0f}"}
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.url}/api/ds/query", json.dumps(body).encode(), headers)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                text = answer.read()
        except urllib.error.HTTPError as error:
            text = error.read()
        try:
            results = json.loads(text)["results"]
        except (ValueError, KeyError):
            return {query["refId"]: text[:300].decode("utf-8", "replace") for query in queries}
        found = {query["refId"]: results.get(query["refId"], {"error": "no answer"}) for query in queries}
        return {letter: _wrong(result) for letter, result in found.items() if _wrong(result)}

    def wrong(self, dashboard: Mapping[str, Any]) -> Iterator[str]:
        """What Grafana cannot answer of a dashboard: panels, annotations, variables."""
        values = everything_chosen(dashboard)
        for panel in panels(dashboard):
            targets = [
                {**target, "expr": fill(target["expr"], values), "datasource": SOURCE, "intervalMs": 30_000}
                for target in panel.get("targets", ())
            ]
            for letter, problem in (self.ask(targets) if targets else {}).items():
                yield f"{dashboard['uid']}: {panel['title']}: {letter}: {problem}"
        for note in dashboard["annotations"]["list"]:
            query = {"refId": "X", "expr": fill(note["expr"], values), "datasource": SOURCE, "range": True}
            for problem in self.ask([query]).values():
                yield f"{dashboard['uid']}: annotation {note['name']}: {problem}"
        for name, variable in variables(dashboard).items():
            if variable["type"] == "query" and not self._has_values(variable, values):
                yield f"{dashboard['uid']}: variable {name}: not answered"

    def _has_values(self, variable: Mapping[str, Any], values: Mapping[str, str]) -> bool:
        """Whether it was answered, be it by an empty list."""
        selector, label = variable["query"]["query"].removeprefix("label_values(").removesuffix(")").rsplit(", ", 1)
        parameters = urllib.parse.urlencode({"match[]": fill(selector, values)})
        path = f"/api/datasources/uid/{SOURCE['uid']}/resources/api/v1/label/{label}/values?{parameters}"
        return bool((self.get(path) or {}).get("status") == "success")


def _wrong(result: Mapping[str, Any]) -> str:
    status = result.get("status", 200)
    return str(result.get("error") or "") or ("" if status == 200 else f"status {status}")


def picture(url: str, file: Path, size: tuple[int, int], browser: str = "chromium") -> str | None:
    """Write what a browser shows as a PNG; None, or why it cannot be had."""
    program = shutil.which(browser)
    if program is None:
        return f"no {browser} on the PATH"
    # Virtual time: the page is complete long before its panels have been answered.
    drawn = ["--virtual-time-budget=30000", "--hide-scrollbars", f"--window-size={size[0]},{size[1]}"]
    command = [program, "--headless", "--no-sandbox", "--disable-gpu", *drawn, f"--screenshot={file}", url]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    except subprocess.TimeoutExpired:
        return f"{browser} was not done in two minutes"
    if done.returncode != 0 or not file.exists():
        return f"{browser} ended with {done.returncode}: {done.stderr[-300:]}"
    return None


def width_and_height(png: bytes) -> tuple[int, int]:
    """Raises `ValueError` for what is no PNG."""
    if png[:8] != b"\x89PNG\r\n\x1a\n" or png[12:16] != b"IHDR":
        raise ValueError("no PNG")
    return int.from_bytes(png[16:20]), int.from_bytes(png[20:24])
