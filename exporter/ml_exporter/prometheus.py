"""Asks Prometheus: instant queries, one after another, each answered whole or not at all."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import msgspec

from ml_exporter.errors import Malformed, SourceError
from ml_exporter.http import Client, HttpSettings
from ml_exporter.ports import Call

MAX_RESPONSE_BYTES = 64_000_000


class Query(NamedTuple):
    """PromQL, and the time it is asked about, in seconds since the epoch."""

    promql: str
    at: float


class Series(NamedTuple):
    """One series of an answer; never NaN."""

    labels: Mapping[str, str]
    value: float


class _Sample(msgspec.Struct):
    metric: dict[str, str]
    value: tuple[float, str]


class _Vector(msgspec.Struct, rename="camel"):
    result_type: Literal["vector"]
    result: list[_Sample]


class _Answer(msgspec.Struct):
    status: Literal["success"]
    data: _Vector
    warnings: list[str] = []


class Answer(NamedTuple):
    series: list[Series]
    warnings: list[str]
    """What Prometheus says of an answer that may not be all of it."""


def ask(url: str, queries: Sequence[Query], timeout: float) -> list[Answer]:
    """The answers, in order. `timeout`: seconds for each attempt at each of them.

    Raises `SourceError` at the first that is not answered, with its address, query and reason.
    """
    settings = HttpSettings(url=url, timeout=timeout, max_response_bytes=MAX_RESPONSE_BYTES)
    return asyncio.run(_ask(settings, queries))


async def _ask(settings: HttpSettings, queries: Sequence[Query]) -> list[Answer]:
    client = Client(settings)
    try:
        return [await _one(client, settings, query) for query in queries]
    finally:
        await client.close()


async def _one(client: Client, settings: HttpSettings, query: Query) -> Answer:
    # Prometheus need not go on when nobody listens any more.
    params = (("query", query.promql), ("time", f"{query.at:.3f}"), ("timeout", f"{settings.timeout:g}s"))
    try:
        reply = await client.send(Call("GET", "/api/v1/query", params, reply=_Answer))
        series = [Series(sample.metric, float(sample.value[1])) for sample in reply.value.data.result]
    except SourceError as error:
        raise type(error)(f"{error}; asked for {query.promql}", error.reason) from error
    except ValueError as error:
        raise Malformed(f"GET {settings.url}/api/v1/query: {error}; asked for {query.promql}") from error
    return Answer([each for each in series if not math.isnan(each.value)], reply.value.warnings)
