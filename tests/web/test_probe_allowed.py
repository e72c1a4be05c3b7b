"""Who may be asked about through /probe: nothing but what the allow-list has is ever connected to."""

from __future__ import annotations

import asyncio
import re

import pytest
from tests.support import fault_server as faults
from tests.support.fault_server import FaultServer
from tests.support.on_demand import LIVE, READY, ProbingBackend, ask, probe
from tests.support.web_backend import run, serving

OPEN = {"protocol": "open_inference", "model": "fraud"}


@pytest.mark.parametrize(
    ("target", "allow", "names"),
    [
        ("http://127.0.0.1:PORT", [], {}),
        ("http://127.0.0.1:PORT", ["localhost", "127.0.0.1:1", "10.0.0.0/8", "::1", "*.example"], {}),
        ("http://[::ffff:127.0.0.1]:PORT", ["::ffff:0:0", "::/0"], {}),
        ("http://①②⑦.0.0.1:PORT", ["10.0.0.0/8"], {}),
        ("http://localhost:PORT", ["10.0.0.0/8"], {"localhost": ["127.0.0.1"]}),
        ("http://localhost.:PORT", ["10.0.0.0/8"], {"localhost": ["127.0.0.1"]}),
        ("http://rebound.example:PORT", ["10.0.0.0/8", "other.example"], {"rebound.example": ["127.0.0.1", "::1"]}),
    ],
)
def test_what_is_not_allowed_is_not_connected_to(target: str, allow: list[str], names: dict[str, list[str]]) -> None:
    got = probe(target=target, probes={"allow": allow}, names=names, **OPEN)
    assert got.status == 403
    assert re.search(r"^target: (\S+) is not allowed; to allow it, put '\1' into probes\.allow", got.text), got.text
    assert got.server.asked == []


@pytest.mark.parametrize("host", ["2130706433", "0x7f.1", "0x7f000001", "127.1", "0177.0.0.1", "0", "[::1%25lo]"])
def test_other_spellings_of_an_address_are_not_taken_at_all(host: str) -> None:
    got = probe(target=f"http://{host}:PORT", probes={"allow": ["*", "0.0.0.0/0"]}, **OPEN)
    assert got.status == 400
    assert got.server.asked == []


@pytest.mark.parametrize(
    ("target", "allow"),
    [
        ("http://127.0.0.1:PORT", ["*"]),
        ("http://127.0.0.1:PORT", ["127.0.0.1:PORT"]),
        ("http://127.0.0.1:PORT", ["127.0.0.0/8"]),
        ("http://[::ffff:127.0.0.1]:PORT", ["127.0.0.1"]),
        ("http://Models.Example.:PORT", ["*.example:PORT"]),
        ("http://models.example:PORT", ["127.0.0.0/8"]),
    ],
)
def test_what_is_allowed_is_probed(target: str, allow: list[str]) -> None:
    names = {"models.example": ["127.0.0.1"]}
    got = probe(LIVE, READY, target=target, probes={"allow": allow}, names=names, **OPEN)
    assert (got.status, len(got.server.asked)) == (200, 2)
    assert got.series["ml_probe_success"] == 1


def test_of_a_name_with_two_addresses_only_the_allowed_one_is_connected_to() -> None:
    async def test() -> tuple[str, int, int]:
        async with FaultServer(LIVE) as fine:
            outside = FaultServer(LIVE)
            # The same port at another address of this machine, which the list does not have.
            outside._server = await asyncio.start_server(outside._accept, "127.0.0.2", fine.port)
            backend = ProbingBackend({"allow": ["127.0.0.1/32"]}, {"two.example": ["127.0.0.2", "127.0.0.1"]})
            async with serving(backend) as (_, session):
                response = await ask(session, {"target": f"http://two.example:{fine.port}", **OPEN})
                text = await response.text()
                # A name server that answers otherwise the next time leads nowhere.
                backend.names = {"two.example": ["127.0.0.2"]}
                backend.resolver._known.clear()
                second = await ask(session, {"target": f"http://two.example:{fine.port}", **OPEN})
            backend.on_demand.close()
            await outside.__aexit__(None, None, None)
            return text, second.status, len(outside.asked)

    text, status, outside = run(test())
    assert "ml_probe_success 1\n" in text
    assert (status, outside) == (403, 0)


def test_where_a_name_leads_is_not_told_to_who_may_not_know() -> None:
    names = {"secret.internal": ["127.0.0.9"]}
    got = probe(target="http://secret.internal", probes={"allow": ["10.0.0.0/8"]}, names=names, **OPEN)
    assert got.status == 403
    assert "127.0.0.9" not in got.text


def test_a_name_that_leads_nowhere_is_unreachable() -> None:
    got = probe(target="http://nowhere.example", probes={"allow": ["10.0.0.0/8"]}, names={}, **OPEN)
    assert got.series["ml_probe_outcome unreachable"] == 1


def test_an_allowed_server_that_is_down_is_no_matter_of_permission() -> None:
    names = {"both.example": ["127.0.0.2", "127.0.0.1"]}
    got = probe(target="http://both.example:1", probes={"allow": ["127.0.0.1/32"]}, names=names, **OPEN)
    assert got.series["ml_probe_outcome unreachable"] == 1


@pytest.mark.parametrize(
    "location", ["http://169.254.169.254/latest", "//localhost:PORT/", "https://127.0.0.1:PORT/", "//127.0.0.2:PORT"]
)
def test_a_redirect_leads_nowhere_else_whatever_is_allowed(location: str) -> None:
    async def redirect(writer: asyncio.StreamWriter) -> None:
        port = writer.get_extra_info("sockname")[1]
        await faults.redirect(location.replace("PORT", str(port)))(writer)

    got = probe(redirect, probes={"allow": ["*"]}, **OPEN, debug="true")
    assert "only redirects on the host are followed" in got.text
    assert {asked.target for asked in got.server.asked} == {"/v2/health/live", "/v2/models/fraud/ready"}
