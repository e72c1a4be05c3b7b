"""After an edit, `apply` brings exporter, Prometheus and Alertmanager back in step, TLS and passwords included."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import bcrypt
import pytest
import requests
import trustme
import yaml
from tests.support.mlflow_server import MlflowServer
from tests.support.programs import program

from ml_exporter.demo.processes import Process, free_port, get, start, stop_all, wait_until

pytestmark = pytest.mark.system


class House:
    """The stack in one folder, all of it generated from one file."""

    def __init__(self, folder: Path, mlflow: MlflowServer) -> None:
        self.folder = folder
        self.exporter, self.prometheus, self.alertmanager = (f"127.0.0.1:{free_port()}" for _ in range(3))
        self.file, self.output = folder / "ml-exporter.yaml", folder / "rendered"
        self.processes: list[Process] = []
        self.secure()
        self.config: dict[str, Any] = {
            "server": {"listen": self.exporter, "web_config": "web.yaml"},
            "sources": [{"name": "tracking", "kind": "mlflow", "url": mlflow.url, "interval": "1s"}],
            "alerting": {"alertmanager": "0.25"},
            "stack": {
                "scrape_interval": "1s",
                "evaluation_interval": "1s",
                "exporter_targets": [self.exporter],
                "alertmanager_targets": [self.alertmanager],
                "exporter_url": f"https://{self.exporter}",
                "exporter_username": "prometheus",
                "exporter_password_file": str(folder / "password"),
                "exporter_ca_file": str(folder / "ca.pem"),
                "prometheus_url": f"http://{self.prometheus}",
                "alertmanager_url": f"http://{self.alertmanager}",
                "output": "rendered",
            },
        }

    def secure(self) -> None:
        authority = trustme.CA()
        authority.cert_pem.write_to_path(self.folder / "ca.pem")
        certificate = authority.issue_cert("127.0.0.1")
        certificate.cert_chain_pems[0].write_to_path(self.folder / "server.pem")
        certificate.private_key_pem.write_to_path(self.folder / "server.key")
        (self.folder / "password").write_text("open sesame\n")
        hashed = bcrypt.hashpw(b"open sesame", bcrypt.gensalt(4)).decode()
        tls = {"cert_file": "server.pem", "key_file": "server.key"}
        (self.folder / "web.yaml").write_text(
            yaml.safe_dump({"tls_server_config": tls, "basic_auth_users": {"prometheus": hashed}})
        )

    def write(self) -> None:
        self.file.write_text(yaml.safe_dump(self.config))

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "ml_exporter", *arguments, "--config", str(self.file)]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)

    def start(self) -> None:
        self.write()
        rendered = self.command("render", "--output", str(self.output))
        assert rendered.returncode == 0, rendered.stderr
        self.processes += [
            start(
                "exporter",
                [sys.executable, "-m", "ml_exporter", "run", "--config", self.file],
                log=self.folder / "exporter.log",
            ),
            start(
                "alertmanager",
                [
                    program("alertmanager"),
                    f"--config.file={self.output}/alertmanager/alertmanager.yml",
                    f"--storage.path={self.folder}/alertmanager",
                    f"--web.listen-address={self.alertmanager}",
                    "--cluster.listen-address=",
                ],
                log=self.folder / "alertmanager.log",
                ready_url=f"http://{self.alertmanager}/-/ready",
            ),
            start(
                "prometheus",
                [
                    program("prometheus"),
                    f"--config.file={self.output}/prometheus/prometheus.yml",
                    f"--storage.tsdb.path={self.folder}/prometheus",
                    f"--web.listen-address={self.prometheus}",
                    "--web.enable-lifecycle",
                ],
                log=self.folder / "prometheus.log",
                ready_url=f"http://{self.prometheus}/-/ready",
            ),
        ]

    def labels(self, query: str) -> list[dict[str, str]]:
        answer = json.loads(get(f"http://{self.prometheus}/api/v1/query?query={quote(query)}") or b"{}")
        return [series["metric"] for series in answer.get("data", {}).get("result", [])]


@pytest.fixture
def house(tmp_path: Path, mlflow: MlflowServer) -> Iterator[House]:
    it = House(tmp_path, mlflow)
    yield it
    stop_all(reversed(it.processes))


OUT_OF_STEP = 'ALERTS{alertname="MLExporterConfigOutOfStep"}'


def test_an_edit_is_out_of_step_until_it_is_applied(house: House) -> None:
    house.start()
    wait_until(lambda: house.labels("up == 1"), 30, "Prometheus scrapes over TLS with a password")
    wait_until(lambda: house.labels("ml_source_up == 1"), 60, "the source is up")
    assert not house.labels(OUT_OF_STEP)

    house.config["alerting"]["thresholds"] = {"failing_runs": 7}
    house.write()
    applied = house.command("apply")
    assert applied.returncode == 0, applied.stdout + applied.stderr
    for part in ("exporter", "prometheus"):
        assert f"{part}: reloaded" in applied.stdout
    # A reload would make it tell of its groups anew, as if they had ended.
    assert "alertmanager: nothing new for it" in applied.stdout
    wait_until(
        lambda: house.labels("ml_exporter_config_info * on (hash) group_left () ml:rules_config:info"),
        30,
        "exporter and rules have one hash",
    )
    # An evaluation between the two reloads may have seen them apart.
    wait_until(lambda: not house.labels(OUT_OF_STEP), 30, "the alert of the moment between is gone")

    house.config["alerting"]["ticket"] = {"webhook": {"url": "http://127.0.0.1:1"}}
    house.write()
    applied = house.command("apply")
    assert "alertmanager: reloaded" in applied.stdout, applied.stdout + applied.stderr

    # Somebody applies a file that these parts do not read.
    mine, house.file = house.file, house.folder / "another.yaml"
    house.config["alerting"]["thresholds"] = {"failing_runs": 6}
    house.write()
    applied = house.command("apply", "--output", str(house.folder / "elsewhere"))
    house.file = mine
    assert applied.returncode == 1
    for part in ("exporter", "prometheus"):
        assert f"{part}: reloaded, but it has configuration " in applied.stdout

    # Rules of another configuration: an alert is on its way.
    house.config["alerting"]["thresholds"] = {"failing_runs": 8}
    house.write()
    assert house.command("render", "--output", str(house.output)).returncode == 0
    requests.post(f"http://{house.prometheus}/-/reload", timeout=10).raise_for_status()
    wait_until(lambda: house.labels(OUT_OF_STEP), 30, "the alert is pending")

    house.processes.pop(0).stop()
    applied = house.command("apply")
    assert applied.returncode == 1
    assert f"exporter: not reached at https://{house.exporter}" in applied.stdout
    assert "prometheus: reloaded" in applied.stdout


def test_a_wrong_edit_changes_nothing_that_runs(house: House) -> None:
    house.start()
    wait_until(lambda: house.labels("up == 1"), 30, "Prometheus scrapes")
    before = (house.output / "alertmanager/alertmanager.yml").read_bytes()
    house.config["alerting"]["alertmanagr"] = "0.33"
    house.write()
    applied = house.command("apply")
    assert applied.returncode == 2
    assert "alerting.alertmanagr: unknown key; did you mean 'alertmanager'?" in applied.stderr
    del house.config["alerting"]["alertmanagr"]
    house.config["alerting"]["ticket"] = {"msteams": {"webhook_url_file": "/run/secrets/teams"}}
    house.write()
    applied = house.command("apply")
    assert applied.returncode == 2
    assert "msteams" in applied.stderr
    assert "0.28" in applied.stderr
    del house.config["alerting"]["ticket"]
    rules = (house.output / "prometheus/rules/pipelines.yml").read_bytes()
    house.config["services"] = [{"name": "fraud", "owner": "risk-ml"}]
    sli = {"ratio": {"bad": "sm(rate(x[$window]))", "total": "sum(rate(x[$window]))"}}
    house.config["slos"] = [{"name": "misspelt", "service": "fraud", "objective": 99, "sli": sli}]
    house.write()
    applied = house.command("apply")
    assert applied.returncode == 2
    assert "slos: promtool refuses a query of 'misspelt'" in applied.stderr
    assert 'unknown function with name "sm"' in applied.stderr
    assert (house.output / "prometheus/rules/pipelines.yml").read_bytes() == rules
    assert not (house.output / "prometheus/rules/slos.yml").exists()
    assert (house.output / "alertmanager/alertmanager.yml").read_bytes() == before
