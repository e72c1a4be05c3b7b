"""The scoring server of MLflow (`mlflow models serve` and its images). A canary is what is posted to /invocations."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

from ml_exporter import canaries, expectations
from ml_exporter.errors import ConfigError
from ml_exporter.model import Check
from ml_exporter.ports import Answer, Call, Canary, Finding, Step, Target

FORMS = ("dataframe_split", "dataframe_records", "instances", "inputs")


@dataclass(frozen=True, slots=True)
class Options:
    """Nothing beside what every endpoint has."""


def steps(target: Target) -> tuple[Step, ...]:
    """What is asked of the one model of a server. Raises `ConfigError` for a canary that does not fit the protocol."""
    asked = [Step(Check.LIVE, Call("GET", "/ping")), Step(Check.READY, Call("GET", "/health"))]
    if target.canary:
        rows = _rows(*canaries.form_of(target.canary, FORMS))
        expectations.check(target.canary.expect)
        headers = {"Content-Type": target.canary.content_type}
        call = Call("POST", "/invocations", headers=headers, body=target.canary.body)
        asked.append(Step(Check.PREDICT, call, functools.partial(_judge, target.canary, rows)))
    return tuple(asked)


def _rows(form: str, given: Any) -> int | None:
    """How many rows a request has; None where only the model knows. Raises `ConfigError`."""
    match form:
        case "dataframe_split":
            return _split_rows(given)
        case "dataframe_records":
            if not isinstance(given, list) or not all(isinstance(row, dict) for row in given):
                raise ConfigError("canary.request.dataframe_records: allowed is a list of objects, one a row")
            return len(given)
        case "instances":
            return len(given) if isinstance(given, list) else None
    if isinstance(given, dict):
        lengths = {len(column) if isinstance(column, list) else None for column in given.values()}
        return lengths.pop() if len(lengths) == 1 else None
    # A list of bare numbers may be a row as well as a column.
    return len(given) if isinstance(given, list) and not isinstance(given[0], int | float) else None


def _split_rows(given: Any) -> int:
    where = "canary.request.dataframe_split"
    data = given.get("data") if isinstance(given, dict) else None
    if not isinstance(data, list) or not data or not all(isinstance(row, list) for row in data):
        raise ConfigError(f"{where}: allowed is {{columns: […], data: [[…], …]}} with at least one row")
    columns = given.get("columns")
    wrong = next((len(row) for row in data if isinstance(columns, list) and len(row) != len(columns)), None)
    if wrong is not None:
        raise ConfigError(f"{where}.data: found a row of {wrong}; there are {len(columns)} columns")
    return len(data)


def _judge(canary: Canary, rows: int | None, answer: Answer) -> Finding:
    canaries.hold(canary, canaries.prediction_in(canaries.reply_of(answer), "predictions"), rows)
    return Finding()
