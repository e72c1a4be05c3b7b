"""Answers in plain JSON, of which nothing is promised but that."""

from __future__ import annotations

import json
from typing import Any, NoReturn

from ml_exporter.decoding import decode, printable
from ml_exporter.errors import Malformed, WrongPrediction
from ml_exporter.ports import Answer


def json_of(answer: Answer) -> Any:
    """The answer's body, decoded. Raises `Malformed` for what is no JSON, `WrongPrediction` for NaN and infinities.

    JSON has no such numbers; servers in Python send them all the same when a model computes them.
    """
    value = decode(answer.body, Any, content_type(answer))
    if b"NaN" in answer.body or b"Infinity" in answer.body:  # which may stand in a text, too
        try:
            json.loads(answer.body.decode("utf-8", "replace"), parse_constant=_refuse)
        except (ValueError, RecursionError) as error:
            raise Malformed(f"not JSON: {printable(str(error))}") from None
    return value


def _refuse(constant: str) -> NoReturn:
    raise WrongPrediction(f"the answer holds {constant}; expected are finite numbers")


def content_type(answer: Answer) -> str:
    """What the server calls the body, in lower case; empty: it does not say."""
    said = (value for name, value in answer.headers.items() if name.lower() == "content-type")
    return next(said, "").partition(";")[0].strip().lower()
