"""Which pipeline a run belongs to: its recurring run's name, else its pipeline's, looked up once and kept."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from ml_exporter.reading import tags
from ml_exporter.sources.kubeflow.api import (
    Listing,
    PipelinePage,
    PipelineRecord,
    RecurringRun,
    RunRecord,
    Steps,
    one,
)

MAX_NAME = 200
UNNAMED = "unnamed"
_MORE = re.compile(r"(?:\s*\([0-9a-z]{5}\)|[-_. :T]+\d+Z?)+$")
"""What clients put behind the name of a run: ` (4f2c1)`, a time, a number."""


@dataclass(frozen=True, slots=True)
class Known:
    name: str
    tags: tuple[str, ...] = ()


@dataclass
class Names:
    """Names of one namespace ("": of the whole server). `service_key`: of the tag that names a service."""

    namespace: str
    size: int
    service_key: str
    recurring: dict[str, Known | None] = field(default_factory=dict)
    pipelines: dict[str, Known | None] = field(default_factory=dict)
    """None: the server knows no such id any more."""

    def list_pipelines(self) -> Steps[None]:
        listed = yield from Listing("pipelines", PipelinePage, self.namespace, self.size).rest()
        self.pipelines |= {id_: self._known(record) for record in listed if (id_ := _text(record.pipeline_id))}

    def of_run(self, record: RunRecord) -> Steps[str]:
        id_ = _text(record.recurring_run_id)
        if id_ and id_ not in self.recurring:
            found = yield from one(f"recurringruns/{quote(id_, safe='')}", RecurringReply)
            self.recurring[id_] = (yield from self.of_recurring(found)) if found else None
        known = self.recurring.get(id_) if id_ else None
        known = known or (yield from self._of_reference(record.pipeline_version_reference))
        return self.qualified(known.name if known else _of_spec(record.pipeline_spec) or _stem(record.display_name))

    def of_recurring(self, recurring: RecurringRun) -> Steps[Known]:
        """A recurring run by its own name, with the tags of its pipeline."""
        pipeline = yield from self._of_reference(recurring.pipeline_version_reference)
        name = _text(recurring.display_name) or (pipeline.name if pipeline else UNNAMED)
        return Known(name[:MAX_NAME], pipeline.tags if pipeline else ())

    def qualified(self, name: str) -> str:
        return f"{self.namespace}/{name}" if self.namespace else name

    def _of_reference(self, reference: Any) -> Steps[Known | None]:
        id_ = _text(reference.get("pipeline_id")) if isinstance(reference, dict) else ""
        if not id_:
            return None
        if id_ not in self.pipelines:  # shared by all namespaces, or younger than the list
            found = yield from one(f"pipelines/{quote(id_, safe='')}", PipelineRecord)
            self.pipelines[id_] = self._known(found) if found else None
        return self.pipelines[id_]

    def _known(self, record: PipelineRecord) -> Known | None:
        name = _text(record.display_name)
        if not name:
            return None
        own = record.tags if isinstance(record.tags, dict) else {}
        return Known(name[:MAX_NAME], tags(own.get(self.service_key)))


class RecurringReply(RecurringRun, frozen=True):
    code: int = 0
    message: str = ""


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _of_spec(spec: Any) -> str:
    """The name in a pipeline that was sent with the run, alone or beside what its platform needs."""
    for level in (spec, spec.get("pipeline_spec") if isinstance(spec, dict) else None):
        info = level.get("pipelineInfo") if isinstance(level, dict) else None
        if isinstance(info, dict) and (name := _text(info.get("name"))):
            return name[:MAX_NAME]
    return ""


def _stem(display_name: Any) -> str:
    return _MORE.sub("", _text(display_name)[:MAX_NAME]) or UNNAMED
