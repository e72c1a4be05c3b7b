"""Objectives in words: what each kind promises, and how times and shares are written for people."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Options = Mapping[str, Any]

_UNITS = (("d", 86400), ("h", 3600), ("m", 60), ("s", 1))


def spoken(seconds: float) -> str:
    """`12960.0` → `3h36m`, in the two largest units; `0.25` → `250ms`, `2.5` → `2.5s`."""
    if 0 < seconds < 1:
        return f"{seconds * 1000:.3g}ms"
    if seconds < 10:
        return f"{seconds:.3g}s"
    rest = round(seconds)
    parts = []
    for name, size in _UNITS:
        count, rest = divmod(rest, size)
        parts += [f"{count}{name}"] if count else []
    return "".join(parts[:2]) or "0s"


def percent(ratio: float) -> str:
    """`0.072` → `7.2 %`."""
    return f"{100 * ratio:.4g} %"


def promise(kind: str, objective: float, options: Options) -> str:
    """What an objective promises, as a sentence without its window; `objective` in per cent."""
    return _PROMISES[kind](f"{objective:.10g} %", options)


def events(kind: str, options: Options) -> str:
    """What a kind counts."""
    if options.get("from_") == "native":
        return "requests"
    return _EVENTS.get(kind, "minutes")


_EVENTS = {
    "endpoint_availability": "probes",
    "endpoint_latency": "probes",
    "endpoint_correctness": "canaries",
    "pipeline_success": "runs",
    "pipeline_duration": "runs",
    "ratio": "events",
}


def _endpoint(options: Options) -> str:
    model = f" ({options['model']})" if options["model"] else ""
    return f"{options['endpoint']}{model}"


def _asked(kind: str, options: Options) -> str:
    return f"{events(kind, options)} of {_endpoint(options)}"


def _fresh(options: Options) -> str:
    if options["late"] is not None:
        return f"{options['pipeline']} is at most {spoken(options['late'])} later than its own timetable"
    return f"the last success of {options['pipeline']} is at most {spoken(options['within'])} old"


def _quality(options: Options) -> str:
    data = f" on {options['dataset']}" if options["dataset"] else ""
    metric = options["metric"] or "every metric"
    return f"{metric} of {options['model']}{data} is at most {percent(options['within'])} worse than its baseline"


_PROMISES: Mapping[str, Callable[[str, Options], str]] = {
    "endpoint_availability": lambda share, o: f"{share} of {_asked('endpoint_availability', o)} are answered",
    "endpoint_latency": lambda share, o: (
        f"{share} of {_asked('endpoint_latency', o)} are answered well within {spoken(o['below'])}"
    ),
    "endpoint_correctness": lambda share, o: f"{share} of the canaries that {_endpoint(o)} answers are predicted right",
    "pipeline_success": lambda share, o: f"{share} of the runs of {o['pipeline']} succeed",
    "pipeline_freshness": lambda share, o: f"{share} of the time, {_fresh(o)}",
    "pipeline_duration": lambda share, o: f"{share} of the runs of {o['pipeline']} succeed within {spoken(o['below'])}",
    "model_quality": lambda share, o: f"{share} of the time, {_quality(o)}",
    "ratio": lambda share, o: f"{share} of what `{_line(o['total'])}` counts is good",
    "gauge": lambda share, o: f"{share} of the time, `{_line(o['expr'])}` is above 0",
    "composite": lambda share, o: f"{share} of the time, none of {', '.join(o['slos'])} is out",
}


def _line(query: str) -> str:
    return " ".join(query.split())
