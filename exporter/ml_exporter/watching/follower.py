"""Runs that are objects of the Kubernetes API, told as they change; where we are is in the cursor."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from ml_exporter.model import Batch, Cursor, Json, PipelineInfo, Run, RunState, TaskRun
from ml_exporter.reading import Cadence
from ml_exporter.watching.collection import Collection, Listing, Steps, current_version, is_before, watch

T = TypeVar("T")

WATCHES = 3
"""Collections that one poll watches; with more of them they take turns."""
CHECK_EVERY = 600.0
"""Seconds between looks at whether the cluster was set back: a watch from a version of the future says nothing."""
_LIVE = "live "
"""Cursor keys `live NAMESPACE`: uid of each active run → 1 while it is queued. Kept for what vanishes unseen."""


@dataclass(frozen=True, slots=True)
class Told:
    """What an object says."""

    run: Run
    namespace: str
    info: PipelineInfo | None = None
    """Of a pipeline that only its runs tell of."""
    tasks: tuple[TaskRun, ...] = ()


@dataclass
class Follower(Generic[T]):
    """Follows collections; each is named by its scope, a namespace or "" for the whole cluster."""

    scopes: Mapping[str, Collection[T]]
    scope: str
    """What was asked for; when it changes between two processes, everything is listed anew."""
    limit: int
    seconds: float
    """How long a watch waits."""
    history: float
    """Seconds before our first sight that ended runs are still told from."""
    tell: Callable[[T, float], Told | None]
    """Reads an object as of now; None for one that is of no interest."""
    _check: Cadence = field(default_factory=lambda: Cadence(CHECK_EVERY))
    _turn: int = 0
    _known: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Pipelines that were told, with their tags, so that they are not told again."""

    def follow(self, cursor: Cursor, now: float) -> Steps[Cursor]:
        """Tell what changed; the cursor as it stands then. A failure leaves what was not committed for next time."""
        cursor = dict(cursor)
        if cursor.get("scope") != self.scope:
            cursor |= {"scope": self.scope, "versions": {}}
        cursor.setdefault("since", now - self.history)
        if self._check.due(now):
            cursor["versions"] = yield from self._believed(_mapping(cursor, "versions"))
            self._check.done(now)
        for scope in self._due(cursor):
            cursor = yield from self._read(cursor, scope, now)
        return cursor

    def _believed(self, versions: dict[str, Json]) -> Steps[dict[str, Json]]:
        """The versions that the cluster has reached; one that was set back begins again at earlier ones."""
        if not versions:
            return versions
        current = yield from current_version(next(iter(self.scopes.values())))
        return {scope: version for scope, version in versions.items() if not is_before(current, str(version))}

    def _due(self, cursor: Cursor) -> list[str]:
        """Scopes that were never listed, and some of the others in turn."""
        versions = _mapping(cursor, "versions")
        listed = [scope for scope in self.scopes if scope in versions]
        if len(listed) > WATCHES:
            start, self._turn = self._turn, (self._turn + WATCHES) % len(listed)
            listed = [*listed, *listed][start : start + WATCHES]
        return [scope for scope in self.scopes if scope not in versions] + listed

    def _read(self, cursor: dict[str, Json], scope: str, now: float) -> Steps[dict[str, Json]]:
        before = _mapping(cursor, "versions")
        version = str(before.get(scope, ""))
        changes = (yield from watch(self.scopes[scope], version, self.seconds)) if version else None
        if changes is None:
            return (yield from self._list(cursor, scope, now))
        update = _Update(cursor)
        for item, deleted in changes.events:
            update.add(self.tell(item, now), deleted)
        versions = {**before, scope: changes.version}
        if not update.told and not update.gone and versions == before:
            return cursor
        return (yield from self._commit(cursor, update, {"versions": versions}))

    def _list(self, cursor: dict[str, Json], scope: str, now: float) -> Steps[dict[str, Json]]:
        """Everything there is, a batch a page; active runs that are not in it are gone."""
        listing, listed = Listing(self.scopes[scope], self.limit), set[str]()
        while not listing.done:
            update = _Update(cursor)
            for item in (yield from listing.page()):
                told = self.tell(item, now)
                update.add(told, False)
                if told is not None:
                    listed.add(told.run.id)
            if listing.done:
                break
            cursor = yield from self._commit(cursor, update, {})
        update.drop(self._vanished(cursor, scope, listed))
        versions = {s: v for s, v in _mapping(cursor, "versions").items() if s in self.scopes}
        return (yield from self._commit(cursor, update, {"versions": {**versions, scope: listing.version}}))

    def _vanished(self, cursor: Cursor, scope: str, listed: set[str]) -> list[tuple[str, str]]:
        """Active runs that a whole listing does not contain, and those of namespaces that nobody asks for any more."""
        return [
            (namespace, uid)
            for namespace, live in _lives(cursor)
            if scope in ("", namespace) or not self.scopes.keys() & {"", namespace}
            for uid in live
            if uid not in listed
        ]

    def _commit(self, cursor: dict[str, Json], update: _Update, more: dict[str, Json]) -> Steps[dict[str, Json]]:
        since = cursor["since"]
        runs = tuple(told.run for told in update.told.values() if _is_recent(told.run, since))
        infos = {told.info.pipeline.name: told.info for told in update.told.values() if told.info}
        news = {name: info for name, info in infos.items() if self._known.get(name) != info.tags}
        tasks = tuple(task for told in update.told.values() if _is_recent(told.run, since) for task in told.tasks)
        changes: dict[str, Json] = {**update.lives(), **more}
        # With the scope, so that a version of an earlier scope never outlives it.
        begins = {key: cursor.get(key, {}) for key in ("scope", "since", "versions")}
        yield Batch(
            {**begins, **changes},
            runs=runs,
            tasks=tasks,
            pipelines=tuple(news.values()),
            forgotten=tuple(update.gone),
        )
        self._known |= {name: info.tags for name, info in news.items()}
        return {**cursor, **changes}


