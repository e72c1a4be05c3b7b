"""Argo's custom resources, as far as they are read. Times are RFC 3339 texts."""

from __future__ import annotations

from msgspec import Raw, Struct, field

from ml_exporter.watching import ObjectMeta


class TemplateRef(Struct, frozen=True):
    name: str = ""


class WorkflowSpec(Struct, frozen=True):
    template: TemplateRef | None = field(name="workflowTemplateRef", default=None)
    shutdown: str | None = None
    deadline: float | str | None = field(name="activeDeadlineSeconds", default=None)


class WorkflowStatus(Struct, frozen=True):
    phase: str = ""
    """"" until the controller has seen it."""
    started: str | None = field(name="startedAt", default=None)
    finished: str | None = field(name="finishedAt", default=None)
    message: str = ""
    nodes: Raw = Raw(b"null")
    """Read only when tasks are asked for: they are most of the object."""


class Workflow(Struct, frozen=True):
    metadata: ObjectMeta
    spec: WorkflowSpec = WorkflowSpec()
    status: WorkflowStatus = WorkflowStatus()


class NodeTemplateRef(Struct, frozen=True):
    template: str = ""


class Node(Struct, frozen=True):
    id: str
    type: str = ""
    phase: str = ""
    template: str = field(name="templateName", default="")
    ref: NodeTemplateRef | None = field(name="templateRef", default=None)
    children: list[str] | None = None
    started: str | None = field(name="startedAt", default=None)
    finished: str | None = field(name="finishedAt", default=None)
    message: str = ""


class CronSpec(Struct, frozen=True):
    schedule: str | None = None
    """Until 3.6, and beside `schedules` until 4.0."""
    schedules: list[str] | None = None
    zone: str | None = field(name="timezone", default=None)
    suspend: bool | None = None


class CronStatus(Struct, frozen=True):
    phase: str = ""


class CronWorkflow(Struct, frozen=True):
    metadata: ObjectMeta
    spec: CronSpec
    status: CronStatus = CronStatus()
