"""What a game day does: a table of faults, each with the alert that must come of it, to whom, and how soon."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from ml_exporter.demo.faults import BROKEN, DEAD, SLOW, STOPPED, WORSE, WRONG, Faults
from ml_exporter.gameday.timing import Part, Parts, Timing

TRACKING, SCHEDULER, ENDPOINT = "tracking", "scheduler", "demand"
CHURN, FRAUD, DEMAND = "churn-healthy", "fraud-flaky", "demand-degrading"
_SLOW = "ml:probes_slow:increase"
_LIVE = "ml:model_metric_degradation_ratio:live"


class Controls(Protocol):
    """By what faults are put in and taken back."""

    @property
    def faults(self) -> Faults: ...
    def freeze(self, part: str) -> None: ...
    def thaw(self, part: str) -> None: ...


Act = Callable[[Controls], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A fault, and what must come of it. `seen` and `gone`: until the exporter's page shows that it came, and went."""

    name: str
    what: str
    """One sentence."""
    alert: str
    labels: Mapping[str, str]
    channel: str
    """The receiver that must be told."""
    put: Act
    take_back: Act
    seen: Callable[[Timing], Parts]
    gone: Callable[[Timing], Parts]
    recorded: tuple[str, ...] = ()
    """Series that are recorded between the page and the alert."""
    needs: frozenset[str]
    """What it must have for itself: scenarios that share something come one after the other."""
    ready: str = "vector(1)"
    """PromQL: must hold before the fault."""
    held: Callable[[Timing], str] | None = None
    """PromQL: the fault stays until this holds, too. What it says must not be told while the fault is there."""
    quiet: Mapping[str, str] = field(default_factory=dict)
    """Until the fault is taken back, nothing with these labels may be told but the alert itself."""

    def stated(self, timing: Timing) -> Parts:
        """From the fault to the receiver."""
        return (*self.seen(timing), *timing.told(self.alert, *self.recorded))

    def clears(self, timing: Timing) -> Parts:
        """From taking it back to the receiver's all clear."""
        return (*self.gone(timing), *timing.cleared(self.alert, *self.recorded))


def _slow_answers(t: Timing) -> Parts:
    share = t.thresholds.endpoint_slow_ratio * t.window(_SLOW)
    return (Part("slow answers", max(share, t.probes(ENDPOINT, t.thresholds.slow_probes))),)


def _next_run(t: Timing) -> Parts:
    """One run may be under way; the one after it tells."""
    return (Part("next run", 2 * t.cycle), t.poll(TRACKING))


def _registered(t: Timing) -> Parts:
    return (*_next_run(t), Part("registry", t.option(TRACKING, "registry_interval")))


def _overdue(t: Timing) -> Parts:
    limit = t.thresholds.overdue_cycles * t.every(TRACKING, CHURN)
    return (Part("last run", t.cycle), Part("every × overdue_cycles", limit), t.poll(TRACKING))


def _overdue_by_the_clock(t: Timing) -> str:
    """What the pipelines' alert would say if it went by the clock instead of by the last poll."""
    limit = t.thresholds.overdue_cycles * t.every(TRACKING, CHURN)
    last = f'ml_run_last_finished_timestamp_seconds{{source="{TRACKING}",pipeline="{CHURN}",state="succeeded"}}'
    return f"time() - max({last}) > {limit:g}"


def _up(part: str) -> str:
    return f'min(ml_source_up{{source="{part}"}}) == 1'


_SERVED = f'min(ml_endpoint_up{{ml_endpoint="{ENDPOINT}"}}) == 1'

