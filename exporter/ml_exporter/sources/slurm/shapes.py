"""Replies of slurmrestd, v0.0.38 to v0.0.45. Fields are read loosely: their forms differ from version to version.

A number may be plain, null, or `{set, infinite, number}`; a state a word or a list of words. One item with a field of
a wrong type must not spoil the listing, so what a field holds is judged where it is used.
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct


class Spec(Struct, frozen=True):
    """The OpenAPI document: only its paths matter."""

    paths: dict[str, Any]


class JobRecord(Struct, frozen=True, gc=False):
    """A job as slurmctld (flat) or slurmdbd (`state`, `time`, `array`, `het`) describes it."""

    job_id: Any = None
    name: Any = None
    user: Any = None
    user_name: Any = None
    account: Any = None
    comment: Any = None
    partition: Any = None
    cluster: Any = None
    nodes: Any = None
    cron: Any = None
    job_state: Any = None
    state_reason: Any = None
    array_job_id: Any = None
    array_task_string: Any = None
    het_job_offset: Any = None
    submit_time: Any = None
    eligible_time: Any = None
    start_time: Any = None
    end_time: Any = None
    state: Any = None
    time: Any = None
    array: Any = None
    het: Any = None


class NodeRecord(Struct, frozen=True, gc=False):
    name: Any = None
    partitions: Any = None
    state: Any = None
    state_flags: Any = None
    cpus: Any = None
    alloc_cpus: Any = None
    gres: Any = None
    gres_used: Any = None


class Ping(Struct, frozen=True):
    ping: Any = None
    pinged: Any = None
    responding: Any = None
    mode: Any = None
    primary: Any = None


class Answer(Struct, frozen=True):
    """What every reply has around its items."""

    meta: Any = None
    errors: Any = None
    warnings: Any = None


class JobsReply(Answer, frozen=True):
    """Without a match, v0.0.38 of slurmdbd leaves `jobs` out and lists an error."""

    jobs: list[JobRecord] | None = None
    last_update: Any = None

    @property
    def items(self) -> list[JobRecord] | None:
        return self.jobs


class NodesReply(Answer, frozen=True):
    nodes: list[NodeRecord] | None = None

    @property
    def items(self) -> list[NodeRecord] | None:
        return self.nodes


class PingsReply(Answer, frozen=True):
    pings: list[Ping] | None = None

    @property
    def items(self) -> list[Ping] | None:
        return self.pings


class ErrorReply(Answer, frozen=True):
    """A reply with another status than 200."""


def number(value: Any) -> int | float | None:
    """A number in any of its forms; None where it is not set, infinite or no number."""
    if isinstance(value, dict):
        value = value.get("number") if value.get("set") is True and value.get("infinite") is not True else None
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def whole(value: Any) -> int | None:
    """A whole number from 0 to 2⁶³ in any of its forms."""
    found = number(value)
    return int(found) if found is not None and 0 <= found < 2**63 and found == int(found) else None


def words(value: Any) -> list[str]:
    """A state as a list of words in capitals, whether it came as a text or a list."""
    found = [value] if isinstance(value, str) else value if isinstance(value, list) else []
    return [text.split(maxsplit=1)[0].upper() for text in found if isinstance(text, str) and text.strip()]


def field(record: Any, *path: str) -> Any:
    """A value inside nested objects; None where there is none."""
    for key in path:
        record = record.get(key) if isinstance(record, dict) else None
    return record
