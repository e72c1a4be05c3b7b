"""What the Kubernetes API answers, as far as it is read. Times are RFC 3339 texts."""

from __future__ import annotations

from msgspec import Struct, field

from ml_exporter.watching import ObjectMeta


class Condition(Struct, frozen=True):
    type: str
    status: str = ""
    reason: str | None = None
    changed: str | None = field(name="lastTransitionTime", default=None)


class Uncounted(Struct, frozen=True):
    """Pods that have ended and are not in the counts yet."""

    succeeded: list[str] | None = None
    failed: list[str] | None = None


class JobSpec(Struct, frozen=True):
    suspend: bool | None = None


class JobStatus(Struct, frozen=True):
    conditions: list[Condition] | None = None
    started: str | None = field(name="startTime", default=None)
    completed: str | None = field(name="completionTime", default=None)
    active: int | None = None
    ready: int | None = None
    """Not before Kubernetes 1.24."""
    succeeded: int | None = None
    failed: int | None = None
    uncounted: Uncounted | None = field(name="uncountedTerminatedPods", default=None)


class Job(Struct, frozen=True):
    metadata: ObjectMeta
    spec: JobSpec = JobSpec()
    status: JobStatus = JobStatus()


class TemplateMeta(Struct, frozen=True):
    labels: dict[str, str] | None = None


class JobTemplate(Struct, frozen=True):
    metadata: TemplateMeta = TemplateMeta()


class CronJobSpec(Struct, frozen=True):
    schedule: str
    zone: str | None = field(name="timeZone", default=None)
    suspend: bool | None = None
    template: JobTemplate = field(name="jobTemplate", default=JobTemplate())


class CronJob(Struct, frozen=True):
    metadata: ObjectMeta
    spec: CronJobSpec


class QuotaSpec(Struct, frozen=True):
    scopes: list[str] | None = None
    selector: dict[str, object] | None = field(name="scopeSelector", default=None)


class QuotaStatus(Struct, frozen=True):
    hard: dict[str, str] = {}
    used: dict[str, str] = {}


class Quota(Struct, frozen=True):
    metadata: ObjectMeta
    spec: QuotaSpec = QuotaSpec()
    status: QuotaStatus = QuotaStatus()


class QuotaList(Struct, frozen=True):
    items: list[Quota]
