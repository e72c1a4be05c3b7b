"""Fills MLflow's SQLite file by SQL: years of history in seconds, where REST takes 48 ms a run."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from bench import scratch

DAYS = 100
"""The history is spread evenly over so many days: of 100,000 runs 7,000 ended in the last week."""
RECENT = 500
RECENT_SECONDS = 300
CHANGED = 50
MODELS, VERSIONS = 100, 5

_METRICS = ("val_auc", "val_loss", "train_loss", "train_auc", "precision", "recall", "f1", "accuracy", "lr", "epoch")
_PARAMS = ("lr", "batch_size", "epochs", "optimizer", "depth", "dropout", "seed", "features", "window", "objective")
_TAGS = {
    "mlflow.user": "trainer",
    "mlflow.source.type": "PROJECT",
    "mlflow.source.name": "git@git.example.com:ml/pipelines.git#train",
    "mlflow.source.git.commit": "8c1f6b0f3f0e4d2f9d6a5f1b7c2e3d4a5b6c7d8e",
    "mlflow.runName": "nightly-train",
    "team": "risk-ml",
    "schedule": "cron 0 3 * * *",
}
_COLUMN = '{{"type": "double", "name": "feature_{0:02}", "required": true}}'
_SCHEMA = '{"mlflow_colspec": [' + ", ".join(_COLUMN.format(i) for i in range(2)) + "]}"


@dataclass(frozen=True)
class Size:
    runs: int
    experiments: int = 500
    running: int = 1000


def seed(path: Path, size: Size, now: float) -> None:
    """Write an MLflow database as of `now` (seconds): `size.running` of its runs are active, the rest have ended."""
    shutil.copy(_empty(), path)
    with closing(_open(path)) as db, db:
        db.execute("PRAGMA synchronous = OFF")
        db.execute("PRAGMA cache_size = -400000")
        ms, history = int(now * 1000), size.runs - size.running - RECENT
        _experiments(db, size.experiments, ms - (DAYS + 1) * 86_400_000)
        _runs(db, history, size.experiments, ms - RECENT_SECONDS * 1000, DAYS * 86_400_000 // history)
        _runs(db, RECENT, size.experiments, ms, RECENT_SECONDS * 1000 // RECENT)
        _runs(db, size.running, size.experiments, ms, 600_000 // size.running, active=True)
        _details(db)
        _registry(db, ms)


def churn(path: Path, now: float, seconds: float) -> None:
    """In the last `seconds` before `now` the 50 oldest active runs finished and 50 new ones started."""
    ms, step = int(now * 1000), int(seconds * 1000) // CHANGED
    with closing(_open(path)) as db, db:
        oldest = db.execute(
            "SELECT run_uuid, experiment_id FROM runs WHERE status = 'RUNNING' ORDER BY start_time LIMIT ?", (CHANGED,)
        ).fetchall()
        for index, (run, experiment) in enumerate(oldest):
            at = ms - index * step
            state = "FAILED" if index % 10 == 0 else "FINISHED"
            db.execute("UPDATE runs SET status = ?, end_time = ? WHERE run_uuid = ?", (state, at, run))
            _insert_runs(db, f"SELECT 'RUNNING', {at}, NULL, {experiment}")
        _details(db)


def _open(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, timeout=30)


def _empty() -> Path:
    """A database with MLflow's own tables and nothing in them; made once."""
    path = scratch.cache() / "schema" / "mlflow.db"
    if not path.exists():
        new = scratch.fresh("schema") / "new.db"
        command = [sys.executable, "-m", "mlflow", "db", "upgrade", f"sqlite:///{new}"]
        subprocess.run(command, check=True, capture_output=True)
        new.rename(path)
    return path


def _series(count: int) -> str:
    return f"(WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < {count}) SELECT i FROM n)"


def _experiments(db: sqlite3.Connection, count: int, created: int) -> None:
    db.execute("INSERT OR IGNORE INTO experiments VALUES (0, 'Default', '', 'active', ?, ?, 'default')", (created,) * 2)
    db.execute(
        "INSERT INTO experiments SELECT i + 1, printf('team-%02d/pipeline-%04d', i % 20, i), printf('/a/%d', i), "
        f"'active', {created}, {created}, 'default' FROM {_series(count)}"
    )


