"""Containers as SageMaker runs them: /ping and /invocations. A canary is any body, with its content type."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

from ml_exporter import canaries, expectations
from ml_exporter.decoding import decode, printable
from ml_exporter.errors import Malformed, WrongPrediction
from ml_exporter.model import Check
from ml_exporter.plain_json import content_type
from ml_exporter.ports import Answer, Call, Canary, Finding, Step, Target

_LINES = ("application/jsonlines", "application/x-ndjson", "application/x-jsonlines")
"""Text of lines that are JSON each."""


@dataclass(frozen=True, slots=True)
class Options:
    """Nothing beside what every endpoint has."""


def steps(target: Target) -> tuple[Step, ...]:
    """What is asked of the one model of a container. Raises `ConfigError` for expectations that fit no prediction."""
    asked = [Step(Check.LIVE, Call("GET", "/ping"))]
    if target.canary:
        expectations.check(target.canary.expect)
        headers = {"Content-Type": target.canary.content_type}
        call = Call("POST", "/invocations", headers=headers, body=target.canary.body)
        asked.append(Step(Check.PREDICT, call, functools.partial(_judge, target.canary)))
    return tuple(asked)


def _judge(canary: Canary, answer: Answer) -> Finding:
    prediction = _prediction(answer)
    if prediction in (None, ""):
        raise WrongPrediction("the prediction is empty")
    canaries.hold(canary, prediction)
    return Finding()


def _prediction(answer: Answer) -> Any:
    """JSON where the content type says so, text where it says text; else JSON if it is such. Raises `Malformed`."""
    kind = content_type(answer)
    if kind == "application/json" or kind.endswith("+json") or kind == "text/html":
        return decode(answer.body, Any, kind)
    if not kind.startswith("text/") and kind not in _LINES:
        try:
            return decode(answer.body, Any)
        except Malformed:
            # What begins like JSON or like a page and is none is no text either.
            if answer.body[:64].lstrip().startswith((b"{", b"[", b"<")):
                raise
    try:
        return answer.body.decode().strip()
    except UnicodeDecodeError:
        raise Malformed(f"neither JSON nor text, but {printable(kind, 60) or 'bytes of no known type'}") from None
