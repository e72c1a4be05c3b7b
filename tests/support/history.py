"""A month of history in a real Prometheus: raw series back-filled as blocks, then what rules record of them."""

from __future__ import annotations

import json
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import msgspec
import yaml
from tests.support.programs import Process, free_port, program, start

MINUTE = 60.0
_MOST_POINTS = 10_000
"""Prometheus answers with at most 11,000 points a series."""
_ONE_BLOCK = "1500h"
"""Promtool reads the whole file once for every block, and would make one of every two hours."""
_SCRAPED_AT = 13.0
"""Seconds after the full minute: scrapes and evaluations do not coincide."""


@dataclass(frozen=True)
class Series:
    """A value a minute since history began; None where nothing was scraped. `name` includes the labels."""

    name: str
    values: Sequence[float | None]


@dataclass(frozen=True)
class Stage:
    """Rules that read nothing of each other, evaluated `at` seconds after every multiple of `interval` seconds."""

    rules: Sequence[Mapping[str, Any]]
    interval: float
    at: float


def counter(increments: Sequence[float], restarts: Sequence[int] = ()) -> list[float]:
    """What a counter that has counted before shows after every minute; in those of `restarts` it starts at 0 again."""
    value, values, again = 1000.0, [], frozenset(restarts)
    for minute, increment in enumerate(increments):
        value = increment if minute in again else value + increment
        values.append(value)
    return values


@dataclass
class History:
    """Series since `began` (seconds, a full minute), as blocks in `folder`."""

    folder: Path
    series: Sequence[Series]
    began: float
    until: float = field(init=False)
    url: str = field(init=False, default="")

    def __post_init__(self) -> None:
        self.until = self.began

    def extend(self, until: float, stages: Sequence[Stage]) -> None:
        """Fill from where it ends up to `until`; what a stage records, the next one reads."""
        since, self.until = self.until, until
        self._fill("raw", (line for series in self.series for line in self._lines(series, since, until)))
        for number, stage in enumerate(stages):
            log = self.folder / f"stage-{number}.log"
            with self.running(log, {"scrape_configs": []}):
                recorded = [line for rule in stage.rules for line in self._recorded(rule, stage, since, until)]
            self._fill(f"stage-{number}", iter(recorded))

    def page(self, now: float) -> str:
        """What a target would expose."""
        minute = int((now - self.began - _SCRAPED_AT) // MINUTE)
        return "".join(f"{s.name} {s.values[minute]}\n" for s in self.series if s.values[minute] is not None)

    def running(self, log: Path, configuration: Mapping[str, Any]) -> _Running:
        """A Prometheus on what was filled so far, for a `with`; its address is `url` meanwhile."""
        return _Running(self, log, configuration)

    def ask(self, path: str, **parameters: str | float) -> Any:
        """The `data` of an answer of Prometheus' HTTP interface. Raises `OSError`."""
        body = urllib.parse.urlencode(parameters).encode() if parameters else None
        with urllib.request.urlopen(f"{self.url}/api/v1/{path}", body, timeout=120) as answer:
            return msgspec.json.decode(answer.read())["data"]

    def query(self, expr: str) -> list[tuple[dict[str, str], float]]:
        """(labels, value) of every series of an instant query."""
        return [(found["metric"], float(found["value"][1])) for found in self.ask("query", query=expr)["result"]]

    def _lines(self, series: Series, since: float, until: float) -> Iterator[str]:
        first, last = (int((at - self.began - _SCRAPED_AT) // MINUTE) for at in (since, until))
        for minute in range(first + 1, last + 1):
            value = series.values[minute]
            if value is not None:
                yield f"{series.name} {value!r} {self.began + minute * MINUTE + _SCRAPED_AT}\n"

    def _recorded(self, rule: Mapping[str, Any], stage: Stage, since: float, until: float) -> Iterator[str]:
        """A recording rule's samples, on the same grid whatever part of it is filled.

        Unlike a rule engine's they do not go stale: what ends is read for five minutes more.
        """
        step = stage.interval
        at = ((since - stage.at) // step + 1) * step + stage.at
        while at <= until:
            end = min(at + (_MOST_POINTS - 1) * step, until)
            answer = self.ask("query_range", query=rule["expr"], start=at, end=end, step=step)
            for found in answer["result"]:
                labels = {**found["metric"], **rule.get("labels", {})}
                named = ",".join(f"{key}={json.dumps(text)}" for key, text in labels.items() if key != "__name__")
                for when, value in found["values"]:
                    yield f"{rule['record']}{{{named}}} {value} {when}\n"
            at += _MOST_POINTS * step

    def _fill(self, name: str, lines: Iterator[str]) -> None:
        text = self.folder / f"{name}.om"
        with text.open("w") as file:
            file.writelines(lines)
            file.write("# EOF\n")
        command = ["tsdb", "create-blocks-from", "openmetrics", "--quiet", f"--max-block-duration={_ONE_BLOCK}"]
        done = subprocess.run(
            [program("promtool"), *command, text, self.folder / "data"], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        text.unlink()


class _Running:
    """A Prometheus while it is needed: what is filled later, the next one sees."""

    def __init__(self, history: History, log: Path, configuration: Mapping[str, Any]) -> None:
        self._history = history
        self._log = log
        self._configuration = configuration
        self._process: Process | None = None

    def __enter__(self) -> None:
        history = self._history
        file = history.folder / "prometheus.yml"
        file.write_text(yaml.safe_dump(dict(self._configuration)))
        history.url = f"http://127.0.0.1:{free_port()}"
        self._process = start(
            "prometheus",
            [
                program("prometheus"),
                f"--config.file={file}",
                f"--storage.tsdb.path={history.folder / 'data'}",
                "--storage.tsdb.retention.time=60d",
                f"--web.listen-address={history.url.removeprefix('http://')}",
            ],
            log=self._log,
            ready_url=f"{history.url}/-/ready",
        )

    def __exit__(self, *_: object) -> None:
        if self._process:
            self._process.stop()


class Exposed:
    """Text at an address, made anew for every scrape, for a `with` that gives host and port."""

    def __init__(self, text: Callable[[], str]) -> None:
        class Page(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = text().encode()
                self.send_response(200)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
        self._thread = Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> str:
        self._thread.start()
        return f"127.0.0.1:{self._server.server_address[1]}"

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
