"""What Dagster's GraphQL answers, as far as it is read. Times stay `Any`: one bad number must not cost a page."""

from __future__ import annotations

from typing import Any

from msgspec import Struct, field


class Said(Struct, frozen=True):
    """A GraphQL error."""

    message: str = ""


class Answer(Struct, frozen=True):
    data: Any = None
    """Plain: what came with errors need not have its shape."""
    errors: list[Said] | None = None


class Member(Struct, frozen=True, rename="camel"):
    """A member of a union: the one that was asked for, or an error with its message."""

    typename: str = field(name="__typename")
    message: str = ""


class Tag(Struct, frozen=True):
    key: str
    value: str


# Runs


class Origin(Struct, frozen=True, rename="camel"):
    repository_name: str
    repository_location_name: str


class RunRecord(Struct, frozen=True, rename="camel"):
    run_id: str
    job_name: str
    status: str
    creation_time: Any = None
    start_time: Any = None
    end_time: Any = None
    update_time: Any = None
    tags: list[Tag] = []
    repository_origin: Origin | None = None

    def tag(self, key: str) -> str | None:
        return next((tag.value for tag in self.tags if tag.key == key), None)


class Runs(Member, frozen=True):
    results: list[RunRecord] | None = None
    count: int = 0


class RunsData(Struct, frozen=True):
    runs: Runs
    anchor: Member | None = None


# The server


class EnumValue(Struct, frozen=True):
    name: str


class EnumType(Struct, frozen=True, rename="camel"):
    enum_values: list[EnumValue] | None = None


class ProbeData(Struct, frozen=True):
    version: str | None = None
    statuses: EnumType | None = None


# The workspace


class Job(Struct, frozen=True):
    name: str
    tags: list[Tag] = []


class Tick(Struct, frozen=True):
    status: str
    timestamp: Any = None


class ScheduleData(Struct, frozen=True, rename="camel"):
    start_timestamp: Any = None


class ScheduleState(Struct, frozen=True, rename="camel"):
    status: str
    ticks: list[Tick] = []
    type_specific_data: ScheduleData | None = None


class ScheduleRecord(Struct, frozen=True, rename="camel"):
    name: str
    pipeline_name: str
    cron_schedule: str
    schedule_state: ScheduleState
    execution_timezone: str | None = None


class LoneSchedule(Member, frozen=True, rename="camel"):
    schedule_state: ScheduleState | None = None


class Target(Struct, frozen=True, rename="camel"):
    pipeline_name: str


class SensorState(Struct, frozen=True):
    status: str


class Sensor(Struct, frozen=True, rename="camel"):
    sensor_state: SensorState
    targets: list[Target] | None = None


class Repository(Struct, frozen=True):
    name: str
    jobs: list[Job]
    schedules: list[ScheduleRecord]
    sensors: list[Sensor]


class Location(Member, frozen=True):
    repositories: list[Repository] | None = None


class LocationEntry(Struct, frozen=True, rename="camel"):
    name: str
    load_status: str
    location_or_load_error: Location | None = None


class Workspace(Member, frozen=True):
    location_entries: list[LocationEntry] | None = None


# The instance


class Daemon(Struct, frozen=True, rename="camel"):
    daemon_type: str
    required: bool
    last_heartbeat_time: Any = None


class DaemonHealth(Struct, frozen=True, rename="camel"):
    all_daemon_statuses: list[Daemon]


class RunQueue(Struct, frozen=True, rename="camel"):
    max_concurrent_runs: int


class Pool(Struct, frozen=True, rename="camel"):
    concurrency_key: str
    slot_count: int
    active_slot_count: int
    pending_step_count: int


class Instance(Struct, frozen=True, rename="camel"):
    daemon_health: DaemonHealth
    run_queuing_supported: bool
    run_queue_config: RunQueue | None = None
    concurrency_limits: list[Pool] = []


class Count(Member, frozen=True):
    count: int = 0


class StateData(Struct, frozen=True):
    workspace: Workspace
    instance: Instance
    queued: Count
    occupied: Count
