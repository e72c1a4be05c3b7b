"""Carries scenarios through, each in a thread, side by side where they share nothing."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from ml_exporter.errors import MlExporterError
from ml_exporter.gameday.recorder import Recorder
from ml_exporter.gameday.scenarios import Controls, Scenario
from ml_exporter.gameday.timing import Timing, total
from ml_exporter.gameday.verdict import Run

_EVERY = 0.25
"""Seconds between two looks."""


class Watched(Protocol):
    """The running stack."""

    def query(self, expression: str) -> list[tuple[dict[str, str], float]]: ...
    def alerts(self) -> list[dict[str, Any]]: ...


class Director:
    """`patience`: seconds that a wait may last beyond what is stated, and that the stack may take to be ready."""

    def __init__(
        self,
        stack: Watched,
        controls: Controls,
        recorder: Recorder,
        timing: Timing,
        patience: float,
        say: Callable[[str], None],
    ) -> None:
        self._stack, self._controls, self._recorder = stack, controls, recorder
        self._timing, self._patience, self._say = timing, patience, say

    def carry_out(self, scenarios: Sequence[Scenario], check: Callable[[], None]) -> list[Run]:
        """All scenarios; those that share something in their order. `check` is called all the time, and may raise."""
        runs = [Run(each, each.stated(self._timing), each.clears(self._timing)) for each in scenarios]
        waiting, busy = list(runs), dict[str, tuple[Run, threading.Thread]]()
        while waiting or busy:
            check()
            busy = {name: found for name, found in busy.items() if found[1].is_alive()}
            taken = {need for run, _ in busy.values() for need in run.scenario.needs}
            for run in list(waiting):
                if not run.scenario.needs & taken:
                    thread = threading.Thread(target=self._guarded, args=(run,), daemon=True)
                    thread.start()
                    busy[run.scenario.name] = (run, thread)
                    waiting.remove(run)
                taken |= run.scenario.needs  # who comes later does not overtake who waits
            time.sleep(_EVERY)
        return runs

    def _guarded(self, run: Run) -> None:
        try:
            self._carry_through(run)
        except (MlExporterError, OSError, ValueError) as error:
            run.error = str(error)
        run.ended_at = time.time()

    def _carry_through(self, run: Run) -> None:
        """Wait until it is ready, put the fault in, wait for the message, take it back, wait for the all clear."""
        scenario = run.scenario
        if not self._until(lambda: self._holds(scenario.ready), self._patience):
            run.error = f"not ready for it after {self._patience:.0f} s: {scenario.ready}"
            return
        run.fault_at = time.time()
        self._say(f"{scenario.name}: {scenario.what} Stated: {total(run.stated):.0f} s")
        scenario.put(self._controls)
        try:
            told = self._until(lambda: self._told(run, firing=True), total(run.stated) + self._patience)
            self._look_up(run)
            if told and scenario.held:
                held = scenario.held(self._timing)
                if not self._until(lambda: self._holds(held), 2 * self._patience):
                    run.error = f"nothing had to be held back after {2 * self._patience:.0f} s more: {held}"
        finally:
            scenario.take_back(self._controls)
            run.back_at = time.time()
        self._say(f"{scenario.name}: {'told' if told else 'nobody was told'}; the fault is taken back")
        if told:
            cleared = self._until(lambda: self._told(run, firing=False), total(run.clears) + self._patience)
            self._say(f"{scenario.name}: {'resolved' if cleared else 'not resolved'}")

    def _until(self, predicate: Callable[[], bool], wait: float) -> bool:
        """False after `wait` seconds in vain."""
        deadline = time.monotonic() + wait
        while not (found := predicate()) and time.monotonic() < deadline:
            time.sleep(_EVERY)
        return found

    def _holds(self, expression: str) -> bool:
        return bool(self._stack.query(expression))

    def _told(self, run: Run, *, firing: bool) -> bool:
        since = (run.fault_at if firing else run.back_at) or 0.0
        return any(
            entry.firing == firing and entry.at >= since and run.expects(entry) for entry in self._recorder.all()
        )

    def _look_up(self, run: Run) -> None:
        """When the alert became pending, and what has become of it."""
        wanted = {"alertname": run.scenario.alert, **run.scenario.labels}
        found = [each for each in self._stack.alerts() if wanted.items() <= each["labels"].items()]
        run.pending_at = min((each["active_at"] for each in found), default=None)
        run.state = ", ".join(sorted({each["state"] for each in found})) or "not there"
