"""What Ray's dashboard answers, as far as it is read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from msgspec import Struct

from ml_exporter.errors import Malformed, Rejected
from ml_exporter.model import Sample
from ml_exporter.ports import Call, Reply
from ml_exporter.reading import epoch

VERSIONS = range(2, 5)
"""Of the Jobs API: 2 began to list jobs with submission ids; Ray counts up when something incompatible comes."""
CLUSTER = "cluster"
"""The value of `queue`: Ray has one."""
RESOURCES = {"CPU": "cpu", "GPU": "gpu"}
# Ray masks the values of env_vars, often secrets, in what it sends to browsers: this is how it knows one.
_AS_BROWSER = {"Sec-Fetch-Site": "none"}


class Version(Struct, frozen=True):
    version: str = ""
    ray_version: str = "of an unknown version"


class Job(Struct, frozen=True, gc=False):
    """Times are in milliseconds. A field may be anything: one job that cannot be read must not hide the others."""

    type: Any = None
    job_id: Any = None
    submission_id: Any = None
    status: Any = None
    error_type: Any = None
    start_time: Any = None
    end_time: Any = None
    metadata: Any = None

    @property
    def key(self) -> tuple[Any, Any]:
        """An id may come again after a restart of the cluster: drivers are counted from 1 there."""
        return (self.submission_id or self.job_id, self.start_time)


class _Report(Struct, frozen=True):
    usage: dict[str, Any] = {}


class _Cluster(Struct, frozen=True, rename={"report": "loadMetricsReport"}):
    time: Any = None
    report: _Report = _Report()


class _Status(Struct, frozen=True, rename={"cluster": "clusterStatus"}):
    cluster: _Cluster | None = None


class StatusReply(Struct, frozen=True):
    result: bool
    msg: str = ""
    data: _Status = _Status()


VERSION = Call("GET", "/api/version", reply=Version)
JOBS = Call("GET", "/api/jobs/", headers=_AS_BROWSER, reply=list[Job] | dict[str, Any])
# A proxy may pass on the jobs alone.
CLUSTER_STATUS = Call("GET", "/api/cluster_status", accept=frozenset({200, 404}), reply=StatusReply)


def check_version(reply: Reply) -> None:
    """Raises `Malformed` for a Jobs API that is too old or too new."""
    found: Version = reply.value
    number = int(found.version) if found.version.isascii() and found.version.isdigit() else 0
    if number not in VERSIONS:
        age = "old" if number < VERSIONS.start else "new"
        raise Malformed(
            f"Ray {found.ray_version[:40]} with version {found.version[:20]!r} of its Jobs API is too {age}: "
            f"versions {VERSIONS.start} to {VERSIONS.stop - 1} can be read"
        )


def jobs_of(reply: Reply) -> list[Job]:
    """Raises `Rejected` for an error in place of a list."""
    if isinstance(reply.value, list):
        return reply.value
    raise Rejected(f"/api/jobs/: an object instead of a list of jobs: {str(reply.value)[:200]!r}")


def capacity(reply: Reply) -> Iterator[Sample]:
    """What the autoscaler last wrote down; nothing where there is none. Raises `Rejected`."""
    if reply.status != 200:
        return
    if not reply.value.result:
        raise Rejected(f"/api/cluster_status: {reply.value.msg[:200]!r}")
    cluster: _Cluster | None = reply.value.data.cluster
    if cluster is None:
        return
    if (at := epoch(cluster.time)) is not None:
        yield Sample("ml_scheduler_heartbeat_timestamp_seconds", ("autoscaler",), at)
    for word, resource in RESOURCES.items():
        match cluster.report.usage.get(word):
            case [int() | float() as used, int() | float() as total] if 0 <= used <= total and 0 < total < 1e12:
                yield Sample("ml_scheduler_capacity", (CLUSTER, resource, "used"), float(used))
                yield Sample("ml_scheduler_capacity", (CLUSTER, resource, "free"), float(total - used))
