"""Basic auth on a real socket: who is let in, and at what cost."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import aiohttp
import bcrypt
import pytest
from tests.support.web_backend import run, serving
from tests.support.web_files import HASH, basic, status, status_with, write

from ml_exporter.web.toolkit import load


def test_only_a_known_user_with_the_right_password_is_let_in(tmp_path: Path) -> None:
    async def test() -> None:
        path = write(tmp_path, {"basic_auth_users": {"me": HASH}})
        async with serving(config=load(path)) as (_, session):
            async with session.get("/metrics") as response:
                assert response.status == 401
                assert response.headers["WWW-Authenticate"].startswith('Basic realm="ml-exporter"')
                assert response.headers["X-Content-Type-Options"] == "nosniff"
            for user, password, expected in (
                ("me", "open sesame", 200),
                ("me", "open sesame", 200),
                ("me", "", 401),
                ("me", "wrong", 401),
                ("you", "open sesame", 401),
                ("", "", 401),
                ("me", "x" * 5000, 401),
                ("me", "nul\0", 401),
            ):
                assert await status(session, headers=basic(user, password)) == expected
            for header in ("Basic", "Basic !!!", "Bearer x", "Basic bWU=", "Basic /////w==", "Basic ü"):
                assert await status(session, headers={"Authorization": header}) == 401

    run(test())


@pytest.mark.parametrize("prefix", ["$2a$", "$2b$", "$2y$"])
def test_hashes_of_every_tool_are_taken(tmp_path: Path, prefix: str) -> None:
    path = write(tmp_path, {"basic_auth_users": {"me": prefix + HASH[4:]}})
    assert status_with(path, headers=basic("me", "open sesame")) == 200


def test_a_right_password_is_hashed_only_once_even_after_a_wrong_one(tmp_path: Path) -> None:
    slow = bcrypt.hashpw(b"right", bcrypt.gensalt(10)).decode()

    async def timed(session: aiohttp.ClientSession, password: str) -> float:
        began = time.perf_counter()
        await status(session, headers=basic("me", password))
        return time.perf_counter() - began

    async def test() -> None:
        path = write(tmp_path, {"basic_auth_users": {"me": slow}})
        async with serving(config=load(path)) as (_, session):
            first = await timed(session, "right")
            await timed(session, "wrong")
            again = min([await timed(session, "right") for _ in range(3)])
            assert again < first / 3

    run(test())


def test_a_flood_of_guesses_does_not_hold_up_who_is_known(tmp_path: Path) -> None:
    slow = bcrypt.hashpw(b"right", bcrypt.gensalt(10)).decode()

    async def test() -> None:
        path = write(tmp_path, {"basic_auth_users": {"me": slow}})
        async with serving(config=load(path)) as (_, session):
            right = basic("me", "right")
            assert await status(session, headers=right) == 200
            guesses = [asyncio.create_task(status(session, headers=basic("me", f"no {n}"))) for n in range(4)]
            await asyncio.sleep(0.05)
            assert await status(session, headers=right) == 200
            assert not all(guess.done() for guess in guesses)
            assert set(await asyncio.gather(*guesses)) == {401}

    run(test())


def test_users_change_with_a_reload(tmp_path: Path) -> None:
    async def test() -> None:
        path = write(tmp_path, {"basic_auth_users": {"me": HASH}})
        async with serving(config=load(path)) as (runner, session):
            me = basic("me", "open sesame")
            assert await status(session, headers=me) == 200
            write(tmp_path, {"basic_auth_users": {"you": HASH}})
            await runner.reload()
            assert await status(session, headers=me) == 401
            assert await status(session, headers=basic("you", "open sesame")) == 200

    run(test())
