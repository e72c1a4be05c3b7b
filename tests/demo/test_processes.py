import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.support.living import living_in

from ml_exporter.demo.processes import NotReadyError, free_port, start, stop_all, wait_until

# Starts a child of its own, which ignores SIGTERM, and ignores it too if asked.
STUBBORN = "trap '' TERM; sh -c 'trap \"\" TERM; echo ready; while :; do sleep 0.2; done' & wait"
WITH_A_CHILD = "sh -c 'echo ready; while :; do sleep 0.2; done' & wait"


def started(folder: Path, script: str, grace: float = 8.0):
    process = start("script", ["sh", "-c", script], log=folder / "log", cwd=folder, grace=grace)
    wait_until(lambda: "ready" in process.tail(), 10, "the script is ready", watch=[process])
    return process


def test_stopping_a_program_stops_what_it_started(tmp_path: Path) -> None:
    process = started(tmp_path, WITH_A_CHILD)
    assert living_in(tmp_path)
    process.stop()
    assert living_in(tmp_path) == []


def test_being_told_again_and_again_to_end_leaves_nothing(tmp_path: Path) -> None:
    process = started(tmp_path, WITH_A_CHILD)
    for _ in range(200):
        process.terminate()
    process.stop()
    assert living_in(tmp_path) == []


def test_being_told_to_end_while_it_starts_leaves_nothing(tmp_path: Path) -> None:
    for pause in (0.0, 0.02, 0.04, 0.06, 0.1):
        process = start("script", ["sh", "-c", WITH_A_CHILD], log=tmp_path / "log", cwd=tmp_path, grace=5)
        time.sleep(pause)
        process.stop()
        assert living_in(tmp_path) == []


def test_a_program_that_ignores_sigterm_is_killed_after_the_grace(tmp_path: Path) -> None:
    process = started(tmp_path, STUBBORN, grace=0.5)
    process.stop()
    assert living_in(tmp_path) == []
    assert process.exit_code == 128 + signal.SIGKILL


COUNTING = "echo ready; n=0; while :; do n=$((n+1)); echo $n > count; sleep 0.02; done"


def test_a_frozen_program_does_nothing_until_it_is_thawed(tmp_path: Path) -> None:
    process = started(tmp_path, f"sh -c '{COUNTING}' & wait")
    count = tmp_path / "count"
    wait_until(count.exists, 10, "it counts")
    process.freeze()
    wait_until(lambda: "T" in states_in(tmp_path), 10, "it has stopped")
    before = count.read_text()
    time.sleep(0.3)
    assert count.read_text() == before
    assert process.exit_code is None
    process.thaw()
    wait_until(lambda: count.read_text() not in ("", before), 10, "it counts again")
    process.stop()
    assert living_in(tmp_path) == []


def states_in(folder: Path) -> str:
    """A letter per process that works in a folder and is no leash: R, S, T, …"""
    found = ""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cwd").readlink() == folder and b"leash" not in (process / "cmdline").read_bytes():
                found += (process / "stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue  # it has gone
    return found


def test_a_frozen_program_is_ended_at_once_and_by_its_own_will(tmp_path: Path) -> None:
    process = started(tmp_path, "trap 'echo goodbye; exit 0' TERM; echo ready; while :; do sleep 0.05; done", grace=20)
    process.freeze()
    wait_until(lambda: "T" in states_in(tmp_path), 10, "it has stopped")
    process.stop()
    assert "goodbye" in process.tail()
    assert living_in(tmp_path) == []


def test_nothing_is_left_of_a_frozen_program_when_the_leash_is_killed(tmp_path: Path) -> None:
    process = started(tmp_path, "echo ready; exec sleep 60")
    process.freeze()
    wait_until(lambda: "T" in states_in(tmp_path), 10, "it has stopped")
    subprocess.run(["kill", "-KILL", str(process.pid)], check=True)
    wait_until(lambda: not living_in(tmp_path), 10, "everything has gone")
    process.stop()


def test_nothing_is_left_when_the_one_who_started_it_is_killed(tmp_path: Path) -> None:
    script = (
        "from pathlib import Path; import sys, time; from ml_exporter.demo.processes import start;"
        "start('script', ['sh', '-c', sys.argv[1]], log=Path('log'), cwd=Path.cwd(), grace=0.5); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", script, STUBBORN], cwd=tmp_path) as parent:
        log = tmp_path / "log"
        wait_until(lambda: log.exists() and "ready" in log.read_text(), 20, "the script is ready")
        assert len(living_in(tmp_path)) >= 4  # the parent, the leash, the script and its child
        parent.kill()
    wait_until(lambda: not living_in(tmp_path), 10, "everything has gone")


def test_nothing_is_left_when_the_leash_itself_is_killed(tmp_path: Path) -> None:
    process = started(tmp_path, "echo ready; exec sleep 60")
    subprocess.run(["kill", "-KILL", str(process.pid)], check=True)
    wait_until(lambda: not living_in(tmp_path), 10, "everything has gone")
    process.stop()


def test_children_of_a_program_that_ended_by_itself_are_ended_too(tmp_path: Path) -> None:
    process = started(tmp_path, "sleep 60 & echo ready; exit 3")
    wait_until(lambda: process.exit_code is not None, 10, "the script has ended")
    assert process.exit_code == 3
    assert living_in(tmp_path) == []
    process.stop()


def test_several_programs_share_one_grace(tmp_path: Path) -> None:
    processes = []
    for name in ("a", "b", "c"):
        (tmp_path / name).mkdir()
        processes.append(started(tmp_path / name, STUBBORN, grace=1.0))
    began = time.monotonic()
    stop_all(processes)
    assert time.monotonic() - began < 2.5
    assert living_in(tmp_path) == []


def test_a_program_that_ends_before_it_is_ready_is_reported_with_its_last_words(tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}/"
    with pytest.raises(NotReadyError, match=r"(?s)exit code 7.*no such database"):
        start("server", ["sh", "-c", "echo no such database; exit 7"], log=tmp_path / "log", ready_url=url)


def test_a_program_that_is_not_ready_in_time_is_stopped_and_reported(tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}/"
    with pytest.raises(NotReadyError, match=r"0\.5 s in vain until .* answers"):
        start("server", ["sleep", "60"], log=tmp_path / "log", cwd=tmp_path, ready_url=url, timeout=0.5)
    assert living_in(tmp_path) == []


def test_a_port_that_is_taken_is_replaced_by_a_free_one() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert free_port(port) not in (0, port)
