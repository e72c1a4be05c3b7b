"""Fills Prefect's SQLite file by SQL: deployments with schedules, planned runs and a history, in seconds.

    python -m bench.seed_prefect prefect.db --deployments 1000 --runs 10000

The file holds Prefect's own empty tables (`prefect server database upgrade -y`, or a server that was started once).
Run the server with PREFECT_SERVER_SERVICES_SCHEDULER_ENABLED=false, else it plans and marks as late on its own.
"""

from __future__ import annotations

import argparse
import sqlite3
import time
import uuid
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

DAY = 86_400.0
ENDED = ("COMPLETED",) * 8 + ("FAILED", "CANCELLED")


@dataclass(frozen=True)
class Size:
    deployments: int = 1000
    runs: int = 10_000
    """Finished ones, spread evenly over `days`."""
    days: float = 7.0
    running: int = 20
    planned: int = 60
    """For every deployment: what Prefect's scheduler makes ahead, a day apart, half a day away or more."""


@dataclass(frozen=True)
class Deployment:
    id: str
    flow_id: str


def seed(path: Path, size: Size, now: float) -> None:
    """Write the rows as of `now` (seconds): each flow has ten deployments, each due daily at noon."""
    with closing(sqlite3.connect(path, timeout=30)) as db, db:
        db.execute("PRAGMA synchronous = OFF")
        queue = _pool(db)
        deployments = _deployments(db, size.deployments, queue, now)
        _runs(db, _finished(deployments, size, now), queue)
        _runs(db, _running(deployments, size, now), queue)
        _runs(db, _planned(deployments, size, now), queue)


def _at(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")


def _pool(db: sqlite3.Connection) -> str:
    pool, queue = str(uuid.uuid4()), str(uuid.uuid4())
    db.execute("INSERT INTO work_pool (id, name, type, concurrency_limit) VALUES (?, 'seeded', 'process', 50)", (pool,))
    db.execute("INSERT INTO work_queue (id, name, work_pool_id) VALUES (?, 'default', ?)", (queue, pool))
    db.execute("UPDATE work_pool SET default_queue_id = ? WHERE id = ?", (queue, pool))
    return queue


def _deployments(db: sqlite3.Connection, count: int, queue: str, now: float) -> list[Deployment]:
    deployments, flow = [], ""
    schedule = '{"cron": "0 12 * * *", "timezone": "UTC", "day_or": true}'
    schema = '{"type": "object", "properties": {"day": {"type": "string"}, "limit": {"type": "integer"}}}'
    for number in range(count):
        created = _at(now - 30 * 86_400 + number / 1000)
        if number % 10 == 0:
            flow = str(uuid.uuid4())
            name = f"flow-{number // 10:04}"
            db.execute(
                "INSERT INTO flow (id, created, updated, name) VALUES (?, ?, ?, ?)", (flow, created, created, name)
            )
        id_ = str(uuid.uuid4())
        db.execute(
            "INSERT INTO deployment (id, created, updated, name, tags, flow_id, work_queue_id, entrypoint, pull_steps, "
            "parameter_openapi_schema, enforce_parameter_schema, labels) "
            "VALUES (?, ?, ?, ?, '[\"seeded\"]', ?, ?, 'flows.py:train', '[]', ?, 1, '{}')",
            (id_, created, created, f"deployment-{number:05}", flow, queue, schema),
        )
        db.execute(
            "INSERT INTO deployment_schedule (id, created, updated, schedule, active, deployment_id) "
            "VALUES (?, ?, ?, ?, 1, ?)",
            (str(uuid.uuid4()), created, created, schedule, id_),
        )
        deployments.append(Deployment(id_, flow))
    return deployments


@dataclass(frozen=True)
class Row:
    """A run; times in seconds."""

    deployment: Deployment
    type: str
    expected: float
    start: float | None = None
    end: float | None = None


def _finished(deployments: list[Deployment], size: Size, now: float) -> Iterator[Row]:
    step = size.days * 86_400 / max(1, size.runs)
    for number in range(size.runs):
        end = now - 60 - number * step
        took = 60.0 + number * 7919 % 3600
        state = ENDED[number % len(ENDED)]
        yield Row(deployments[number * 37 % len(deployments)], state, end - took - 5, end - took, end)


def _running(deployments: list[Deployment], size: Size, now: float) -> Iterator[Row]:
    for number in range(size.running):
        yield Row(deployments[number % len(deployments)], "RUNNING", now - 605 - number, now - 600 - number)


def _planned(deployments: list[Deployment], size: Size, now: float) -> Iterator[Row]:
    first = (now // DAY + 1.5) * DAY
    for number in range(size.planned):
        yield from (Row(deployment, "SCHEDULED", first + number * DAY) for deployment in deployments)


def _runs(db: sqlite3.Connection, rows: Iterator[Row], queue: str) -> None:
    runs, states = [], []
    for row in rows:
        id_, state = str(uuid.uuid4()), str(uuid.uuid4())
        name = row.type.capitalize()
        planned = row.type == "SCHEDULED"
        times = [None if at is None else _at(at) for at in (row.expected, row.start, row.end)]
        created = _at(row.expected - (600 if planned else 0))
        since = times[2] or times[1] or created
        runs.append(
            (
                *(id_, created, "quiet-heron", row.type, name, 0 if planned else 1),
                *(times[0], times[0] if planned else None, times[1], times[2]),
                *(planned, row.deployment.flow_id, row.deployment.id, state, since, queue),
            )
        )
        details = f'{{"scheduled_time": "{times[0]}Z"}}' if planned else "{}"
        states.append((state, row.type, since, name, details, id_))
    db.executemany(
        "INSERT INTO flow_run (id, created, name, state_type, state_name, run_count, expected_start_time, "
        "next_scheduled_start_time, start_time, end_time, auto_scheduled, flow_id, deployment_id, state_id, "
        "state_timestamp, work_queue_id, total_run_time, labels, work_queue_name) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, '1970-01-01 00:01:00.000000', '{}', 'default')",
        runs,
    )
    db.executemany(
        "INSERT INTO flow_run_state (id, type, timestamp, name, state_details, flow_run_id) VALUES (?, ?, ?, ?, ?, ?)",
        states,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", type=Path)
    parser.add_argument("--deployments", type=int, default=Size.deployments)
    parser.add_argument("--runs", type=int, default=Size.runs)
    parser.add_argument("--planned", type=int, default=Size.planned)
    given = parser.parse_args()
    began = time.monotonic()
    seed(given.path, Size(given.deployments, given.runs, planned=given.planned), time.time())
    print(f"seeded in {time.monotonic() - began:.1f} s")


if __name__ == "__main__":
    main()
