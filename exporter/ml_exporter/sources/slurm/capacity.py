"""What a cluster has and what waits for it: records of nodes and jobs → gauges by partition."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from ml_exporter.model import RunState, Sample
from ml_exporter.sources.slurm.jobs import MAX_NAME, Job
from ml_exporter.sources.slurm.shapes import NodeRecord, Ping, whole, words
from ml_exporter.sources.slurm.states import NODE_CLOSED, NODE_GONE

_GPUS = re.compile(r"gpu(?::[^:,()\s]+)?:(\d{1,6})(?![\w:])", re.IGNORECASE)
_BEYOND = 10**9


def queue_length(jobs: Iterable[Job]) -> Iterator[Sample]:
    """Jobs and tasks that could run now if there was room, by partition."""
    waiting: Counter[str] = Counter()
    for job in jobs:
        for partition in job.partitions:
            ready = job.state is RunState.QUEUED and job.eligible is not None
            waiting[partition] += job.tasks if ready else 0
    return (Sample("ml_scheduler_queue_length", (partition,), n) for partition, n in sorted(waiting.items()))


def capacity(nodes: Iterable[NodeRecord]) -> Iterator[Sample]:
    """CPUs and GPUs by partition: used, free, unavailable. A node counts in each of its partitions."""
    units: dict[tuple[str, str], Counter[str]] = {}
    for node in nodes:
        found = (("cpu", _count(node.cpus), _count(node.alloc_cpus)), ("gpu", gpus(node.gres), gpus(node.gres_used)))
        for resource, total, used in found:
            for partition in _texts(node.partitions) if total else ():
                units.setdefault((partition, resource), Counter()).update(_split(node, total, min(used, total)))
    for (partition, resource), states in sorted(units.items()):
        for state in ("used", "free", "unavailable"):
            yield Sample("ml_scheduler_capacity", (partition, resource, state), states[state])


def _split(node: NodeRecord, total: int, used: int) -> dict[str, int]:
    state = {*words(node.state), *words(node.state_flags)}
    if state & NODE_GONE:
        return {"unavailable": total}
    if state & NODE_CLOSED:
        return {"used": used, "unavailable": total - used}
    return {"used": used, "free": total - used}


def gpus(gres: Any) -> int:
    """GPUs in `gpu:a100:4(S:0-1),gpu:2,shard:8`."""
    if not isinstance(gres, str):
        return 0
    return sum(int(n) for n in _GPUS.findall(re.sub(r"\([^)]{0,500}\)", " ", gres[:5000])))


def _count(value: Any) -> int:
    found = whole(value)
    return found if found is not None and found < _BEYOND else 0


def _texts(value: Any) -> list[str]:
    return [text[:MAX_NAME] for text in value if isinstance(text, str) and text] if isinstance(value, list) else []


def heartbeats(pings: Iterable[Ping], now: float) -> dict[str, float]:
    """Controllers that answered: the primary one is slurmctld, the others are slurmctld-backup."""
    alive: dict[str, float] = {}
    for ping in pings:
        said = ping.pinged if ping.pinged is not None else ping.ping
        up = ping.responding is True if said is None else isinstance(said, str) and said.upper() == "UP"
        primary = ping.primary if isinstance(ping.primary, bool) else str(ping.mode).lower() in ("primary", "none")
        if up:
            alive["slurmctld" if primary else "slurmctld-backup"] = now
    return alive
