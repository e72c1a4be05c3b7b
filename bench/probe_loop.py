"""Probes one endpoint as fast as it answers, and prints the CPU seconds of a probe: asked, judged, counted, rendered.

python -m bench.probe_loop --seconds 6 --endpoint '{"name": "bench", "protocol": …}'
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time

from ml_exporter import config
from ml_exporter.endpoint_config import asked
from ml_exporter.endpoint_states import Served
from ml_exporter.exposition import Exposition
from ml_exporter.http.probing import ProbeClient
from ml_exporter.http.resolver import Resolver
from ml_exporter.lines import Lines
from ml_exporter.model import Outcome
from ml_exporter.probed import settings_of
from ml_exporter.prober import PUBLISHED_EVERY


async def loop(endpoint: dict[str, object], seconds: float) -> float:
    """CPU seconds of a probe."""
    configured = config.from_data({"endpoints": [endpoint]}).endpoints[0]
    client = ProbeClient(settings_of(configured), Resolver(), fresh=endpoint["connection"] == "fresh")
    wanted, exposition = asked(configured), Exposition()
    checks = [step.check for step in wanted.steps]
    served = Served(wanted.model, "", checks, config.from_data({}).probes.buckets, 0.0, time.time())
    lines = Lines({"ml_service": "unassigned", "ml_endpoint": "bench"})
    exposition.scrape(openmetrics=False, gzip=False)  # from now on it is prepared for the next one
    published = time.monotonic()
    count, cpu, until = 0, time.process_time(), time.monotonic() + seconds
    while time.monotonic() < until:
        result = await client.probe(wanted.steps, configured.timeout)
        if result.outcome is not Outcome.OK:
            raise RuntimeError(f"a probe failed: {result.problem}")
        served.record(result, time.time())
        exposition.update("endpoint bench", {"": lines.group(served.samples(time.time()))}, 100_000)
        count += 1
        if time.monotonic() > published + PUBLISHED_EVERY:
            exposition.publish()
            published = time.monotonic()
    cpu = time.process_time() - cpu
    await client.close()
    return cpu / count


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.probe_loop")
    parser.add_argument("--endpoint", type=json.loads, required=True)
    parser.add_argument("--seconds", type=float, default=6.0)
    options = parser.parse_args()
    print(asyncio.run(loop(options.endpoint, options.seconds)))


if __name__ == "__main__":
    main()
