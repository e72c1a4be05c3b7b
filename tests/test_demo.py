"""`ml-exporter demo`: from nothing to an alert at the receiver, and nothing left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.living import living_in
from tests.support.long_commands import running_in, said_in, wait_for
from tests.support.programs import wait_until

pytestmark = pytest.mark.system


def test_the_demo_goes_from_nothing_to_an_alert_at_the_receiver_and_runs_again(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    for _ in ("first", "again"):
        with running_in(folder, "demo", "--once", "--cycle", "5") as running:
            assert running.wait(240) == 0, said_in(folder)
            assert living_in(folder) == []
        assert "data flows end to end" in said_in(folder)
        assert "serves demand " in (folder / "logs" / "serving.log").read_text()
        assert "need Grafana: docker compose up --build has it" in said_in(folder)
        assert list((folder / "rendered" / "grafana").rglob("*.json")), "the line above says that they are there"
    pipelines = (folder / "logs" / "pipelines.log").read_text()
    assert "churn-healthy 0:" not in pipelines, "the second demo goes on where the first one stopped"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_everything_the_demo_started(tmp_path: Path, number: signal.Signals) -> None:
    folder = tmp_path / "demo"
    with running_in(folder, "demo") as running:
        wait_for(folder, "waiting until mlflow answers", running)
        living = living_in(folder)
        modules = ("demo.pipelines", "demo.serving", "demo.scheduler", "demo.language_model")
        for part in ("mlflow server", *modules, "ml_exporter run", "--config.file="):
            assert any(part in words for words in living), part
        os.killpg(running.pid, number)
        assert running.wait(30) == 0
        assert living_in(folder) == []


def test_nothing_is_left_when_the_demo_is_killed(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    with running_in(folder, "demo") as running:
        wait_for(folder, "waiting until mlflow answers", running)
        running.kill()
        wait_until(lambda: not living_in(folder), 20, "everything has gone")


def test_a_part_that_ends_ends_the_demo_with_its_last_words(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    folder.mkdir()
    (folder / "prometheus").write_text("a file where Prometheus wants its folder")
    with running_in(folder, "demo") as running:
        assert running.wait(120) == 1
        assert "prometheus ended with exit code" in said_in(folder)
        assert living_in(folder) == []


def test_a_second_demo_in_the_same_folder_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    with running_in(folder, "demo") as running:
        wait_for(folder, "starting mlflow", running)
        command = [sys.executable, "-m", "ml_exporter", "demo", "--directory", str(folder), "--fresh"]
        second = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert second.returncode == 1
        assert "another demo runs in" in second.stderr


def test_fresh_deletes_no_folder_that_is_not_a_demos(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("")
    command = [sys.executable, "-m", "ml_exporter", "demo", "--directory", str(tmp_path), "--fresh"]
    refused = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert refused.returncode == 1
    assert (tmp_path / "precious").exists()
