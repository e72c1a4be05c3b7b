"""Work pools: how many runs wait, how many slots there are, and when a worker last asked for work."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from ml_exporter.model import Sample
from ml_exporter.reading import Cadence
from ml_exporter.sources.prefect.api import Api, Steps
from ml_exporter.sources.prefect.runs import SLOTS, moment, waits
from ml_exporter.sources.prefect.shapes import FlowRun, WorkPool, WorkQueue

EVERY = 300.0
NO_POOL = "no work pool"
"""The queue of runs that no pool takes: of deployments that are served by their own process."""
MAX_LIMIT = 1_000_000_000


@dataclass
class Pools:
    """Pools and their queues as last read."""

    api: Api
    cadence: Cadence = field(default_factory=lambda: Cadence(EVERY))
    _pools: dict[str, WorkPool] = field(default_factory=dict)
    _queues: dict[str, WorkQueue] = field(default_factory=dict)

    def read(self, now: float) -> Steps[None]:
        if not self.cadence.due(now):
            return
        pools = yield from self.api.all("work_pools", WorkPool, {})
        queues = yield from self.api.all("work_queues", WorkQueue, {})
        self._pools, self._queues = pools, queues
        # With many queues a reading is many calls: then it is made less often.
        size = self.api.page_size
        calls = len(pools) // size + len(queues) // size + 2
        self.cadence.every = EVERY * max(1.0, calls / 2)
        self.cadence.done(now)

    def samples(self, runs: Collection[FlowRun], used: Collection[str]) -> tuple[Sample, ...]:
        """All series, given the active runs and the names of the pools that deployments use."""
        return tuple(sorted([*self._lengths(runs), *self._capacity(runs), *self._heartbeats(used)]))

    def _limited(self) -> dict[tuple[str, str], WorkQueue]:
        """Queues with a limit of their own, by pool and name."""
        return {
            (q.work_pool_name, q.name): q
            for q in self._queues.values()
            if q.work_pool_name and limit(q.concurrency_limit) is not None
        }

    def _lengths(self, runs: Iterable[FlowRun]) -> Iterator[Sample]:
        waiting: Counter[str] = Counter({pool.name: 0 for pool in self._pools.values()})
        limited = self._limited()
        waiting.update({f"{pool}/{queue}": 0 for pool, queue in limited})
        for run in runs:
            if waits(run):
                waiting[run.work_pool_name or NO_POOL] += 1
                if (key := (run.work_pool_name or "", run.work_queue_name or "")) in limited:
                    waiting["/".join(key)] += 1
        for queue, length in waiting.items():
            yield Sample("ml_scheduler_queue_length", (queue,), length)

    def _capacity(self, runs: Iterable[FlowRun]) -> Iterator[Sample]:
        taken: Counter[tuple[str, str]] = Counter()
        for run in runs:
            if run.state_type in SLOTS and run.work_pool_name:
                taken[run.work_pool_name, ""] += 1
                taken[run.work_pool_name, run.work_queue_name or "?"] += 1
        for pool in self._pools.values():
            slots = limit(pool.concurrency_limit)
            if slots is not None:
                yield from _slots(pool.name, slots, taken[pool.name, ""], pool.is_paused)
        for (pool_name, name), queue in self._limited().items():
            slots = limit(queue.concurrency_limit) or 0
            yield from _slots(f"{pool_name}/{name}", slots, taken[pool_name, name], queue.is_paused)

    def _heartbeats(self, used: Collection[str]) -> Iterator[Sample]:
        """Of pools that should have a worker: not paused, and a deployment uses them."""
        expected = {pool.name for pool in self._pools.values() if not pool.is_paused and pool.name in used}
        polled: dict[str, float] = {}
        for queue in self._queues.values():
            at, pool = moment(queue.last_polled), queue.work_pool_name
            if at is not None and pool in expected:
                polled[pool] = max(at, polled.get(pool, 0.0))
        for pool, at in polled.items():
            yield Sample("ml_scheduler_heartbeat_timestamp_seconds", (f"workers of {pool}",), at)


def limit(value: Any) -> int | None:
    """A concurrency limit; None: there is none."""
    return value if type(value) is int and 0 <= value <= MAX_LIMIT else None


def _slots(queue: str, slots: int, used: int, is_paused: bool) -> Iterator[Sample]:
    free = max(0, slots - used)
    values = {"used": used, "free": 0 if is_paused else free, "unavailable": free if is_paused else 0}
    for state, value in values.items():
        yield Sample("ml_scheduler_capacity", (queue, "slots", state), value)
