"""One Kubernetes cluster: what its Jobs and CronJobs mean, and where they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from ml_exporter.errors import Malformed
from ml_exporter.model import Pipeline, Sample
from ml_exporter.ports import Call
from ml_exporter.reading import Cadence, instant, tags
from ml_exporter.sources.kubernetes.jobs import to_told
from ml_exporter.sources.kubernetes.quotas import capacity
from ml_exporter.sources.kubernetes.shapes import CronJob, Job, Quota, QuotaList
from ml_exporter.watching import OPTIONAL, ClusterOptions, ClusterSource, Entry, Steps, Told

QUOTAS_EVERY = 600.0
MAX_QUOTAS = 500


Options = ClusterOptions


def create(name: str, options: Options, url: str) -> KubernetesSource:
    return KubernetesSource(name, options, Job, CronJob)


@dataclass
class KubernetesSource(ClusterSource[Options, Job, CronJob]):
    runs: ClassVar[str] = "/apis/batch/v1/jobs"
    _quotas: Cadence = field(default_factory=lambda: Cadence(QUOTAS_EVERY))
    _capacity: list[Sample] = field(default_factory=list)

    def tell(self, item: Job, now: float) -> Told:
        return to_told(item, self.name, self.options.pipeline_label, self.options.service_label)

    def entry(self, item: CronJob) -> Entry:
        meta, spec = item.metadata, item.spec
        key = self.options.service_label
        return Entry(
            meta.uid,
            Pipeline(self.name, f"{meta.namespace}/{meta.name}"),
            instant(meta.created),
            (spec.schedule,),
            spec.zone or self.options.time_zone,
            bool(spec.suspend),
            tags(meta.label(key), (spec.template.metadata.labels or {}).get(key)),
        )

    def timetables(self, version: str, resources: set[str]) -> str | None:
        if "jobs" not in resources:
            raise Malformed(f"Kubernetes {version} has no Jobs at /apis/batch/v1: too new or too old")
        # Before 1.21 they had not moved yet.
        return f"/apis/batch/{'v1' if 'cronjobs' in resources else 'v1beta1'}/cronjobs"

    def lease(self) -> tuple[str, str]:
        return "kube-system", "kube-controller-manager"

    def capacity(self, now: float) -> Steps[Sequence[Sample]]:
        if self._quotas.due(now):
            quotas: list[Quota] = []
            for path in self.paths("/api/v1/resourcequotas").values():
                reply = yield Call("GET", path, (("limit", str(MAX_QUOTAS)),), accept=OPTIONAL, reply=QuotaList)
                quotas.extend(reply.value.items if reply.status == 200 else ())
            self._capacity = capacity(quotas)
            self._quotas.done(now)
        return self._capacity
