"""`check`: does every configured source answer, does every endpoint predict, and what is there?"""

from __future__ import annotations

import asyncio
import difflib
import fnmatch
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TypeAlias

from ml_exporter import discovery, endpoint_check, routing_config
from ml_exporter.app import settings_of
from ml_exporter.endpoint_settings import ProbeConfig
from ml_exporter.errors import SourceError
from ml_exporter.http import Client
from ml_exporter.model import Receipt
from ml_exporter.ports import Call
from ml_exporter.settings import Config, ConfiguredSource, SourceConfig

Pipelines: TypeAlias = dict[str, tuple[str, ...]]
"""Name → tags."""


def check(config: Config, say: Callable[[str], None]) -> bool:
    """Ask every source what pipelines it has, say who owns them, and probe every endpoint once.

    True if all answered, and answered well; changes no state.
    """
    found, predicts = asyncio.run(_all(config, say))
    for note in unclaimed(config, {name: pipelines for name, pipelines in found.items() if pipelines is not None}):
        say(f"note: {note}")
    return predicts and None not in found.values()


async def _all(config: Config, say: Callable[[str], None]) -> tuple[dict[str, Pipelines | None], bool]:
    names = [configured.common.name for configured in config.sources]
    sources = asyncio.gather(*(_one(configured, config, say) for configured in config.sources))
    answers, predicts = await asyncio.gather(sources, endpoint_check.probe_all(config, say))
    return dict(zip(names, answers, strict=True)), predicts


async def _one(configured: ConfiguredSource, config: Config, say: Callable[[str], None]) -> Pipelines | None:
    name = configured.common.name
    client = Client(settings_of(configured))
    try:
        pipelines = await _pipelines(configured, client)
    except SourceError as error:
        say(f"source {name}: {error.reason}: {error}")
        return None
    finally:
        await client.close()
    owners = Counter(config.service_of_pipeline(name, each, tags).service for each, tags in pipelines.items())
    listed = ", ".join(f"{owner} {count}" for owner, count in sorted(owners.items()))
    plural = "" if len(pipelines) == 1 else "s"
    say(f"source {name}: ok, {len(pipelines)} pipeline{plural}{f' ({listed})' if config.services and listed else ''}")
    return pipelines


def absent(config: Config) -> Iterator[str]:
    """Files that sources, endpoints, modules and receivers name and that are not here, where they may not be read."""
    sections: dict[str, SourceConfig | ProbeConfig] = {}
    sections |= {f"sources[{number}]": source.common for number, source in enumerate(config.sources)}
    sections |= {f"endpoints[{number}]": endpoint.common for number, endpoint in enumerate(config.endpoints)}
    sections |= {f"probes.modules.{name}": module.common for name, module in config.probes.modules.items()}
    for where, section in sections.items():
        for key in ("token_file", "password_file", "ca_file"):
            path = getattr(section, key)
            if path and not Path(path).is_file():
                yield f"{where}.{key}: {Path(path).absolute()} is not there"
    for where, file in routing_config.secret_files(config.alerting):
        if not Path(file).is_file():
            yield f"{where}: {file} is not there; well if Alertmanager, which reads it, finds it where it runs"


def unclaimed(config: Config, found: Mapping[str, Pipelines]) -> Iterator[str]:
    """Patterns and services that claim nothing, so that nothing of theirs alerts; of sources that answered only."""
    everything = [f"{source}/{name}" for source, pipelines in found.items() for name in pipelines]
    claimed = {
        config.service_of_pipeline(source, name, tags).service
        for source, pipelines in found.items()
        for name, tags in pipelines.items()
    }
    endpoints = [endpoint.common.name for endpoint in config.endpoints]
    claimed |= {config.service_of_endpoint(name).service for name in endpoints}
    whole = len(found) == len(config.sources)
    for number, service in enumerate(config.services):
        for stage, items in service.stages.items():
            for index, item in enumerate(items):
                if item.endpoint is not None and not fnmatch.filter(endpoints, item.endpoint):
                    where = f"services[{number}].stages.{stage}[{index}].endpoint"
                    yield f"{where}: '{item.endpoint}' matches no endpoint"
                if item.pipeline is None:
                    continue
                asked = any(fnmatch.fnmatchcase(source, item.pipeline.partition("/")[0]) for source in found)
                if asked and not fnmatch.filter(everything, item.pipeline):
                    where = f"services[{number}].stages.{stage}[{index}].pipeline"
                    close = difflib.get_close_matches(item.pipeline, everything, n=1)
                    hint = f"; did you mean '{close[0]}'?" if close else ""
                    yield f"{where}: '{item.pipeline}' matches no pipeline{hint}"
        if whole and service.name not in claimed and not service.models:
            yield f"services[{number}]: nothing belongs to '{service.name}', by a pattern or by a tag"


async def _pipelines(configured: ConfiguredSource, client: Client) -> Pipelines:
    """Names and tags of the pipelines that there are; where only runs tell of them, those of a first poll."""
    common = configured.common
    source = discovery.create(common.kind, common.name, configured.options, common.url)
    poll = source.poll({}, time.time())
    answer: object = None
    found: Pipelines = {}
    try:
        while True:
            step = poll.send(answer)
            if isinstance(step, Call):
                answer = await client.send(step)
            else:
                found |= {run.pipeline.name: () for run in step.runs if run.pipeline.name not in found}
                found |= {info.pipeline.name: info.tags for info in (*(step.roster or ()), *step.pipelines)}
                if found and (step.roster or not step.complete):
                    return found
                answer = Receipt()
    except StopIteration:
        return found
    finally:
        poll.close()
