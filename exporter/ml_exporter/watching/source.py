"""What the kinds that live in a Kubernetes API share: a roster by one collection, runs by another, and gauges."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Generic, TypeVar

import msgspec
from msgspec import Struct

from ml_exporter.errors import ConfigError, Malformed
from ml_exporter.model import Batch, Cursor, Pipeline, Sample
from ml_exporter.ports import Call, Poll
from ml_exporter.reading import Cadence, SchedulerOptions, instant
from ml_exporter.schema import Between, Duration
from ml_exporter.timetable import check_zone
from ml_exporter.watching.collection import Collection, Steps
from ml_exporter.watching.follower import Follower, Told, waiting
from ml_exporter.watching.roster import Entry, Roster

O = TypeVar("O", bound="ClusterOptions")  # noqa: E741 — options
R = TypeVar("R")
C = TypeVar("C")

OLDEST = (1, 20)
"""The Kubernetes that this was tested with."""
HEARTBEAT_EVERY = 300.0
OPTIONAL = frozenset({200, 403, 404})
"""What only some credentials may read is left out for the others."""


def validate(options: ClusterOptions, timeout: float) -> None:
    """Raises `ConfigError` for a watch that outlasts a request, and for a time zone that is not known here."""
    if options.watch >= timeout:
        raise ConfigError(f"watch: found {options.watch:g}s; allowed is less than the source's timeout, {timeout:g}s")
    check_zone("time_zone", options.time_zone)


class _Version(Struct, frozen=True):
    version: str = msgspec.field(name="gitVersion", default="")


class _Resource(Struct, frozen=True):
    name: str


class _Resources(Struct, frozen=True):
    resources: list[_Resource]


class _LeaseSpec(Struct, frozen=True):
    renewed: str | None = msgspec.field(name="renewTime", default=None)


class _Lease(Struct, frozen=True):
    spec: _LeaseSpec


@dataclass(frozen=True, slots=True)
class ClusterOptions(SchedulerOptions):
    namespaces: tuple[str, ...] = ()
    """Those to watch, each by a watch of its own; empty: all of the cluster, by one."""
    label_selector: str = ""
    """Runs to watch, as `kubectl -l` takes it."""
    pipeline_label: str = "ml-exporter/pipeline"
    """The label that names the pipeline of a run that no timetable started."""
    service_label: str = "app.kubernetes.io/part-of"
    """The label that may name a configured service."""
    time_zone: str = "UTC"
    """That of the controller, for timetables without one."""
    watch: Annotated[float, Duration("1s", "60s")] = 3.0
    """How long a poll waits for changes; shorter than `timeout`."""
    page_size: Annotated[int, Between(1, 10_000)] = 500


@dataclass
class ClusterSource(ABC, Generic[O, R, C]):
    """One API server, poll by poll. A kind says what its objects mean."""

    queue_times: ClassVar[bool] = True
    runs: ClassVar[str]
    """Path of the collection whose objects are runs."""

    name: str
    options: O
    run_type: type[R]
    cron_type: type[C]
    _roster: Roster[C] | None = None
    _follower: Follower[R] = field(init=False)
    _heartbeat: Cadence = field(default_factory=lambda: Cadence(HEARTBEAT_EVERY))
    _beats: list[Sample] = field(default_factory=list)
    _shown: tuple[Sample, ...] | None = None

    def __post_init__(self) -> None:
        options = self.options
        asked = (options.namespaces, options.label_selector, options.pipeline_label, options.include, options.exclude)
        self._follower = Follower(
            self._collections(self.runs, self.run_type, options.label_selector),
            scope=repr(asked),
            limit=options.page_size,
            seconds=options.watch,
            history=options.history,
            tell=self._wanted,
        )

    # What a kind says

    @abstractmethod
    def tell(self, item: R, now: float) -> Told:
        """What a run's object says."""

    @abstractmethod
    def entry(self, item: C) -> Entry:
        """What a timetable's object says."""

    @abstractmethod
    def timetables(self, version: str, resources: set[str]) -> str | None:
        """Path of the collection with the timetables, of what the group of `runs` has; None: there are none.

        Raises `Malformed` for an API that cannot be read.
        """

    @abstractmethod
    def lease(self) -> tuple[str, str]:
        """Namespace and name of the controller's lease."""

    def capacity(self, now: float) -> Steps[Sequence[Sample]]:
        """Samples of capacity, as far as the kind knows it."""
        yield from ()
        return ()

    # A poll

    def poll(self, cursor: Cursor, now: float) -> Poll:
        if self._roster is None:
            self._roster = yield from self._discover()
        yield from self._roster.update(now)
        cursor = yield from self._follower.follow(cursor, now)
        capacity = yield from self.capacity(now)
        yield from self._beat(now)
        lengths = sorted(waiting(cursor).items())
        queues = (Sample("ml_scheduler_queue_length", (namespace,), n) for namespace, n in lengths)
        gauges = (*self._roster.gauges(), *queues, *self._beats, *capacity)
        yield Batch({}, gauges=gauges if gauges != self._shown else None, caught_up=True)
        self._shown = gauges

    def run_url(self, pipeline: Pipeline, pipeline_id: str | None, run_id: str) -> str | None:
        """The API server has no pages."""
        return None

    def pipeline_url(self, pipeline: Pipeline, pipeline_id: str | None) -> str | None:
        return None

    def home_url(self) -> str | None:
        return None

    def paths(self, path: str) -> dict[str, str]:
        """Scope → path of what is at `…/PLURAL` for the whole cluster."""
        group, _, plural = path.rpartition("/")
        return {name: f"{group}/namespaces/{name}/{plural}" for name in self.options.namespaces} or {"": path}

    def _collections(self, path: str, shape: type[Any], selector: str = "") -> dict[str, Collection[Any]]:
        decoder = msgspec.json.Decoder(shape)
        return {scope: Collection(at, decoder, selector) for scope, at in self.paths(path).items()}

    def _discover(self) -> Steps[Roster[C]]:
        """Raises `Malformed` for what is no Kubernetes API server, or not one that we can read."""
        reply = yield Call("GET", "/version", reply=_Version)
        version = reply.value.version
        numbers = re.match(r"v(\d{1,4})\.(\d{1,4})", version)
        if numbers is None:
            raise Malformed(f"/version: '{version[:60]}' is not a version of Kubernetes; is this its API server?")
        if (int(numbers[1]), int(numbers[2])) < OLDEST:
            raise Malformed(f"Kubernetes {version[:60]} is too old: {OLDEST[0]}.{OLDEST[1]} or later is needed")
        group = self.runs.rpartition("/")[0]
        reply = yield Call("GET", group, accept=frozenset({200, 404}), reply=_Resources)
        found = {resource.name for resource in reply.value.resources} if reply.status == 200 else set()
        path = self.timetables(version[:60], found)
        collections = self._collections(path, self.cron_type) if path else {}
        return Roster(collections, self.options.page_size, self._listed, self.options.forget_after)

    def _listed(self, item: C) -> Entry | None:
        entry = self.entry(item)
        return entry if self.options.wants(entry.pipeline.name) else None

    def _wanted(self, item: R, now: float) -> Told | None:
        told = self.tell(item, now)
        return told if self.options.wants(told.run.pipeline.name) else None

    def _beat(self, now: float) -> Steps[None]:
        if not self._heartbeat.due(now):
            return
        namespace, name = self.lease()
        path = f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases/{name}"
        reply = yield Call("GET", path, accept=OPTIONAL, reply=_Lease)
        renewed = instant(reply.value.spec.renewed) if reply.status == 200 else None
        beat = "ml_scheduler_heartbeat_timestamp_seconds"
        self._beats = [] if renewed is None else [Sample(beat, (name,), renewed)]
        self._heartbeat.done(now)
