"""What Airflow's REST APIs answer, as far as it is read.

What one item says is `Any`: a single field that cannot be must not hide all the others of its page.
"""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta, Struct

Total = Annotated[int, Meta(ge=0)]


class DagRecord(Struct, frozen=True):
    dag_id: Any = None
    is_paused: Any = None
    tags: Any = None
    timetable_summary: Any = None
    schedule_interval: Any = None
    """Airflow 2's word for it: {"value": "@daily"}."""
    next_dagrun_run_after: Any = None
    next_dagrun_create_after: Any = None
    """The same in Airflow 2."""
    next_dagrun_data_interval_end: Any = None
    bundle_name: Any = None


class DagPage(Struct, frozen=True):
    dags: list[DagRecord]
    total_entries: Total

    @property
    def items(self) -> list[DagRecord]:
        return self.dags


class DagDetails(Struct, frozen=True):
    dag_run_timeout: Any = None


class RunRecord(Struct, frozen=True):
    dag_id: Any = None
    dag_run_id: Any = None
    state: Any = None
    queued_at: Any = None
    start_date: Any = None
    end_date: Any = None
    run_after: Any = None
    execution_date: Any = None


class RunPage(Struct, frozen=True):
    dag_runs: list[RunRecord]
    total_entries: Total

    @property
    def items(self) -> list[RunRecord]:
        return self.dag_runs


class TaskRecord(Struct, frozen=True):
    dag_id: Any = None
    dag_run_id: Any = None
    task_id: Any = None
    map_index: Any = None
    try_number: Any = None
    state: Any = None
    start_date: Any = None
    end_date: Any = None


class TaskPage(Struct, frozen=True):
    task_instances: list[TaskRecord]
    total_entries: Total

    @property
    def items(self) -> list[TaskRecord]:
        return self.task_instances


class Part(Struct, frozen=True):
    """A part of the scheduler, with the one heartbeat that is its own."""

    status: Any = None
    latest_scheduler_heartbeat: Any = None
    latest_triggerer_heartbeat: Any = None
    latest_dag_processor_heartbeat: Any = None

    @property
    def heartbeat(self) -> Any:
        return self.latest_scheduler_heartbeat or self.latest_triggerer_heartbeat or self.latest_dag_processor_heartbeat


class Health(Struct, frozen=True):
    metadatabase: Part
    scheduler: Part
    triggerer: Part | None = None
    dag_processor: Part | None = None


class PoolRecord(Struct, frozen=True):
    name: Any = None
    slots: Any = None
    """-1: without limit."""
    occupied_slots: Any = None
    queued_slots: Any = None
    scheduled_slots: Any = None


class PoolPage(Struct, frozen=True):
    pools: list[PoolRecord]
    total_entries: Total

    @property
    def items(self) -> list[PoolRecord]:
        return self.pools


class ImportErrorRecord(Struct, frozen=True):
    bundle_name: Any = None


class ImportErrorPage(Struct, frozen=True):
    import_errors: list[ImportErrorRecord]
    total_entries: Total


class Version(Struct, frozen=True):
    version: Any = None
