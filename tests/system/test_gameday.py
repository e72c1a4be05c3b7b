"""`ml-exporter gameday`: every scenario, once, on a real stack; and nothing left behind, whatever ends it."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from tests.support.living import living_in
from tests.support.long_commands import REPORT, running_in, said_in, wait_for
from tests.support.programs import wait_until

from ml_exporter.gameday.scenarios import SCENARIOS

pytestmark = pytest.mark.system

LONGEST = 1200
"""Seconds; half of them may go by before MLflow is up on a busy machine."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("day") / "gameday"


@pytest.fixture(scope="module")
def report(folder: Path) -> dict[str, dict[str, Any]]:
    """Scenario → what the command said of it."""
    with running_in(folder, "gameday", "--format", "json", "--timeout", "240") as running:
        code = running.wait(LONGEST)
        assert living_in(folder) == [], "the command itself has stopped everything"
    said = said_in(folder)
    lines = json.loads(folder.with_name(REPORT).read_text() or "[]")
    assert lines, said
    found = {each["scenario"]: each for each in lines}
    assert (code == 0) == all(each["passed"] for each in lines), said
    return found


def test_every_scenario_is_carried_out(report: dict[str, Any]) -> None:
    assert list(report) == [each.name for each in SCENARIOS]


@pytest.mark.parametrize("scenario", [each.name for each in SCENARIOS])
def test_the_right_receiver_is_told_in_time_and_nobody_else_is_paged(report: dict[str, Any], scenario: str) -> None:
    found = report[scenario]
    assert found["reasons"] == []
    assert found["passed"]
    assert 0 < found["firing"] <= found["delivered"] <= found["stated"]
    assert found["pending"] <= found["firing"] + 0.001
    assert 0 < found["resolved"] <= found["resolved_stated"]
    assert not [other for other in found["also"] if other.startswith("page")]


def test_all_that_was_told_is_kept_for_reading_later(report: dict[str, Any], folder: Path) -> None:
    told = [json.loads(line) for line in (folder / "told.jsonl").read_text().splitlines()]
    pages = {each["labels"]["alertname"] for each in told if each["channel"] == "page"}
    assert pages == {each["alert"] for each in report.values() if each["receiver"] == "page"}


def test_control_c_ends_everything_the_game_day_started(tmp_path: Path) -> None:
    folder = tmp_path / "gameday"
    with running_in(folder, "gameday") as running:
        wait_for(folder, "waiting until mlflow answers", running)
        living = living_in(folder)
        for part in ("mlflow server", "demo.pipelines", "demo.serving", "demo.scheduler", "--config.file="):
            assert any(part in words for words in living), part
        os.killpg(running.pid, signal.SIGINT)
        assert running.wait(60) == 1
        assert living_in(folder) == []


def test_nothing_is_left_when_the_game_day_is_killed(tmp_path: Path) -> None:
    folder = tmp_path / "gameday"
    with running_in(folder, "gameday") as running:
        wait_for(folder, "waiting until mlflow answers", running)
        running.kill()
        wait_until(lambda: not living_in(folder), 30, "everything has gone")
