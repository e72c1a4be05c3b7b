"""The pages: metrics, health, reload, the landing page and the ways into a backend's own pages."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Callable
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler

from ml_exporter.errors import ConfigError
from ml_exporter.web import landing, negotiation, probing
from ml_exporter.web.backend import Backend

BACKEND: web.AppKey[Backend] = web.AppKey("backend", Backend)
CLOCK: web.AppKey[Callable[[], float]] = web.AppKey("clock", Callable)  # type: ignore[arg-type]
LARGEST_REQUEST = 65_536
SLICE = 1 << 20
"""Bytes written at once: a whole answer would be copied into the transport's buffer first."""
SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "deny",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
}

_log = logging.getLogger(__name__)
_routes = web.RouteTableDef()


def application(backend: Backend, clock: Callable[[], float] = time.time) -> web.Application:
    """The web application over a backend. `clock` gives seconds since the epoch."""
    app = web.Application(client_max_size=LARGEST_REQUEST, middlewares=[_guard])
    app[BACKEND] = backend
    app[CLOCK] = clock
    app.add_routes(_routes)
    app.on_response_prepare.append(_secure)
    return app


async def _secure(_request: web.Request, response: web.StreamResponse) -> None:
    for name, value in SECURITY_HEADERS.items():
        response.headers.setdefault(name, value)


@web.middleware
async def _guard(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Nothing here needs a large request, and an error of ours is told to the log, not to the visitor."""
    if (request.content_length or 0) > LARGEST_REQUEST:
        return _text(f"the request is larger than {LARGEST_REQUEST} bytes", 413)
    try:
        return await handler(request)
    except web.HTTPNotFound:
        return _text("there is no such page; / lists what there is", 404)
    except web.HTTPMethodNotAllowed as error:
        allowed = ", ".join(sorted(error.allowed_methods))
        return _text(f"{request.method} is not allowed here; allowed is {allowed}", 405, {"Allow": allowed})
    except web.HTTPException:
        raise
    except Exception:
        _log.exception("a page failed", extra={"path": request.path})
        return _text("an error inside ml-exporter; its log says more", 500)


@_routes.get("/metrics")
async def _metrics(request: web.Request) -> web.StreamResponse:
    content_type = negotiation.content_type(",".join(request.headers.getall("Accept", [])))
    gzip = negotiation.takes_gzip(",".join(request.headers.getall("Accept-Encoding", [])))
    parts = await request.app[BACKEND].metrics(negotiation.is_openmetrics(content_type), gzip)
    headers = {"Content-Type": content_type, "Vary": "Accept, Accept-Encoding"}
    if gzip:
        headers["Content-Encoding"] = "gzip"
    response = web.StreamResponse(headers=headers)
    response.content_length = sum(map(len, parts))
    await response.prepare(request)
    for part in parts if request.method != "HEAD" else ():
        view = memoryview(part)
        for start in range(0, len(view), SLICE):
            await response.write(view[start : start + SLICE])
    await response.write_eof()
    return response


@_routes.get("/probe", allow_head=False)
async def _probe(request: web.Request) -> web.Response:
    try:
        wanted = probing.asked(request)
    except ConfigError as error:
        return _text(str(error), 400)
    page = await probing.while_connected(request, request.app[BACKEND].probe(wanted))
    return web.Response(body=page.body, status=page.status, headers=probing.headers(request, wanted, page))


@_routes.get("/-/healthy")
async def _healthy(_request: web.Request) -> web.Response:
    return _text("ml-exporter is running")


@_routes.get("/-/ready")
async def _ready(request: web.Request) -> web.Response:
    ready, why = request.app[BACKEND].ready()
    return _text(why or ("ready" if ready else "not ready"), 200 if ready else 503)


@_routes.post("/-/reload")
async def _reload(request: web.Request) -> web.Response:
    error = await request.app[BACKEND].reload()
    if error is not None:
        return _text(f"the configuration was not reloaded, the old one keeps running: {error}", 500)
    return _text("the configuration was reloaded")


@_routes.get("/")
async def _landing(request: web.Request) -> web.Response:
    html = landing.page(request.app[BACKEND], request.app[CLOCK]())
    return web.Response(
        body=_bytes(html), content_type="text/html", charset="utf-8", headers={"Cache-Control": "no-store"}
    )


@_routes.get("/debug/sources/{name}")
async def _debug(request: web.Request) -> web.Response:
    backend, name = request.app[BACKEND], request.match_info["name"]
    found = backend.debug(name)
    if found is None:
        known = [source.name for source in backend.sources()]
        return _json({"error": f"there is no source '{name}'", "known": known}, 404)
    return _json(found)


@_routes.get("/debug/endpoints/{name}")
async def _debug_endpoint(request: web.Request) -> web.Response:
    backend, name = request.app[BACKEND], request.match_info["name"]
    found = await asyncio.to_thread(backend.debug_endpoint, name)
    if found is None:
        known = [endpoint.name for endpoint in backend.endpoints().shown]
        return _json({"error": f"there is no endpoint '{name}'", "known": known}, 404)
    return _json(found)


@_routes.get("/go/{source}/{pipeline:.+}/last-failed")
async def _last_failed(request: web.Request) -> web.Response:
    source, pipeline = request.match_info["source"], request.match_info["pipeline"]
    url = request.app[BACKEND].last_failed_url(source, pipeline)
    return _redirect(url, f"no failed run of {pipeline} in {source} is known, or its backend has no page for it")


# After the one above, whose paths it would take, too.
@_routes.get("/go/{source}/{pipeline:.+}")
async def _pipeline(request: web.Request) -> web.Response:
    source, pipeline = request.match_info["source"], request.match_info["pipeline"]
    url = request.app[BACKEND].pipeline_url(source, pipeline)
    return _redirect(url, f"no pipeline {pipeline} in {source} is known, or its backend has no page for it")


@_routes.get("/go/{source}")
async def _source(request: web.Request) -> web.Response:
    source = request.match_info["source"]
    return _redirect(request.app[BACKEND].source_url(source), f"there is no source {source}, or it has no pages")


def _redirect(url: str | None, otherwise: str) -> web.Response:
    """To a backend's own page; `otherwise` is what is said where there is none."""
    if url is None or urlsplit(url).scheme not in ("http", "https") or not url.isprintable():
        return _text(otherwise, 404)
    return web.Response(status=302, headers={"Location": url, "Cache-Control": "no-store"})


def _text(text: str, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    body = _bytes(f"{text}\n")
    return web.Response(body=body, status=status, content_type="text/plain", charset="utf-8", headers=headers)


def _json(value: object, status: int = 200) -> web.Response:
    body = json.dumps(value, indent=2, default=str).encode()
    return web.Response(
        body=body, status=status, content_type="application/json", headers={"Cache-Control": "no-store"}
    )


def _bytes(text: str) -> bytes:
    """Names in a backend may hold half of a surrogate pair, which is no text that could be sent."""
    return text.encode("utf-8", "replace")
