"""`check`: does every configured source answer, and what does one poll see there?"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from ml_exporter import discovery
from ml_exporter.app import settings_of
from ml_exporter.errors import SourceError
from ml_exporter.http import Client
from ml_exporter.model import Receipt
from ml_exporter.ports import Call
from ml_exporter.settings import Config, ConfiguredSource


def check(config: Config, say: Callable[[str], None]) -> bool:
    """Ask every source for its roster and say what it answered. True if all of them did; changes no state."""
    return all(asyncio.run(_all(config, say)))


async def _all(config: Config, say: Callable[[str], None]) -> list[bool]:
    return list(await asyncio.gather(*(_one(configured, config, say) for configured in config.sources)))


async def _one(configured: ConfiguredSource, config: Config, say: Callable[[str], None]) -> bool:
    name = configured.common.name
    client = Client(settings_of(configured))
    try:
        pipelines = await _pipelines(configured, client)
    except SourceError as error:
        say(f"source {name}: {error.reason}: {error}")
        return False
    finally:
        await client.close()
    claimed = sum(
        1 for each, tags in pipelines.items() if config.service_of_pipeline(name, each, tags)[0] != "unassigned"
    )
    say(f"source {name}: ok, {len(pipelines)} pipelines, {claimed} of them claimed by a service")
    return True


async def _pipelines(configured: ConfiguredSource, client: Client) -> dict[str, tuple[str, ...]]:
    """Names and tags of the pipelines that there are; where only runs tell of them, those of a first poll."""
    common = configured.common
    source = discovery.create(common.kind, common.name, configured.options, common.url)
    poll = source.poll({}, time.time())
    answer: object = None
    found: dict[str, tuple[str, ...]] = {}
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
