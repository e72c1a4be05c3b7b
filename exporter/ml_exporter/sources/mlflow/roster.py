"""Which experiments there are, read incrementally, and compact lists of their ids for the cursor."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby

from ml_exporter.model import Json
from ml_exporter.ports import Call
from ml_exporter.sources.mlflow.api import (
    MAX_IDS,
    Part,
    Steps,
    all_pages,
    search_experiments,
)
from ml_exporter.sources.mlflow.runs import seconds
from ml_exporter.sources.mlflow.shapes import ExperimentInfo, ServerInfo, Workspaces

PAGE = 1000
FULL_EVERY = 3600.0
"""Seconds between full readings; in between only what changed is asked for."""
LOOK_BACK_MS = 300_000
"""Several servers on one database need not have one clock."""

Key = tuple[str, int, str]


@dataclass(frozen=True, slots=True)
class Experiment:
    """An active experiment; `name` is qualified by the workspace if there are workspaces."""

    id: str
    name: str
    workspace: str
    created_at: float | None

    @property
    def key(self) -> Key:
        """An order that stays: by workspace, then by age (a higher number is newer)."""
        return (self.workspace, len(self.id), self.id)


def parts(experiments: Iterable[Experiment]) -> Iterator[Part]:
    """Split experiments, ordered by key, into what one query can cover."""
    for workspace, group in groupby(experiments, key=lambda e: e.workspace):
        ids = [e.id for e in group]
        for start in range(0, len(ids), MAX_IDS):
            yield Part(workspace, tuple(ids[start : start + MAX_IDS]))


def pack(ids: Iterable[str]) -> list[Json]:
    """Ids as a short list: ["1-500", "502", "=not-a-number"]."""
    ids = list(ids)
    plain = sorted(int(i) for i in ids if _is_plain(i))
    packed: list[Json] = [f"={i}" for i in sorted(i for i in ids if not _is_plain(i))]
    for _, group in groupby(enumerate(plain), key=lambda pair: pair[1] - pair[0]):
        run = [number for _, number in group]
        packed.append(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}")
    return packed


def unpack(packed: Json) -> set[str]:
    ids: set[str] = set()
    for item in packed if isinstance(packed, list) else []:
        text = str(item)
        if text.startswith("="):
            ids.add(text[1:])
        else:
            first, _, last = text.partition("-")
            ids.update(str(number) for number in range(int(first), int(last or first) + 1))
    return ids


def _is_plain(id_: str) -> bool:
    return id_.isascii() and id_.isdigit() and len(id_) < 20 and (id_ == "0" or id_[0] != "0")


@dataclass
class Roster:
    """What is known of the server's experiments. Lost with the process: the next one starts with a full reading."""

    active: dict[str, Experiment] = field(default_factory=dict)
    """All active experiments by id, those left out by the configuration too."""
    workspaces: tuple[str, ...] | None = None
    """None before the first reading; ("",) for a server without workspaces."""
    qualified: bool | None = None
    _newest: dict[str, int] = field(default_factory=dict)
    _full_at: float = 0.0

    def read(self, now: float) -> Steps[None]:
        """Bring `active` up to date. A failure leaves it as it was."""
        qualified = yield from self._has_workspaces()
        workspaces = yield from _list_workspaces(qualified)
        full = workspaces != self.workspaces or not 0 <= now - self._full_at < FULL_EVERY
        active = {} if full else dict(self.active)
        newest: dict[str, int] = {}
        for workspace in workspaces:
            since = None if full else self._newest.get(workspace)
            listed = yield from _changed(workspace, since)
            for info in listed:
                if info.lifecycle_stage == "active":
                    active[info.experiment_id] = _experiment(info, workspace)
                else:
                    active.pop(info.experiment_id, None)
            newest[workspace] = max([since or 0, *(info.last_update_time or 0 for info in listed)])
        # Only now: a stray 404 from a proxy must not make every name lose its workspace.
        self.qualified, self.workspaces = qualified, workspaces
        self.active, self._newest = active, newest
        if full:
            self._full_at = now

    def _has_workspaces(self) -> Steps[bool]:
        if self.qualified is not None:
            return self.qualified
        accept = frozenset({200, 404})  # 404: a server before 3.x
        reply = yield Call("GET", "/api/3.0/mlflow/server-info", accept=accept, reply=ServerInfo)
        return reply.status == 200 and bool(reply.value.workspaces_enabled)


def _list_workspaces(qualified: bool) -> Steps[tuple[str, ...]]:
    if not qualified:
        return ("",)
    reply = yield Call("GET", "/api/3.0/mlflow/workspaces", reply=Workspaces)
    return tuple(sorted({workspace.name for workspace in reply.value.workspaces}))


def _experiment(info: ExperimentInfo, workspace: str) -> Experiment:
    name = f"{workspace}/{info.name}" if workspace else info.name
    return Experiment(info.experiment_id, name, workspace, seconds(info.creation_time))


def _changed(workspace: str, since: int | None) -> Steps[list[ExperimentInfo]]:
    """All active experiments, or what was created, renamed, deleted or restored since a time in ms."""
    filter_ = "" if since is None else f"last_update_time >= {since - LOOK_BACK_MS}"
    view = "ACTIVE_ONLY" if since is None else "ALL"
    listed: list[ExperimentInfo] | None = yield from all_pages(
        "experiments/search", partial(search_experiments, workspace, filter_, view, PAGE)
    )
    return listed or []
