"""/probe over real sockets: a web surface whose probes are real, of servers that tests start."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
from aiohttp.abc import ResolveResult
from prometheus_client.parser import text_string_to_metric_families
from tests.support.fault_server import Behaviour, FaultServer, answer, answer_json
from tests.support.web_backend import CannedBackend, run, serving

from ml_exporter.config import from_data
from ml_exporter.http.resolver import Resolver, look_up
from ml_exporter.on_demand import OnDemand
from ml_exporter.web.backend import ProbePage, ProbeRequest

REQUEST = {"inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [1, 2]}]}
CANARY = {"request": REQUEST, "expect": [{"name": "y", "shape": [1, 1], "values": [[3.0]]}]}
LIVE = READY = answer(200, b"")


def prediction(value: float = 3.0) -> Behaviour:
    outputs = [{"name": "y", "shape": [1, 1], "datatype": "FP32", "data": [value]}]
    return answer_json({"model_name": "fraud", "model_version": "3", "outputs": outputs})


class ProbingBackend(CannedBackend):
    """Probes what it is asked to. `names`: name → addresses, instead of what the system's resolver says."""

    def __init__(self, probes: Mapping[str, Any], names: Mapping[str, list[str]] | None = None) -> None:
        super().__init__()
        self.config = from_data({"probes": probes})
        self.names = names
        self.resolver = Resolver(self._look_up)
        self.on_demand = OnDemand(self.resolver)

    def _look_up(self, host: str, port: int, family: socket.AddressFamily) -> list[ResolveResult]:
        if self.names is None:
            return look_up(host, port, family)
        if host not in self.names:
            raise OSError(None, "no such name")
        return [found for address in self.names[host] for found in look_up(address, port, family)]

    async def probe(self, request: ProbeRequest) -> ProbePage:
        return await self.on_demand.page(request, self.config)


@dataclass
class Got:
    """What /probe answered."""

    status: int
    headers: Mapping[str, str]
    text: str
    server: FaultServer

    @property
    def series(self) -> dict[str, float]:
        """`name value-of-label …` → value."""
        return {
            " ".join([s.name, *s.labels.values()]): s.value
            for family in text_string_to_metric_families(self.text)
            for s in family.samples
        }


def probe(
    *script: Behaviour,
    probes: Mapping[str, Any] | None = None,
    names: Mapping[str, list[str]] | None = None,
    headers: Mapping[str, str] | None = None,
    method: str = "GET",
    tls: Any = None,
    **parameters: str,
) -> Got:
    """Ask /probe about a server that behaves as `script` says. `PORT` in a parameter or an entry is that server's."""

    async def test() -> Got:
        async with FaultServer(*(script or (LIVE,)), tls=tls) as server:

            def placed(text: str) -> str:
                return text.replace("PORT", str(server.port))

            settings = {"allow": ["127.0.0.1"], **(probes or {})}
            settings["allow"] = [placed(entry) for entry in settings["allow"]]
            backend = ProbingBackend(settings, names)
            asked = {name: placed(value) for name, value in {"target": server.url, **parameters}.items()}
            async with serving(backend) as (_, session):
                response = await ask(session, asked, headers, method)
                text = await response.text()
            backend.on_demand.close()
            return Got(response.status, response.headers, text, server)

    return run(test())


async def ask(
    session: aiohttp.ClientSession,
    parameters: Mapping[str, str],
    headers: Mapping[str, str] | None = None,
    method: str = "GET",
) -> aiohttp.ClientResponse:
    return await session.request(method, "/probe", params=parameters, headers=headers or {})
