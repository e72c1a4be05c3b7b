"""The model registry of one workspace: aliases, versions by status, and what trained and measured those that matter."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial

from ml_exporter.model import Dataset, Model, ModelMetric, ModelVersion
from ml_exporter.ports import Call
from ml_exporter.sources.mlflow.api import (
    MAX_IDS,
    Part,
    Steps,
    all_pages,
    headers,
    quoted,
    search_runs,
)
from ml_exporter.sources.mlflow.runs import allowed, number, seconds, training_dataset
from ml_exporter.sources.mlflow.shapes import (
    LoggedModel,
    LoggedPage,
    Metric,
    ModelInfo,
    ModelPage,
    RunRecord,
    VersionInfo,
    VersionPage,
)

DETAILS_FOR = 600.0
"""Seconds that the details of a run or a logged model are good for."""
RECHECK_AT_ONCE = 200
"""Stale details read again in one go, oldest first; new ones are always read."""
FULL_EVERY = 86400.0
FEW_MODELS = 20
"""Up to so many changed models have their versions read one by one, more all at once."""
IDS_PER_CALL = 200
VERSIONS_PER_PAGE = 5000


@dataclass(frozen=True, slots=True)
class RunDetails:
    read_at: float
    experiment: str | None = None
    dataset: Dataset | None = None
    metrics: tuple[tuple[str, float], ...] = ()
    broken: frozenset[str] = frozenset()
    """Allow-listed metrics of the run that are NaN or infinite."""


@dataclass(frozen=True, slots=True)
class LoggedDetails:
    read_at: float
    source_run: str = ""
    metrics: tuple[Metric, ...] = ()
    """The last allow-listed figure of each metric on each data set."""


@dataclass
class Registry:
    """A cache over the registry; a new process begins with a full reading."""

    workspace: str
    keys: Collection[str]
    """Metrics to read."""
    _versions: dict[str, dict[str, VersionInfo]] = field(default_factory=dict)
    _updated: dict[str, int] = field(default_factory=dict)
    _full_at: float | None = None
    _runs: dict[str, RunDetails] = field(default_factory=dict)
    _logged: dict[str, LoggedDetails] = field(default_factory=dict)

    def read(self, experiments: Mapping[str, str], now: float) -> Steps[tuple[Model, ...] | None]:
        """All models, or None for a server without registry. `experiments`: id → pipeline name of all there are."""
        # Moving an alias does not change last_updated_timestamp: the models are listed whole each time.
        listed: list[ModelInfo] | None = yield from all_pages("registered-models/search", self._list_models)
        if listed is None or not (yield from self._read_versions(listed, now)):
            return None
        wanted = {m.name: tuple(self._wanted(m)) for m in listed}
        versions = [v for of_model in wanted.values() for v in of_model]
        yield from self._read_logged({v.logged_model for v in versions} - {None}, experiments, now)
        yield from self._read_runs(self._needed_runs(versions), experiments, now)
        return tuple(self._model(info, wanted[info.name], experiments) for info in listed)

    def _list_models(self, token: str) -> Call:
        return self._get("registered-models/search", ModelPage, max_results="1000", page_token=token)

    def _get(self, path: str, reply: type, **params: str) -> Call:
        given = tuple((key, value) for key, value in params.items() if value)
        accept = frozenset({200, 404})
        return Call("GET", f"/api/2.0/mlflow/{path}", given, headers(self.workspace), accept=accept, reply=reply)

    # Versions

    def _read_versions(self, models: list[ModelInfo], now: float) -> Steps[bool]:
        """Keep `_versions` true: creating, staging or deleting one changes its model's last_updated_timestamp."""
        changed = [m for m in models if self._updated.get(m.name) != m.last_updated_timestamp]
        full = (
            self._full_at is None
            or not 0 <= now - self._full_at < FULL_EVERY
            or len(changed) > FEW_MODELS
            or any(set(m.name) & set("'\"\\") for m in changed)  # a filter has no escape for these
        )
        filters = [""] if full else [f"name = '{m.name}'" for m in changed]
        found: list[VersionInfo] = []
        for filter_ in filters:
            page = yield from all_pages("model-versions/search", partial(self._list_versions, filter_))
            if page is None:
                return False
            found.extend(page)
        renewed: dict[str, dict[str, VersionInfo]] = {m.name: {} for m in (models if full else changed)}
        for version in found:
            renewed.setdefault(version.name, {})[str(version.version)] = version
        self._versions = {m.name: renewed.get(m.name, self._versions.get(m.name, {})) for m in models}
        self._updated = {m.name: m.last_updated_timestamp for m in models}
        if full:
            self._full_at = now
        return True

    def _list_versions(self, filter_: str, token: str) -> Call:
        size = str(VERSIONS_PER_PAGE)
        return self._get("model-versions/search", VersionPage, filter=filter_, max_results=size, page_token=token)

    def _wanted(self, model: ModelInfo) -> Iterator[VersionInfo]:
        """The versions that an alias points at, and the newest."""
        versions = self._versions[model.name]
        names = {str(a.version) for a in model.aliases}
        if versions:
            names.add(str(max(versions.values(), key=lambda v: v.number).version))
        return (versions[name] for name in sorted(names) if name in versions)

    # Details

    def _run_of(self, version: VersionInfo) -> str:
        logged = self._logged.get(version.logged_model or "")
        return version.run_id or (logged.source_run if logged else "")

    def _needed_runs(self, versions: Iterable[VersionInfo]) -> set[str]:
        runs: set[str] = set()
        for version in versions:
            runs.add(self._run_of(version))
            logged = self._logged.get(version.logged_model or "")
            # A NaN of a logged model reads as 0.0: only the run that measured it can tell.
            runs.update(m.run_id for m in (logged.metrics if logged else ()) if m.value == 0.0)
        return runs - {""}

    def _read_runs(self, ids: set[str], experiments: Mapping[str, str], now: float) -> Steps[None]:
        kept = {id_: details for id_, details in self._runs.items() if id_ in ids}
        due = _due(ids, {id_: d.read_at for id_, d in kept.items()}, now)
        kept.update((id_, RunDetails(now)) for id_ in due)
        for chunk in _chunks(due, IDS_PER_CALL):
            for part in self._parts(experiments):
                filter_ = f"attributes.run_id IN {quoted(chunk)}"
                reply = yield search_runs(part, filter_, "", "", IDS_PER_CALL, view="ALL")
                kept.update((r.info.run_id, self._details(r, now)) for r in reply.value.runs)
        self._runs = kept

    def _details(self, record: RunRecord, now: float) -> RunDetails:
        metrics = record.data.metrics
        broken = frozenset(m.key for m in metrics if m.key in self.keys and number(m.value) is None)
        return RunDetails(now, record.info.experiment_id, training_dataset(record), allowed(metrics, self.keys), broken)

    def _read_logged(self, ids: set[str | None], experiments: Mapping[str, str], now: float) -> Steps[None]:
        wanted = {id_ for id_ in ids if id_}
        kept = {id_: details for id_, details in self._logged.items() if id_ in wanted}
        due = _due(wanted, {id_: d.read_at for id_, d in kept.items()}, now)
        kept.update((id_, LoggedDetails(now)) for id_ in due)
        for chunk in _chunks(due, IDS_PER_CALL):
            for part in self._parts(experiments):
                found: list[LoggedModel] | None = yield from all_pages(
                    "logged-models/search", partial(_search_logged, part, chunk)
                )
                for model in found or ():
                    last = tuple(_last_figures(model.data.metrics, self.keys))
                    kept[model.info.model_id] = LoggedDetails(now, model.info.source_run_id, last)
        self._logged = kept

    def _parts(self, experiments: Mapping[str, str]) -> Iterator[Part]:
        return (Part(self.workspace, tuple(chunk)) for chunk in _chunks(list(experiments), MAX_IDS))

    # Assembly

    def _model(self, info: ModelInfo, wanted: tuple[VersionInfo, ...], experiments: Mapping[str, str]) -> Model:
        statuses = Counter(v.status.lower() for v in self._versions[info.name].values())
        return Model(
            f"{self.workspace}/{info.name}" if self.workspace else info.name,
            aliases=tuple((a.alias, str(a.version)) for a in info.aliases),
            statuses=tuple(sorted(statuses.items())),
            versions=tuple(self._version(v, experiments) for v in wanted),
        )

    def _version(self, version: VersionInfo, experiments: Mapping[str, str]) -> ModelVersion:
        run_id = self._run_of(version)
        run = self._runs.get(run_id) or RunDetails(0.0)
        figures: list[ModelMetric] = []
        logged = self._logged.get(version.logged_model or "")
        for metric in logged.metrics if logged else ():
            value = number(metric.value)
            measured_by = self._runs.get(metric.run_id)
            is_nan = value == 0.0 and measured_by is not None and metric.key in measured_by.broken
            if value is not None and not is_nan:
                figures.append(ModelMetric(metric.key, metric.dataset_name, value))
        # MLflow writes a figure that names its data set into the run, too: one figure, one series.
        named = {(figure.metric, figure.value) for figure in figures}
        figures = [ModelMetric(key, "", value) for key, value in run.metrics if (key, value) not in named] + figures
        return ModelVersion(
            str(version.version),
            seconds(version.creation_timestamp),
            run_id or None,
            experiments.get(run.experiment or ""),
            run.dataset,
            tuple(figures),
        )


