"""A real Prometheus scrapes /probe with the configuration that docs/probing.md shows."""

from __future__ import annotations

import json
import re
import urllib.parse
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.support.exporter import Exporter
from tests.support.fault_thread import server_of
from tests.support.on_demand import prediction
from tests.support.programs import free_port, get, program, start, wait_until

pytestmark = pytest.mark.system

PAGE = Path(__file__).parents[2] / "docs/probing.md"


def shown(beginning: str) -> Any:
    """The block of YAML on the page that begins so."""
    blocks = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL)
    return yaml.safe_load(next(block for block in blocks if block.startswith(beginning)))


def answers(address: str, query: str) -> list[dict[str, Any]]:
    body = get(f"http://{address}/api/v1/query?query={urllib.parse.quote(query)}")
    found: list[dict[str, Any]] = json.loads(body or b'{"data": {"result": []}}')["data"]["result"]
    return found


def test_prometheus_probes_what_it_finds_and_keeps_the_labels(tmp_path: Path) -> None:
    # The canary alone: what is asked would else depend on when Prometheus comes.
    with server_of(prediction()) as model:
        address = f"127.0.0.1:{model.port}"
        probes = shown("probes:")["probes"]
        probes["allow"], probes["modules"]["fraud"]["checks"] = [address], ["predict"]
        exporter = Exporter(tmp_path / "exporter", probes=probes).start()
        prometheus = f"127.0.0.1:{free_port()}"
        found = shown("# /etc/prometheus/models.yaml")
        found[0]["targets"] = [address, "127.0.0.1:1"]
        (tmp_path / "models.yaml").write_text(yaml.safe_dump(found))
        scrape = shown("scrape_configs:")
        [job] = scrape["scrape_configs"]
        job["file_sd_configs"] = [{"files": [str(tmp_path / "models.yaml")]}]
        job["relabel_configs"][-1]["replacement"] = exporter.address
        (tmp_path / "prometheus.yml").write_text(yaml.safe_dump({"global": {"scrape_interval": "1s"}, **scrape}))
        command = [
            program("prometheus"),
            f"--config.file={tmp_path}/prometheus.yml",
            f"--storage.tsdb.path={tmp_path}/data",
            f"--web.listen-address={prometheus}",
        ]
        server = start("prometheus", command, log=tmp_path / "prometheus.log", ready_url=f"http://{prometheus}/-/ready")
        try:
            wait_until(lambda: answers(prometheus, "ml_probe_success"), 60, "a probe was scraped")
            [series] = answers(prometheus, "ml_probe_success")
            [version] = answers(prometheus, "ml_probe_model_info")
            not_allowed = 'up{instance="127.0.0.1:1"} == 0'
            wait_until(lambda: answers(prometheus, not_allowed), 60, "a target that is not allowed is down")
        finally:
            server.stop()
            exporter.stop()
    labels = {"job": "models", "instance": address, "ml_service": "fraud-detection", "ml_endpoint": "fraud"}
    assert series["metric"] == {"__name__": "ml_probe_success", **labels}
    assert series["value"][1] == "1"
    assert (version["metric"]["model"], version["metric"]["version"]) == ("fraud", "3")
