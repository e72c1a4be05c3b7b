"""TensorFlow Serving's REST API, which KServe calls V1. A canary is what is posted to :predict."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import msgspec

from ml_exporter import canaries, expectations
from ml_exporter.decoding import decode, printable
from ml_exporter.errors import ConfigError, WrongPrediction
from ml_exporter.model import Check
from ml_exporter.ports import Answer, Call, Canary, Finding, Index, Step, Target

FORMS = ("instances", "inputs")
"""By rows and by columns."""
_READY = (True, "True", "true")
"""KServe wrote text before 0.11."""


TELLS_VERSION = True


@dataclass(frozen=True, slots=True)
class Options:
    """Nothing beside what every endpoint has."""


class _Version(msgspec.Struct):
    version: str | int
    state: str


class _Status(msgspec.Struct):
    """What TensorFlow Serving says of a model, or what KServe says."""

    model_version_status: list[_Version] | None = None
    name: str | None = None
    ready: bool | str | None = None


class _Index(msgspec.Struct):
    models: list[str]


def steps(target: Target) -> tuple[Step, ...]:
    """What is asked of one model. Raises `ConfigError` for a canary that does not fit the protocol."""
    if not target.model:
        raise ConfigError("model: missing; this protocol asks for a model by its name")
    path = f"/v1/models/{quote(target.model, safe='')}"
    path += f"/versions/{quote(target.version, safe='')}" if target.version else ""
    # Neither server has a liveness of the same address: one that says in JSON that it has no such model lives.
    asked = [
        Step(Check.LIVE, Call("GET", path, accept=frozenset({200, 404, 503})), _judge_live),
        Step(Check.READY, Call("GET", path), functools.partial(_judge_ready, target)),
    ]
    if target.canary:
        form, given = canaries.form_of(target.canary, FORMS)
        rows = _rows(given) if form == "instances" else None
        expectations.check(target.canary.expect)
        headers = {"Content-Type": target.canary.content_type}
        call = Call("POST", f"{path}:predict", headers=headers, body=target.canary.body)
        asked.append(Step(Check.PREDICT, call, functools.partial(_judge, target.canary, form, rows)))
    return tuple(asked)


def index(_options: Options) -> Index:
    """The models of a KServe server; TensorFlow Serving lists none."""
    return Index(Call("GET", "/v1/models"), _models)


def _models(answer: Answer) -> tuple[str, ...]:
    listed: _Index = decode(answer.body, _Index, answer.headers.get("Content-Type", ""))
    return tuple(dict.fromkeys(name for name in listed.models if name))


def _rows(instances: Any) -> int:
    if not isinstance(instances, list):
        raise ConfigError("canary.request.instances: allowed is a list of rows; inputs takes columns")
    return len(instances)


def _judge_live(answer: Answer) -> Finding:
    """Whether it is the server that answers, and not what stands before it."""
    decode(answer.body, dict[str, Any], answer.headers.get("Content-Type", ""))
    return Finding()


def _judge_ready(target: Target, answer: Answer) -> Finding:
    status: _Status = decode(answer.body, _Status, answer.headers.get("Content-Type", ""))
    if status.model_version_status is not None:
        return Finding(version=_available(target, status.model_version_status))
    if status.ready is None:
        raise WrongPrediction("there is no model_version_status and no ready; is this a server of this protocol?")
    if status.name and status.name != target.model:
        raise WrongPrediction(f"the model '{printable(status.name, 60)}' answered; asked was '{target.model}'")
    if status.ready not in _READY:
        raise WrongPrediction("the model is not ready")
    return Finding()


def _available(target: Target, listed: list[_Version]) -> str:
    """The version that answers: the one that was asked for, else the newest one that is loaded."""
    versions = {str(each.version): each.state for each in listed}
    available = [version for version, state in versions.items() if state == "AVAILABLE"]
    if target.version:
        available = [version for version in available if version == target.version]
    if not available:
        found = printable(", ".join(f"{version} is {state}" for version, state in versions.items()), 100)
        asked = f"version {target.version} is not" if target.version else "no version is"
        raise WrongPrediction(f"{asked} AVAILABLE: {found or 'there is none'}")
    return max(available, key=_newest)


def _newest(version: str) -> tuple[int, str]:
    """Numbers by size: of two with as many digits, text compares as numbers do."""
    return len(version), version


def _judge(canary: Canary, form: str, rows: int | None, answer: Answer) -> Finding:
    reply = canaries.reply_of(answer)
    # KServe answers with predictions to either form.
    names = ("predictions",) if form == "instances" else ("outputs", "predictions")
    canaries.hold(canary, canaries.prediction_in(reply, *names), rows)
    return Finding()
