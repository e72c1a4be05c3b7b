"""Calls to slurmrestd: which version it speaks, and what its refusals mean."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterable
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

import msgspec

from ml_exporter.errors import Malformed, Reason, Rejected
from ml_exporter.model import Batch
from ml_exporter.ports import Call, Reply
from ml_exporter.sources.slurm.shapes import (
    ErrorReply,
    JobsReply,
    NodesReply,
    PingsReply,
    Spec,
    field,
    whole,
)

T = TypeVar("T")
Steps: TypeAlias = Generator[Call | Batch, Any, T]

OLDEST, NEWEST = 38, 45
"""Versions of the API that are read, as in v0.0.38."""
ANSWERS = frozenset({200, 304, 400, 404, 422, 500, 502, 503, 504, 511})
"""slurmrestd explains itself in the body of most of its refusals, and the status alone says little."""

NOTHING_FOUND = 9003
"""How v0.0.38 says that a listing of slurmdbd is empty."""
DATABASE_DOWN = 7000
REFUSED = frozenset({1007, 2002})
"""Protocol authentication error, and access denied."""
UNSAID = frozenset({-1})
"""Unspecified error: all that Slurm 22.05 says of whatever goes wrong between slurmrestd and slurmctld."""


class NoDatabase(Rejected):
    """slurmrestd runs, but slurmdbd cannot be reached."""


@dataclass(frozen=True, slots=True)
class Api:
    """A version of the API that the server offers, and whether it has the jobs of slurmdbd in it."""

    version: str
    history: bool

    def jobs(self, since: int | None) -> Call:
        """All jobs that slurmctld knows, or "no change" if nothing happened since (seconds)."""
        params = (("update_time", str(since)),) if since is not None else ()
        return Call("GET", f"/slurm/{self.version}/jobs", params, accept=ANSWERS, reply=JobsReply)

    def nodes(self) -> Call:
        return Call("GET", f"/slurm/{self.version}/nodes", accept=ANSWERS, reply=NodesReply)

    def ping(self) -> Call:
        return Call("GET", f"/slurm/{self.version}/ping", accept=ANSWERS, reply=PingsReply)

    def past(self, start: float, end: float) -> Call:
        """Jobs that slurmdbd knows to have existed in a span of time (seconds)."""
        # `uts`: without it, v0.0.38 does not take a number for a time. No `state`: the ways to list several differ.
        params = (("start_time", f"uts{int(start)}"), ("end_time", f"uts{int(end) + 1}"), ("skip_steps", "true"))
        return Call("GET", f"/slurmdb/{self.version}/jobs", params, accept=ANSWERS, reply=JobsReply)


def discover() -> Steps[Api]:
    """The newest version that both sides speak. Raises `Malformed` that names what is offered."""
    reply = yield Call("GET", "/openapi/v3", reply=Spec)
    paths: Iterable[str] = reply.value.paths
    found = [match for path in paths if (match := re.fullmatch(r"/(slurm|slurmdb)/v0\.0\.(\d{1,4})/jobs/?", path))]
    offered = sorted({int(match[2]) for match in found if match[1] == "slurm"})
    if not offered:
        raise Malformed("/openapi/v3 has no /slurm/v0.0.…/jobs among its paths; is this a slurmrestd with slurmctld?")
    usable = [number for number in offered if OLDEST <= number <= NEWEST]
    if not usable:
        names = ", ".join(f"v0.0.{number}" for number in offered)
        wanted = f"v0.0.{OLDEST} (Slurm 22.05) to v0.0.{NEWEST} (26.05)"
        raise Malformed(f"the server offers the API {names}; this exporter reads {wanted}")
    history = any(match[1] == "slurmdb" and int(match[2]) == usable[-1] for match in found)
    return Api(f"v0.0.{usable[-1]}", history)


def errors_of(call: Call, reply: Reply) -> list[tuple[int | None, str]]:
    """(number, text) of each error that a reply lists. Raises `Rejected` for a refusal that is no JSON."""
    if reply.status == 200:
        listed = reply.value.errors
    else:
        try:
            listed = msgspec.json.decode(reply.value, type=ErrorReply).errors
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            listed = None
        if not listed:
            said = reply.value[:300].decode("utf-8", "replace")
            raise Rejected(f"{call.path}: status {reply.status}: {_line(said)}", _reason(reply.status))
    found = []
    for error in listed if isinstance(listed, list) else []:
        code = field(error, "error_number") if field(error, "error_number") is not None else field(error, "errno")
        texts = (field(error, "description"), field(error, "error"), field(error, "source"))
        said = ": ".join(text for text in texts if isinstance(text, str) and text)
        found.append((code if code in UNSAID else whole(code), _line(said)))
    return found


def check(call: Call, reply: Reply, release: str = "") -> None:
    """Raise `Rejected` or `NoDatabase` if a reply is a refusal, whatever its status, `Malformed` if it is nothing."""
    if reply.status == 304:
        return
    errors = errors_of(call, reply)
    codes = {code for code, _ in errors}
    if reply.status == 200 and codes <= {NOTHING_FOUND}:
        if reply.value.items is None and not codes:
            raise Malformed(f"{call.path}: neither a list nor an error in the reply")
        return
    if DATABASE_DOWN in codes:
        raise NoDatabase(f"{call.path}: slurmdbd cannot be reached", Reason.SERVER_ERROR)
    said = "; ".join(text for _, text in errors[:3]) or "no reason given"
    where = f"{call.path}{f' (Slurm {release})' if release else ''}: status {reply.status}, {said}"
    if codes & REFUSED or reply.status == 511:
        raise Rejected(f"{where}; is the token still valid, and whose is it?", Reason.AUTH)
    if codes & UNSAID:
        where += "; slurmctld cannot be reached, or (before Slurm 23) the token is not valid"
    raise Rejected(where, _reason(reply.status))


def unchanged(reply: Reply) -> bool:
    """Whether a listing says that nothing changed: 304, or an empty list that was never updated."""
    if reply.status == 304:
        return True
    return not reply.value.items and not whole(reply.value.last_update) and reply.value.last_update is not None


def release_of(value: Any) -> str:
    """The version of Slurm that a reply names, "" if none."""
    found = field(value.meta, "slurm", "release") or field(value.meta, "Slurm", "release")
    return _line(found)[:20] if isinstance(found, str) else ""


def _reason(status: int) -> Reason:
    return Reason.SERVER_ERROR if status >= 500 else Reason.REJECTED


def _line(text: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in text[:400]).split())[:200]
