"""The part of `check` that is about endpoints: each is probed once, and what was found there is said."""

from __future__ import annotations

import asyncio
import fnmatch
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from ml_exporter import discovery
from ml_exporter.endpoint_config import asked
from ml_exporter.endpoint_settings import Asked, ConfiguredEndpoint
from ml_exporter.errors import MlExporterError, SourceError
from ml_exporter.http.probing import ProbeClient
from ml_exporter.http.resolver import Resolver
from ml_exporter.model import Check, Outcome
from ml_exporter.ports import Result
from ml_exporter.probed import settings_of, wanted
from ml_exporter.settings import Config

AT_ONCE = 50
"""Probes under way."""


@dataclass(frozen=True, slots=True)
class _Checking:
    """What all endpoints share."""

    resolver: Resolver
    room: asyncio.Semaphore
    say: Callable[[str], None]


async def probe_all(config: Config, say: Callable[[str], None]) -> bool:
    """Probe every model of every endpoint once. True if all of it went well."""
    resolver = Resolver()
    checking = _Checking(resolver, asyncio.Semaphore(AT_ONCE), say)
    try:
        found = await asyncio.gather(
            *(_endpoint(endpoint, f"endpoints[{number}]", checking) for number, endpoint in enumerate(config.endpoints))
        )
    finally:
        resolver.shut_down()
    return all(found)


async def _endpoint(endpoint: ConfiguredEndpoint, path: str, checking: _Checking) -> bool:
    common, client = endpoint.common, None
    try:
        client = ProbeClient(settings_of(endpoint), checking.resolver, fresh=common.connection == "fresh")
        if not common.discover:
            return await _probe(endpoint, asked(endpoint), client, checking)
        try:
            listed = await _listed(endpoint, client, checking)
        except SourceError as error:
            checking.say(f"endpoint {common.name}: the index of models cannot be read: {error.reason}: {error}")
            return False
        for note in _unmatched(endpoint, listed, path):
            checking.say(f"note: {note}")
        probes = (_probe(endpoint, asked(endpoint, name), client, checking) for name in listed)
        return all(await asyncio.gather(*probes))
    except MlExporterError as error:
        checking.say(f"endpoint {common.name}: {error}")
        return False
    finally:
        if client is not None:
            await client.close()


async def _listed(endpoint: ConfiguredEndpoint, client: ProbeClient, checking: _Checking) -> Sequence[str]:
    """The models of the server's index that would be probed. Raises `SourceError`."""
    common = endpoint.common
    index = discovery.index(common.protocol, endpoint.options)
    assert index is not None
    async with checking.room:
        answer = await client.read(index.call, endpoint.timeout)
    names = wanted(common, index.models(answer))
    first = names[: common.max_models]
    with_canary = sum(1 for name in first if _canary_of(endpoint, name))
    rest = f"; max_models leaves out {len(names) - len(first)} more" if len(names) > len(first) else ""
    plural = "" if len(first) == 1 else "s"
    checking.say(f"endpoint {common.name}: ok, {len(first)} model{plural}, {with_canary} with a canary{rest}")
    return first


async def _probe(endpoint: ConfiguredEndpoint, wanted: Asked, client: ProbeClient, checking: _Checking) -> bool:
    async with checking.room:
        result = await client.probe(wanted.steps, endpoint.timeout)
    checking.say(f"endpoint {endpoint.common.name}: {_said(endpoint, wanted, result)}")
    return result.outcome is Outcome.OK


def _said(endpoint: ConfiguredEndpoint, wanted: Asked, result: Result) -> str:
    version = result.finding.version or wanted.version
    about = f", model {wanted.model}" if wanted.model else ""
    about += f" version {version}" if wanted.model and version else ""
    if result.outcome is not Outcome.OK:
        return f"{result.outcome}{about if endpoint.common.discover else ''}: {result.problem}"
    predicted = any(step.check is Check.PREDICT for step in wanted.steps)
    canary = "" if predicted else ", without a canary"
    but = "".join(f"; but {step.check}: {step.problem}" for step in result.steps if step.outcome is not Outcome.OK)
    return f"ok{about} in {result.steps[-1].seconds * 1000:.0f} ms{canary}{but}"


def _canary_of(endpoint: ConfiguredEndpoint, model: str) -> bool:
    return any(fnmatch.fnmatchcase(model, pattern) for pattern, _ in endpoint.canaries)


def _unmatched(endpoint: ConfiguredEndpoint, listed: Sequence[str], path: str) -> Iterator[str]:
    for pattern, _ in endpoint.canaries:
        if not fnmatch.filter(listed, pattern):
            yield f"{path}.canaries.{pattern}: matches no model that is listed there"
