"""Basic auth and headers by the web configuration: bcrypt off the loop, and only once for a right password."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Mapping

import bcrypt
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from ml_exporter.web.toolkit import WebConfig

_BCRYPT_BYTES = 72  # bcrypt reads no further; other programs that check the same hash cut there too
_NO_PASSWORD = "." * 31


class Guard:
    """Checks requests against the current web configuration and adds its headers."""

    def __init__(self, config: WebConfig) -> None:
        self._key = secrets.token_bytes(32)
        # One at a time: a flood of guesses must not take the threads that decode and render.
        self._one_at_a_time = asyncio.Lock()
        self.use(config)

    def use(self, config: WebConfig) -> None:
        """Take another configuration, from the next request on."""
        self._users: Mapping[str, str] = config.users
        self._headers = {name: value for name, value in config.headers.items() if value}
        # Right passwords only, so guesses can neither fill it nor push anybody out.
        self._right: set[bytes] = set()

    async def add_headers(self, _request: web.Request, response: web.StreamResponse) -> None:
        """For `on_response_prepare`: what the web configuration says goes before the defaults."""
        response.headers.update(self._headers)

    def middleware(self) -> Middleware:
        @web.middleware
        async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
            if self._users and not await self._is_allowed(request.headers.get("Authorization", "")):
                return web.Response(
                    status=401,
                    text="user and password, please\n",
                    headers={"WWW-Authenticate": 'Basic realm="ml-exporter", charset="UTF-8"'},
                )
            return await handler(request)

        return check

    async def _is_allowed(self, header: str) -> bool:
        user, password = _credentials(header)
        if user is None:
            return False
        expected = self._users.get(user)
        # An unknown user takes as long as a known one.
        hashed = expected or next(iter(self._users.values()))[:29] + _NO_PASSWORD
        seal = hmac.new(self._key, b"\0".join((user.encode(), hashed.encode(), password)), hashlib.sha256).digest()
        if seal in self._right:
            return True
        async with self._one_at_a_time:
            matches = await asyncio.to_thread(_matches, password, hashed)
        if expected is None or not matches:
            return False
        self._right.add(seal)
        return True


def _matches(password: bytes, hashed: str) -> bool:
    return bcrypt.checkpw(password, hashed.encode())


def _credentials(header: str) -> tuple[str | None, bytes]:
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        return None, b""
    try:
        user, colon, password = base64.b64decode(encoded.strip(), validate=True).partition(b":")
        return (user.decode() if colon else None), password[:_BCRYPT_BYTES]
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return None, b""
