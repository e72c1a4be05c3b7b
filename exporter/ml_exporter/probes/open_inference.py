"""Open Inference Protocol V2: Triton, MLServer, KServe, Seldon Core 2. A canary is what is posted to /infer."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import msgspec

from ml_exporter import canaries, expectations
from ml_exporter.decoding import decode, printable
from ml_exporter.errors import ConfigError, WrongPrediction
from ml_exporter.expectations import Tensor
from ml_exporter.model import Check
from ml_exporter.ports import Answer, Call, Canary, Finding, Index, Step, Target

_WHOLE = frozenset({"UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64"})
_FLOATS = frozenset({"FP16", "BF16", "FP32", "FP64"})
_ELEMENTS: dict[str, frozenset[type]] = {
    **dict.fromkeys(_WHOLE | _FLOATS, frozenset({int, float})),
    # Servers in Python write numpy's booleans as 0 and 1 too.
    "BOOL": frozenset({bool, int}),
    "BYTES": frozenset({str}),
}
DATATYPES = tuple(sorted(_ELEMENTS))
_LARGEST = 2**63 - 1
_ELSEWHERE = ("binary_data", "binary_data_output")
"""Parameters that ask for outputs outside of the JSON."""


TELLS_VERSION = True


@dataclass(frozen=True, slots=True)
class Options:
    """Nothing beside what every endpoint has."""


class _Tensor(msgspec.Struct):
    name: str
    shape: tuple[int, ...]
    datatype: str
    data: Any = None


class _Output(msgspec.Struct):
    parameters: dict[str, Any] | None = None


class _Request(msgspec.Struct):
    inputs: list[_Tensor]
    outputs: list[_Output] | None = None
    parameters: dict[str, Any] | None = None


class _Reply(msgspec.Struct):
    outputs: list[_Tensor]
    model_name: str | None = None
    model_version: str | None = None


class _Model(msgspec.Struct):
    name: str
    state: str | None = None
    reason: str | None = None


def steps(target: Target) -> tuple[Step, ...]:
    """What is asked of one model. Raises `ConfigError` for a canary that does not fit the protocol."""
    if not target.model:
        raise ConfigError("model: missing; this protocol asks for a model by its name")
    path = f"/v2/models/{quote(target.model, safe='')}"
    path += f"/versions/{quote(target.version, safe='')}" if target.version else ""
    asked = [
        Step(Check.LIVE, Call("GET", "/v2/health/live")),
        Step(Check.READY, Call("GET", f"{path}/ready")),
    ]
    if target.canary:
        check_request(target.canary)
        expectations.check(target.canary.expect, DATATYPES, paths=False)
        headers = {"Content-Type": target.canary.content_type}
        call = Call("POST", f"{path}/infer", headers=headers, body=target.canary.body)
        asked.append(Step(Check.PREDICT, call, functools.partial(_judge, target)))
    return tuple(asked)


def index(_options: Options) -> Index:
    """The models in the server's repository."""
    return Index(Call("POST", "/v2/repository/index", body={}), _models)


def _models(answer: Answer) -> tuple[str, ...]:
    """Those that are served, or should be: Triton lists whatever lies in its repository, loaded or not."""
    listed: list[_Model] = decode(answer.body, list[_Model], answer.headers.get("Content-Type", ""))
    known = any(model.state for model in listed)
    served = [model for model in listed if model.reason != "unloaded" and (model.state or not known)]
    return tuple(dict.fromkeys(model.name for model in served if model.name))


def check_request(canary: Canary) -> None:
    """Raises `ConfigError` that says what is wrong with a request of this protocol."""
    request: _Request = canaries.request_of(canary, _Request, "{inputs: [{name, shape, datatype, data}]}")
    if not request.inputs:
        raise ConfigError("canary.request.inputs: empty; wanted is at least one input")
    for number, tensor in enumerate(request.inputs):
        try:
            _tensor(tensor)
        except WrongPrediction as error:
            raise ConfigError(f"canary.request.inputs[{number}]: {error}") from None
    for parameters in (request.parameters, *(output.parameters for output in request.outputs or ())):
        for name in _ELSEWHERE:
            if parameters and parameters.get(name):
                raise ConfigError(f"canary.request: asks for {name}; only outputs in the JSON are read")


