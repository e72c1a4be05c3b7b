"""Dagster's GraphQL: the documents that are sent, and answers that are none."""

from __future__ import annotations

import re
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

import msgspec

from ml_exporter.errors import Malformed, Reason, Rejected
from ml_exporter.model import Batch
from ml_exporter.ports import Call, Reply
from ml_exporter.sources.dagster.shapes import Answer, LoneSchedule, Member, ProbeData, RunsData, Said, StateData, Tick

T = TypeVar("T")
Steps: TypeAlias = Generator[Call | Batch, Any, T]
ScheduleKey: TypeAlias = tuple[str, str, str]
"""Location, repository and name of a schedule."""

OLDEST = (1, 8)
"""The first version whose runs say when they were created."""
QUOTE = 300
TICKS = 5
"""Last ticks of a schedule that are read; Dagster gets them for all schedules of a repository in one query."""

PROBE = 'query MlExporterVersion { version statuses: __type(name: "RunStatus") { enumValues { name } } }'

_RUN = """
results {
  runId jobName status creationTime startTime endTime updateTime
  tags { key value } repositoryOrigin { repositoryName repositoryLocationName }
}"""
_RUNS = """
query MlExporterRuns($filter: RunsFilter!, $limit: Int!, $cursor: String%s) {
  runs: runsOrError(filter: $filter, limit: $limit, cursor: $cursor) {
    __typename ... on Error { message } ... on Runs { %s }
  }%s
}"""
FIRST_RUNS = _RUNS % ("", _RUN + " count", "")
MORE_RUNS = _RUNS % (
    ", $anchor: ID!",
    _RUN,
    " anchor: runOrError(runId: $anchor) { __typename ... on Error { message } }",
)
"""The anchor is the run that the cursor names: the page after a run that was deleted meanwhile is empty."""

STATE = """
query MlExporterState($ticks: Int!, $tags: Boolean!, $queued: [RunStatus!]!, $occupied: [RunStatus!]!%s) {
  workspace: workspaceOrError {
    __typename ... on Error { message }
    ... on Workspace { locationEntries {
      name loadStatus
      locationOrLoadError {
        __typename ... on Error { message }
        ... on RepositoryLocation { repositories {
          name
          jobs { name tags @include(if: $tags) { key value } }
          schedules {
            name pipelineName cronSchedule executionTimezone
            scheduleState {
              status ticks(limit: $ticks) { timestamp status }
              typeSpecificData { ... on ScheduleData { startTimestamp } }
            }
          }
          sensors { targets { pipelineName } sensorState { status } }
        } }
      }
    } }
  }
  instance {
    daemonHealth { allDaemonStatuses { daemonType required lastHeartbeatTime } }
    runQueuingSupported runQueueConfig { maxConcurrentRuns }
    concurrencyLimits { concurrencyKey slotCount activeSlotCount pendingStepCount }
  }
  queued: runsOrError(filter: { statuses: $queued }, limit: 1) {
    __typename ... on Error { message } ... on Runs { count }
  }
  occupied: runsOrError(filter: { statuses: $occupied }, limit: 1) {
    __typename ... on Error { message } ... on Runs { count }
  }%s
}"""
_LONE = """
  s{0}: scheduleOrError(scheduleSelector: $s{0}) {{
    __typename ... on Error {{ message }}
    ... on Schedule {{ scheduleState {{ status ticks(limit: $ticks) {{ timestamp status }} }} }}
  }}"""


@dataclass(frozen=True, slots=True)
class Server:
    """What a server said of itself: its version, and the words it has for the status of a run."""

    version: str
    statuses: frozenset[str]


def ask(query: str, found: str, **variables: Any) -> Steps[Any]:
    """Send a document; its data, plain. `found`: the server and its version, for errors.

    Raises `Rejected` for GraphQL errors, whatever the HTTP status, and `Malformed` for an answer without data.
    """
    body = {"query": query, "variables": variables}
    reply: Reply = yield Call("POST", "/graphql", body=body, accept=frozenset({200, 400}), reply=Answer)
    answer: Answer = reply.value if reply.status == 200 else _refusal(reply.value)
    if answer.errors or reply.status != 200:
        said = answer.errors[0].message if answer.errors else "status 400"
        raise Rejected(f"{found} refused the query: {_quote(said)}")
    if answer.data is None:
        raise Malformed(f"{found}: an answer without data and without errors")
    return answer.data


