"""What Argo says about one Workflow and its nodes, in our words."""

from __future__ import annotations

import re

import msgspec

from ml_exporter.model import Pipeline, PipelineInfo, Run, RunState, TaskRun
from ml_exporter.reading import in_order, instant, tags
from ml_exporter.sources.argo.shapes import Node, Workflow
from ml_exporter.watching import ObjectMeta, Told

STATES = {
    "": RunState.QUEUED,
    "Pending": RunState.QUEUED,
    "Running": RunState.RUNNING,
    "Succeeded": RunState.SUCCEEDED,
    "Failed": RunState.FAILED,
    "Error": RunState.FAILED,
}
"""Phase → state; a phase that is not here has no end yet, so it is running."""
CRON_LABEL = "workflows.argoproj.io/cron-workflow"
TASK_TYPES = frozenset({"Pod", "Container", "HTTP", "Plugin"})
MAX_TASKS = 1000
"""Nodes of one Workflow that are told as tasks."""
_LATE = re.compile(r"exceeded its deadline|longer than (?:the )?specified deadline|^deadline exceeded|^timeout$", re.I)
"""What Argo and the kubelet say of a limit; not the time-outs of networks, which are errors."""
_STOPPED = re.compile(r"(?:stopped|shutdown) with strategy", re.I)
_NODES = msgspec.json.Decoder(dict[str, Node] | None)


def to_told(workflow: Workflow, source: str, pipeline_label: str, service_label: str, with_tasks: bool) -> Told:
    meta = workflow.metadata
    pipeline = Pipeline(source, pipeline_name(workflow, pipeline_label))
    run = to_run(workflow, pipeline)
    info = None
    if not meta.label(CRON_LABEL):
        info = PipelineInfo(pipeline, None, instant(meta.created), tags=tags(meta.label(service_label)))
    ended = with_tasks and run.state.is_terminal
    return Told(run, meta.namespace, info, to_tasks(workflow, pipeline) if ended else ())


def pipeline_name(workflow: Workflow, label: str) -> str:
    """The logical workflow that a Workflow is an execution of: `namespace/name`."""
    meta, template = workflow.metadata, workflow.spec.template
    name = meta.label(CRON_LABEL) or meta.label(label) or (template.name if template else "") or _without_suffix(meta)
    return f"{meta.namespace}/{name}"


def _without_suffix(meta: ObjectMeta) -> str:
    generated = meta.prefix and meta.name.startswith(meta.prefix)
    return (meta.prefix.rstrip("-.") if generated else "") or meta.name


def to_run(workflow: Workflow, pipeline: Pipeline) -> Run:
    status, uid = workflow.status, workflow.metadata.uid
    queued, started, ended = (instant(text) for text in (workflow.metadata.created, status.started, status.finished))
    state = state_of(workflow, started, ended)
    if state is RunState.QUEUED:
        return Run(uid, pipeline, state, queued_at=queued)
    if not state.is_terminal:
        return Run(uid, pipeline, state, queued_at=queued, started_at=started)
    if not in_order(started, ended):
        started = None
    if not in_order(queued, started, ended):
        queued = None
    return Run(uid, pipeline, state, queued, started, ended)


def state_of(workflow: Workflow, started: float | None, ended: float | None) -> RunState:
    """A Workflow that somebody stopped or that ran out of time says `Failed`, like any other."""
    status, spec = workflow.status, workflow.spec
    state = STATES.get(status.phase, RunState.RUNNING)
    if state is not RunState.FAILED:
        return state
    if spec.shutdown or _STOPPED.search(status.message[:500]):
        return RunState.CANCELLED
    limit = spec.deadline if isinstance(spec.deadline, float) and spec.deadline >= 1 else None
    # Times are cut to whole seconds.
    if limit is not None and started is not None and ended is not None and ended - started > limit - 1:
        return RunState.TIMED_OUT
    return RunState.TIMED_OUT if _LATE.search(status.message[:500]) else state


def to_tasks(workflow: Workflow, pipeline: Pipeline) -> tuple[TaskRun, ...]:
    """The ended steps by the templates they run; attempts that are retried count as one, their last.

    Empty for nodes that are kept compressed or in a database.
    """
    try:
        nodes = _NODES.decode(workflow.status.nodes) or {}
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return ()
    attempts = {child for node in nodes.values() if node.type == "Retry" for child in node.children or ()}
    tasks = (
        _task(workflow, pipeline, node)
        for node in nodes.values()
        if node.type == "Retry" or (node.type in TASK_TYPES and node.id not in attempts)
    )
    return tuple(task for task in tasks if task is not None)[:MAX_TASKS]


def _task(workflow: Workflow, pipeline: Pipeline, node: Node) -> TaskRun | None:
    state = STATES.get(node.phase, RunState.RUNNING)
    name = node.template or (node.ref.template if node.ref else "")
    if not name or not state.is_terminal:
        return None
    if state is RunState.FAILED and _LATE.search(node.message[:500]):
        state = RunState.TIMED_OUT
    started, ended = instant(node.started), instant(node.finished)
    if not in_order(started, ended):
        started = None
    return TaskRun(f"{workflow.metadata.uid}/{node.id}", pipeline, name, state, started, ended)
