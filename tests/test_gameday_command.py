"""`ml-exporter gameday` on the command line: what it lists, refuses and answers with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.support.gamedays import BY_NAME, as_it_must, run

from ml_exporter.__main__ import main
from ml_exporter.demo.processes import NotReadyError
from ml_exporter.demo.programs import MissingError
from ml_exporter.gameday import command
from ml_exporter.gameday.verdict import judge

GOOD = judge(run(), as_it_must(), [run()])
BAD = judge(run("model-worse"), [], [run("model-worse")])


def test_the_list_names_every_scenario_with_its_alert_and_receiver(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["gameday", "--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(BY_NAME)
    for line, scenario in zip(lines, BY_NAME.values(), strict=True):
        assert line.split()[:3] == [scenario.name, scenario.channel, scenario.alert]


def test_the_help_says_that_times_are_shortened_and_the_scheduler_is_a_stand_in(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        main(["gameday", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert "thresholds are shortened" in text
    assert "the scheduler is a stand-in" in text


def test_an_unknown_scenario_is_refused_with_those_that_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["gameday", "--scenario", "endpoint-wrog"])
    assert ended.value.code == 2
    assert "endpoint-wrong" in capsys.readouterr().err


@pytest.fixture(autouse=True)
def signals_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of pytest itself."""
    monkeypatch.setattr(command.signal, "signal", lambda *_: None)


@pytest.fixture
def ends(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[object], int]:
    def with_(outcome: object) -> int:
        def _run(_folder: Path, scenarios: object, _timeout: float) -> object:
            if isinstance(outcome, BaseException):
                raise outcome
            return outcome

        monkeypatch.setattr(command, "_run", _run)
        return main(["gameday", "--directory", str(tmp_path / "day")])

    return with_


def test_the_exit_code_says_whether_all_passed(
    ends: Callable[[object], int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert ends([GOOD]) == 0
    assert "all 1 scenarios passed" in capsys.readouterr().out
    assert ends([GOOD, BAD]) == 1
    assert "failed: model-worse" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("outcome", "code"), [(KeyboardInterrupt(), 1), (NotReadyError("mlflow ended"), 1), (MissingError("no mlflow"), 2)]
)
def test_what_prevents_a_report_is_no_success(ends: Callable[[object], int], outcome: BaseException, code: int) -> None:
    assert ends(outcome) == code


def test_a_folder_that_no_game_day_has_made_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "precious").write_text("")
    assert command.main(["--directory", str(tmp_path)]) == 1
    assert (tmp_path / "precious").exists()
    assert "was not made by a gameday" in capsys.readouterr().err