def shaped(data: Any, kind: type[T], found: str) -> T:
    """Plain data as the shape it should have. Raises `Malformed`."""
    try:
        return msgspec.convert(data, kind)
    except msgspec.ValidationError as error:
        raise Malformed(f"{found}: the answer is not what the API promises: {_quote(str(error))}") from None


def probe() -> Steps[Server]:
    """Find out whom we speak to. Raises `Rejected` for a version that is not known to work, with the one found."""
    data = shaped((yield from ask(PROBE, "the server")), ProbeData, "the server")
    if not data.version or data.statuses is None or not data.statuses.enum_values:
        raise Malformed("a GraphQL server that names no version and no RunStatus; is it Dagster's webserver?")
    version = data.version[:60]
    # Dagster+ and development builds have versions that are no numbers: their answers will tell.
    number = re.match(r"(\d+)\.(\d+)\b", version)
    if number and not OLDEST <= (int(number[1]), int(number[2])) < (2, 0):
        raise Rejected(
            f"Dagster {_quote(version)} found; versions from {OLDEST[0]}.{OLDEST[1]} on, below 2.0, are known"
        )
    return Server(version, frozenset(value.name for value in data.statuses.enum_values))


def runs(server: Server, filter_: Mapping[str, Any], limit: int, cursor: str | None = None) -> Steps[RunsData]:
    """A page of runs, newest first; after the run `cursor`, if it is given."""
    found = f"Dagster {server.version}"
    more = {} if cursor is None else {"anchor": cursor}
    query = FIRST_RUNS if cursor is None else MORE_RUNS
    plain = yield from ask(query, found, filter=filter_, limit=limit, cursor=cursor, **more)
    data = shaped(plain, RunsData, found)
    expect(data.runs, "Runs", "runsOrError")
    if data.runs.results is None:
        raise Malformed("runsOrError: Runs without results")
    return data


def state(server: Server, tags: bool, lone: Sequence[ScheduleKey]) -> Steps[tuple[StateData, list[list[Tick]]]]:
    """Jobs, schedules, sensors, daemons, queues, in one document: everything but runs.

    `lone`: schedules whose last ticks are asked for one by one, and come second.
    """
    found = f"Dagster {server.version}"
    words: dict[str, Any] = {"queued": ["QUEUED"], "occupied": ["STARTING", "STARTED", "CANCELING"]}
    for number, key in enumerate(lone):
        names = ("repositoryLocationName", "repositoryName", "scheduleName")
        words[f"s{number}"] = dict(zip(names, key, strict=True))
    query = STATE % (
        "".join(f", $s{number}: ScheduleSelector!" for number in range(len(lone))),
        "".join(_LONE.format(number) for number in range(len(lone))),
    )
    plain = yield from ask(query, found, ticks=TICKS, tags=tags, **words)
    data = shaped(plain, StateData, found)
    expect(data.workspace, "Workspace", "workspaceOrError")
    expect(data.queued, "Runs", "runsOrError")
    expect(data.occupied, "Runs", "runsOrError")
    if data.workspace.location_entries is None:
        raise Malformed("workspaceOrError: a Workspace without locationEntries")
    schedules = [shaped(plain.get(f"s{number}"), LoneSchedule, found) for number in range(len(lone))]
    for schedule in schedules:
        if schedule.typename != "ScheduleNotFoundError":
            expect(schedule, "Schedule", "scheduleOrError")
    return data, [schedule.schedule_state.ticks if schedule.schedule_state else [] for schedule in schedules]


def expect(member: Member, typename: str, what: str) -> None:
    """Raise `Rejected` if a union holds something else than what was asked for, such as a PythonError."""
    if member.typename != typename:
        reason = Reason.AUTH if member.typename.startswith("Unauthorized") else Reason.REJECTED
        raise Rejected(f"{what}: {_quote(member.typename)}: {_quote(member.message)}", reason)


def _refusal(body: bytes) -> Answer:
    try:
        return msgspec.json.decode(body, type=Answer)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return Answer(errors=[Said(f"status 400: {body[:QUOTE].decode('utf-8', 'replace')}")])


def _quote(text: str) -> str:
    line = " ".join("".join(c if c.isprintable() else " " for c in text[: 4 * QUOTE]).split())
    return line if len(line) <= QUOTE else line[: QUOTE - 1] + "…"
