"""The state file: whole, alone, and never lost in silence."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from ml_exporter.errors import StateError
from ml_exporter.ledger import Change
from ml_exporter.model import RunState
from ml_exporter.model_states import ModelState, VersionState
from ml_exporter.states import ActiveRun, FinishedRun, PipelineState, SourceState
from ml_exporter.store import Store


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.db"


def pipeline() -> PipelineState:
    state = PipelineState("train", "7", 5.5, backfilled=True)
    state.count(RunState.SUCCEEDED, 30.0)
    state.count(RunState.FAILED, 12.5)
    state.remember(FinishedRun("a", RunState.SUCCEEDED, 10.0, 5.0, {"auc": 0.9}, 3, 40))
    state.active["b"] = ActiveRun(RunState.RUNNING, None, {"gpu": 0.5})
    return state


def test_what_was_committed_comes_back_as_it_was(path: Path) -> None:
    model = ModelState("fraud", {"champion": "2"}, {}, {"READY": 2}, {"2": VersionState(1.0, "a", baselines=None)})
    change = Change(
        {"at": 7, "ids": ["x"]}, {"train": pipeline()}, {"fraud": model}, SourceState(1.0, scan=4), counted={"a"}
    )
    store = Store(path)
    store.commit("mlflow", change)
    store.close()
    store = Store(path)
    cursor, ledger = store.load("mlflow")
    assert cursor == {"at": 7, "ids": ["x"]}
    assert ledger.pipelines == {"train": pipeline()}
    assert ledger.models == {"fraud": model}
    assert ledger.source == SourceState(1.0, scan=4)
    assert store.counted("mlflow", ["a", "b"]) == {"a"}
    assert store.counted("another", ["a"]) == set()
    assert store.load("another")[0] == {}
    store.close()


def test_a_state_from_before_there_were_schedulers_is_read(path: Path) -> None:
    """What was written of a pipeline then: no due times, no queue times, no tasks."""
    written = (
        b'{"name":"train","id":"7","first_seen":5.5,"backfilled":true,"announced":true,"gone_at":null,'
        b'"finished":{"succeeded":1},"buckets":[0,1,0,0,0,0,0,0,0,0],"total":30.0,"recent":[],"active":{}}'
    )
    Store(path).close()
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("INSERT INTO items VALUES ('mlflow', 'pipeline', 'train', ?)", (written,))
    store = Store(path)
    [state] = store.load("mlflow")[1].pipelines.values()
    assert state.finished == {RunState.SUCCEEDED: 1}
    assert (state.next_due, state.paused, state.tags, state.tasks, sum(state.waits)) == (None, None, (), {}, 0)
    store.close()


def test_a_state_from_before_failed_runs_were_paid_for_begins_with_what_is_known(path: Path) -> None:
    """What was written of a pipeline then: the time of successes; the time of other runs, and steps, were not kept."""
    written = (
        b'{"name":"train","id":"7","first_seen":5.5,"backfilled":true,"announced":true,"gone_at":null,'
        b'"finished":{"succeeded":1,"failed":2},"buckets":[0,1,0,0,0,0,0,0,0,0],"total":30.0,"recent":[{"id":"a",'
        b'"state":"succeeded","ended_at":10.0,"started_at":5.0,"metrics":{},"scan":3}],"active":{}}'
    )
    Store(path).close()
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("INSERT INTO items VALUES ('mlflow', 'pipeline', 'train', ?)", (written,))
    store = Store(path)
    state = store.load("mlflow")[1].pipelines["train"].copy()
    assert (state.busy, state.successes[-1].steps) == (30.0, None)
    state.count(RunState.CANCELLED, 5.0)
    store.commit("mlflow", Change({}, {"train": state}))
    assert store.load("mlflow")[1].pipelines["train"].busy == 35.0
    store.close()


def test_a_dropped_key_and_a_dropped_pipeline_are_gone(path: Path) -> None:
    store = Store(path)
    store.commit("s", Change({"a": 1, "b": 2}, {"train": pipeline()}))
    store.commit("s", Change({"a": None}, {"train": None}))
    cursor, ledger = store.load("s")
    assert cursor == {"b": 2}
    assert ledger.pipelines == {}
    store.close()


def test_a_second_exporter_on_the_same_state_is_refused(path: Path) -> None:
    store = Store(path)
    with pytest.raises(StateError, match="in use by another ml-exporter"):
        Store(path)
    store.close()
    Store(path).close()


@pytest.mark.parametrize("damage", ["not a database", "damaged page"])
def test_a_corrupt_file_is_kept_aside_and_the_start_fails_once(path: Path, damage: str) -> None:
    store = Store(path)
    store.commit("s", Change({f"k{i}": "x" * 1000 for i in range(500)}, {"train": pipeline()}))
    store.close()
    content = path.read_bytes()
    if damage == "damaged page":
        content = content[:8192] + b"\xff" * 60_000 + content[68_192:]
    else:
        content = b"this was never a database" * 100
    path.write_bytes(content)
    with pytest.raises(StateError, match=r"is corrupt .* kept as .*corrupt-\d+: restore a backup"):
        Store(path)
    kept = [file for file in path.parent.iterdir() if ".corrupt-" in file.name]
    assert kept[0].read_bytes() == content
    store = Store(path)
    assert store.kept_aside() == 1
    assert store.load("s")[0] == {}
    store.close()


def test_a_file_of_a_newer_version_is_left_alone(path: Path) -> None:
    store = Store(path)
    store._db.execute("PRAGMA user_version = 99")
    store.close()
    before = path.read_bytes()
    with pytest.raises(StateError, match="has version 99; this ml-exporter reads 1"):
        Store(path)
    assert path.read_bytes() == before


def test_a_folder_that_cannot_be_made_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StateError, match=r"folder cannot be written.*check `state:`"):
        Store(tmp_path / "file" / "state.db")


def test_a_full_disk_keeps_nothing_of_the_batch_and_everything_before_it(path: Path) -> None:
    # A file-size limit is the full disk that a test may make: the same write fails in the same place.
    script = f"""
import resource, signal
from contextlib import closing
from pathlib import Path
from ml_exporter.store import Store
from ml_exporter.ledger import Change
from ml_exporter.errors import StateError
store = Store(Path({str(path)!r}))
store.commit("s", Change({{"kept": 1}}))
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
try:
    store.commit("s", Change({{"kept": 2, "big": "x" * 1_000_000}}))
except StateError as error:
    print(error)
assert store.load("s")[0] == {{"kept": 1}}, store.load("s")[0].keys()
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
store.commit("s", Change({{"kept": 3}}))
print(store.load("s")[0])
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "nothing of this poll was kept, it is tried again" in done.stdout
    assert "{'kept': 3}" in done.stdout


def test_a_kill_in_the_middle_of_commits_leaves_cursor_and_counts_agreeing(path: Path) -> None:
    script = f"""
from contextlib import closing
from pathlib import Path
from ml_exporter.store import Store
from ml_exporter.ledger import Change
store = Store(Path({str(path)!r}))
n = 0
print("go", flush=True)
while True:
    n += 1
    store.commit("s", Change({{"n": n}}, counted={{f"run-{{n}}"}}))
"""
    for _ in range(3):
        process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.readline()
        try:
            process.wait(0.2)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        store = Store(path)
        n = store.load("s")[0]["n"]
        assert store.counted("s", [f"run-{n}", f"run-{n + 1}"]) == {f"run-{n}"}
        store.close()
        path.unlink()
