"""docker-compose.yml: its rules, and that it really comes up."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import yaml
from tests.support import containers
from tests.support.grafana import fill, panels
from tests.support.grafana_server import GrafanaServer
from tests.support.programs import free_port, get

from ml_exporter import config, render

ROOT = Path(__file__).parents[1]
FILE = ROOT / "docker-compose.yml"
COMPOSE: dict[str, Any] = yaml.safe_load(FILE.read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
LONG_RUNNING = {name: service for name, service in SERVICES.items() if "restart" in service}
PORTS = ("mlflow", "exporter", "prometheus", "alertmanager", "receiver", "grafana")


def test_everything_is_published_on_loopback_only() -> None:
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert set(published) == set(PORTS)
    for ports in published.values():
        for port in ports:
            assert re.fullmatch(r"127\.0\.0\.1:\$\{[A-Z]+_PORT:-\d+\}:\d+", port)


def test_every_image_is_pinned_by_version() -> None:
    base_images = re.findall(r"^FROM (\S+:\S+)", (ROOT / "Dockerfile").read_text(encoding="utf-8"), re.M)
    for image in [*base_images, *(service["image"] for service in SERVICES.values())]:
        assert re.fullmatch(r"[a-z/-]+:v?\d+\.\d+[\w.-]*", image), image


def test_the_file_holds_no_secret() -> None:
    for name, service in SERVICES.items():
        for variable in service.get("environment", {}):
            secret = re.search("PASSWORD|SECRET|TOKEN|KEY", variable)
            assert not secret or variable.endswith("_FILE"), f"{name}: {variable}"
    assert not re.search(r"://[^\s/@]+:[^\s/@]+@", FILE.read_text(encoding="utf-8"))


def test_what_runs_for_long_restarts_is_unprivileged_and_says_whether_it_is_well() -> None:
    assert set(LONG_RUNNING) == set(SERVICES) - {"password", "render"}
    for name, service in LONG_RUNNING.items():
        assert service["restart"] == "unless-stopped", name
        assert service["read_only"], name
        assert service["cap_drop"] == ["ALL"], name
        assert "healthcheck" in service or name == "pipelines", name
        assert "build" in service or re.fullmatch(r"[1-9]\d*:\d+", service["user"]), name


def test_our_own_images_run_as_an_ordinary_user() -> None:
    stages = re.split(r"^FROM ", (ROOT / "Dockerfile").read_text(encoding="utf-8"), flags=re.M)
    for target in {service["build"]["target"] for service in SERVICES.values() if "build" in service}:
        stage = next(stage for stage in stages if stage.splitlines()[0].endswith(f"AS {target}"))
        assert re.findall(r"^USER (\S+)", stage, re.M)[-1] == "app", target


def test_data_is_kept_in_named_volumes() -> None:
    for name, service in SERVICES.items():
        for volume in service.get("volumes", ()):
            source = volume["source"] if isinstance(volume, dict) else volume.split(":")[0]
            assert source in COMPOSE["volumes"] or source == "./provisioning/compose", name


def test_prometheus_keeps_35_days() -> None:
    assert "--storage.tsdb.retention.time=35d" in SERVICES["prometheus"]["command"]


# From here on with a real engine.


@pytest.fixture(scope="session")
def ports() -> dict[str, int]:
    """Where this run's services are published; read by docker-compose.yml from the environment."""
    return {name: free_port() for name in PORTS}


@pytest.fixture(scope="session")
def available(engine: None, aloud: Callable[[], AbstractContextManager[None]]) -> list[str]:
    """The services whose images can be had; says which are left out and why."""
    base_images = re.findall(r"^FROM (\S+:\S+)", (ROOT / "Dockerfile").read_text(encoding="utf-8"), re.M)
    pulled = sorted({service["image"] for service in SERVICES.values() if "build" not in service})
    with aloud():
        absent = containers.provide([*base_images, *pulled])
        for image, reason in absent.items():
            print(f"\nleft out: {image}: {reason}")
    needed = [image for image in absent if not image.startswith("grafana/")]
    if needed:
        pytest.skip(f"images that cannot be had: {', '.join(f'{image} ({absent[image]})' for image in needed)}")
    return [name for name, service in SERVICES.items() if service["image"] not in absent]


@pytest.fixture(scope="session")
def docker_compose_file() -> str:
    return str(FILE)


@pytest.fixture(scope="session")
def docker_compose_project_name() -> str:
    return f"ml-exporter-test-{os.getpid()}"


@pytest.fixture(scope="session")
def docker_setup(
    available: list[str], ports: dict[str, int], docker_compose_command: str, docker_compose_project_name: str
) -> Iterator[list[str]]:
    os.environ.update({f"{name.upper()}_PORT": str(port) for name, port in ports.items()})
    yield ["build", f"up --detach --wait --wait-timeout 300 {' '.join(_long_running(available))}"]
    # What is there now was left by a setup that failed: pytest-docker cleans up only after one that worked.
    project = [*docker_compose_command.split(), "--file", str(FILE), "--project-name", docker_compose_project_name]
    if subprocess.run([*project, "ps", "--all", "--quiet"], capture_output=True, text=True).stdout.strip():
        subprocess.run([*project, "logs", "--tail", "30"])
        subprocess.run([*project, "down", "--volumes", "--timeout", "10"], capture_output=True)


