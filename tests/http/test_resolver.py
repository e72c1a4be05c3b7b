"""Names that hang, fail or lead elsewhere: nobody else waits, and nobody is led where it is not allowed."""

from __future__ import annotations

import asyncio
import socket
import threading
from typing import Any

import pytest
from aiohttp.abc import ResolveResult

from ml_exporter.http import resolver
from ml_exporter.http.resolver import Permitted, Resolver


def led_to(*hosts: str) -> list[ResolveResult]:
    return [ResolveResult(hostname="n", host=h, port=80, family=socket.AF_INET, proto=6, flags=0) for h in hosts]


class Names:
    """Looks names up as a test says, and counts."""

    def __init__(self, **answers: Any) -> None:
        self.answers, self.asked = answers, list[str]()
        self.let_go = threading.Event()
        self.hanging = {"hangs"}

    def __call__(self, host: str, port: int, family: int) -> list[ResolveResult]:
        self.asked.append(host)
        if host in self.hanging:
            self.let_go.wait(20)
        if host not in self.answers:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return led_to(*self.answers[host])


def hosts(found: list[ResolveResult]) -> list[str]:
    return [result["host"] for result in found]


def test_a_name_that_hangs_holds_up_no_other() -> None:
    names = Names(good=["10.0.0.1"])

    async def run() -> list[str]:
        resolving = Resolver(names)
        waiting = asyncio.ensure_future(resolving.resolve("hangs"))
        found = hosts(await asyncio.wait_for(resolving.resolve("good"), 5))
        assert not waiting.done()
        names.let_go.set()
        await asyncio.gather(waiting, return_exceptions=True)
        resolving.shut_down()
        return found

    assert asyncio.run(run()) == ["10.0.0.1"]


def test_many_who_ask_for_one_name_cost_one_question_even_if_the_first_gives_up() -> None:
    names = Names(hangs=["10.0.0.1"])

    async def run() -> list[list[str]]:
        resolving = Resolver(names)
        asking = [asyncio.ensure_future(resolving.resolve("hangs")) for _ in range(50)]
        await asyncio.sleep(0)
        asking[0].cancel()
        names.let_go.set()
        answers = await asyncio.gather(*asking[1:])
        resolving.shut_down()
        return [hosts(answer) for answer in answers]

    assert asyncio.run(run()) == [["10.0.0.1"]] * 49
    assert names.asked == ["hangs"]


def test_an_answer_is_kept_for_a_while_and_a_failure_is_not() -> None:
    names, now = Names(good=["10.0.0.1"]), [0.0]

    async def run() -> None:
        resolving = Resolver(names, lambda: now[0])
        for at in (0.0, resolver.KEPT - 1, resolver.KEPT + 1):
            now[0] = at
            await resolving.resolve("good")
        for _ in range(2):
            with pytest.raises(OSError, match="not known"):
                await resolving.resolve("bad")
        resolving.shut_down()

    asyncio.run(run())
    assert names.asked == ["good", "good", "bad", "bad"]


def test_names_that_hang_in_every_thread_hold_up_no_name_that_was_known() -> None:
    names, now = Names(good=["10.0.0.1"]), [0.0]
    names.hanging = {f"hangs-{number}" for number in range(resolver.THREADS)}

    async def run() -> list[str]:
        resolving = Resolver(names, lambda: now[0])
        await resolving.resolve("good")
        now[0] = resolver.KEPT + 1
        waiting = [asyncio.ensure_future(resolving.resolve(name)) for name in names.hanging]
        await asyncio.sleep(0)
        found = hosts(await asyncio.wait_for(resolving.resolve("good"), 5))
        names.let_go.set()
        await asyncio.gather(*waiting, return_exceptions=True)
        resolving.shut_down()
        return found

    assert asyncio.run(run()) == ["10.0.0.1"]


def test_a_name_that_was_known_and_is_no_more_is_an_error() -> None:
    names, now = Names(good=["10.0.0.1"]), [0.0]

    async def run() -> None:
        resolving = Resolver(names, lambda: now[0])
        await resolving.resolve("good")
        now[0] = resolver.KEPT + 1
        del names.answers["good"]
        with pytest.raises(OSError, match="not known"):
            await resolving.resolve("good")
        resolving.shut_down()

    asyncio.run(run())


def test_only_permitted_addresses_are_led_to() -> None:
    names = Names(mixed=["10.0.0.1", "169.254.169.254"], evil=["169.254.169.254"])

    async def run() -> list[str]:
        resolving = Resolver(names)
        permitted = Permitted(resolving, lambda address: address.startswith("10."))
        with pytest.raises(OSError, match=r"evil leads to 169\.254\.169\.254, which is not allowed"):
            await permitted.resolve("evil")
        found = hosts(await permitted.resolve("mixed"))
        resolving.shut_down()
        return found

    assert asyncio.run(run()) == ["10.0.0.1"]


def test_the_systems_resolver_knows_this_machine() -> None:
    assert "127.0.0.1" in hosts(resolver.look_up("localhost", 80, socket.AF_INET))
