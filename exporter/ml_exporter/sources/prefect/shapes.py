"""What is read of Prefect's replies. Times and tags may be anything: one strange item must not spoil a page."""

from __future__ import annotations

from typing import Any

from msgspec import Struct


class StateRecord(Struct, frozen=True, gc=False):
    timestamp: Any = None


class FlowRun(Struct, frozen=True, gc=False):
    id: str
    flow_id: str | None = None
    deployment_id: str | None = None
    parent_task_run_id: str | None = None
    state_type: str | None = None
    state_name: str | None = None
    state: StateRecord | None = None
    run_count: Any = None
    expected_start_time: Any = None
    next_scheduled_start_time: Any = None
    start_time: Any = None
    end_time: Any = None
    auto_scheduled: Any = None
    work_pool_name: str | None = None
    work_queue_name: str | None = None
    tags: Any = None


class Timing(Struct, frozen=True):
    """A cron expression, an interval (seconds, from an anchor), or a recurrence rule."""

    cron: str | None = None
    day_or: Any = True
    interval: Any = None
    anchor_date: Any = None
    rrule: Any = None
    timezone: str | None = None


class ScheduleRecord(Struct, frozen=True):
    schedule: Timing
    active: bool = True
    created: Any = None
    updated: Any = None


class DeploymentRecord(Struct, frozen=True):
    id: str
    name: str
    flow_id: str
    created: Any = None
    updated: Any = None
    paused: bool = False
    schedules: list[ScheduleRecord] = []
    tags: Any = None
    work_pool_name: str | None = None


class FlowRecord(Struct, frozen=True):
    id: str
    name: str


class WorkPool(Struct, frozen=True):
    id: str
    name: str
    is_paused: bool = False
    concurrency_limit: Any = None


class WorkQueue(Struct, frozen=True):
    id: str
    name: str
    work_pool_name: str | None = None
    is_paused: bool = False
    concurrency_limit: Any = None
    last_polled: Any = None
