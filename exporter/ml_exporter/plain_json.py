"""Answers in plain JSON, of which nothing is promised but that."""

from __future__ import annotations

import math
from typing import Any

from ml_exporter.decoding import decode
from ml_exporter.errors import WrongPrediction
from ml_exporter.ports import Answer


def json_of(answer: Answer) -> Any:
    """The answer's body, decoded. Raises `Malformed` for what is no JSON, `WrongPrediction` for NaN and infinities.

    JSON has no such numbers; servers in Python send them all the same when a model computes them.
    """
    value = decode(answer.body, Any, content_type(answer))
    waiting = [value]
    while waiting:
        match waiting.pop():
            case dict() as section:
                waiting.extend(section.values())
            case list() as items:
                waiting.extend(items)
            case float() as number if not math.isfinite(number):
                raise WrongPrediction(f"the answer holds {number}; expected are finite numbers")
    return value


def content_type(answer: Answer) -> str:
    """What the server calls the body, in lower case; empty: it does not say."""
    said = (value for name, value in answer.headers.items() if name.lower() == "content-type")
    return next(said, "").partition(";")[0].strip().lower()
