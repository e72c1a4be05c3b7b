"""Canaries that send rows as JSON, and the predictions that come back: what several protocols share."""

from __future__ import annotations

from typing import Any

from ml_exporter import expectations
from ml_exporter.decoding import decode, printable
from ml_exporter.errors import ConfigError, Malformed, WrongPrediction
from ml_exporter.ports import Answer, Canary


def request_of(canary: Canary, kind: Any, wanted: str) -> Any:
    """The request of a canary in JSON, as `kind` by msgspec's rules. Raises `ConfigError` that says what is wanted."""
    if canary.content_type.partition(";")[0].strip().lower() != "application/json":
        raise ConfigError(
            f"canary.content_type: found '{canary.content_type}'; allowed is application/json; sagemaker takes any"
        )
    try:
        return decode(canary.body, kind)
    except Malformed as error:
        found = str(error).removeprefix("the reply is not what the API promises: ")
        raise ConfigError(f"canary.request: {found}; wanted is {wanted}") from None


def form_of(canary: Canary, forms: tuple[str, ...]) -> tuple[str, Any]:
    """Which of several keys a request has, and what it holds. Raises `ConfigError` unless it is exactly one."""
    request: dict[str, Any] = request_of(canary, dict[str, Any], f"an object with one of {', '.join(forms)}")
    given = [form for form in forms if form in request]
    if len(given) != 1:
        found = ", ".join(given) or printable(", ".join(request), 80) or "nothing"
        raise ConfigError(f"canary.request: found {found}; allowed is exactly one of {', '.join(forms)}")
    if request[given[0]] in (None, [], {}):
        raise ConfigError(f"canary.request.{given[0]}: empty; wanted is at least one row")
    return given[0], request[given[0]]


def reply_of(answer: Answer) -> dict[str, Any]:
    """The object that came back. Raises `Malformed`, and `WrongPrediction` where it only tells of an error."""
    reply: dict[str, Any] = decode(answer.body, dict[str, Any], answer.headers.get("Content-Type", ""))
    if len(reply) == 1 and "error" in reply:
        raise WrongPrediction(f"it answers with an error: {printable(str(reply['error'])[:400], 100)}")
    return reply


def prediction_in(reply: dict[str, Any], *names: str) -> Any:
    """What a reply holds under the first of these names that it has. Raises `WrongPrediction`."""
    for name in names:
        if reply.get(name) is not None:
            return reply[name]
    there = printable(", ".join(name for name, value in reply.items() if value is not None), 80)
    raise WrongPrediction(f"there is no {' and no '.join(names)} in it, but {there or 'nothing'}")


def hold(canary: Canary, prediction: Any, rows: int | None = None) -> None:
    """Check a prediction in plain JSON: a list has one for each of `rows`, numbers are finite, expectations hold.

    Raises `WrongPrediction`.
    """
    if rows is not None and isinstance(prediction, list) and len(prediction) != rows:
        raise WrongPrediction(f"there are {len(prediction)} predictions; the request has {rows} rows")
    expectations.finite(expectations.flat(prediction), "the prediction")
    expectations.hold(canary.expect, prediction)
