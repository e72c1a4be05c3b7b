"""The scheduler itself: heartbeats, pools, files that could not be loaded."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from functools import partial
from typing import Any

from ml_exporter.model import Sample
from ml_exporter.sources.airflow.api import Api, Steps, all_items, list_import_errors, list_pools
from ml_exporter.sources.airflow.runs import time, word
from ml_exporter.sources.airflow.shapes import Health, ImportErrorPage, PoolRecord

Samples = tuple[Sample, ...]

MAX_POOLS = 500
"""More are not shown: some make a pool for every data set."""
MAX_LOCATIONS = 100
DEFAULT_LOCATION = "dags"
"""Where definitions come from that name no bundle: all of Airflow 2's."""
REST = "(more)"


def heartbeats(health: Health) -> Samples:
    """A part that never ran, or is not wanted, has none."""
    parts = (("scheduler", health.scheduler), ("triggerer", health.triggerer), ("dag_processor", health.dag_processor))
    beats = ((name, time(part.heartbeat)) for name, part in parts if part is not None)
    return tuple(Sample("ml_scheduler_heartbeat_timestamp_seconds", (name,), at) for name, at in beats if at)


def read_pools(api: Api, page_size: int) -> Steps[Samples]:
    records: list[PoolRecord] | None = yield from all_items("pools", partial(list_pools, api, page_size))
    named = {name: record for record in records or () if (name := word(record.name))}
    return tuple(sample for name in sorted(named)[:MAX_POOLS] for sample in _pool(name, named[name]))


def _pool(name: str, record: PoolRecord) -> Iterable[Sample]:
    """Tasks wait for a slot (scheduled), then with one for a worker (queued). A pool without limit has no capacity."""
    waiting = [slots for slots in (_slots(record.queued_slots), _slots(record.scheduled_slots)) if slots is not None]
    if waiting:
        yield Sample("ml_scheduler_queue_length", (name,), sum(waiting))
    slots, used = _slots(record.slots), _slots(record.occupied_slots)
    if slots is not None and used is not None:
        yield Sample("ml_scheduler_capacity", (name, "slots", "used"), used)
        yield Sample("ml_scheduler_capacity", (name, "slots", "free"), max(0.0, slots - used))


def _slots(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e9:
        return None
    return float(value) if math.isfinite(value) else None


def read_load_errors(api: Api, bundles: Iterable[str], page_size: int) -> Steps[Samples]:
    """How many files could not be loaded, by bundle; `bundles` are those of the DAGs that could."""
    reply = yield list_import_errors(api, page_size)
    if reply.status != 200:
        return ()
    page: ImportErrorPage = reply.value
    counts = Counter(dict.fromkeys(bundles, 0))
    counts.update(word(record.bundle_name) or DEFAULT_LOCATION for record in page.import_errors)
    shown = dict(sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:MAX_LOCATIONS])
    if page.total_entries > sum(shown.values()):
        shown[REST] = page.total_entries - sum(shown.values())
    return tuple(Sample("ml_scheduler_load_errors", (location,), count) for location, count in shown.items())
