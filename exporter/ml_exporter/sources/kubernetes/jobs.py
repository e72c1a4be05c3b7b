"""What Kubernetes says about one Job, in our words."""

from __future__ import annotations

from ml_exporter.model import Pipeline, PipelineInfo, Run, RunState
from ml_exporter.reading import in_order, instant, tags
from ml_exporter.sources.kubernetes.shapes import Condition, Job
from ml_exporter.watching import ObjectMeta, Told

ENDS = {"Complete": RunState.SUCCEEDED, "Failed": RunState.FAILED}
"""Types of the conditions that end a Job; SuccessCriteriaMet and FailureTarget only announce them."""
TIMED_OUT = "DeadlineExceeded"
CRON_JOB = "CronJob"


def to_told(job: Job, source: str, pipeline_label: str, service_label: str) -> Told:
    """The run, and what is known of its pipeline if only its runs tell of that."""
    meta = job.metadata
    pipeline = Pipeline(source, pipeline_name(meta, pipeline_label))
    run = to_run(job, pipeline)
    info = None
    if not is_of_a_cron_job(meta):
        info = PipelineInfo(pipeline, None, instant(meta.created), tags=tags(meta.label(service_label)))
    return Told(run, meta.namespace, info)


def pipeline_name(meta: ObjectMeta, label: str) -> str:
    """The logical job that a Job is an execution of: `namespace/name`."""
    owner = meta.owner()
    if owner is not None and owner.kind == CRON_JOB:
        name = owner.name
    elif labelled := meta.label(label):
        name = labelled
    elif owner is not None:
        name = f"{owner.kind.lower()}/{owner.name}"
    elif meta.prefix and meta.name.startswith(meta.prefix):
        name = meta.prefix.rstrip("-.") or meta.name
    else:
        name = meta.name
    return f"{meta.namespace}/{name}"


def is_of_a_cron_job(meta: ObjectMeta) -> bool:
    owner = meta.owner()
    return owner is not None and owner.kind == CRON_JOB


def to_run(job: Job, pipeline: Pipeline) -> Run:
    status = job.status
    queued, started = instant(job.metadata.created), instant(status.started)
    end = next((c for c in status.conditions or () if c.type in ENDS and c.status == "True"), None)
    if end is None:
        if is_waiting(job):
            return Run(job.metadata.uid, pipeline, RunState.QUEUED, queued_at=queued)
        return Run(job.metadata.uid, pipeline, RunState.RUNNING, queued_at=queued, started_at=started)
    # Only a Job that succeeded has a completion time.
    ended = (instant(status.completed) if end.type == "Complete" else None) or instant(end.changed)
    if not in_order(started, ended):
        started = None
    if not in_order(queued, started, ended):
        queued = None
    return Run(job.metadata.uid, pipeline, state_of(end), queued, started, ended)


def state_of(end: Condition) -> RunState:
    return RunState.TIMED_OUT if end.type == "Failed" and end.reason == TIMED_OUT else ENDS[end.type]


def is_waiting(job: Job) -> bool:
    """Suspended, not taken up yet, or with no pod that ever ran: no quota, no node or no image for it."""
    status = job.status
    if job.spec.suspend or not status.started:
        return True
    uncounted = status.uncounted
    if status.succeeded or status.failed or (uncounted and (uncounted.succeeded or uncounted.failed)):
        return False
    return not status.active or status.ready == 0
