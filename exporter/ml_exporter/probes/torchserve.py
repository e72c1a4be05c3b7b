"""TorchServe's own inference API. A canary is the raw body of a prediction, of whatever type the handler takes."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from ml_exporter import expectations
from ml_exporter.errors import ConfigError, Malformed, WrongPrediction
from ml_exporter.model import Check
from ml_exporter.plain_json import content_type, json_of
from ml_exporter.ports import Answer, Call, Canary, Finding, Step, Target


@dataclass(frozen=True, slots=True)
class Options:
    """Nothing beside what every endpoint has."""


def steps(target: Target) -> tuple[Step, ...]:
    """What is asked of one model. Raises `ConfigError` without one, and for expectations that do not fit."""
    if not target.model:
        raise ConfigError("model: missing; this protocol asks for a model by its name")
    path = f"/predictions/{quote(target.model, safe='')}"
    path += f"/{quote(target.version, safe='')}" if target.version else ""
    asked = [
        Step(Check.LIVE, Call("GET", "/ping")),
        # What the frontend tells of a model without asking a worker: 404 for a model or a version it has not.
        # Whether a worker is up, only the management API tells, which listens on another port.
        Step(Check.READY, Call("OPTIONS", path)),
    ]
    if target.canary:
        expectations.check(target.canary.expect)
        call = Call("POST", path, headers={"Content-Type": target.canary.content_type}, body=target.canary.body)
        asked.append(Step(Check.PREDICT, call, functools.partial(_judge, target.canary)))
    return tuple(asked)


def _judge(canary: Canary, answer: Answer) -> Finding:
    if not answer.body.strip():
        raise WrongPrediction("an empty answer; expected is a prediction")
    expectations.hold(canary.expect, _prediction(answer))
    return Finding()


def _prediction(answer: Answer) -> Any:
    """JSON or text. A handler that returns lists or mappings sends JSON, and TorchServe does not say so."""
    kind = content_type(answer)
    if kind.startswith("text/") and kind != "text/html":
        return _text(answer)
    if "json" in kind or kind == "text/html" or answer.body.lstrip()[:1] in (b"[", b"{"):
        return json_of(answer)
    try:
        return json_of(answer)
    except Malformed:
        return _text(answer)


def _text(answer: Answer) -> str:
    return answer.body.decode("utf-8", "replace")
