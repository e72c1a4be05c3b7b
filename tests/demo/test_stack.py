from pathlib import Path

from ml_exporter.demo.processes import start, wait_until
from ml_exporter.demo.stack import Stack


def told(folder: Path, script: str) -> str:
    """What the demo tells of pipelines whose log is the output of this script."""
    stack = Stack(folder, cycle=10.0, timeout=10.0, say=print)
    pipelines = start("pipelines", ["sh", "-c", script], log=folder / "log")
    wait_until(lambda: pipelines.exit_code is not None, 10, "the script has ended")
    pipelines.stop()
    stack.processes.append(pipelines)
    return stack.event()


def test_the_last_event_of_the_pipelines_log_is_told(tmp_path: Path) -> None:
    script = "echo event: first; echo demand 119: fine; echo event: cleaned; echo demand 120: fine"
    assert told(tmp_path, script) == "event: cleaned"


def test_an_event_that_no_baseline_remembers_is_told_no_more(tmp_path: Path) -> None:
    assert told(tmp_path, "echo event: cleaned; seq 100") == ""


def test_without_pipelines_there_is_no_event(tmp_path: Path) -> None:
    assert Stack(tmp_path, cycle=10.0, timeout=10.0, say=print).event() == ""
