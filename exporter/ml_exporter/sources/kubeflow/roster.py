"""What there is in a namespace: recurring runs with their timetables, pipelines with their names and tags."""

from __future__ import annotations

from collections import defaultdict
from typing import Protocol

from ml_exporter.model import Pipeline, PipelineInfo
from ml_exporter.reading import Cadence
from ml_exporter.sources.kubeflow.api import Listing, RecurringPage, RecurringRun, Steps
from ml_exporter.sources.kubeflow.names import Known, Names
from ml_exporter.sources.kubeflow.runs import when
from ml_exporter.sources.kubeflow.schedules import Timetables
from ml_exporter.timetable import union


class Settings(Protocol):
    @property
    def page_size(self) -> int: ...
    @property
    def service_key(self) -> str: ...
    @property
    def time_zone(self) -> str: ...
    def wants(self, name: str) -> bool: ...


class Roster:
    """The pipelines of one namespace ("": of a server with one user). Lost with the process, so read at its start."""

    def __init__(self, source: str, namespace: str, options: Settings, cadence: Cadence) -> None:
        self.source, self.namespace, self.options, self.cadence = source, namespace, options, cadence
        self.names = Names(namespace, options.page_size, options.service_key)
        self.timetables = Timetables(options.time_zone)
        self.unreadable = 0
        self._known: dict[str, tuple[RecurringRun, Known]] = {}
        self._named: dict[str, list[tuple[RecurringRun, Known]]] = {}

    def read(self, now: float) -> Steps[None]:
        yield from self.names.list_pipelines()
        listing = Listing("recurringruns", RecurringPage, self.namespace, self.options.page_size)
        known: dict[str, tuple[RecurringRun, Known]] = {}
        self.unreadable = 0
        for recurring in (yield from listing.rest()):
            id_ = recurring.recurring_run_id
            if recurring.error or not isinstance(id_, str):
                # What the server cannot read at the moment is not gone: it stays as it was last read.
                self.unreadable += 1
                known |= {id_: self._known[id_]} if isinstance(id_, str) and id_ in self._known else {}
            else:
                known[id_] = (recurring, (yield from self.names.of_recurring(recurring)))
        self._known = known
        self.names.recurring |= {id_: name for id_, (_, name) in known.items()}
        named: defaultdict[str, list[tuple[RecurringRun, Known]]] = defaultdict(list)
        for recurring, name in known.values():
            named[self.names.qualified(name.name)].append((recurring, name))
        self._named = {name: members for name, members in named.items() if self.options.wants(name)}
        self.cadence.done(now)

    def infos(self, now: float) -> dict[str, PipelineInfo]:
        """By name. Names of recurring runs need not be different: those with one name are one pipeline."""
        self.timetables.unreadable = 0
        return {name: self._info(name, members, now) for name, members in sorted(self._named.items())}

    def _info(self, name: str, members: list[tuple[RecurringRun, Known]], now: float) -> PipelineInfo:
        schedules = [(self.timetables.of(recurring, now), recurring.status == "DISABLED") for recurring, _ in members]
        created = [at for recurring, _ in members if (at := when(recurring.created_at)) is not None]
        return PipelineInfo(
            Pipeline(self.source, name),
            min(recurring.recurring_run_id for recurring, _ in members),
            min(created, default=None),
            schedule=union(schedule for schedule, disabled in schedules if schedule and not disabled),
            paused=all(disabled for _, disabled in schedules),
            tags=tuple(dict.fromkeys(tag for _, known in members for tag in known.tags)),
        )
