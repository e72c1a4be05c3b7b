"""Tables as Grafana makes them of Prometheus' answers, with Grafana's own transformations (`@grafana/data`, from npm).

What stands before those, one frame for each query, is made here as Grafana's Prometheus data source makes it.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from tests.support import debian

Frame: TypeAlias = dict[str, Any]
Field: TypeAlias = dict[str, Any]
"""`name`, what is `shown` above it, `values`."""
_SCRIPT = Path(__file__).with_name("grafana_tables.cjs")
_BESIDE = ("jsdom@24", "react@18", "react-dom@18", "rxjs@7")
INSTALL_WITHIN = 600
"""Seconds."""


def installed(version: str) -> Path:
    """A folder with that version of Grafana's package, made once, in the cache. Raises `debian.Unavailable`."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        raise debian.Unavailable(f"@grafana/data {version} needs node and npm")
    home = debian.cache() / f"grafana-data-{version}"
    if home.exists():
        return home
    staging = home.with_name(f"{home.name}.{os.getpid()}")
    staging.mkdir(parents=True)
    # Its peers are named above: npm would install the newest of them, which older versions do not work with.
    quiet = ("--no-audit", "--no-fund", "--legacy-peer-deps", "--loglevel=error")
    command = [npm, "install", "--prefix", str(staging), *quiet, f"@grafana/data@{version}", *_BESIDE]
    try:
        done = subprocess.run(["nice", *command], capture_output=True, text=True, timeout=INSTALL_WITHIN)
        if done.returncode != 0:
            last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
            raise debian.Unavailable(f"@grafana/data {version} cannot be installed: {last}")
        staging.rename(home)
    except subprocess.TimeoutExpired as error:
        raise debian.Unavailable(f"@grafana/data {version} cannot be installed: {error}") from None
    except OSError:
        if not home.exists():  # else another test run was quicker
            raise
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return home


def frames(answers: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[Frame]:
    """A frame for each query, by its letter: a column for each label, then the value. An empty answer has no labels."""
    return [
        _frame(letter, "Value" if len(answers) == 1 else f"Value #{letter}", series)
        for letter, series in answers.items()
    ]


def _frame(letter: str, value: str, series: Sequence[Mapping[str, Any]]) -> Frame:
    labels = sorted({label for each in series for label in each["metric"]})
    columns = [
        {"name": "Time", "type": "time", "values": [float(each["value"][0]) * 1000 for each in series]},
        *(
            {"name": label, "type": "string", "values": [each["metric"].get(label, "") for each in series]}
            for label in labels
        ),
        {"name": value, "type": "number", "values": [float(each["value"][1]) for each in series]},
    ]
    return {"refId": letter, "fields": columns}


def tables(home: Path, wanted: Sequence[Mapping[str, Any]]) -> list[list[Field]]:
    """The fields of each table, in the order in which they are shown; each wanted: `transformations` and `frames`."""
    done = subprocess.run(
        ["node", str(_SCRIPT)],
        input=json.dumps(wanted),
        env={**os.environ, "NODE_PATH": str(home / "node_modules")},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    made: list[list[Field]] = json.loads(done.stdout)
    return made
