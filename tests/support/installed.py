"""A Prometheus as a large installation would have it: it scrapes one and evaluates the rendered rules."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml
from tests.support.grafana import Prometheus
from tests.support.history import Exposed
from tests.support.installation import Installation
from tests.support.programs import Process, free_port, get, program, start, wait_until

from ml_exporter import config, render

SCRAPED = 60
"""Seconds between scrapes and between evaluations."""
_READY_WITHIN = 120.0
_SETTLES_WITHIN = 600.0


def rendered(installation: Installation) -> dict[str, bytes]:
    """The generated files, by their paths."""
    return render.generate(config.from_data(installation.configuration()))


def dashboards(files: Mapping[str, bytes]) -> list[dict[str, Any]]:
    return [json.loads(text) for name, text in files.items() if name.startswith("grafana/dashboards/")]


@contextmanager
def running(
    installation: Installation, files: Mapping[str, bytes], folder: Path, scraped: int = SCRAPED
) -> Iterator[Prometheus]:
    """Its Prometheus, on what is in `folder`/data already, once all rules were evaluated a few times."""
    rules = _written(files, folder)
    with (
        Exposed(lambda: installation.page(time.time())) as target,
        _prometheus(folder, _configuration(target, rules, scraped)) as (server, process),
    ):
        since = datetime.now(UTC) + timedelta(seconds=2 * scraped)
        wait_until(
            lambda: _evaluated(server, since), _SETTLES_WITHIN, "all rules were evaluated", watch=[process], every=2.0
        )
        yield server


@contextmanager
def at_rest(folder: Path) -> Iterator[tuple[Prometheus, int]]:
    """A Prometheus on the same data that does nothing but answer, and its process id."""
    with _prometheus(folder, {"scrape_configs": []}) as (server, leash):
        children = Path(f"/proc/{leash.pid}/task/{leash.pid}/children").read_text()
        yield server, int(children.split()[0])


@contextmanager
def _prometheus(folder: Path, configuration: Mapping[str, Any]) -> Iterator[tuple[Prometheus, Process]]:
    (folder / "prometheus.yml").write_text(yaml.safe_dump(dict(configuration)))
    url = f"http://127.0.0.1:{free_port()}"
    process = start(
        "prometheus",
        [
            program("prometheus"),
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address={url.removeprefix('http://')}",
        ],
        log=folder / "prometheus.log",
        ready_url=f"{url}/-/ready",
        timeout=_READY_WITHIN,
        grace=60.0,
    )
    try:
        yield Prometheus(url), process
    finally:
        process.stop()


def rule_groups(server: Prometheus) -> list[dict[str, Any]]:
    """As Prometheus tells them, with how long the last evaluation took."""
    body = get(f"{server.url}/api/v1/rules", 30)
    found: dict[str, Any] = json.loads(body) if body else {"data": {"groups": []}}
    return list(found["data"]["groups"])


def _evaluated(server: Prometheus, since: datetime) -> bool:
    """Whether each group was that is evaluated every two minutes or more often, and none failed."""
    groups = [group for group in rule_groups(server) if group["interval"] <= 120]
    failed = [rule["lastError"] for group in groups for rule in group["rules"] if rule.get("lastError")]
    assert not failed, failed
    # Nanoseconds are more than Python reads.
    ended = [datetime.fromisoformat(group["lastEvaluation"][:19] + "+00:00") for group in groups]
    return bool(ended) and min(ended) > since and bool(server.values("ml:pipelines:count", "ml_service"))


def _written(files: Mapping[str, bytes], folder: Path) -> list[str]:
    rules = []
    for name, text in files.items():
        if "/rules/" in name:
            path = folder / Path(name).name
            path.write_bytes(text)
            rules.append(str(path))
    return rules


def _configuration(target: str, rules: Sequence[str], scraped: int) -> dict[str, Any]:
    every = f"{scraped}s"
    return {
        "global": {"scrape_interval": every, "scrape_timeout": every, "evaluation_interval": every},
        "rule_files": list(rules),
        "scrape_configs": [
            {
                "job_name": "ml-exporter",
                "static_configs": [{"targets": [target]}],
                # As in what was back-filled and what rules record: a series goes on where its past ends.
                "metric_relabel_configs": [{"action": "labeldrop", "regex": "job|instance"}],
            }
        ],
    }
