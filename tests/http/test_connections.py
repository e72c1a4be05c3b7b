"""Connections of probes over real sockets: kept or fresh, closed by the server, forgotten by what is in between."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import trustme
from tests.support import fault_server as faults
from tests.support.fault_server import Behaviour, FaultServer, answer, answer_json
from tests.support.probe_client import GOOD, PREDICT, STEPS, client_of, probed

from ml_exporter.http import connections
from ml_exporter.http.probing import ProbeClient
from ml_exporter.model import Outcome
from ml_exporter.ports import Result, Step
from ml_exporter.settings import Defaults

LIVE = STEPS[:1]
WELL = answer(200, b"")
USUAL_IDLE_TIMEOUT = 60.0
"""Seconds, the shortest that balancers have by default."""


@pytest.fixture
def tls(tmp_path: Path) -> dict[str, Any]:
    """A server's side of TLS, and the authority to trust."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    return {"tls": context, "ca_file": str(tmp_path / "ca.pem")}


def test_connections_are_kept_from_probe_to_probe() -> None:
    _, server = probed(answer_json(GOOD), times=3)
    assert [asked.connection for asked in server.asked] == [1, 1, 1]


def test_fresh_connections_are_one_for_each_probe() -> None:
    _, server = probed(WELL, WELL, answer_json(GOOD), WELL, WELL, answer_json(GOOD), steps=STEPS, times=2, fresh=True)
    assert [asked.connection for asked in server.asked] == [1, 1, 1, 2, 2, 2]


def test_a_kept_connection_that_the_server_has_closed_is_no_failure() -> None:
    async def then_close(writer: asyncio.StreamWriter) -> None:
        await answer_json(GOOD)(writer)
        await writer.drain()
        asyncio.get_running_loop().call_later(0.05, writer.close)

    async def run() -> list[Outcome]:
        async with FaultServer(then_close) as server, client_of(server) as client:
            outcomes = []
            for _ in range(20):
                outcomes.append((await client.probe(PREDICT, 5.0)).outcome)
                await asyncio.sleep(0.0499)
            return outcomes

    assert asyncio.run(run()) == [Outcome.OK] * 20


@pytest.mark.parametrize("steps", [PREDICT, LIVE], ids=["POST", "GET"])
def test_a_server_that_hangs_up_is_not_asked_twice_on_a_new_connection(steps: Sequence[Step]) -> None:
    result, server = probed(faults.hang_up, steps=steps)
    assert result.outcome is Outcome.UNREACHABLE
    assert len(server.asked) == 1


def test_a_server_that_hangs_up_over_tls_is_not_asked_twice_either(tls: dict[str, Any]) -> None:
    result, server = probed(faults.hang_up, **tls)
    assert result.outcome is Outcome.UNREACHABLE
    assert len(server.asked) == 1


def test_a_server_that_hangs_up_on_the_new_connection_as_well_is_unreachable() -> None:
    result, server = probed(answer_json(GOOD), faults.hang_up, times=2)
    assert result.outcome is Outcome.UNREACHABLE
    assert [asked.connection for asked in server.asked] == [1, 1, 2]


BURST = 8


class Balancer:
    """Answers once `BURST` connections are there. Those that it has forgotten are dropped at their next use."""

    def __init__(self, drop: Behaviour) -> None:
        self._drop = drop
        self._known: set[asyncio.StreamWriter] = set()
        self._forgotten: set[asyncio.StreamWriter] = set()
        self._all_there = asyncio.Event()

    def forget(self) -> None:
        self._forgotten = set(self._known)

    async def __call__(self, writer: asyncio.StreamWriter) -> None:
        if writer in self._forgotten:
            await self._drop(writer)
            return
        self._known.add(writer)
        if len(self._known) == BURST:
            self._all_there.set()
        await self._all_there.wait()
        await answer_json(GOOD)(writer)


async def reset(writer: asyncio.StreamWriter) -> None:
    """Drops the connection as who has never heard of it: RST."""
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


@pytest.mark.parametrize("steps", [PREDICT, LIVE], ids=["POST", "GET"])
@pytest.mark.parametrize("drop", [faults.hang_up, reset])
@pytest.mark.parametrize("together", [True, False])
def test_kept_connections_that_a_balancer_has_forgotten_are_no_failure(
    together: bool, drop: Behaviour, steps: Sequence[Step]
) -> None:
    async def run() -> list[Result]:
        balancer = Balancer(drop)
        async with FaultServer(balancer) as server, client_of(server) as client:
            await asyncio.gather(*(client.probe(steps, 5.0) for _ in range(BURST)))
            balancer.forget()
            if together:
                return await asyncio.gather(*(client.probe(steps, 5.0) for _ in range(BURST)))
            return [await client.probe(steps, 5.0) for _ in range(BURST)]

    results = asyncio.run(run())
    assert [result.problem for result in results] == [None] * BURST


def test_a_connection_opened_for_another_model_meanwhile_does_not_make_a_kept_one_new() -> None:
    async def run() -> Result:
        others = asyncio.Event()

        async def when_the_other_is_there(writer: asyncio.StreamWriter) -> None:
            await others.wait()
            writer.close()

        async def other(writer: asyncio.StreamWriter) -> None:
            await answer_json(GOOD)(writer)
            others.set()

        script = (answer_json(GOOD), when_the_other_is_there, other)
        async with FaultServer(*script) as server, client_of(server) as client:
            await client.probe(PREDICT, 5.0)
            over_the_kept_one, _ = await asyncio.gather(client.probe(PREDICT, 5.0), client.probe(PREDICT, 5.0))
            assert [asked.connection for asked in server.asked][:3] == [1, 1, 2]
            return over_the_kept_one

    assert asyncio.run(run()).problem is None


def test_a_connection_is_not_kept_for_as_long_as_a_balancer_may_forget_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Defaults().interval < connections.IDLE < USUAL_IDLE_TIMEOUT
    monkeypatch.setattr(connections, "IDLE", 1e-9)
    _, server = probed(answer_json(GOOD), times=3)
    assert [asked.connection for asked in server.asked] == [1, 2, 3]


def test_what_is_kept_is_replaced_in_time_and_by_no_more_than_two_sessions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "OLDEST", -1.0)

    async def run() -> tuple[list[int], int]:
        async with FaultServer(answer_json(GOOD)) as server, client_of(server) as client:
            sessions = {id(client._connections._sessions()[0]) async for _ in probes(client)}
            return [asked.connection for asked in server.asked], len(sessions)

    async def probes(client: ProbeClient) -> AsyncIterator[Result]:
        for _ in range(5):
            yield await client.probe(PREDICT, 5.0)

    assert asyncio.run(run()) == ([1, 2, 3, 4, 5], 2)


def test_the_certificate_tells_until_when_it_is_valid(tls: dict[str, Any]) -> None:
    async def run(ca_file: str | None) -> tuple[Result, float | None]:
        async with (
            FaultServer(answer_json(GOOD), tls=tls["tls"]) as server,
            client_of(server, ca_file=ca_file) as client,
        ):
            return await client.probe(PREDICT, 5.0), client.not_after

    result, not_after = asyncio.run(run(tls["ca_file"]))
    assert result.outcome is Outcome.OK
    assert not_after is not None
    assert not_after > time.time() + 86400
    result, not_after = asyncio.run(run(None))
    assert (result.outcome, not_after) == (Outcome.UNREACHABLE, None)
    assert "TLS failed" in (result.problem or "")
