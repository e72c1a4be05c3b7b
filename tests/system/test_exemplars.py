"""From a dot on a latency panel to its trace: what a real Prometheus would give Grafana, of probes that really were."""

from __future__ import annotations

import json
import time
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.support.exporter import Exporter
from tests.support.fault_server import FaultServer
from tests.support.fault_thread import server_of
from tests.support.grafana import fill, panels
from tests.support.openai_server import MODEL, OpenAiServer
from tests.support.otlp_backend import TAKEN, spans_of
from tests.support.programs import free_port, get, program, start, wait_until

from ml_exporter import config, render

pytestmark = pytest.mark.system

FILLED = {"service": ".*", "endpoint": ".*", "model": ".*"}


@dataclass
class Probed:
    """A Prometheus that has scraped probes, and the collector that got their spans."""

    address: str
    collector: FaultServer

    def exemplars(self, expr: str) -> list[dict[str, Any]]:
        """As Grafana asks for those of a panel's query."""
        parameters = urllib.parse.urlencode({"query": expr, "start": time.time() - 3600, "end": time.time()})
        body = get(f"http://{self.address}/api/v1/query_exemplars?{parameters}")
        return [one for series in json.loads(body or b'{"data": []}')["data"] for one in series["exemplars"]]

    def collected(self, traces: set[str]) -> bool:
        return traces <= {span.trace_id.hex() for span in spans_of(self.collector)}


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Probed]:
    """Of a language model whose answers are streamed: it has every latency that there is."""
    folder = tmp_path_factory.mktemp("exemplars")
    canary = {"request": {"messages": [{"role": "user", "content": "?"}], "max_tokens": 8, "stream": True}}
    with OpenAiServer() as model, server_of(TAKEN) as collector:
        model_settings = {"name": "chat", "protocol": "openai", "url": model.url, "model": MODEL, "interval": "1s"}
        exporter = Exporter(
            folder / "exporter",
            endpoints=[{**model_settings, "timeout": "1s", "checks": ["predict"], "canary": canary}],
            tracing={"otlp_url": collector.url},
            stack={"scrape_interval": "1s", "output": str(folder / "rendered")},
        ).start()
        render.render(config.load(exporter.file), folder / "rendered")
        address = f"127.0.0.1:{free_port()}"
        command: list[str | Path] = [
            program("prometheus"),
            f"--config.file={folder}/rendered/prometheus/prometheus.yml",
            f"--storage.tsdb.path={folder}/data",
            f"--web.listen-address={address}",
            "--enable-feature=exemplar-storage",
        ]
        server = start("prometheus", command, log=folder / "prometheus.log", ready_url=f"http://{address}/-/ready")
        try:
            yield Probed(address, collector)
        finally:
            server.stop()
            exporter.stop()


def queries() -> dict[str, list[str]]:
    """Panel that asks for exemplars → its queries."""
    files = render.generate(config.from_data({}))
    found = {}
    for name, text in files.items():
        for panel in panels(json.loads(text)) if name.startswith("grafana/dashboards/") else ():
            asking = [target["expr"] for target in panel.get("targets", ()) if target.get("exemplar")]
            if asking:
                found[f"{Path(name).stem}: {panel['title']}"] = [fill(expr, FILLED) for expr in asking]
    return found


def test_every_panel_that_asks_for_exemplars_gets_some_that_lead_to_the_spans_of_probes(endpoint: Probed) -> None:
    asking = queries()
    assert len(asking) >= 3, "no panel asks for exemplars any more"
    for panel, exprs in asking.items():
        first = exprs[0]  # Grafana asks once for a histogram, with the first query that names it
        wait_until(partial(endpoint.exemplars, first), 60, f"{panel} has exemplars")
        found = endpoint.exemplars(first)
        assert {frozenset(one["labels"]) for one in found} == {frozenset({"trace_id"})}, panel
        assert all(0 <= float(one["value"]) < 10 for one in found), panel
        traces = {one["labels"]["trace_id"] for one in found}
        wait_until(partial(endpoint.collected, traces), 30, f"the spans that {panel} leads to are at the collector")
