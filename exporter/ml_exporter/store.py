"""The state file: SQLite, one transaction a batch, so that cursor, counts and memory of runs always agree.

Survives `kill -9` at any moment (write-ahead log). A file that cannot be read is kept aside, never reset in silence.
"""

from __future__ import annotations

import fcntl
import hashlib
import sqlite3
import threading
import time
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from ml_exporter.errors import StateError
from ml_exporter.ledger import Change, Ledger
from ml_exporter.model import Cursor
from ml_exporter.model_states import ModelState
from ml_exporter.states import PipelineState, SourceState

VERSION = 1

_SCHEMA = """
CREATE TABLE IF NOT EXISTS cursors (source TEXT, key TEXT, value BLOB, PRIMARY KEY (source, key)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS items (source TEXT, kind TEXT, name TEXT, state BLOB, PRIMARY KEY (source, kind, name));
CREATE TABLE IF NOT EXISTS counted (run BLOB PRIMARY KEY) WITHOUT ROWID;
"""


class Store:
    """The state of all sources. Methods may be called from any thread. Every one raises `StateError`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._lock_file = _take_lock(path)
        try:
            self._db = self._open()
        except BaseException:
            self._lock_file.close()
            raise

    def _open(self) -> sqlite3.Connection:
        try:
            db = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False, cached_statements=32)
        except sqlite3.Error as error:
            raise StateError(
                f"state file {self.path} cannot be opened: {error}; check `state:` and its folder"
            ) from error
        try:
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = NORMAL")
            found = db.execute("PRAGMA user_version").fetchone()[0]
            if found not in (0, VERSION):
                raise StateError(
                    f"state file {self.path} has version {found}; this ml-exporter reads {VERSION}: "
                    "run the version that wrote it, or name another file in `state:`"
                )
            # quick_check reads every page: what is corrupt shall show now, not at the next commit.
            if db.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
                raise sqlite3.DatabaseError("its pages are damaged")
            db.executescript(_SCHEMA)
            db.execute(f"PRAGMA user_version = {VERSION}")
        except sqlite3.OperationalError as error:
            db.close()
            raise StateError(f"state file {self.path} cannot be written: {error}") from error
        except sqlite3.DatabaseError as error:
            db.close()
            raise self._keep_aside(str(error)) from error
        except StateError:
            db.close()
            raise
        return db

    def _keep_aside(self, why: str) -> StateError:
        aside = self.path.with_name(f"{self.path.name}.corrupt-{int(time.time())}")
        try:
            for suffix in ("", "-wal", "-shm"):
                part = self.path.with_name(self.path.name + suffix)
                if part.exists():
                    part.rename(aside.with_name(aside.name + suffix))
        except OSError as error:
            return StateError(f"state file {self.path} is corrupt ({why}) and cannot be kept aside: {error}")
        return StateError(
            f"state file {self.path} is corrupt ({why}). It was kept as {aside}: restore a backup to {self.path}, or "
            "start again to begin with an empty state (the history is read again, counters restart)"
        )

    def kept_aside(self) -> int:
        """How many unreadable state files lie beside this one."""
        pattern = f"{self.path.name}.corrupt-*"
        return sum(1 for file in self.path.parent.glob(pattern) if file.name.rpartition("-")[2].isdigit())

    def load(self, source: str) -> tuple[dict[str, Any], Ledger]:
        """The cursor and the ledger of a source as last committed; both empty for a new one."""
        with self._using() as db:
            cursor = {
                key: msgspec.json.decode(value)
                for key, value in db.execute("SELECT key, value FROM cursors WHERE source = ?", (source,))
            }
            rows = db.execute("SELECT kind, name, state FROM items WHERE source = ?", (source,)).fetchall()
        ledger = Ledger()
        try:
            for kind, name, blob in rows:
                if kind == "pipeline":
                    ledger.pipelines[name] = msgspec.json.decode(blob, type=PipelineState)
                elif kind == "model":
                    ledger.models[name] = msgspec.json.decode(blob, type=ModelState)
                else:
                    ledger.source = msgspec.json.decode(blob, type=SourceState)
        except msgspec.MsgspecError as error:
            raise StateError(
                f"state file {self.path}: {kind} '{name}' of source '{source}' is unreadable: {error}; "
                "was it written by another version? Run that one, or move the file away to begin anew"
            ) from error
        return cursor, ledger

    def counted(self, source: str, run_ids: Collection[str]) -> set[str]:
        """Which of these runs have been counted already."""
        found: set[str] = set()
        with self._using() as db:
            for run_id in run_ids:
                if db.execute("SELECT 1 FROM counted WHERE run = ?", (_run_key(source, run_id),)).fetchone():
                    found.add(run_id)
        return found

    def commit(self, source: str, change: Change) -> None:
        """Write a change, all of it or nothing."""
        with self._using() as db:
            db.execute("BEGIN IMMEDIATE")
            try:
                self._write_cursor(db, source, change.cursor)
                _write_items(db, source, "pipeline", change.pipelines.items())
                _write_items(db, source, "model", change.models.items())
                _write_items(db, source, "source", [("", change.source)])
                db.executemany(
                    "INSERT OR IGNORE INTO counted VALUES (?)", [(_run_key(source, run),) for run in change.counted]
                )
                db.execute("COMMIT")
            except BaseException:
                if db.in_transaction:
                    db.execute("ROLLBACK")
                raise

    def _write_cursor(self, db: sqlite3.Connection, source: str, cursor: Cursor) -> None:
        for key, value in cursor.items():
            if value is None:
                db.execute("DELETE FROM cursors WHERE source = ? AND key = ?", (source, key))
            else:
                db.execute("REPLACE INTO cursors VALUES (?, ?, ?)", (source, key, msgspec.json.encode(value)))

    def close(self) -> None:
        with self._lock:
            self._db.close()
            self._lock_file.close()

    @contextmanager
    def _using(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                yield self._db
            except sqlite3.Error as error:
                raise StateError(
                    f"state file {self.path}: {error}; nothing of this poll was kept, it is tried again"
                ) from error


def _write_items(db: sqlite3.Connection, source: str, kind: str, items: Iterable[tuple[str, Any]]) -> None:
    for name, state in items:
        if state is None:
            db.execute("DELETE FROM items WHERE source = ? AND kind = ? AND name = ?", (source, kind, name))
        else:
            db.execute("REPLACE INTO items VALUES (?, ?, ?, ?)", (source, kind, name, msgspec.json.encode(state)))


def _run_key(source: str, run_id: str) -> bytes:
    """128 bits: with a billion runs the chance of one collision is below 1e-20 a run."""
    return hashlib.blake2b(f"{source}\0{run_id}".encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _take_lock(path: Path) -> Any:
    """Hold `<state>.lock` for as long as we live: two exporters on one state would count everything twice."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.with_name(path.name + ".lock").open("w")
    except OSError as error:
        raise StateError(f"state file {path}: its folder cannot be written: {error}; check `state:`") from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.close()
        raise StateError(f"state file {path} is in use by another ml-exporter; give each its own `state:`") from error
    return file