def _judge(target: Target, answer: Answer) -> Finding:
    reply: _Reply = decode(answer.body, _Reply, answer.headers.get("Content-Type", ""))
    version = reply.model_version or None
    try:
        _check_model(target, reply)
        _check_outputs(target, _outputs(reply))
    except WrongPrediction as error:
        error.version = version
        raise
    return Finding(version=version)


def _check_outputs(target: Target, outputs: dict[str, Tensor]) -> None:
    def find(name: str) -> Tensor:
        if not name and len(outputs) == 1:
            return next(iter(outputs.values()))
        if name not in outputs:
            there = printable(", ".join(f"'{name}'" for name in outputs), 100)
            raise WrongPrediction(f"there is no output '{name}'; there are {there}")
        return outputs[name]

    expectations.hold(target.canary.expect if target.canary else (), None, find)


def _outputs(reply: _Reply) -> dict[str, Tensor]:
    outputs: dict[str, Tensor] = {}
    for output in reply.outputs:
        try:
            outputs[output.name] = _tensor(output)
        except WrongPrediction as error:
            raise WrongPrediction(f"output '{printable(output.name, 60)}': {error}") from None
    if not outputs:
        raise WrongPrediction("there are no outputs")
    if len(outputs) < len(reply.outputs):
        raise WrongPrediction("two outputs have the same name")
    return outputs


def _check_model(target: Target, reply: _Reply) -> None:
    name, asked = reply.model_name, target.model or ""
    # Seldon Core 2 serves each generation of a model under a name of its own, iris_1.
    if name and name != asked and not (name.startswith(f"{asked}_") and name[len(asked) + 1 :].isdecimal()):
        raise WrongPrediction(f"the model '{printable(name, 60)}' answered; asked was '{asked}'")
    if target.version and reply.model_version and reply.model_version != target.version:
        version = printable(reply.model_version, 60)
        raise WrongPrediction(f"version '{version}' answered; asked was '{target.version}'")


def _tensor(given: _Tensor) -> Tensor:
    """An input or output, its form checked against its data, which may be nested or flat. Raises `WrongPrediction`."""
    shape = given.shape
    allowed = _ELEMENTS.get(given.datatype)
    if allowed is None:
        found = printable(given.datatype, 60)
        raise WrongPrediction(f"its datatype is '{found}'; allowed are {', '.join(DATATYPES)}")
    # Before the product, which takes long for many sizes or long ones.
    if shape and (len(shape) > expectations.MAX_DEPTH or min(shape) < 0 or max(shape) > _LARGEST):
        raise WrongPrediction(f"its shape is {expectations.form(shape[:8])}, which no tensor has")
    wanted = math.prod(shape)
    if given.data is None and wanted:
        raise WrongPrediction("it has no data in the JSON; data elsewhere (binary, shared memory) is not read")
    elements = expectations.flat(given.data) if given.data is not None else ()
    if len(elements) != wanted:
        said = f"its shape {expectations.form(shape)} wants {printable(str(wanted), 40)}"
        raise WrongPrediction(f"it has {len(elements)} elements; {said}")
    _check_elements(given, elements, allowed)
    return Tensor(shape, given.datatype, elements)


def _check_elements(given: _Tensor, elements: tuple[Any, ...], allowed: frozenset[type]) -> None:
    if type(given.data) is list and given.data and type(given.data[0]) is list:
        nested = expectations.tensor_of(given.data).shape
        if nested != given.shape:
            said = f"its shape is {expectations.form(given.shape)}"
            raise WrongPrediction(f"it is nested as {expectations.form(nested)}; {said}")
    types = set(map(type, elements))
    if types == {float} and given.datatype in _FLOATS and all(map(math.isfinite, elements)):
        return  # as most are: nothing else can be wrong with them
    expectations.finite(elements, "it")
    fraction = float in types and given.datatype in _WHOLE and not all(map(float.is_integer, map(float, elements)))
    if fraction or not types <= allowed:
        raise WrongPrediction(f"it holds something that is no {given.datatype}")