@dataclass
class _Update:
    """The last state of every object of a batch, and the active runs after it."""

    cursor: Cursor
    told: dict[str, Told] = field(default_factory=dict)
    gone: dict[str, str] = field(default_factory=dict)
    """Id → namespace of runs that were deleted before they ended."""

    def add(self, told: Told | None, deleted: bool) -> None:
        if told is None:
            return
        run = told.run
        if deleted and not run.state.is_terminal:
            self.told.pop(run.id, None)
            self.gone[run.id] = told.namespace
        else:
            self.told[run.id] = told

    def drop(self, runs: Iterable[tuple[str, str]]) -> None:
        self.gone |= {uid: namespace for namespace, uid in runs}

    def lives(self) -> dict[str, Json]:
        """The cursor's new entries on active runs, for the namespaces where they changed."""
        after: dict[str, dict[str, Json]] = {}

        def of(namespace: str) -> dict[str, Json]:
            return after.setdefault(namespace, dict(_mapping(self.cursor, _LIVE + namespace)))

        for uid, namespace in self.gone.items():
            of(namespace).pop(uid, None)
        for uid, told in self.told.items():
            if told.run.state.is_terminal:
                of(told.namespace).pop(uid, None)
            else:
                of(told.namespace)[uid] = int(told.run.state is RunState.QUEUED)
        changed = {n: live for n, live in after.items() if live != _mapping(self.cursor, _LIVE + n)}
        return {_LIVE + namespace: live or None for namespace, live in changed.items()}


def waiting(cursor: Cursor) -> dict[str, int]:
    """Namespace → number of queued runs, for the namespaces with active runs."""
    return {namespace: sum(1 for queued in live.values() if queued) for namespace, live in _lives(cursor) if live}


def _lives(cursor: Cursor) -> Iterator[tuple[str, Mapping[str, Json]]]:
    return ((key.removeprefix(_LIVE), _mapping(cursor, key)) for key in cursor if key.startswith(_LIVE))


def _mapping(cursor: Cursor, key: str) -> dict[str, Json]:
    value = cursor.get(key)
    return value if isinstance(value, dict) else {}


def _is_recent(run: Run, since: Json) -> bool:
    return not (run.state.is_terminal and isinstance(since, float | int) and (run.ended_at or since) < since)
