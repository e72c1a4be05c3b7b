"""Argo on one Kubernetes cluster: what its Workflows and CronWorkflows mean, and where they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from ml_exporter.errors import Malformed
from ml_exporter.model import Pipeline
from ml_exporter.reading import instant, tags
from ml_exporter.schema import Between, Matches
from ml_exporter.sources.argo.shapes import CronWorkflow, Workflow
from ml_exporter.sources.argo.workflows import to_told
from ml_exporter.watching import ClusterOptions, ClusterSource, Entry, Told

GROUP = "/apis/argoproj.io/v1alpha1"
STOPPED = "Stopped"
"""The phase of a CronWorkflow whose `stopStrategy` has ended it."""


@dataclass(frozen=True, slots=True)
class Options(ClusterOptions):
    page_size: Annotated[int, Between(1, 10_000)] = 100
    """Fewer than elsewhere: a Workflow holds all its nodes."""
    tasks: bool = False
    """Whether to tell the steps of Workflows that ended."""
    lease: Annotated[str, Matches(r"[a-z0-9.-]+/[a-z0-9.-]+", "namespace/name")] = "argo/workflow-controller"
    """That of the workflow controller."""


def create(name: str, options: Options, url: str) -> ArgoSource:
    return ArgoSource(name, options, Workflow, CronWorkflow)


@dataclass
class ArgoSource(ClusterSource[Options, Workflow, CronWorkflow]):
    runs: ClassVar[str] = f"{GROUP}/workflows"

    def tell(self, item: Workflow, now: float) -> Told:
        options = self.options
        return to_told(item, self.name, options.pipeline_label, options.service_label, options.tasks)

    def entry(self, item: CronWorkflow) -> Entry:
        meta, spec = item.metadata, item.spec
        return Entry(
            meta.uid,
            Pipeline(self.name, f"{meta.namespace}/{meta.name}"),
            instant(meta.created),
            tuple(dict.fromkeys([*(spec.schedules or ()), *([spec.schedule] if spec.schedule else ())])),
            spec.zone or self.options.time_zone,
            bool(spec.suspend) or item.status.phase == STOPPED,
            tags(meta.label(self.options.service_label)),
        )

    def timetables(self, version: str, resources: set[str]) -> str | None:
        if "workflows" not in resources:
            raise Malformed(f"Kubernetes {version} has no Workflows at {GROUP}: Argo is not there, or too new")
        return f"{GROUP}/cronworkflows" if "cronworkflows" in resources else None

    def lease(self) -> tuple[str, str]:
        namespace, _, name = self.options.lease.partition("/")
        return namespace, name
