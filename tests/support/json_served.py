"""Our probe on a real server of served_models/sums.py that takes and gives plain JSON: what each of them must show."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from tests.support.frozen import frozen
from tests.support.probed import checks, counted, slower, up
from tests.support.probing import Probing
from tests.support.programs import Process, free_port
from tests.support.served_models.control import Control

LABELS = ("fraud", "sums", "1.0")
"""Endpoint, model and version."""
CANARY = {"request": {"x": [[1, 2], [3, 4]]}, "expect": [{"shape": [2, 1], "values": [[3], [7]]}]}
WELL = {"live": "ok", "ready": "ok", "predict": "ok"}
FAULTS = {
    "wrong_value": ("bad_prediction", "holds 103.0 at 0; expected is 3"),
    "wrong_shape": ("bad_prediction", "has the shape [2, 2]; expected is [2, 1]"),
    "error": ("http_error", "status 5"),
    "hang": ("timeout", "none began"),
}
"""What the model is told: the outcome, and of the problem's text."""


class Server(Protocol):
    """A real one."""

    @property
    def url(self) -> str: ...

    @property
    def control(self) -> Control: ...

    @property
    def process(self) -> Process: ...


Whole = dict[str, Any]
"""An endpoint as the configuration has it."""


def endpoint(server: Server, protocol: str, **more: Any) -> Whole:
    """The endpoint `LABELS` names; it takes the time that a busy machine may need."""
    name, model, version = LABELS
    named = {"name": name, "model": model, "version": version, "protocol": protocol}
    return {**named, "url": server.url, "timeout": "20s", "canary": CANARY, **more}


def does_well(whole: Whole) -> None:
    """All checks are up."""
    with Probing(whole) as probing:
        result = probing.probe()
        series = probing.series()
    assert (result.outcome, result.problem, checks(result)) == ("ok", None, WELL)
    assert up(series, *LABELS) == {"live": 1, "ready": 1, "predict": 1}
    assert counted(series, *LABELS) == {"ok": 1}


def fails_and_recovers(server: Server, whole: Whole, mode: str, faults: Mapping[str, tuple[str, str]] = FAULTS) -> None:
    """A fault of the model has its outcome, is counted, and leaves nothing behind when it passes."""
    outcome, problem = faults[mode]
    server.control.set(mode)
    with Probing({**whole, "timeout": "1s"} if outcome == "timeout" else whole) as probing:
        result = probing.probe()
        assert checks(result) == {**WELL, "predict": outcome}, result.problem
        assert problem in str(result.problem)
        assert up(probing.series(), *LABELS) == {"live": 1, "ready": 1, "predict": 0}
        server.control.set("ok")
        assert probing.probe().outcome == "ok"
        series = probing.series()
    assert up(series, *LABELS) == {"live": 1, "ready": 1, "predict": 1}
    assert counted(series, *LABELS) == {"ok": 1, outcome: 1}


def answers_with(whole: Whole, status: int) -> None:
    """The prediction is refused."""
    with Probing(whole) as probing:
        result = probing.probe()
    assert (result.outcome, result.steps[-1].status) == ("http_error", status)


def is_slow(server: Server, whole: Whole) -> None:
    """The time of a slow prediction is kept; it is well until the time is up."""
    server.control.set("slow", seconds=0.6)
    with Probing(whole, {**whole, "name": "impatient", "timeout": "300ms"}) as probing:
        patient, impatient = probing.probe("fraud"), probing.probe("impatient")
        series = probing.series()
    assert (patient.outcome, impatient.outcome) == ("ok", "timeout")
    assert 0.6 <= patient.steps[-1].seconds < 5
    assert slower(series, "0.5", *LABELS) == 1
    assert impatient.seconds < 0.6
    assert series["ml_endpoint_probe_duration_seconds_count impatient sums 1.0"] == 0


def stands_still(server: Server, whole: Whole) -> None:
    """A server that hangs as a whole ends in a time-out at the first check."""
    with Probing({**whole, "timeout": "1s"}) as probing:
        with frozen(server.process):
            result = probing.probe()
        assert checks(result) == {"live": "timeout"}
        series = probing.series()
        assert up(series, *LABELS) == {"live": 0, "ready": 0, "predict": 0}
        assert counted(series, *LABELS) == {"timeout": 1}


def is_refused_beside(whole: Whole) -> None:
    """Where nothing listens every check is down, which disturbs no other endpoint."""
    gone = {**whole, "name": "gone", "url": f"http://127.0.0.1:{free_port()}"}
    with Probing(whole, gone) as probing:
        assert checks(probing.probe("gone")) == {"live": "unreachable"}
        assert probing.probe("fraud").outcome == "ok"
        series = probing.series()
    assert up(series, "gone", *LABELS[1:]) == {"live": 0, "ready": 0, "predict": 0}
    assert up(series, *LABELS) == {"live": 1, "ready": 1, "predict": 1}


def probe_each(server: Server, whole: Whole, *modes: str) -> dict[str, float]:
    """One probe while the model is told each of these; the series after them."""
    with Probing(whole) as probing:
        for mode in modes:
            server.control.set(mode)
            probing.probe()
        return probing.series()
