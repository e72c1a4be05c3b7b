"""What an exporter on a real Slurm shows, and what Slurm's own programs say to compare it with."""

from __future__ import annotations

import re
import time

from tests.support.recorded import Watched
from tests.support.slurm_server import Cluster


def poll(watched: Watched, later: float = 0.0) -> None:
    """A poll that succeeds, and one more to show the counters of what was born under our eyes."""
    for pause in (later, 60.0):
        watched.now = max(watched.now, time.time()) + pause
        error = watched.poll()
        assert error is None, str(error)


def of_pipelines(watched: Watched, family: str, label: str = "state") -> dict[tuple[str, str], float]:
    """Series of a family by pipeline and another label; zeros are left out."""
    found = {}
    for series, value in watched.series(family).items():
        labels = dict(re.findall(r'(\w+)="([^"]*)"', series))
        if value:
            found[labels["pipeline"], labels.get(label, "")] = value
    return found


def gauges(watched: Watched, family: str, *labels: str) -> dict[tuple[str, ...], float]:
    found = {}
    for series, value in watched.series(family).items():
        have = dict(re.findall(r'(\w+)="([^"]*)"', series))
        found[tuple(have[label] for label in labels)] = value
    return found


def accounted(cluster: Cluster, *jobs: str | int) -> dict[str, tuple[str, float, float, float]]:
    """What sacct says of jobs that have ended, as soon as it knows: (state, eligible, start, end)."""
    known = cluster.accounted

    def all_ended() -> bool:
        said = known()
        return all(str(job) in said and said[str(job)][3].isdigit() for job in jobs)

    cluster.wait_until(all_ended, f"sacct knows {jobs}")
    rows = known()
    return {str(job): (rows[str(job)][0], *(float(t) for t in rows[str(job)][1:])) for job in jobs}  # type: ignore[misc]