def _runs(db: sqlite3.Connection, count: int, experiments: int, until: int, step: int, active: bool = False) -> None:
    """`count` runs, `step` ms apart: the last one ended (active: began) at `until`, in ms."""
    at = f"{until} - i * {step}"
    experiment = f"i % {experiments} + 1"
    if active:
        rows = f"SELECT 'RUNNING', {at}, NULL, {experiment} FROM {_series(count)}"
    else:
        # Wide apart in their duration, as the runs of one pipeline are not, so that histograms have something to hold.
        state = "CASE i % 10 WHEN 0 THEN 'FAILED' ELSE 'FINISHED' END"
        rows = f"SELECT {state}, {at} - 1000 * (60 + i * 7919 % 3600), {at}, {experiment} FROM {_series(count)}"
    _insert_runs(db, rows)


def _insert_runs(db: sqlite3.Connection, rows: str) -> None:
    """`rows`: a query for status, start, end and experiment."""
    columns = "run_uuid, name, source_type, source_name, entry_point_name, user_id, source_version, lifecycle_stage"
    values = "lower(hex(randomblob(16))), 'nightly-train', 'PROJECT', '', '', 'trainer', '', 'active'"
    db.execute(
        f"INSERT INTO runs ({columns}, status, start_time, end_time, experiment_id, artifact_uri) "
        f"SELECT {values}, q.*, 's3://artifacts/' || lower(hex(randomblob(16))) || '/artifacts' FROM ({rows}) AS q"
    )


def _details(db: sqlite3.Connection) -> None:
    """Metrics, parameters, tags and a dataset for every run that has none: about 4.3 kB a run in a reply.

    Only the last value of each metric: the table of all values is not read when runs are searched.
    """
    db.execute(
        "CREATE TEMP TABLE bare AS SELECT run_uuid, experiment_id, start_time FROM runs "
        "WHERE NOT EXISTS (SELECT 1 FROM latest_metrics AS m WHERE m.run_uuid = runs.run_uuid) ORDER BY run_uuid"
    )
    for key in _METRICS:
        db.execute(
            "INSERT INTO latest_metrics SELECT ?, 0.5 + abs(random() % 100000) / 400000.0, start_time + 60000, "
            "100, 0, run_uuid FROM bare",
            (key,),
        )
    for key in _PARAMS:
        db.execute("INSERT INTO params SELECT ?, abs(random() % 1000) || '', run_uuid FROM bare", (key,))
    for key, value in _TAGS.items():
        db.execute("INSERT INTO tags SELECT ?, ?, run_uuid FROM bare", (key, value))
    db.execute(
        "INSERT OR IGNORE INTO datasets SELECT 'd' || experiment_id, experiment_id, 'orders', 'a1b2c3d4', 's3', "
        '\'{"uri": "s3://lake/orders/2024"}\', ?, \'{"num_rows": 400000, "num_elements": 4800000}\' '
        "FROM bare",
        (_SCHEMA,),
    )
    db.execute("INSERT INTO inputs SELECT run_uuid, 'DATASET', 'd' || experiment_id, 'RUN', run_uuid, 0 FROM bare")
    db.execute("INSERT INTO input_tags SELECT run_uuid, 'mlflow.data.context', 'training' FROM bare")
    db.execute("DROP TABLE bare")


def _registry(db: sqlite3.Connection, ms: int) -> None:
    """Models with versions that logged models and runs stand behind; the last but one is the champion."""
    finished = db.execute(
        "SELECT run_uuid, experiment_id FROM runs WHERE status = 'FINISHED' ORDER BY end_time DESC LIMIT ?",
        (MODELS * VERSIONS,),
    ).fetchall()
    for index, (run, experiment) in enumerate(finished):
        model, version, logged = f"model-{index % MODELS:03}", index // MODELS + 1, f"m-{index:032}"
        if version == 1:
            db.execute("INSERT INTO registered_models VALUES (?, ?, ?, '', 'default')", (model, ms, ms))
        db.execute(
            "INSERT INTO logged_models VALUES (?, ?, 'model', '/a', ?, ?, 2, 'active', '', ?, '')",
            (logged, experiment, ms, ms, run),
        )
        db.execute(
            "INSERT INTO logged_model_metrics VALUES (?, 'val_auc', ?, 0, 0.8, ?, ?, ?, 'orders', 'a1b2c3d4')",
            (logged, ms, experiment, run, f"d{experiment}"),
        )
        db.execute(
            "INSERT INTO model_versions "
            "VALUES (?, ?, ?, ?, '', 'trainer', 'None', ?, ?, 'READY', '', '', '', 'default')",
            (model, version, ms, ms, f"models:/{logged}", run),
        )
    db.execute(
        "INSERT INTO registered_model_aliases SELECT 'champion', ?, name, 'default' FROM registered_models",
        (VERSIONS - 1,),
    )
