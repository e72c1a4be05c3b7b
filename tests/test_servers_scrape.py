"""How Prometheus is told to scrape model servers, and what a real one then stores."""

from __future__ import annotations

import json
import re
import subprocess
import threading
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.support.native_cases import BY_SERVER
from tests.support.native_metrics import (
    FIXTURES,
    SERVERS,
    Series,
    endpoint,
    fixture,
    rules,
    scrape_job,
    scraped,
    scraping,
)
from tests.support.programs import free_port, program, start, stop_all, wait_until

BOTH_VERSIONS = pytest.mark.parametrize("version", [None, pytest.param("3.5", marks=pytest.mark.system)])


def test_an_endpoint_with_a_metrics_url_becomes_a_job() -> None:
    given = endpoint(name="fraud", server="triton", metrics_url="https://triton:8002/m/x", ca_file="/etc/ca.pem")
    assert scrape_job(given) == {
        "job_name": "ml-endpoint-fraud",
        "scheme": "https",
        "metrics_path": "/m/x",
        "tls_config": {"ca_file": "/etc/ca.pem"},
        "static_configs": [
            {
                "targets": ["triton:8002"],
                "labels": {"ml_service": "fraud", "ml_endpoint": "fraud", "server": "triton"},
            }
        ],
        "metric_relabel_configs": [
            {"source_labels": ["__name__"], "regex": ".*_created", "action": "drop"},
            {"source_labels": ["__name__"], "regex": "nv_inference_.*_summary_us.*", "action": "drop"},
        ],
    }


def test_an_endpoint_without_a_metrics_url_is_not_scraped() -> None:
    jobs = scraping(endpoint(server="triton", metrics_url=None))["scrape_configs"]
    assert [job["job_name"] for job in jobs] == ["ml-exporter"]


@pytest.mark.parametrize("address", ["http://h:1", "http://h:1/"])
def test_an_address_without_a_path_gets_the_usual_path_of_its_server(address: str) -> None:
    path = scrape_job(endpoint(server="tensorflow_serving", metrics_url=address))["metrics_path"]
    assert path == "/monitoring/prometheus/metrics"


@pytest.mark.parametrize("server", SERVERS)
def test_the_model_is_put_on_unless_the_server_has_a_label_of_that_name(server: str) -> None:
    labels = scrape_job(endpoint(server=server, model="fraud"))["static_configs"][0]["labels"]
    names_it = any("model" in item.labels for item in fixture(server))
    assert ("model" in labels) == (not names_it)


def test_two_endpoints_of_one_server_read_each_its_own_model() -> None:
    job = scrape_job(endpoint(server="triton", model="fraud.eu"))
    models = ("fraud.eu", "fraudxeu", "churn")
    series = [Series("nv_inference_request_success", {"model": model, "version": "1"}, 0) for model in models]
    kept = scraped([*series, Series("nv_cpu_utilization", {}, 0.5)], job)
    assert [item.labels.get("model") for item in kept] == ["fraud.eu", None]


@pytest.mark.parametrize("server", ["vllm", "sglang", "ray_serve", "bentoml"])
def test_a_model_that_goes_by_another_name_in_the_metrics_is_not_dropped(server: str) -> None:
    case = BY_SERVER[server]
    other = replace(case, endpoint={"model": "the-name-that-clients-use"})
    assert len(other.series()) == len(case.series())


@pytest.mark.parametrize("server", SERVERS)
def test_everything_that_the_rules_read_is_in_the_fixture_and_survives_the_scrape(server: str) -> None:
    # TorchServe's errors are of no model, so its endpoint has to name one.
    given = endpoint(server=server, model="sk" if server == "torchserve" else None)
    read = {name for rule in rules(given) for name in re.findall(r"([\w:]+){server=", rule["expr"])}
    stored = {item.name for item in scraped(fixture(server), scrape_job(given))}
    assert {name for name in read if not name.startswith("ml:")} <= stored


@BOTH_VERSIONS
def test_promtool_accepts_the_scrape_configuration(version: str | None, tmp_path: Path) -> None:
    config = _configuration([endpoint(name=server, server=server, model="sk") for server in SERVERS])
    (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(config))
    command = [program("promtool", version), "check", "config", "prometheus.yml"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.system
@pytest.mark.parametrize("version", [None, "3.5"])
def test_a_real_prometheus_stores_what_the_promtool_tests_assume(version: str | None, tmp_path: Path) -> None:
    with _serving_fixtures() as port:
        endpoints = [
            endpoint(name=server, server=server, model="sk", metrics_url=f"http://127.0.0.1:{port}/{server}")
            for server in SERVERS
        ]
        with _prometheus(_configuration(endpoints), tmp_path, version) as api:
            up = 'up{ml_endpoint!=""} == 1'
            wait_until(lambda: len(_asked(api, up)) == len(SERVERS), 60, "every server was scraped")
            for given in endpoints:
                stored = _asked(api, f'{{ml_endpoint="{given["name"]}"}}')
                expected = scraped(fixture(given["server"]), scrape_job(given))
                assert _identities(stored) == {_identity(item.name, item.labels) for item in expected}


def _configuration(endpoints: list[dict[str, Any]]) -> dict[str, Any]:
    return {**scraping(*endpoints), "rule_files": [], "alerting": {}}


@contextmanager
def _serving_fixtures() -> Iterator[int]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.end_headers()
            self.wfile.write((FIXTURES / f"{self.path.strip('/')}.metrics.txt").read_bytes())

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def _prometheus(config: dict[str, Any], folder: Path, version: str | None) -> Iterator[str]:
    config["global"] |= {"scrape_interval": "1s"}
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    address = f"127.0.0.1:{free_port()}"
    options = [f"--web.listen-address={address}", "--config.file=prometheus.yml", "--storage.tsdb.path=data"]
    command = [program("prometheus", version), *options]
    ready = f"http://{address}/-/ready"
    process = start("prometheus", command, log=folder / "prometheus.log", cwd=folder, ready_url=ready)
    try:
        yield f"http://{address}"
    finally:
        stop_all([process])


def _asked(api: str, query: str) -> list[dict[str, str]]:
    try:
        with urllib.request.urlopen(
            f"{api}/api/v1/query?{urllib.parse.urlencode({'query': query})}", timeout=5
        ) as answer:
            return [item["metric"] for item in json.load(answer)["data"]["result"]]
    except OSError:
        return []  # not up yet


SCRAPE_ITSELF = re.compile(r"up|scrape_.*")


def _identities(found: list[dict[str, str]]) -> set[tuple[Any, ...]]:
    return {
        _identity(item["__name__"], {name: value for name, value in item.items() if name != "__name__"})
        for item in found
        if not SCRAPE_ITSELF.fullmatch(item["__name__"])
    }


def _identity(name: str, labels: Any) -> tuple[Any, ...]:
    """Prometheus 3 writes 1 as 1.0 in `le` and `quantile`."""
    numbers = {label: float(labels[label]) for label in ("le", "quantile") if label in labels}
    return (name, *sorted({**labels, **numbers}.items()))
