"""Plain HTTP: any server of predictions, or any page, with assertions on status, headers, text and JSON."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal

from ml_exporter import expectations
from ml_exporter.decoding import printable
from ml_exporter.errors import ConfigError, WrongPrediction
from ml_exporter.expectations import Expected
from ml_exporter.model import Check
from ml_exporter.patterns import Pattern
from ml_exporter.plain_json import json_of
from ml_exporter.ports import Answer, Call, Finding, Step, Target
from ml_exporter.schema import Between

SUCCESS = range(200, 300)


@dataclass(frozen=True, slots=True)
class Options:
    """What is asked without a canary, and what the answer to the prediction must be; all of it must hold."""

    method: Literal["GET", "POST"] | None = None
    """Unset: POST with a canary, else GET."""
    accept: tuple[Annotated[int, Between(200, 599)], ...] = ()
    """Statuses; unset: 200 to 299."""
    body_matches: tuple[str, ...] = ()
    """Regular expressions (RE2), each found somewhere in the body."""
    body_not_matches: tuple[str, ...] = ()
    header_matches: Mapping[str, str] = field(default_factory=dict)
    """Header → regular expression that is found in one of its values. A header that is not there is wrong."""
    header_not_matches: Mapping[str, str] = field(default_factory=dict)
    expect: tuple[Expected, ...] = ()
    """Of the answer's JSON, as a canary's; for a request that has no canary."""


Assertion = Callable[[Answer], None]
"""Raises `WrongPrediction` or `Malformed`."""


def steps(target: Target) -> tuple[Step, ...]:
    """The prediction alone, of a canary or as the options say. Raises `ConfigError`."""
    options: Options = target.options
    asserted = _assertions(target)
    if target.canary is None and options == Options():
        return ()
    if target.canary and options.method == "GET":
        raise ConfigError("method: found GET, which sends no canary; allowed is POST, or GET with expect: for canary:")
    headers = {"Content-Type": target.canary.content_type} if target.canary else {}
    call = Call(
        method=options.method or ("POST" if target.canary else "GET"),
        path="/",
        headers=headers,
        body=target.canary.body if target.canary else None,
        accept=frozenset(options.accept or SUCCESS),
    )
    return (Step(Check.PREDICT, call, functools.partial(_judge, asserted)),)


def _assertions(target: Target) -> tuple[Assertion, ...]:
    options: Options = target.options
    made: list[Assertion] = []
    for wanted, key in ((True, "body_matches"), (False, "body_not_matches")):
        for number, pattern in enumerate(getattr(options, key)):
            made.append(functools.partial(_body, Pattern(pattern, f"{key}[{number}]"), wanted))
    for wanted, key in ((True, "header_matches"), (False, "header_not_matches")):
        for name, pattern in getattr(options, key).items():
            made.append(functools.partial(_header, name, Pattern(pattern, f"{key}.{name}"), wanted))
    if expected := _expected(target):
        made.append(functools.partial(_json, expected))
    return tuple(made)


def _expected(target: Target) -> tuple[Expected, ...]:
    try:
        expectations.check(target.options.expect)
    except ConfigError as error:  # which says where a canary has them
        raise ConfigError(str(error).removeprefix("canary.")) from None
    of_canary = target.canary.expect if target.canary else ()
    expectations.check(of_canary)
    return (*target.options.expect, *of_canary)


def _judge(asserted: tuple[Assertion, ...], answer: Answer) -> Finding:
    for holds in asserted:
        holds(answer)
    return Finding()


def _body(pattern: Pattern, wanted: bool, answer: Answer) -> None:
    text = answer.body.decode("utf-8", "replace")
    if pattern.found(text) is not wanted:
        raise WrongPrediction(
            f"the body, '{printable(text, 80)}', {'does not match' if wanted else 'matches'} {pattern.text}"
        )


def _header(name: str, pattern: Pattern, wanted: bool, answer: Answer) -> None:
    values = [value for key, value in answer.headers.items() if key.lower() == name.lower()]
    if any(pattern.found(value) for value in values) is not wanted:
        said = f"the header {name}, {', '.join(printable(repr(value), 80) for value in values)}," if values else ""
        does = "does not match" if wanted else "matches"
        raise WrongPrediction(f"{said} {does} {pattern.text}" if said else f"there is no header {name}")


def _json(expected: tuple[Expected, ...], answer: Answer) -> None:
    expectations.hold(expected, json_of(answer))
