"""Open Inference Protocol V2: Triton, MLServer, KServe, Seldon Core 2. A canary is what is posted to /infer."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import msgspec

from ml_exporter import expectations
from ml_exporter.decoding import decode
from ml_exporter.errors import ConfigError, Malformed, WrongPrediction
from ml_exporter.expectations import Expected, Tensor
from ml_exporter.model import Check
from ml_exporter.ports import Answer, Call, Canary, Finding, Index, Step, Target

_NUMBERS = {"UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64", "FP16", "BF16", "FP32", "FP64"}
DATATYPES = frozenset({"BOOL", "BYTES", *_NUMBERS})


@dataclass(frozen=True, slots=True)
class Options:
    """Nothing beside what every endpoint has."""


class _Tensor(msgspec.Struct):
    name: str
    shape: tuple[int, ...]
    datatype: str
    data: Any = None


class _Request(msgspec.Struct):
    inputs: list[_Tensor]


class _Reply(msgspec.Struct):
    outputs: list[_Tensor]
    model_name: str = ""
    model_version: str | None = None


class _Model(msgspec.Struct):
    name: str


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
        call = Call("POST", f"{path}/infer", headers={"Content-Type": "application/json"}, body=target.canary.body)
        asked.append(Step(Check.PREDICT, call, functools.partial(_judge, target)))
    return tuple(asked)


def index(_options: Options) -> Index:
    """The models in the server's repository."""
    return Index(Call("POST", "/v2/repository/index", body={}), _models)


def _models(answer: Answer) -> tuple[str, ...]:
    listed: list[_Model] = decode(answer.body, list[_Model], answer.headers.get("Content-Type", ""))
    return tuple(dict.fromkeys(model.name for model in listed))


def check_request(canary: Canary) -> None:
    """Raises `ConfigError` that says what is wrong with a request of this protocol."""
    try:
        request: _Request = decode(canary.body, _Request)
    except Malformed as error:
        raise ConfigError(f"canary.request: {error}; wanted is {{inputs: [{{name, shape, datatype, data}}]}}") from None
    if not request.inputs:
        raise ConfigError("canary.request.inputs: empty; wanted is at least one input")
    for number, tensor in enumerate(request.inputs):
        where = f"canary.request.inputs[{number}]"
        if tensor.datatype not in DATATYPES:
            raise ConfigError(
                f"{where}.datatype: found '{tensor.datatype}'; allowed are {', '.join(sorted(DATATYPES))}"
            )
        wanted, given = math.prod(tensor.shape), len(tuple(expectations.flat(tensor.data)))
        if tensor.data is None or wanted != given:
            found = "no data" if tensor.data is None else f"{given} elements"
            raise ConfigError(f"{where}.data: found {found}; the shape {list(tensor.shape)} wants {wanted}")


def _judge(target: Target, answer: Answer) -> Finding:
    reply: _Reply = decode(answer.body, _Reply, answer.headers.get("Content-Type", ""))
    if reply.model_name and reply.model_name != target.model:
        raise WrongPrediction(f"the model '{reply.model_name}' answered; asked was '{target.model}'")
    if target.version and reply.model_version and reply.model_version != target.version:
        raise WrongPrediction(f"version '{reply.model_version}' answered; asked was '{target.version}'")
    if not reply.outputs:
        raise WrongPrediction("there are no outputs")
    outputs = {output.name: _tensor(output) for output in reply.outputs}

    def find(name: str) -> Tensor:
        if not name and len(outputs) == 1:
            return next(iter(outputs.values()))
        if name not in outputs:
            raise WrongPrediction(f"there is no output '{name}'; there are {', '.join(map(repr, outputs))}")
        return outputs[name]

    wanted: tuple[Expected, ...] = target.canary.expect if target.canary else ()
    expectations.hold(wanted, None, find)
    return Finding(version=reply.model_version or None)


def _tensor(output: _Tensor) -> Tensor:
    """An output, its form checked against its data, which may be nested or flat."""
    elements = tuple(expectations.flat(output.data if output.data is not None else []))
    wanted = math.prod(output.shape)
    if len(elements) != wanted:
        raise WrongPrediction(
            f"output '{output.name}' has {len(elements)} elements; its shape {list(output.shape)} wants {wanted}"
        )
    expectations.finite(elements, f"output '{output.name}'")
    return Tensor(output.shape, output.datatype, elements)
