"""The steps of one poll: jobs of slurmctld, jobs of slurmdbd, nodes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ml_exporter.model import Json, Pipeline, Run, Sample
from ml_exporter.sources.slurm.api import Steps, discover, unchanged
from ml_exporter.sources.slurm.capacity import capacity, heartbeats, queue_length
from ml_exporter.sources.slurm.history import QUIET, History, current_cluster
from ml_exporter.sources.slurm.jobs import Job, from_controller, run_of
from ml_exporter.sources.slurm.reader import Reader
from ml_exporter.sources.slurm.shapes import JobsReply, whole

CLOCK = 60
"""Seconds that the cluster's clock may be behind ours, where it does not say until when a listing is complete."""
LOST_KEPT = 600.0
"""Seconds within which slurmdbd should have heard of a job that slurmctld has forgotten."""


class SlurmPoll(Reader):
    """All steps of a poll."""

    def run(self) -> Steps[None]:
        if self.memory.api is None:
            self.memory.api = yield from discover()
        yield from self.read_jobs()
        read_all = yield from self.read_history()
        yield from self.read_nodes()
        self.drop_arrays()
        # Until a listing was read, nothing is known of what is not in the cursor.
        yield from self.tell({}, caught_up=read_all and self.memory.queue is not None)

    @property
    def has_history(self) -> bool:
        return self.view.options.slurmdb and self.api.history

    # Jobs of slurmctld

    def read_jobs(self) -> Steps[None]:
        memory = self.memory
        since = None if memory.queue is None or memory.whole.due(self.now) else memory.updated
        reply = yield self.api.jobs(since)
        if reply.status == 404:  # after an upgrade of Slurm the version may be another one
            memory.api = yield from discover()
            reply = yield self.api.jobs(since)
        self.judge(self.api.jobs(since), reply)
        if not unchanged(reply) and since is not None and not reply.value.jobs:
            # Versions differ in how they say that nothing changed: only to a whole listing is "nothing" an answer.
            since = None
            reply = yield from self.ask(self.api.jobs(since))
        if unchanged(reply):
            return
        value: JobsReply = reply.value
        every = [job for record in value.jobs or () if (job := from_controller(record, self.now))]
        jobs = [job for job in every if self.view.watches(job)]
        runs = self.fold(jobs)
        yield from self.tell_runs(runs, jobs, {"cluster": current_cluster(self.view.options, value, self.cursor)})
        yield from self.describe(jobs, complete=True)
        memory.queue = tuple(queue_length(every))
        memory.updated = whole(value.last_update) or int(self.now) - CLOCK
        if since is None:
            memory.whole.done(self.now)

    def fold(self, jobs: Iterable[Job]) -> dict[str, Run]:
        """Runs by id; what is learnt of arrays is remembered."""
        runs: dict[str, Run] = {}
        tasks: dict[int, list[Job]] = {}
        for job in jobs:
            if job.is_task:
                tasks.setdefault(job.key, []).append(job)
            else:
                runs[job.run_id] = run_of(job, self.view.pipeline(job))
        for key, of_array in tasks.items():
            array = self.take_in(key, of_array)
            active = [task for task in of_array if not task.state.is_terminal]
            runs[array.run_id] = array.run(Pipeline(self.view.source, array.name), active)
        return runs

    def tell_runs(self, runs: dict[str, Run], jobs: list[Job], changes: Mapping[str, Json]) -> Steps[None]:
        memory = self.memory
        moved = [id_ for id_, run in runs.items() if id_ in memory.told and memory.told[id_].pipeline != run.pipeline]
        if moved:  # a job that was given another name must not stay active under the old one
            yield from self.tell({}, forgotten=tuple(moved))
        active = {run.pipeline.name for run in runs.values() if not run.state.is_terminal}
        receipt = yield from self.tell(
            {**changes, "active": list[Json](sorted(active))},
            runs=tuple(r for r in runs.values() if not r.state.is_terminal or memory.told.get(r.id) != r),
            active_listed=frozenset(active | self.names("active")),
        )
        memory.told = runs
        memory.listed = frozenset(job.key for job in jobs)
        yield from self.search(receipt.missing)

    def search(self, missing: Iterable[str]) -> Steps[None]:
        """Jobs thought active that slurmctld does not have: slurmdbd knows how they ended, or nobody does."""
        forgotten = []
        for run_id in missing:
            # The same job with another time of submission was queued again: that is another run.
            if not self.has_history or _key(run_id) in self.memory.listed:
                forgotten.append(run_id)
            else:
                self.lost.setdefault(run_id, self.now)
        if forgotten:
            yield from self.tell({}, forgotten=tuple(forgotten))

    # Jobs of slurmdbd

    def read_history(self) -> Steps[bool]:
        """Whether all that slurmdbd has was read, or there is none to be read."""
        memory = self.memory
        if not self.has_history:
            return True
        known = self.instant("read_to") is not None
        if memory.queue is None or (known and not self.lost and not memory.history.due(self.now)):
            return known
        read_all = yield from History(self).read()
        if read_all:
            memory.history.done(self.now)
            memory.heartbeats["slurmdbd"] = self.now
            given_up = [run_id for run_id, since in self.lost.items() if not 0 <= self.now - since < LOST_KEPT]
            for run_id in given_up:
                del self.lost[run_id]
            if given_up:
                yield from self.tell({}, forgotten=tuple(given_up))
        return read_all

    def drop_arrays(self) -> None:
        """Forget arrays that nothing more will be heard of."""
        read_to = self.instant("read_to")
        horizon = read_to - QUIET if self.has_history and read_to is not None else self.now
        for key, array in list(self.arrays.items()) if self.memory.queue is not None else ():
            over = array.ended is None or array.ended < horizon
            if over and key not in self.memory.listed and array.run_id not in self.lost:
                del self.arrays[key]

    # Nodes

    def read_nodes(self) -> Steps[None]:
        memory = self.memory
        if memory.ping.due(self.now):
            reply = yield from self.ask(self.api.ping())
            memory.heartbeats |= heartbeats(reply.value.pings or (), self.now)
            memory.ping.done(self.now)
        if memory.nodes.due(self.now):
            reply = yield from self.ask(self.api.nodes())
            memory.capacity = tuple(capacity(reply.value.nodes or ()))
            memory.nodes.done(self.now)
        if memory.queue is None:
            return
        beats = [
            Sample("ml_scheduler_heartbeat_timestamp_seconds", (part,), at) for part, at in memory.heartbeats.items()
        ]
        gauges = (*beats, *memory.queue, *memory.capacity)
        if gauges != memory.gauges:
            yield from self.tell({}, gauges=gauges)
            memory.gauges = gauges


def _key(run_id: str) -> int:
    return int(run_id.partition("-")[0])
