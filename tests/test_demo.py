"""`ml-exporter demo`: from nothing to an alert at the receiver, and nothing left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.support.living import living_in
from tests.support.programs import program, wait_until

pytestmark = pytest.mark.system


@contextmanager
def demo(folder: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A running demo in a session of its own, as a terminal would have it."""
    program("prometheus")
    program("alertmanager")
    command = [sys.executable, "-m", "ml_exporter", "demo", "--directory", str(folder), *arguments]
    output = folder.with_name("output").open("w+")
    with output, subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, start_new_session=True) as running:
        try:
            yield running
        finally:
            running.kill()
            running.wait()
            wait_until(lambda: not living_in(folder), 30, "nothing of the demo is left")


def output_of(folder: Path) -> str:
    return folder.with_name("output").read_text()


def wait_for_output(folder: Path, text: str, running: subprocess.Popen[str]) -> None:
    wait_until(lambda: text in output_of(folder) or running.poll() is not None, 120, f"the demo prints {text!r}")
    assert text in output_of(folder), output_of(folder)


def test_the_demo_goes_from_nothing_to_an_alert_at_the_receiver_and_runs_again(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    for _ in ("first", "again"):
        with demo(folder, "--once", "--cycle", "5") as running:
            assert running.wait(240) == 0, output_of(folder)
            assert living_in(folder) == []
        assert "data flows end to end" in output_of(folder)
        assert "serves demand " in (folder / "logs" / "serving.log").read_text()
        assert "need Grafana: docker compose up --build has it" in output_of(folder)
        assert list((folder / "rendered" / "grafana").rglob("*.json")), "the line above says that they are there"
    pipelines = (folder / "logs" / "pipelines.log").read_text()
    assert "churn-healthy 0:" not in pipelines, "the second demo goes on where the first one stopped"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_everything_the_demo_started(tmp_path: Path, number: signal.Signals) -> None:
    folder = tmp_path / "demo"
    with demo(folder) as running:
        wait_for_output(folder, "waiting until mlflow answers", running)
        living = living_in(folder)
        for part in ("mlflow server", "demo.pipelines", "demo.serving", "ml_exporter run", "--config.file="):
            assert any(part in words for words in living), part
        os.killpg(running.pid, number)
        assert running.wait(30) == 0
        assert living_in(folder) == []


def test_nothing_is_left_when_the_demo_is_killed(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    with demo(folder) as running:
        wait_for_output(folder, "waiting until mlflow answers", running)
        running.kill()
        wait_until(lambda: not living_in(folder), 20, "everything has gone")


def test_a_part_that_ends_ends_the_demo_with_its_last_words(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    folder.mkdir()
    (folder / "prometheus").write_text("a file where Prometheus wants its folder")
    with demo(folder) as running:
        assert running.wait(120) == 1
        assert "prometheus ended with exit code" in output_of(folder)
        assert living_in(folder) == []


def test_a_second_demo_in_the_same_folder_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    with demo(folder) as running:
        wait_for_output(folder, "starting mlflow", running)
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
