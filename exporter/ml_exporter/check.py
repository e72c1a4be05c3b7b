"""`check`: does every configured source answer, and what does one poll see there?"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from ml_exporter import discovery
from ml_exporter.app import settings_of
from ml_exporter.errors import SourceError
from ml_exporter.http import Client
from ml_exporter.model import PipelineInfo, Receipt
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
        roster = await _roster(configured, client)
    except SourceError as error:
        say(f"source {name}: {error.reason}: {error}")
        return False
    finally:
        await client.close()
    claimed = sum(1 for info in roster if config.service_of_pipeline(name, info.pipeline.name)[0] != "unassigned")
    say(f"source {name}: ok, {len(roster)} pipelines, {claimed} of them claimed by a service")
    return True


async def _roster(configured: ConfiguredSource, client: Client) -> tuple[PipelineInfo, ...]:
    common = configured.common
    source = discovery.create(common.kind, common.name, configured.options, common.url)
    poll = source.poll({}, time.time())
    answer: object = None
    try:
        while True:
            step = poll.send(answer)
            if isinstance(step, Call):
                answer = await client.send(step)
            elif step.roster is not None:
                return step.roster
            else:
                answer = Receipt()
    except StopIteration:
        return ()
    finally:
        poll.close()
