"""Compose's Grafana in each version that we promise: what it loads, what it answers, and pictures of it.

Prometheus is empty here: whether queries find anything is asked elsewhere, of one that is not.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
import yaml
from pytest_docker.plugin import get_docker_services
from tests.support import containers
from tests.support.debian import Unavailable
from tests.support.grafana_server import GrafanaServer, complaints, picture, width_and_height
from tests.support.programs import free_port, program, start

from ml_exporter import config, render

pytestmark = pytest.mark.docker

COMPOSE: dict[str, Any] = yaml.safe_load((Path(__file__).parents[1] / "docker-compose.yml").read_text(encoding="utf-8"))
OURS: dict[str, Any] = COMPOSE["services"]["grafana"]
VERSIONS = ("9.5.21", "10.4.19", "11.6.0", "12.4.0", "13.0.6")
IMAGES = tuple(f"grafana/grafana:{version}" for version in VERSIONS)
SIZE = (1280, 2400)
Aloud = Callable[[], AbstractContextManager[None]]


def service(image: str, port: int, files: Path) -> dict[str, Any]:
    """Compose's own, of another version, on the host's network."""
    own = {key: value for key, value in OURS.items() if key not in ("depends_on", "ports", "restart", "healthcheck")}
    environment = {**OURS["environment"], "GF_SERVER_HTTP_ADDR": "127.0.0.1", "GF_SERVER_HTTP_PORT": str(port)}
    volumes = [f"{files}:/etc/ml-exporter:ro", "grafana:/var/lib/grafana"]
    return {**own, "image": image, "network_mode": "host", "environment": environment, "volumes": volumes}


def test_compose_runs_a_version_that_is_tested() -> None:
    assert OURS["image"] in IMAGES


@pytest.fixture(scope="session")
def absent(engine: None, aloud: Aloud) -> dict[str, str]:
    """Image → why it cannot be had."""
    with aloud():
        reasons = containers.provide([image for image in IMAGES if not containers.has(image)])
        for image, reason in reasons.items():
            print(f"\nleft out: {image}: {reason}")
    return reasons


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """What is rendered, for all to read as Compose's volume is, beside the Prometheus that it names."""
    folder = tmp_path_factory.mktemp("rendered")
    address = f"127.0.0.1:{free_port()}"
    render.render(config.from_data({"stack": {"prometheus_url": f"http://{address}"}}), folder)
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    command: list[str | Path] = [
        program("prometheus"),
        f"--config.file={folder}/prometheus/prometheus.yml",
        f"--storage.tsdb.path={tmp_path_factory.mktemp('tsdb')}",
        f"--web.listen-address={address}",
    ]
    log = tmp_path_factory.mktemp("log") / "prometheus.log"
    server = start("prometheus", command, log=log, ready_url=f"http://{address}/-/ready")
    yield folder, address
    server.stop()


@pytest.fixture(scope="module", params=IMAGES)
def grafana(
    request: pytest.FixtureRequest,
    absent: dict[str, str],
    docker_compose_command: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[GrafanaServer, Callable[[], str]]]:
    """It, and its log so far."""
    if request.param in absent:
        pytest.skip(f"no image: {absent[request.param]}")
    files: tuple[Path, str] = request.getfixturevalue("files")  # takes a while, and is not needed where nothing runs
    port, project = free_port(), f"ml-exporter-grafana-{os.getpid()}"
    file = tmp_path_factory.mktemp("compose") / "compose.yml"
    content = {"services": {"grafana": service(request.param, port, files[0])}, "volumes": {"grafana": None}}
    file.write_text(yaml.safe_dump(content), encoding="utf-8")
    compose = [*docker_compose_command.split(), "--file", str(file), "--project-name", project]

    def log() -> str:
        done = subprocess.run([*compose, "logs", "--no-color"], capture_output=True, text=True, check=True)
        return done.stdout + done.stderr

    up, down = ["up --detach"], ["down --volumes --timeout 10"]
    with get_docker_services(docker_compose_command, str(file), project, up, down) as services:
        server = GrafanaServer(f"http://127.0.0.1:{port}")
        services.wait_until_responsive(server.is_up, timeout=120, pause=1)
        yield server, log


def shipped(files: tuple[Path, str]) -> dict[str, dict[str, Any]]:
    """Dashboards by uid."""
    found = [json.loads(path.read_text()) for path in (files[0] / "grafana/dashboards").glob("*.json")]
    return {dashboard["uid"]: dashboard for dashboard in found}


Running = tuple[GrafanaServer, Callable[[], str]]


def test_all_is_provisioned_without_a_complaint(grafana: Running, files: tuple[Path, str]) -> None:
    server, log = grafana
    for uid, dashboard in shipped(files).items():
        found = server.get(f"/api/dashboards/uid/{uid}")
        assert found, f"{uid} is not there; the log:\n{log()[-3000:]}"
        assert found["dashboard"]["title"] == dashboard["title"]
        assert len(found["dashboard"]["panels"]) == len(dashboard["panels"]), uid
        assert (found["meta"]["provisioned"], found["meta"]["folderUid"]) == (True, "ml-exporter"), uid
    assert complaints(log()) == []


def test_it_opens_on_the_overview(grafana: Running) -> None:
    home = grafana[0].get("/api/dashboards/home")
    assert home
    assert home["dashboard"]["title"] == "ML / Overview"


def test_every_query_of_every_dashboard_is_answered(grafana: Running, files: tuple[Path, str]) -> None:
    server, _ = grafana
    assert [problem for dashboard in shipped(files).values() for problem in server.wrong(dashboard)] == []


def test_pictures_are_taken(
    grafana: Running, files: tuple[Path, str], aloud: Aloud, tmp_path_factory: pytest.TempPathFactory
) -> None:
    server, _ = grafana
    folder = tmp_path_factory.mktemp("pictures")
    with aloud():
        try:
            containers.install(chromium="chromium")
        except Unavailable as reason:
            pytest.skip(f"no pictures: {reason}")
        print(f"\npictures: {folder}")
    for uid in shipped(files):
        for theme in ("light", "dark") if uid == "ml-overview" else ("light",):
            file = folder / f"{uid}-{theme}.png"
            problem = picture(f"{server.url}/d/{uid}?kiosk&theme={theme}", file, SIZE)
            assert problem is None, f"{uid}: {problem}"
            assert width_and_height(file.read_bytes()) == SIZE, uid
