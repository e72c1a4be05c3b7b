"""A web configuration and its certificates on disk, and clients that do or do not fit them."""

from __future__ import annotations

import base64
import ssl
from pathlib import Path
from typing import Any

import aiohttp
import bcrypt
import trustme
import yaml
from tests.support.web_backend import run, serving

from ml_exporter.web.toolkit import load

HASH = bcrypt.hashpw(b"open sesame", bcrypt.gensalt(4)).decode()


def issue(authority: trustme.CA, folder: Path) -> None:
    """A new certificate with its key for the server."""
    issued = authority.issue_cert("127.0.0.1")
    issued.cert_chain_pems[0].write_to_path(str(folder / "cert.pem"))
    issued.private_key_pem.write_to_path(str(folder / "key.pem"))


def write(folder: Path, data: Any) -> Path:
    """The web configuration as a file."""
    path = folder / "web.yml"
    path.write_text(data if isinstance(data, str) else yaml.safe_dump(data))
    return path


def tls(**more: Any) -> dict[str, Any]:
    return {"tls_server_config": {"cert_file": "cert.pem", "key_file": "key.pem", **more}}


def trusting(authority: trustme.CA, client: trustme.LeafCert | None = None) -> ssl.SSLContext:
    """A client's TLS that knows the authority and shows a certificate, if it has one."""
    context = ssl.create_default_context()
    authority.configure_trust(context)
    if client is not None:
        client.configure_cert(context)
    return context


def basic(user: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


async def status(session: aiohttp.ClientSession, **options: Any) -> int:
    async with session.get("/-/healthy", **options) as response:
        return response.status


def status_with(path: Path, **options: Any) -> int:
    """What one request gets from a server with this web configuration."""

    async def test() -> int:
        async with serving(config=load(path)) as (_, session):
            return await status(session, **options)

    return run(test())
