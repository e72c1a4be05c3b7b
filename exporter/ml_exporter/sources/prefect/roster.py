"""Which deployments and flows there are, and what a flow run's pipeline is called."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from ml_exporter.reading import Cadence, iso
from ml_exporter.sources.prefect.api import Api, Steps
from ml_exporter.sources.prefect.deployments import Deployment, describe
from ml_exporter.sources.prefect.runs import AHEAD, moment
from ml_exporter.sources.prefect.shapes import DeploymentRecord, FlowRecord, FlowRun

EVERY = 600.0


@dataclass
class Roster:
    """What is known of the server's deployments. Lost with the process: the next one reads it whole."""

    api: Api
    deployments: dict[str, Deployment] = field(default_factory=dict)
    cadence: Cadence = field(default_factory=lambda: Cadence(EVERY))
    plans: Cadence = field(default_factory=lambda: Cadence(EVERY))
    _flows: dict[str, str | None] = field(default_factory=dict)
    """Names by id; None: not there. A flow cannot be renamed."""
    _gone: set[str] = field(default_factory=set)
    """Deployments that runs speak of and that are no longer there."""

    def read(self, now: float) -> Steps[bool]:
        """Bring the deployments up to date, if it is time: whether it was. A failure leaves them as they were."""
        if not self.cadence.due(now):
            return False
        listed = yield from self.api.all("deployments", DeploymentRecord, {"sort": "CREATED_DESC"})
        slipped = [id_ for id_ in self.deployments if id_ not in listed]
        if slipped:
            listed |= yield from self.api.by_id("deployments", DeploymentRecord, slipped)
        self._gone.clear()
        self._flows = {id_: name for id_, name in self._flows.items() if name is not None}
        described = yield from self._describe(listed.values())
        self.deployments = described
        self.cadence.done(now)
        return True

    def resolve(self, runs: Iterable[FlowRun]) -> Steps[list[Deployment]]:
        """Learn the names of these runs' pipelines, as far as they are new; the deployments that are."""
        runs = list(runs)
        ids = {run.deployment_id for run in runs if run.deployment_id}
        unknown = sorted(ids - self.deployments.keys() - self._gone)
        new: dict[str, Deployment] = {}
        if unknown:
            records = yield from self.api.by_id("deployments", DeploymentRecord, unknown)
            new = yield from self._describe(records.values())
            self.deployments |= new
            self._gone |= set(unknown) - new.keys()
        yield from self._name({run.flow_id for run in runs if run.flow_id and not run.deployment_id})
        return list(new.values())

    def name_of(self, run: FlowRun) -> str | None:
        """The name of a run's pipeline; None if its deployment or flow is gone."""
        if run.deployment_id:
            deployment = self.deployments.get(run.deployment_id)
            return deployment.name if deployment else None
        return self._flows.get(run.flow_id or "")

    def read_plans(self, now: float) -> Steps[bool]:
        """Read when the next runs are due of deployments whose timetable only Prefect can tell. One call at most.

        Whether there was anything to read.
        """
        lacking = [d for d in self.deployments.values() if d.lacks_plan(now)]
        if not self.plans.due(now):
            lacking = [d for d in lacking if not d.is_asked]
        lacking = lacking[: self.api.page_size]
        if not lacking:
            return False
        filter_ = {
            "deployment_id": {"any_": [d.record.id for d in lacking]},
            "state": {"type": {"any_": ["SCHEDULED"]}},
            "next_scheduled_start_time": {"after_": iso(now)},
        }
        body = {"flow_runs": filter_, "sort": "NEXT_SCHEDULED_START_TIME_ASC"}
        page = yield from self.api.page("flow_runs", FlowRun, body)
        self.plans.done(now)
        planned: dict[str, list[float]] = {d.record.id: [] for d in lacking}
        met = {run.deployment_id for run in page}
        for run in page:
            at = moment(run.expected_start_time)
            if run.auto_scheduled is True and run.state_name not in AHEAD and at is not None:
                planned.setdefault(run.deployment_id or "", []).append(at)
        is_full = len(page) >= self.api.page_size
        for deployment in lacking:
            passed = [at for at in deployment.planned if at <= now][-1:]
            deployment.planned = [*passed, *sorted(planned[deployment.record.id])]
            # One that found no place on a full page is asked about with the next poll.
            deployment.is_asked = deployment.record.id in met or not is_full
        return True

    def _describe(self, records: Iterable[DeploymentRecord]) -> Steps[dict[str, Deployment]]:
        records = list(records)
        yield from self._name({record.flow_id for record in records})
        described = {}
        for record in records:
            flow = self._flows.get(record.flow_id)
            if flow is not None:
                described[record.id] = describe(record, flow, self.deployments.get(record.id))
        return described

    def _name(self, flow_ids: set[str]) -> Steps[None]:
        unknown = sorted(flow_ids - self._flows.keys())
        if unknown:
            found = yield from self.api.by_id("flows", FlowRecord, unknown)
            self._flows |= {id_: found[id_].name if id_ in found else None for id_ in unknown}
