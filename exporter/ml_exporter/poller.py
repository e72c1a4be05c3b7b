"""One task per source: poll, commit, publish; one source's trouble never reaches another.

All work with the processor (decoding, folding, SQLite, rendering) runs in threads, so the scrape is always answered.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, ParamSpec, Protocol, TypeVar

from ml_exporter.catalog import BY_NAME
from ml_exporter.errors import MlExporterError, Reason, SourceError, StateError
from ml_exporter.exposition import Exposition
from ml_exporter.ledger import Change, Ledger
from ml_exporter.lines import Group, render_group
from ml_exporter.model import Batch, Cursor, HistogramSample, Json, Receipt, Sample
from ml_exporter.ports import Call, Poll, Reply, Source
from ml_exporter.samples import Directions, Price, Samples, of_model, of_pipeline
from ml_exporter.settings import Config, ConfiguredSource
from ml_exporter.store import Store

log = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

MAX_BACKOFF = 120.0
"""Seconds between polls of a source that keeps failing, at most (or its interval, if that is longer)."""
CATCH_UP_PAUSE = 0.5
"""Seconds between polls while history is being read: the backend has other users."""
SCRAPE_GAP = 20.0
"""Seconds that a newborn pipeline's counters are shown at 0 at least, so that a scrape sees them."""


class Client(Protocol):
    """What drives the calls of a source."""

    requests: int
    response_bytes: int

    def begin_poll(self) -> None: ...
    async def send(self, call: Call) -> Reply: ...


@dataclass(slots=True)
class Health:
    """What happened to a source's polls since the process started."""

    up: bool = False
    polls: dict[tuple[str, str], int] = field(default_factory=dict)
    buckets: list[int] = field(default_factory=list)
    seconds: float = 0.0
    failures: int = 0
    """Failed polls in a row."""
    last_error: str | None = None
    series: int = 0
    dropped: dict[str, int] = field(default_factory=dict)


