"""One job as Ray tells it → a run of a pipeline; nothing that cannot be true gets through."""

from __future__ import annotations

import re

from ml_exporter.model import Pipeline, Run, RunState
from ml_exporter.reading import epoch, in_order
from ml_exporter.sources.ray.api import Job

STATES = {
    "PENDING": RunState.QUEUED,
    "RUNNING": RunState.RUNNING,
    "SUCCEEDED": RunState.SUCCEEDED,
    "FAILED": RunState.FAILED,
    "STOPPED": RunState.CANCELLED,
}
START_TIMEOUT = "JOB_SUPERVISOR_ACTOR_START_TIMEOUT"
"""The `error_type` of a FAILED job that waited too long for its resources."""
MAX_NAME = 200
DRIVER, UNNAMED = "driver", "unnamed"
_UUID = r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}"
SUFFIX = "|".join(
    (
        rf"(?:(?:^|[-_.:])(?:{_UUID}|\d+(?:T\d+)?Z?))+$",  # a UUID; numbers, dates and times
        r"(?:^|[-_.])(?=[0-9a-f]*\d)[0-9a-f]{7,64}$",  # a hash
        r"(?<=^raysubmit)_\w{16}$",  # Ray's own
        r"-[bcdfghjklmnpqrstvwxz2456789]{5}$",  # KubeRay's own
    )
)
"""What changes from one job to the next at the end of a submission id."""


def is_readable(job: Job) -> bool:
    """One that is deleted right after its end comes back: FAILED, without a start, whatever it was before."""
    id_, at = job.key
    return isinstance(id_, str) and isinstance(at, int | float)


def id_of(job: Job) -> str:
    id_, at = job.key
    return f"{id_}@{at}"


def metadata(job: Job, key: str) -> str | None:
    value = job.metadata.get(key) if isinstance(job.metadata, dict) else None
    return value if isinstance(value, str) and value else None


def pipeline_of(job: Job, key: str, suffix: re.Pattern[str]) -> str:
    """Its name by the metadata, else the submission id without what is counted up at its end."""
    if named := metadata(job, key):
        return named[:MAX_NAME]
    if not isinstance(job.submission_id, str) or not job.submission_id:
        return DRIVER
    return suffix.sub("", job.submission_id[:MAX_NAME], count=1) or UNNAMED


def state_of(job: Job) -> RunState:
    """A word that is not in the table is neither success nor failure: running until there is an end."""
    if job.status == "FAILED" and job.error_type == START_TIMEOUT:
        return RunState.TIMED_OUT
    known = STATES.get(job.status) if isinstance(job.status, str) else None
    return known or (RunState.RUNNING if job.end_time is None else RunState.CANCELLED)


def to_run(job: Job, pipeline: Pipeline) -> Run:
    """`start_time` is when the job was submitted; Ray does not note when it left PENDING."""
    state, began, ended = state_of(job), epoch(job.start_time, 0.001), epoch(job.end_time, 0.001)
    if state is RunState.QUEUED:
        return Run(id_of(job), pipeline, state, queued_at=began)
    if not state.is_terminal:
        return Run(id_of(job), pipeline, state, started_at=began)
    return Run(id_of(job), pipeline, state, started_at=began if in_order(began, ended) else None, ended_at=ended)
