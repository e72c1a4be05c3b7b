"""What slurmdbd knows of jobs that ended: first the past, then what happened since, in the same way."""

from __future__ import annotations

from collections.abc import Iterable

from ml_exporter.errors import Reason, Rejected
from ml_exporter.model import Cursor, Json, Pipeline, Run
from ml_exporter.sources.slurm.api import NoDatabase, Steps
from ml_exporter.sources.slurm.jobs import Job, from_database, run_of
from ml_exporter.sources.slurm.options import Options
from ml_exporter.sources.slurm.reader import Reader
from ml_exporter.sources.slurm.shapes import JobRecord, JobsReply, field

OVERLAP = 300.0
"""Seconds that are read again: slurmctld tells slurmdbd of an end with a delay."""
QUIET = 600.0
"""An array of which no task ended for so long is over, if slurmctld does not have it any more."""
FIRST_WINDOW, SMALLEST, LARGEST = 3600.0, 600.0, 7 * 86400.0
FEW, MANY = 5_000, 20_000
"""Records in one answer: below, the next window is twice as long; above, half."""
MAX_WINDOWS = 20
"""Windows in one poll."""


class History:
    """A walk through time, a window after the other; each is committed."""

    def __init__(self, poll: Reader) -> None:
        self.poll = poll
        self.now = poll.now

    def read(self) -> Steps[bool]:
        """Read on from where the last walk ended; whether it reached the present."""
        poll = self.poll
        read_to = poll.instant("read_to")
        first = read_to is None
        if "cluster" not in poll.cursor:
            return False  # slurmdbd may hold other clusters' jobs, too, and there was no job yet to tell ours
        start = self.now - poll.view.options.history if read_to is None else min(read_to, self.now)
        began = poll.instant("read_from") or start
        for number in range(1, MAX_WINDOWS + 1):
            window = poll.instant("window") or FIRST_WINDOW
            end = min(start + window, self.now)
            try:
                records = yield from self.records(start - OVERLAP, end)
            except NoDatabase:
                if first:
                    raise Rejected(
                        "slurmdbd cannot be reached, so the past is unknown; to do without it, say `slurmdb: false`",
                        Reason.SERVER_ERROR,
                    ) from None
                return False
            first = False
            yield from self.take(records, end, began, window, last=number == MAX_WINDOWS)
            start = end
            if end >= self.now:
                return True
        return False

    def records(self, start: float, end: float) -> Steps[list[JobRecord]]:
        poll = self.poll
        reply = yield from poll.ask(poll.api.past(max(0.0, start), end))
        value: JobsReply = reply.value
        mine = poll.cursor.get("cluster")
        return [r for r in value.jobs or () if not isinstance(r.cluster, str) or r.cluster in ("", mine)]

    def take(self, records: list[JobRecord], end: float, began: float, window: float, *, last: bool) -> Steps[None]:
        poll, memory = self.poll, self.poll.memory
        jobs = [job for r in records if (job := from_database(r, self.now)) and poll.view.watches(job)]
        runs = self.fold(jobs, end)
        for run in runs:
            poll.lost.pop(run.id, None)
        count = len(records)
        wider = window * 2 if count < FEW else window / 2 if count > MANY else window
        changes: dict[str, Json] = {
            "read_to": end,
            "read_from": began if end < self.now else None,
            "window": min(max(wider, SMALLEST), LARGEST) if end < self.now else None,
        }
        # What slurmctld still has is its to tell.
        new = [run for run in runs if run.id not in memory.told and memory.past.get(run.id) != run]
        span = self.now - began
        yield from poll.tell(
            changes,
            runs=tuple(new),
            progress=min(1.0, (end - began) / span) if span > 0 else 1.0,
            complete=end >= self.now or not last,
        )
        kept = {id_: run for id_, run in memory.past.items() if run.ended_at and run.ended_at > end - 2 * OVERLAP}
        memory.past = kept | {run.id: run for run in new}
        yield from poll.describe(jobs, complete=False)

    def fold(self, jobs: Iterable[Job], end: float) -> list[Run]:
        """Runs that have ended, for all that is known by `end`. An array that slurmctld still has is its to tell."""
        poll, memory = self.poll, self.poll.memory
        runs, tasks = [], dict[int, list[Job]]()
        for job in jobs:
            if job.is_task:
                tasks.setdefault(job.key, []).append(job)
            else:
                runs.append(run_of(job, poll.view.pipeline(job)))
        for key, of_array in tasks.items():
            poll.take_in(key, of_array)
        for key, array in poll.arrays.items():
            quiet = array.ended is not None and array.ended < end - QUIET
            over = quiet or (end >= self.now and key in tasks)
            if over and array.state is not None and key not in memory.listed:
                runs.append(array.run(Pipeline(poll.view.source, array.name), ()))
        for key in [k for k, a in poll.arrays.items() if a.ended is not None and a.ended < end - QUIET]:
            if key not in memory.listed:
                del poll.arrays[key]
        return runs


def current_cluster(options: Options, reply: JobsReply, cursor: Cursor) -> Json:
    """The name under which slurmdbd keeps this cluster's jobs; None if nothing tells it yet."""
    if options.cluster:
        return options.cluster
    candidates = (field(reply.meta, "slurm", "cluster"), *(record.cluster for record in reply.jobs or ()))
    return next((c for c in candidates if isinstance(c, str) and c), cursor.get("cluster"))
