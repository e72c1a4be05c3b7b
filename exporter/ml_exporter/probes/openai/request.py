"""What is sent: a request of the configuration, checked, with what the endpoint says beside it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ml_exporter import expectations
from ml_exporter.decoding import decode, printable
from ml_exporter.errors import ConfigError, Malformed
from ml_exporter.expectations import Expected
from ml_exporter.ports import Canary
from ml_exporter.schema import nearest

MOST_TOKENS = 256
"""Output tokens that a canary may ask for."""
PREDICTION = ("text", "tokens", "finish_reason")
"""What there is to be expected; without a name, the text is meant."""
_LIMITS = {"prompt": ("max_tokens",), "messages": ("max_tokens", "max_completion_tokens")}


def checked(canary: Canary, model: str | None, stream: bool) -> dict[str, Any]:
    """The canary's request. Raises `ConfigError` that says what is wrong with it."""
    try:
        request: dict[str, Any] = decode(canary.body, dict[str, Any])
    except Malformed as error:
        raise ConfigError(f"canary.request: {error}; wanted is {{prompt or messages, max_tokens}}") from None
    given = [key for key in _LIMITS if key in request]
    if len(given) != 1:
        raise ConfigError(
            f"canary.request: found {' and '.join(given) or 'no prompt and no messages'}; allowed is one of the two"
        )
    _check_input(given[0], request[given[0]])
    _check_limits(request, _LIMITS[given[0]])
    for key in ("n", "best_of"):
        if request.get(key) not in (None, 1):
            raise ConfigError(f"canary.request.{key}: found {_shown(request[key])}; allowed is one answer, 1")
    if model and request.get("model") not in (None, model):
        raise ConfigError(
            f"canary.request.model: found {_shown(request['model'])}; asked is '{model}': leave it out here, "
            "the model of the endpoint is filled in"
        )
    _check_stream(request, stream)
    _check_expected(canary.expect)
    return request


def completed(request: Mapping[str, Any], model: str | None, stream: bool) -> dict[str, Any]:
    """The request with what the endpoint says beside it."""
    streaming = {"stream_options": {"include_usage": True}} if stream else {}
    named = {"model": model} if model else {}
    return {**streaming, **request, **named, "stream": stream}


def _check_input(key: str, value: Any) -> None:
    wanted = "a text or a list of token ids"
    fits = isinstance(value, str) or (isinstance(value, list) and value and all(type(v) is int for v in value))
    if key == "messages":
        wanted = "a list of {role: …, content: …}"
        fits = isinstance(value, list) and value and all(isinstance(v, dict) and "role" in v for v in value)
    if not fits:
        raise ConfigError(f"canary.request.{key}: found {_shown(value)}; allowed is {wanted}")


def _check_limits(request: Mapping[str, Any], keys: tuple[str, ...]) -> None:
    limits = [key for key in keys if request.get(key) is not None]
    if not limits:
        raise ConfigError(
            f"canary.request.{keys[0]}: missing; without a limit a model may generate without end; "
            f"allowed are 1 to {MOST_TOKENS}"
        )
    for key in limits:
        if type(request[key]) is not int or not 1 <= request[key] <= MOST_TOKENS:
            raise ConfigError(f"canary.request.{key}: found {_shown(request[key])}; allowed are 1 to {MOST_TOKENS}")


def _check_stream(request: Mapping[str, Any], stream: bool) -> None:
    if request.get("stream", stream) is not stream:
        raise ConfigError(
            f"canary.request.stream: found {_shown(request['stream'])}; leave it out here: "
            f"the endpoint's `stream` says it, which is {str(stream).lower()}"
        )
    if not stream and request.get("stream_options") is not None:
        raise ConfigError("canary.request.stream_options: allowed only with the endpoint's `stream: true`")


def _check_expected(expected: tuple[Expected, ...]) -> None:
    expectations.check(expected)
    for number, each in enumerate(expected):
        if each.name and each.name not in PREDICTION:
            raise ConfigError(f"canary.expect[{number}].name: found '{each.name}'{nearest(each.name, PREDICTION)}")


def _shown(value: Any) -> str:
    return printable(repr(value), 60)