@pytest.fixture(scope="session")
def docker_cleanup() -> list[str]:
    return ["down --volumes --timeout 10"]


def _long_running(names: list[str]) -> list[str]:
    return [name for name in names if name in LONG_RUNNING]


def holds(expression: str, ports: dict[str, int]) -> bool:
    """Whether Prometheus answers with anything now."""
    answer = get(f"http://127.0.0.1:{ports['prometheus']}/api/v1/query?query={quote(expression)}")
    return bool(answer and json.loads(answer)["data"]["result"])


@pytest.mark.docker
def test_data_flows_from_a_training_to_prometheus_and_an_alert_to_the_receiver(
    docker_services: Any, ports: dict[str, int], available: list[str]
) -> None:
    def trained() -> bool:
        return holds('sum(ml_runs_finished_total{source="tracking", state="succeeded"}) > 0', ports)

    def notified() -> bool:
        return bool(json.loads(get(f"http://127.0.0.1:{ports['receiver']}/notifications") or b"[]"))

    docker_services.wait_until_responsive(trained, timeout=180, pause=1)
    docker_services.wait_until_responsive(notified, timeout=180, pause=1)


def seconds_until(expression: str, began: float, ports: dict[str, int]) -> float | None:
    """From `began`, seconds since the epoch, to the first second at which Prometheus had an answer; None: never yet."""
    now = time.time()
    asked = f"query={quote(expression)}&start={began}&end={now}&step=1"
    answer = get(f"http://127.0.0.1:{ports['prometheus']}/api/v1/query_range?{asked}")
    series = json.loads(answer)["data"]["result"] if answer else []
    return min(float(one["values"][0][0]) for one in series) - began if series else None


def first_container(project: str) -> float:
    """When the first container of a Compose project was created, in seconds since the epoch."""
    listed = ["docker", "ps", "--all", "--quiet", "--filter", f"label=com.docker.compose.project={project}"]
    ids = subprocess.run(listed, capture_output=True, text=True, check=True).stdout.split()
    inspect = ["docker", "inspect", "--format", "{{.Created}}", *ids]
    created = subprocess.run(inspect, capture_output=True, text=True, check=True).stdout.split()
    return min(datetime.fromisoformat(text[:19] + "+00:00").timestamp() for text in created)


def overview() -> dict[str, str]:
    """Title of a panel of the page that Compose's Grafana opens on → its first query, for all services."""
    files = render.generate(config.load(ROOT / "provisioning/compose/ml-exporter.yaml"))
    page = json.loads(files["grafana/dashboards/ml-overview.json"])
    asking = [panel for panel in panels(page) if panel.get("targets")]
    return {panel["title"]: fill(panel["targets"][0]["expr"], {"service": ".*"}) for panel in asking}


@pytest.mark.docker
@pytest.mark.parametrize("panel", ["Services", "Pipelines failing", "Endpoints failing", "Sources unknown"])
def test_the_overview_has_data_within_two_minutes(
    panel: str,
    docker_services: Any,
    ports: dict[str, int],
    docker_compose_project_name: str,
    aloud: Callable[[], AbstractContextManager[None]],
) -> None:
    began, query = first_container(docker_compose_project_name), overview()[panel]
    docker_services.wait_until_responsive(lambda: holds(query, ports), timeout=120, pause=1)
    took = seconds_until(query, began, ports)
    with aloud():
        print(f"\n{panel}: data {took} s after the first container was made")
    assert took is not None
    assert took < 120


@pytest.mark.docker
def test_the_champion_is_served_and_probes_of_it_reach_prometheus(docker_services: Any, ports: dict[str, int]) -> None:
    def predicts() -> bool:
        probes = (
            'ml_endpoint_probes_total{ml_service="demand-forecast",ml_endpoint="demand",model="demand",outcome="ok"}'
        )
        return holds(f"sum(increase({probes}[1m])) > 0", ports)

    docker_services.wait_until_responsive(predicts, timeout=180, pause=1)
    assert holds('ml_endpoint_up{ml_endpoint="demand",check="predict"} == 1', ports)


@pytest.mark.docker
def test_grafana_has_the_dashboards_on_first_open(
    docker_services: Any, ports: dict[str, int], available: list[str]
) -> None:
    if "grafana" not in available:
        pytest.skip("the image of Grafana cannot be had here")

    server = GrafanaServer(f"http://127.0.0.1:{ports['grafana']}")

    def dashboards() -> bool:
        return len(server.get("/api/search?type=dash-db") or ()) == 11

    docker_services.wait_until_responsive(dashboards, timeout=60, pause=1)
    assert server.get("/api/dashboards/home")["dashboard"]["title"] == "ML / Overview"


@pytest.mark.docker
def test_the_configuration_is_applied_from_within_the_stack(
    docker_services: Any, docker_compose_command: str, docker_compose_project_name: str
) -> None:
    project = ["--file", str(FILE), "--project-name", docker_compose_project_name]
    apply = ["exec", "--no-TTY", "exporter", "ml-exporter", "apply", "--config", "/config/ml-exporter.yaml"]
    done = subprocess.run([*docker_compose_command.split(), *project, *apply], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    for part in ("exporter", "prometheus"):
        assert f"{part}: reloaded" in done.stdout
    assert "alertmanager: nothing new for it" in done.stdout
