"""Scenarios are carried through side by side where they may be, and every fault is taken back."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from ml_exporter.demo.faults import Faults
from ml_exporter.demo.processes import NotReadyError
from ml_exporter.gameday.director import Director
from ml_exporter.gameday.recorder import Recorder, Told
from ml_exporter.gameday.scenarios import SCENARIOS, Scenario
from ml_exporter.gameday.timing import Part, Parts, Timing
from ml_exporter.gameday.verdict import Run, judge


class Within:
    """Steps that take so many seconds in all."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def told(self, _alert: str, *_recorded: str) -> Parts:
        return (Part("all of it", self.seconds),)

    cleared = told


class Site:
    """A stack in which whatever is done is told at once, unless it is deaf."""

    def __init__(self, folder: Path, *, deaf: bool = False, never: str = "never") -> None:
        self.faults = Faults(folder)
        self.recorder = Recorder()
        self.deaf, self.never = deaf, never
        self.there: set[str] = set()
        self.together: set[frozenset[str]] = set()
        self._lock = threading.Lock()

    def query(self, expression: str) -> list[tuple[dict[str, str], float]]:
        return [] if expression == self.never else [({}, 1.0)]

    def alerts(self) -> list[dict[str, Any]]:
        return [{"labels": {"alertname": "A", "of": "one"}, "state": "pending", "active_at": time.time()}]

    def freeze(self, part: str) -> None:
        raise AssertionError(f"nobody asked to freeze {part}")

    thaw = freeze

    def scenario(self, name: str, *needs: str, **changes: Any) -> Scenario:
        made = replace(SCENARIOS[0], name=name, alert="A", labels={"of": name}, needs=frozenset(needs))
        return replace(
            made,
            put=lambda _: self._act(name, made.channel, firing=True),
            take_back=lambda _: self._act(name, made.channel, firing=False),
            seen=lambda _: (),
            gone=lambda _: (),
            ready="always",
            **changes,
        )

    def _act(self, name: str, channel: str, *, firing: bool) -> None:
        with self._lock:
            (self.there.add if firing else self.there.discard)(name)
            self.together.add(frozenset(self.there))
        if not self.deaf:
            threading.Timer(0.6, self._tell, (name, channel, firing)).start()

    def _tell(self, name: str, channel: str, firing: bool) -> None:
        now = time.time()
        self.recorder.add([Told(now, channel, firing, {"alertname": "A", "of": name}, now)])

    def carry_out(self, scenarios: Sequence[Scenario], patience: float = 5.0, within: float = 5.0) -> list[Run]:
        director = Director(self, self, self.recorder, cast(Timing, Within(within)), patience, lambda _: None)
        return director.carry_out(scenarios, lambda: None)


def test_what_is_told_in_time_and_resolves_passes(tmp_path: Path) -> None:
    site = Site(tmp_path)
    runs = site.carry_out([site.scenario("one", "x")])
    found = judge(runs[0], site.recorder.all(), runs)
    assert found.reasons == []
    assert found.pending is not None
    assert site.there == set()


def test_scenarios_that_share_something_never_meet_and_the_others_do(tmp_path: Path) -> None:
    site = Site(tmp_path)
    needs = {"one": ("x",), "two": ("x",), "three": ("y",)}
    runs = site.carry_out([site.scenario(name, *of) for name, of in needs.items()])
    assert all(judge(run, site.recorder.all(), runs).passed for run in runs)
    assert not any({"one", "two"} <= each for each in site.together)
    assert any({"one", "three"} <= each for each in site.together)


def test_who_needs_much_is_not_overtaken_by_who_comes_later(tmp_path: Path) -> None:
    site = Site(tmp_path)
    needs = {"one": ("x",), "wide": ("x", "y"), "late": ("y",)}
    runs = {each.scenario.name: each for each in site.carry_out([site.scenario(n, *of) for n, of in needs.items()])}
    assert (runs["one"].ended_at or 0) <= (runs["wide"].fault_at or 0) < (runs["late"].fault_at or 0)


def test_a_fault_is_taken_back_though_nobody_was_told_and_the_state_is_looked_up(tmp_path: Path) -> None:
    site = Site(tmp_path, deaf=True)
    runs = site.carry_out([site.scenario("one", "x")], patience=0.3, within=0.2)
    assert site.there == set()
    assert runs[0].back_at is not None
    found = judge(runs[0], site.recorder.all(), runs)
    assert found.reasons == ["A did not reach page (stated: within 0 s); in Prometheus it was pending"]


def test_no_fault_is_put_into_what_is_not_ready(tmp_path: Path) -> None:
    site = Site(tmp_path, never="ready")
    runs = site.carry_out([replace(site.scenario("one", "x"), ready="ready")], patience=0.5)
    assert site.together == set()
    assert judge(runs[0], [], runs).reasons == ["not ready for it after 0 s: ready"]


def test_what_had_to_be_held_back_and_never_came_about_fails(tmp_path: Path) -> None:
    site = Site(tmp_path, never="overdue")
    runs = site.carry_out([site.scenario("one", "x", held=lambda _: "overdue")], patience=0.5)
    assert site.there == set()
    (reason,) = judge(runs[0], site.recorder.all(), runs).reasons
    assert "nothing had to be held back" in reason


def test_a_part_of_the_stack_that_has_ended_ends_the_day(tmp_path: Path) -> None:
    def check() -> None:
        raise NotReadyError("mlflow ended with exit code 1")

    site = Site(tmp_path)
    director = Director(site, site, site.recorder, cast(Timing, Within(5.0)), 5.0, lambda _: None)
    with pytest.raises(NotReadyError):
        director.carry_out([site.scenario("one", "x")], check)