SCENARIOS = (
    Scenario(
        name="endpoint-wrong",
        what="The model server answers what no patient can have.",
        alert="MLEndpointWrongPredictions",
        labels={"ml_endpoint": ENDPOINT},
        channel="page",
        put=lambda c: c.faults.put(WRONG),
        take_back=lambda c: c.faults.take_back(WRONG),
        seen=lambda t: (Part("wrong answers", t.probes(ENDPOINT, t.thresholds.wrong_predictions)),),
        gone=lambda t: (Part("probe_window", t.window("MLEndpointWrongPredictions")),),
        needs=frozenset({ENDPOINT}),
        ready=_SERVED,
    ),
    Scenario(
        name="scheduler-dead",
        what="The heart of the scheduler stops (a stand-in that speaks Airflow's REST API), and it still answers.",
        alert="MLSchedulerHeartbeatStale",
        labels={"source": SCHEDULER, "component": "scheduler"},
        channel="ticket",
        put=lambda c: c.faults.put(DEAD),
        take_back=lambda c: c.faults.take_back(DEAD),
        seen=lambda t: (Part("heartbeat", t.thresholds.scheduler_heartbeat_after), t.poll(SCHEDULER)),
        gone=lambda t: (Part("state_interval", t.option(SCHEDULER, "state_interval")), t.poll(SCHEDULER)),
        needs=frozenset({SCHEDULER}),
        # One that was dead before the source was first seen alarms nobody.
        ready=f'min(ml_scheduler_heartbeat_timestamp_seconds{{source="{SCHEDULER}"}}) '
        f'> min(ml_pipeline_first_seen_timestamp_seconds{{source="{SCHEDULER}"}})',
    ),
    Scenario(
        name="pipeline-failing",
        what="The data of a pipeline has holes, and every run of it fails.",
        alert="MLPipelineFailingRepeatedly",
        labels={"source": TRACKING, "pipeline": FRAUD},
        channel="ticket",
        put=lambda c: c.faults.put(BROKEN, FRAUD),
        take_back=lambda c: c.faults.take_back(BROKEN, FRAUD),
        seen=lambda t: (Part("failing runs", (t.thresholds.failing_runs + 1) * t.cycle), t.poll(TRACKING)),
        gone=_next_run,
        needs=frozenset({FRAUD}),
        ready=_up(TRACKING),
    ),
    Scenario(
        name="pipeline-late",
        what="The runs of a pipeline stop.",
        alert="MLPipelineOverdue",
        labels={"source": TRACKING, "pipeline": CHURN},
        channel="ticket",
        put=lambda c: c.faults.put(STOPPED, CHURN),
        take_back=lambda c: c.faults.take_back(STOPPED, CHURN),
        seen=_overdue,
        gone=_next_run,
        needs=frozenset({CHURN}),
        ready=_up(TRACKING),
    ),
    Scenario(
        name="model-worse",
        what="A champion is registered that is far worse than the models before it.",
        alert="MLModelQualityDegradedLive",
        labels={"source": TRACKING, "model": ENDPOINT},
        channel="page",
        put=lambda c: c.faults.put(WORSE, DEMAND),
        take_back=lambda c: c.faults.take_back(WORSE, DEMAND),
        seen=_registered,
        gone=_registered,
        recorded=(_LIVE,),
        needs=frozenset({DEMAND}),
        # A baseline that a few bad runs do not move.
        ready=f'sum(ml_runs_finished_total{{pipeline="{DEMAND}",state="succeeded"}}) >= 8',
    ),
    Scenario(
        name="endpoint-slow",
        what="The model server answers rightly, and far too late.",
        alert="MLEndpointSlow",
        labels={"ml_endpoint": ENDPOINT},
        channel="ticket",
        put=lambda c: c.faults.put(SLOW),
        take_back=lambda c: c.faults.take_back(SLOW),
        seen=_slow_answers,
        gone=lambda t: (Part("3 × probe_window", t.window(_SLOW)),),
        recorded=(_SLOW,),
        needs=frozenset({ENDPOINT}),
        ready=_SERVED,
    ),
    Scenario(
        name="mlflow-down",
        what="MLflow hangs until its pipelines are overdue by the clock, of which nobody is told.",
        alert="MLSourceDown",
        labels={"source": TRACKING},
        channel="ticket",
        put=lambda c: c.freeze("mlflow"),
        take_back=lambda c: c.thaw("mlflow"),
        seen=lambda t: (t.poll(TRACKING), t.failed_poll(TRACKING)),
        gone=lambda t: (t.failed_poll(TRACKING), t.back_off(), t.poll(TRACKING)),
        needs=frozenset({FRAUD, CHURN, DEMAND}),
        ready=_up(TRACKING),
        held=_overdue_by_the_clock,
        quiet={"source": TRACKING},
    ),
)
