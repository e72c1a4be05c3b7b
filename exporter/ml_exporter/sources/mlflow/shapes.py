"""What MLflow's REST API answers, as far as it is read. Times are in milliseconds, as MLflow sends them."""

from __future__ import annotations

from msgspec import Struct


class Answer(Struct, frozen=True, kw_only=True):
    """Every reply: one that holds an error is none, whatever its status."""

    error_code: str = ""
    message: str = ""

    def __post_init__(self) -> None:
        if self.error_code:
            raise ValueError(f"{self.error_code}: {self.message[:200]}")


class ServerInfo(Answer, frozen=True):
    workspaces_enabled: bool = False


class Workspace(Struct, frozen=True):
    name: str


class Workspaces(Answer, frozen=True):
    workspaces: list[Workspace] = []


class ExperimentInfo(Struct, frozen=True):
    experiment_id: str
    name: str
    lifecycle_stage: str = "active"
    creation_time: int | None = None
    last_update_time: int | None = None


class ExperimentPage(Answer, frozen=True):
    experiments: list[ExperimentInfo] = []
    next_page_token: str | None = None

    @property
    def items(self) -> list[ExperimentInfo]:
        return self.experiments


class Tag(Struct, frozen=True, gc=False):
    key: str
    value: str = ""


class Metric(Struct, frozen=True, gc=False):
    """NaN is sent as the string "NaN", infinity as ±1.797e308."""

    key: str
    value: float | str | None = None
    timestamp: int = 0
    step: int = 0
    run_id: str = ""
    dataset_name: str = ""


class RunInfo(Struct, frozen=True):
    run_id: str
    experiment_id: str
    status: str = ""
    start_time: int | None = None
    end_time: int | None = None
    lifecycle_stage: str = "active"


class RunData(Struct, frozen=True):
    metrics: list[Metric] = []
    tags: list[Tag] = []


class DatasetInfo(Struct, frozen=True):
    name: str = ""
    digest: str = ""


class DatasetInput(Struct, frozen=True):
    dataset: DatasetInfo = DatasetInfo()
    tags: list[Tag] = []


class RunInputs(Struct, frozen=True):
    dataset_inputs: list[DatasetInput] = []


class RunRecord(Struct, frozen=True):
    info: RunInfo
    data: RunData = RunData()
    inputs: RunInputs = RunInputs()


class RunReply(Answer, frozen=True):
    run: RunRecord


class RunPage(Answer, frozen=True):
    runs: list[RunRecord] = []
    next_page_token: str | None = None

    @property
    def items(self) -> list[RunRecord]:
        return self.runs


class Alias(Struct, frozen=True):
    alias: str
    version: str | int


class ModelInfo(Struct, frozen=True):
    name: str
    last_updated_timestamp: int = 0
    aliases: list[Alias] = []


class ModelPage(Answer, frozen=True):
    registered_models: list[ModelInfo] = []
    next_page_token: str | None = None

    @property
    def items(self) -> list[ModelInfo]:
        return self.registered_models


class VersionInfo(Struct, frozen=True, gc=False):
    name: str
    version: str | int
    creation_timestamp: int | None = None
    source: str = ""
    run_id: str = ""
    status: str = "READY"

    @property
    def number(self) -> int:
        text = str(self.version)
        return int(text) if text.isascii() and text.isdigit() else -1

    @property
    def logged_model(self) -> str | None:
        """Id of the logged model that the version was made from; `models:/name/1` is a copied version."""
        id_ = self.source.removeprefix("models:/")
        return id_ if id_ != self.source and id_.startswith("m-") and "/" not in id_ else None


class VersionPage(Answer, frozen=True):
    model_versions: list[VersionInfo] = []
    next_page_token: str | None = None

    @property
    def items(self) -> list[VersionInfo]:
        return self.model_versions


class LoggedInfo(Struct, frozen=True):
    model_id: str
    source_run_id: str = ""


class LoggedData(Struct, frozen=True):
    metrics: list[Metric] = []


class LoggedModel(Struct, frozen=True):
    info: LoggedInfo
    data: LoggedData = LoggedData()


class LoggedPage(Answer, frozen=True):
    models: list[LoggedModel] = []
    next_page_token: str | None = None

    @property
    def items(self) -> list[LoggedModel]:
        return self.models