def _search_logged(part: Part, ids: list[str], token: str) -> Call:
    body = {"experiment_ids": part.ids, "filter": f"model_id IN {quoted(ids)}", "max_results": 50}
    if token:
        body["page_token"] = token
    path, accept = "/api/2.0/mlflow/logged-models/search", frozenset({200, 404})
    return Call("POST", path, headers=headers(part.workspace), body=body, accept=accept, reply=LoggedPage)


def _last_figures(metrics: Iterable[Metric], keys: Collection[str]) -> Iterable[Metric]:
    last: dict[tuple[str, str], Metric] = {}
    for metric in metrics:
        if metric.key in keys and metric.dataset_name:
            before = last.get((metric.key, metric.dataset_name))
            if before is None or (before.step, before.timestamp) <= (metric.step, metric.timestamp):
                last[metric.key, metric.dataset_name] = metric
    return last.values()


def _due(ids: set[str], read_at: Mapping[str, float], now: float) -> list[str]:
    """What is not known, and the oldest of what is stale."""
    new = sorted(ids - read_at.keys())
    stale = sorted((id_ for id_ in ids & read_at.keys() if now - read_at[id_] >= DETAILS_FOR), key=read_at.__getitem__)
    return new + stale[:RECHECK_AT_ONCE]


def _chunks(items: list[str], size: int) -> Iterator[list[str]]:
    return (items[start : start + size] for start in range(0, len(items), size))
