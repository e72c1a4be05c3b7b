"""The means of a poll: calls whose refusals are judged, batches, and what is known of arrays and lost jobs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ml_exporter.model import Batch, Cursor, Json, Pipeline, PipelineInfo, Receipt, Schedule
from ml_exporter.ports import Call, Reply
from ml_exporter.reading import tags
from ml_exporter.sources.slurm.api import Api, Steps, check, release_of
from ml_exporter.sources.slurm.jobs import Array, Job
from ml_exporter.sources.slurm.memory import Memory
from ml_exporter.sources.slurm.options import View


class Reader:
    """One poll of a source at the instant `now` (seconds)."""

    def __init__(self, view: View, memory: Memory, cursor: Cursor, now: float) -> None:
        self.view, self.memory, self.now = view, memory, now
        self.cursor: dict[str, Json] = dict(cursor)
        self.arrays = {int(key): Array.from_json(value) for key, value in _mapping(cursor.get("arrays")).items()}
        """By id: those that have not ended, and those that ended lately."""
        self.lost = {run_id: float(since) for run_id, since in _mapping(cursor.get("lost")).items()}
        """Runs that slurmctld has forgotten before they were seen to end, and since when."""

    @property
    def api(self) -> Api:
        assert self.memory.api is not None
        return self.memory.api

    def names(self, key: str) -> set[str]:
        """A list of names in the cursor."""
        value = self.cursor.get(key)
        return {name for name in value if isinstance(name, str)} if isinstance(value, list) else set()

    def instant(self, key: str) -> float | None:
        """A time or a span in the cursor."""
        value = self.cursor.get(key)
        return float(value) if isinstance(value, float | int) else None

    def ask(self, call: Call) -> Steps[Reply]:
        """Send a call. Raises `Rejected` for a refusal, `NoDatabase` if slurmdbd cannot be reached."""
        reply: Reply = yield call
        self.judge(call, reply)
        return reply

    def judge(self, call: Call, reply: Reply) -> None:
        check(call, reply, self.memory.release)
        if reply.status == 200:
            self.memory.release = release_of(reply.value) or self.memory.release

    def tell(self, changes: Mapping[str, Json], **batch: Any) -> Steps[Receipt]:
        """Hand over a batch, with what changed in the cursor; it is committed when this returns."""
        if self.memory.roster.due(self.now):
            batch |= {"roster": (), "idle_since": self.now - self.view.options.forget_after}
        kept: dict[str, Json] = {
            **changes,
            "arrays": {str(key): array.to_json() for key, array in sorted(self.arrays.items())} or None,
            "lost": dict(self.lost) or None,
        }
        changed = {key: value for key, value in kept.items() if self.cursor.get(key) != value}
        receipt: Receipt = yield Batch(cursor=changed, **batch)
        self.cursor |= changed
        if "roster" in batch:
            self.memory.roster.done(self.now)
        return receipt

    def take_in(self, key: int, tasks: list[Job]) -> Array:
        """What is known of an array with these tasks too."""
        first = min(tasks, key=lambda task: task.submitted)
        array = self.arrays.get(key) or Array(first.run_id, self.view.pipeline(first).name)
        for task in tasks:
            array = array.with_task(task)
        self.arrays[key] = array
        return array

    def describe(self, jobs: Iterable[Job], *, complete: bool) -> Steps[None]:
        """Tags and due times of pipelines, as their newest jobs have them. `complete`: of all jobs there are."""
        newest: dict[str, Job] = {}
        due: dict[str, float | None] = {}
        for job in jobs:
            name = self.view.pipeline(job).name
            if name not in newest or newest[name].submitted <= job.submitted:
                newest[name] = job
            if job.cron:
                due[name] = job.due
        told = self.memory.described
        facts = {name: (self.view.tag(job), due.get(name)) for name, job in newest.items()}
        changes: dict[str, Json] = {}
        if complete:
            changes["cron"] = list[Json](sorted(due)) or None
            over = self.names("cron") - newest.keys()
            facts |= {name: (told[name][0] if name in told else "", None) for name in over}
        else:
            facts = {name: fact for name, fact in facts.items() if name not in told}
        changed = {name: fact for name, fact in facts.items() if told.get(name) != fact}
        if changed:
            yield from self.tell(changes, pipelines=tuple(self._info(name, *fact) for name, fact in changed.items()))
            told |= changed

    def _info(self, name: str, tag: str, due: float | None) -> PipelineInfo:
        schedule = Schedule(next_due=due) if due is not None else None
        return PipelineInfo(Pipeline(self.view.source, name), schedule=schedule, tags=tags(tag))


def _mapping(value: Json) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
