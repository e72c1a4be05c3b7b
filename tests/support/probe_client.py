"""A probe client of a server that misbehaves to order, and what it asks and hears of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from tests.support.fault_server import Behaviour, FaultServer

from ml_exporter import discovery
from ml_exporter.expectations import Expected
from ml_exporter.http import HttpSettings
from ml_exporter.http.probing import ProbeClient
from ml_exporter.http.resolver import Resolver
from ml_exporter.ports import Canary, Result, Step, Target

REQUEST = b'{"inputs":[{"name":"x","shape":[1,2],"datatype":"FP32","data":[1,2]}]}'
GOOD = {
    "model_name": "m",
    "model_version": "3",
    "outputs": [{"name": "y", "shape": [1, 1], "datatype": "FP32", "data": [3.0]}],
}
CANARY = Canary(REQUEST, "application/json", (Expected("y", shape=(1, 1), values=[3.0]),))
STEPS = discovery.steps("open_inference", Target("m", None, CANARY))
PREDICT = STEPS[-1:]


@asynccontextmanager
async def client_of(server: FaultServer, **options: Any) -> AsyncIterator[ProbeClient]:
    resolver = Resolver()
    fresh = options.pop("fresh", False)
    client = ProbeClient(HttpSettings(url=options.pop("url", server.url), **options), resolver, fresh=fresh)
    try:
        yield client
    finally:
        await client.close()
        resolver.shut_down()


def probed(
    *script: Behaviour, steps: Sequence[Step] = PREDICT, timeout: float = 5.0, times: int = 1, **options: Any
) -> tuple[Result, FaultServer]:
    """The last of `times` probes of a server that behaves as `script` says."""

    async def run() -> tuple[Result, FaultServer]:
        async with FaultServer(*script, tls=options.pop("tls", None)) as server, client_of(server, **options) as client:
            for _ in range(times):
                result = await client.probe(steps, timeout)
            return result, server

    return asyncio.run(run())
