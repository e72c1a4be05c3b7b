"""Made-up DAGs of the scheduler's stand-in. Their runs are a rule of the time, so that nothing is kept and a restart
changes no past: run `n` is due at `n * every` seconds since the epoch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

Item = dict[str, Any]
KEPT = 7200.0
"""Seconds: older runs have been cleaned away."""
POOLS = {"default_pool": 16, "gpu": 1}
"""Name → slots. The one of `gpu` is held by somebody else whenever none of our runs has it."""


@dataclass(frozen=True, slots=True)
class Dag:
    """A DAG whose runs all do the same; times in seconds."""

    dag_id: str
    every: int | None = None
    """Between two runs; None: it is started by hand, and nobody does."""
    waits: float = 2.0
    takes: float = 10.0
    fails: Callable[[int], bool] = lambda _number: False
    """Whether the run of this number fails, in its last task."""
    tasks: tuple[str, ...] = ("extract", "load")
    pool: str = "default_pool"
    paused: bool = False
    fleeting: bool = False
    """Each run is of a DAG of its own, whose file is gone before the DAGs are listed."""

    def runs(self, now: float) -> Iterator[Run]:
        """Those that are kept, the oldest first."""
        if self.every and not self.paused:
            for number in range(int((now - KEPT) // self.every) + 1, int(now // self.every) + 1):
                yield Run(self, number, float(number * self.every))

    def to_item(self, now: float) -> Item:
        timed = self.every and not self.paused
        return {
            "dag_id": self.dag_id,
            "is_paused": self.paused,
            "tags": [],
            "timetable_summary": f"every {self.every} s" if self.every else "None",
            "next_dagrun_run_after": stamp((now // self.every + 1) * self.every) if self.every and timed else None,
            "bundle_name": "dags",
        }


@dataclass(frozen=True, slots=True)
class Run:
    """A run of a DAG, due at this instant."""

    dag: Dag
    number: int
    due: float

    @property
    def dag_id(self) -> str:
        return f"{self.dag.dag_id}_{self.number}" if self.dag.fleeting else self.dag.dag_id

    @property
    def started(self) -> float:
        return self.due + self.dag.waits

    @property
    def ended(self) -> float:
        return self.started + self.dag.takes

    @property
    def outcome(self) -> str:
        return "failed" if self.dag.fails(self.number) else "success"

    def state(self, now: float) -> str:
        return "queued" if now < self.started else "running" if now < self.ended else self.outcome

    def updated(self, now: float) -> float:
        return max(at for at in (self.due, self.started, self.ended) if at <= now)

    def to_item(self, now: float) -> Item:
        return {
            "dag_id": self.dag_id,
            "dag_run_id": f"scheduled__{self.number}",
            "state": self.state(now),
            "run_after": stamp(self.due),
            "queued_at": stamp(self.due),
            "start_date": stamp(self.started) if self.started <= now else None,
            "end_date": stamp(self.ended) if self.ended <= now else None,
        }

    def tasks(self) -> Iterator[tuple[float, Item]]:
        """Its tasks, one after the other, each with the instant of its end."""
        share = self.dag.takes / len(self.dag.tasks)
        for place, task in enumerate(self.dag.tasks, start=1):
            ended = self.started + place * share
            yield (
                ended,
                {
                    "dag_id": self.dag_id,
                    "dag_run_id": f"scheduled__{self.number}",
                    "task_id": task,
                    "map_index": -1,
                    "try_number": 1,
                    "state": self.outcome if place == len(self.dag.tasks) else "success",
                    "start_date": stamp(ended - share),
                    "end_date": stamp(ended),
                },
            )


IDLE = (Dag("fraud_features"),)
"""Of a game day: nothing runs that no scenario has started."""
LIVELY = (
    Dag("ingest_transactions", every=60, takes=20.0, tasks=("download", "load")),
    # Three runs fail, and three go well.
    Dag(
        "fraud_features",
        every=30,
        waits=3.0,
        takes=12.0,
        fails=lambda n: n % 6 < 3,
        tasks=("join", "aggregate", "write"),
    ),
    Dag("validate_features", every=60, waits=20.0, takes=8.0, tasks=("schema", "ranges")),
    # It waits for the one slot there is, and mostly fails: it is late by its timetable.
    Dag(
        "retrain_embeddings",
        every=120,
        waits=90.0,
        takes=20.0,
        fails=lambda n: n % 15 > 0,
        tasks=("embed",),
        pool="gpu",
    ),
    Dag("backfill_labels", every=3600, paused=True),
    # At the sight of one the exporter lists the DAGs again, and with them when they are due: else every 10 minutes.
    Dag("sweep", every=60, takes=3.0, fleeting=True),
)
LOAD_ERRORS = ({"bundle_name": "legacy", "filename": "dags/monthly_report.py", "stack_trace": "SyntaxError"},)


def stamp(at: float) -> str:
    """An instant as Airflow writes it."""
    return datetime.fromtimestamp(at, UTC).isoformat()


def pools(dags: Iterable[Dag], now: float) -> list[Item]:
    """What is used of each pool, and what waits for it."""
    active = [run for dag in dags for run in dag.runs(now) if run.ended > now]
    return [
        _pool(name, slots, [run.state(now) for run in active if run.dag.pool == name]) for name, slots in POOLS.items()
    ]


def _pool(name: str, slots: int, states: list[str]) -> Item:
    held = 1 if name == "gpu" and states else states.count("running")
    return {
        "name": name,
        "slots": slots,
        "occupied_slots": held,
        "queued_slots": 0,
        "scheduled_slots": states.count("queued"),
    }


def listed_runs(dags: Iterable[Dag], wanted: Mapping[str, list[str]], now: float) -> list[Item]:
    """Runs as `GET dagRuns` filters them, in order of when they were due."""
    states = wanted.get("state", ["queued", "running", "success", "failed"])
    since, low, high = (_instant(wanted, key) for key in ("updated_at_gte", "run_after_gte", "run_after_lte"))
    found = [
        run
        for dag in dags
        for run in dag.runs(now)
        if run.state(now) in states
        and run.updated(now) >= (since or 0.0)
        and (low or 0.0) <= run.due <= (now if high is None else high)
    ]
    return [run.to_item(now) for run in sorted(found, key=lambda run: run.due)]


def listed_tasks(dags: Iterable[Dag], wanted: Mapping[str, list[str]], now: float) -> list[Item]:
    """Finished tasks as `GET taskInstances` filters them, in order of their ends."""
    low, high = (_instant(wanted, key) for key in ("end_date_gte", "end_date_lte"))
    found = [
        (ended, number, item)
        for dag in dags
        for run in dag.runs(now)
        for number, (ended, item) in enumerate(run.tasks())
        if (low or 0.0) <= ended <= (now if high is None else min(now, high)) and item["state"] in wanted["state"]
    ]
    return [item for *_, item in sorted(found, key=lambda each: each[:2])]


def _instant(wanted: Mapping[str, list[str]], key: str) -> float | None:
    return datetime.fromisoformat(wanted[key][0]).timestamp() if key in wanted else None
