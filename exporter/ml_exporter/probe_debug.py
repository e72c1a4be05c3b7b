"""A probe step by step, as people may see it: secrets struck out, texts cut."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from ml_exporter.http.client import shown_path
from ml_exporter.http.probing import ProbeClient
from ml_exporter.model import Check
from ml_exporter.ports import Call, Result, StepResult


def described(result: Result, base: str, client: ProbeClient) -> dict[str, Any]:
    """A probe for a debug page in JSON. `base`: the URL that paths are below; `client`: who knows the secrets."""
    return {
        "began": result.began,
        "seconds": result.seconds,
        "outcome": str(result.outcome),
        "problem": result.problem,
        "version": result.finding.version,
        "trace_id": result.trace_id,
        "steps": [_step(step, base, client) for step in result.steps],
    }


def _step(step: StepResult, base: str, client: ProbeClient) -> dict[str, Any]:
    return {
        "check": str(step.check),
        "request": f"{step.call.method} {base}{shown_path(step.call)}",
        "sent": client.shown(_sent(step.call)),
        "status": step.status,
        "seconds": step.seconds,
        "outcome": str(step.outcome),
        "problem": step.problem,
        "received": client.shown(step.excerpt),
    }


def _sent(call: Call) -> bytes:
    body = call.body
    return body if isinstance(body, bytes) else b"" if body is None else msgspec.json.encode(body)


def page(about: Iterable[str], probe: dict[str, Any], checks: Iterable[Check], metrics: str) -> str:
    """The text of `/probe?debug=true`. `about`: lines that come first; `checks`: those that were wanted."""
    made = {step["check"]: step for step in probe["steps"]}
    lines = [*about, f"Trace {probe['trace_id']}", ""]
    for check in checks:
        lines += _step_lines(made[check]) if check in made else [f"{check}: not asked, after what came before"]
        lines.append("")
    why = f": {probe['problem']}" if probe["problem"] else ""
    lines += [f"Outcome after {probe['seconds']:.3f} s: {probe['outcome']}{why}", "", "Metrics:", metrics]
    return "\n".join(lines)


def _step_lines(step: dict[str, Any]) -> Iterator[str]:
    yield f"{step['check']}: {step['request']}"
    yield from _quoted("sent", step["sent"])
    answer = f"status {step['status']}" if step["status"] else "no answer"
    yield f"  {answer} after {step['seconds']:.3f} s: {step['outcome']}"
    if step["problem"]:
        yield f"  {step['problem']}"
    yield from _quoted("received", step["received"])


def _quoted(what: str, text: str) -> Iterator[str]:
    """A text of several lines, indented, so that nothing in it looks like ours; nothing if it is empty."""
    for number, line in enumerate(text.splitlines()):
        shown = "".join(c if c.isprintable() else " " for c in line)
        yield f"  {what}: {shown}" if number == 0 else f"  {' ' * len(what)}  {shown}"