class Poller:
    """Polls one source for ever. `poll_once` is one cycle; `run` repeats it at the source's interval."""

    def __init__(
        self,
        configured: ConfiguredSource,
        config: Config,
        source: Source,
        client: Client,
        store: Store,
        exposition: Exposition,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.configured, self.config = configured, config
        self.name = configured.common.name
        self.source, self.client, self.store, self.exposition = source, client, store, exposition
        self.clock = clock
        self.health = Health(buckets=[0] * (len(BY_NAME["ml_source_poll_duration_seconds"].buckets) + 1))
        self.cursor: dict[str, Json] = {}
        self.ledger = Ledger()
        self.directions: Directions = getattr(configured.options, "metrics", {})
        self._dirty: set[tuple[str, str]] = set()
        self._gauges: tuple[Sample, ...] = ()
        """Not kept over a restart: how full a queue was then says nothing of now."""
        self._born: dict[str, float] = {}
        self._more = False

    # Life

    def restore(self) -> None:
        """Take up the state of the last run, and show it: its age is visible. Raises `StateError`."""
        self.exposition.remove(self.name)
        self.cursor, self.ledger = self.store.load(self.name)
        self._born = dict.fromkeys(self.ledger.unannounced(), self.clock())
        # What a first poll committed before it failed is shown with the first one that succeeds, changed or not.
        self._dirty = {("pipeline", name) for name in self.ledger.pipelines}
        self._dirty |= {("model", name) for name in self.ledger.models}
        if self.ledger.source.last_success_at is not None:
            self._show()
        self._show_health()
        self.exposition.publish()

    async def run(self) -> None:
        """Poll until cancelled. A poll never overlaps the next one."""
        while True:
            error = await self.poll_once()
            await asyncio.sleep(self.pause(error))

    def pause(self, error: MlExporterError | None) -> float:
        """Seconds to wait after a poll that ended in `error` (None: well)."""
        interval = self.configured.interval
        if error is None:
            return CATCH_UP_PAUSE if self._more else interval * random.uniform(0.95, 1.05)
        backoff = min(interval * 2 ** min(self.health.failures - 1, 10), max(MAX_BACKOFF, interval))
        asked = getattr(error, "retry_after", None) or 0.0
        return float(max(backoff, min(asked, 3600.0)) * random.uniform(0.9, 1.1))

    async def poll_once(self) -> MlExporterError | None:
        """One cycle. A failure is recorded and returned, never raised; what was committed before it stays."""
        began = time.monotonic()
        self._more = False
        self.client.begin_poll()
        error: MlExporterError | None = None
        poll: Poll | None = None
        try:
            await self._announce()
            poll = self.source.poll(dict(self.cursor), self.clock())
            await self._drive(poll)
            self.ledger.source = replace(self.ledger.source, last_success_at=self.clock())
            await _finishing(self.store.commit, self.name, Change(cursor={}, source=self.ledger.source))
            await _finishing(self._show)
        except (SourceError, StateError) as problem:
            error = problem
        except Exception as problem:  # whatever a source does wrong must not end its polling
            log.exception("poll ended in a bug", extra={"source": self.name})
            error = SourceError(
                f"{type(problem).__name__}: {problem} (a bug; the log has the traceback)", Reason.INTERNAL
            )
        finally:
            if poll is not None:
                poll.close()
        self._record(error, time.monotonic() - began)
        self._show_health()
        await _finishing(self.exposition.publish)
        return error

    async def _drive(self, poll: Poll) -> None:
        """Run the generator: calls go to the client, batches to the state."""
        answer: Reply | Receipt | None = None
        while (step := await _finishing(_advance, poll, answer)) is not None:
            if isinstance(step, Call):
                answer = await self.client.send(step)
            else:
                answer = await _finishing(self._take, step)

    # State

    def _take(self, batch: Batch) -> Receipt:
        """Fold, commit, adopt: in this order, so that memory never runs ahead of the state file."""
        finished = [run.id for run in batch.runs if run.state.is_terminal]
        counted = self.store.counted(self.name, [*finished, *(task.key for task in batch.tasks)])
        change = self.ledger.fold(batch, counted, self.clock())
        self._commit(change)
        if batch.gauges is not None:
            self._gauges = batch.gauges
            self._dirty.add(("gauges", ""))
        self._more = self._more or not batch.complete
        return change.receipt

    def _commit(self, change: Change) -> None:
        self.store.commit(self.name, change)
        known = self.ledger.pipelines.keys()
        born = [name for name, state in change.pipelines.items() if state and not state.announced and name not in known]
        self._born.update(dict.fromkeys(born, self.clock()))
        self.ledger.adopt(change)
        self.cursor = _merged(self.cursor, change.cursor)
        self._dirty |= {("pipeline", name) for name in change.pipelines}
        self._dirty |= {("model", name) for name in change.models}

    async def _announce(self) -> None:
        """Newborn pipelines were shown with counters at 0 long enough: show what they count."""
        now = self.clock()
        due = [name for name, at in self._born.items() if now - at >= min(SCRAPE_GAP, self.configured.interval)]
        if due:
            change = self.ledger.announce([name for name in due if name in self.ledger.pipelines])
            await _finishing(self._commit, change)
            for name in due:
                del self._born[name]

    # Publishing

    def _show(self) -> None:
        """Bring everything that changed since the last time to the page."""
        changed = {f"{kind}/{name}": self._group(kind, name) for kind, name in self._dirty}
        page = self.exposition.update(self.name, changed, self.configured.series_limit)
        self._dirty = set()
        for family, series in page.dropped.items():
            if family not in self.health.dropped:
                log.warning(
                    "series limit reached: a family is left out",
                    extra={"source": self.name, "family": family, "series": series, "limit": page.limit},
                )
            self.health.dropped[family] = self.health.dropped.get(family, 0) + series
        self.health.series = page.series

    def _group(self, kind: str, name: str) -> Group | None:
        rendered: Samples
        if kind == "gauges":
            return render_group(self._gauges, {"source": self.name})
        if kind == "pipeline":
            state = self.ledger.pipelines.get(name)
            if state is None or state.gone_at is not None:
                return None
            claim = self.config.service_of_pipeline(self.name, name, state.tags)
            service, rate = claim.service, claim.cost_per_hour
            price = None if rate is None else Price(rate, self.config.costs.currency)
            rendered = of_pipeline(state, claim.every, self.directions, self.source.queue_times, price, claim.stage)
        else:
            model = self.ledger.models.get(name)
            if model is None:
                return None
            service = self.config.service_of_model(self.name, name)
            rendered = of_model(model, self.directions)
        return render_group(rendered, {"source": self.name, "ml_service": service})

    def _record(self, error: MlExporterError | None, seconds: float) -> None:
        health, reason = self.health, getattr(error, "reason", None)
        outcome = ("failed", str(reason)) if error else ("ok", "none")
        health.polls[outcome] = health.polls.get(outcome, 0) + 1
        bounds = BY_NAME["ml_source_poll_duration_seconds"].buckets
        health.buckets[sum(1 for bound in bounds if seconds > bound)] += 1
        health.seconds += seconds
        health.failures = health.failures + 1 if error else 0
        if error and str(error) != health.last_error:
            log.warning("poll failed", extra={"source": self.name, "reason": str(reason), "error": str(error)})
        elif health.last_error and not error:
            log.info("poll succeeds again", extra={"source": self.name})
        health.up, health.last_error = error is None, str(error) if error else None

    def _show_health(self) -> None:
        group = render_group(self._health_samples(), {"source": self.name})
        self.exposition.update(f"source {self.name}", {"health": group})

    def _health_samples(self) -> Iterable[Sample | HistogramSample]:
        health, source = self.health, self.ledger.source
        yield Sample("ml_source_info", (self.configured.common.kind,), 1)
        yield Sample("ml_source_up", (), int(health.up))
        if source.last_success_at is not None:
            yield Sample("ml_source_last_success_timestamp_seconds", (), source.last_success_at)
        yield Sample("ml_source_interval_seconds", (), self.configured.interval)
        yield Sample("ml_source_backfill_complete", (), int(source.backfill_complete))
        yield Sample("ml_source_backfill_progress_ratio", (), source.progress)
        for outcome, reason in (("ok", "none"), *(("failed", str(reason)) for reason in Reason)):
            yield Sample("ml_source_polls_total", (outcome, reason), health.polls.get((outcome, reason), 0))
        yield HistogramSample("ml_source_poll_duration_seconds", (), tuple(health.buckets), health.seconds)
        yield Sample("ml_source_requests_total", (), self.client.requests)
        yield Sample("ml_source_response_bytes_total", (), self.client.response_bytes)
        yield Sample("ml_source_series", (), health.series)
        yield Sample("ml_source_series_limit", (), self.configured.series_limit)
        for family in BY_NAME.values():
            if family.shed:
                yield Sample("ml_source_series_dropped_total", (family.name,), health.dropped.get(family.name, 0))


async def _finishing(function: Callable[P, T], *arguments: P.args, **keywords: P.kwargs) -> T:
    """Run in a thread, to its end even if cancelled: nobody may take up the state while it is being written."""
    work = asyncio.ensure_future(asyncio.to_thread(function, *arguments, **keywords))
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        await asyncio.wait([work])
        raise


def _advance(poll: Poll, answer: Any) -> Call | Batch | None:
    """The generator's next step; None when it has ended (StopIteration cannot cross a thread's future)."""
    with suppress(StopIteration):
        return poll.send(answer)
    return None


def _merged(cursor: dict[str, Json], changes: Cursor) -> dict[str, Json]:
    merged = {**cursor, **changes}
    return {key: value for key, value in merged.items() if value is not None}
