"""Stated times: of the configuration that game days write, and of what is rendered from it."""

from __future__ import annotations

from collections.abc import Callable
from importlib import resources
from pathlib import Path
from string import Template

import pytest

from ml_exporter.config import load
from ml_exporter.gameday import timing
from ml_exporter.gameday.scenarios import SCENARIOS
from ml_exporter.gameday.stack import CYCLE
from ml_exporter.gameday.timing import Timing, total, words
from ml_exporter.render import render

PARTS = ("exporter", "receiver", "serving", "scheduler", "mlflow", "prometheus", "alertmanager")
BY_NAME = {each.name: each for each in SCENARIOS}
Rendered = Callable[..., Timing]


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Rendered:
    """Game day's configuration with some of its text replaced, rendered."""

    def build(*replaced: tuple[str, str], cycle: float = CYCLE) -> Timing:
        folder: Path = tmp_path_factory.mktemp("gameday")
        template = resources.files("ml_exporter.gameday").joinpath("ml-exporter.yaml").read_text(encoding="utf-8")
        text = Template(template).substitute({part: f"127.0.0.1:{n}" for n, part in enumerate(PARTS, 1)})
        for old, new in replaced:
            assert old in text
            text = text.replace(old, new)
        config = folder / "ml-exporter.yaml"
        config.write_text(text, encoding="utf-8")
        render(load(config), folder / "rendered")
        return timing.read(config, folder / "rendered", cycle)

    return build


@pytest.fixture(scope="module")
def as_shipped(rendered: Rendered) -> Timing:
    return rendered()


# poll: 2 s × 1.1 + a time-out of 3 s; scrape 3, evaluation 3, group 1.
POLL, REST = 5.2, 7.0
BY_HAND = {
    "endpoint-wrong": 3 * 1 + 1 + REST,
    "scheduler-dead": 30 + POLL + REST,
    "pipeline-failing": 3 * CYCLE + POLL + REST,
    "pipeline-late": CYCLE + 60 + POLL + REST,
    "model-worse": 2 * CYCLE + POLL + 5 + 3 + REST,  # recorded on the way
    "endpoint-slow": 0.1 * 180 + 3 + 6 + REST,  # the same; and `for: 5s` ends at the second evaluation
    "mlflow-down": POLL + 3 * 3 + 0.75 + 1.5 + 12 + REST,  # `for: 10s` at the fourth
}


def test_every_scenario_has_a_time_computed_by_hand() -> None:
    assert BY_HAND.keys() == BY_NAME.keys()


@pytest.mark.parametrize("name", BY_HAND)
def test_the_stated_time_is_the_sum_of_the_steps(as_shipped: Timing, name: str) -> None:
    assert total(BY_NAME[name].stated(as_shipped)) == pytest.approx(BY_HAND[name])


@pytest.mark.parametrize("name", BY_HAND)
def test_every_scenario_resolves_within_three_minutes_and_a_bit(as_shipped: Timing, name: str) -> None:
    assert 5 < total(BY_NAME[name].clears(as_shipped)) < 200


def test_the_severity_of_every_rule_is_the_receiver_that_the_scenario_wants(as_shipped: Timing) -> None:
    wanted = {each.name: each.channel for each in SCENARIOS}
    assert {each.name: as_shipped.severity(each.alert) for each in SCENARIOS} == wanted


CHANGES = {
    "endpoint-wrong": ("probe_window: 1m", "probe_window: 1m\n    wrong_predictions: 10", 7.0),
    "scheduler-dead": ("scheduler_heartbeat_after: 30s", "scheduler_heartbeat_after: 2m", 90.0),
    "pipeline-failing": ("failing_runs: 2", "failing_runs: 5", 3 * CYCLE),
    "pipeline-late": ("overdue_cycles: 1", "overdue_cycles: 2", 60.0),
    "model-worse": ("registry_interval: 5s", "registry_interval: 25s", 20.0),
    "endpoint-slow": ("endpoint_degraded_for: 5s", "endpoint_degraded_for: 1m", 54.0),
    "mlflow-down": ("source_down_for: 10s", "source_down_for: 1m", 48.0),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_threshold_that_is_changed_changes_what_is_stated(rendered: Rendered, as_shipped: Timing, name: str) -> None:
    old, new, longer = CHANGES[name]
    changed = rendered((old, new))
    scenario = BY_NAME[name]
    assert total(scenario.stated(changed)) - total(scenario.stated(as_shipped)) == pytest.approx(longer)


def test_intervals_of_scrapes_evaluations_and_groups_count(rendered: Rendered, as_shipped: Timing) -> None:
    scenario = BY_NAME["endpoint-wrong"]
    before = total(scenario.stated(as_shipped))
    slower = rendered(
        ("scrape_interval: 3s", "scrape_interval: 13s"), ("evaluation_interval: 3s", "evaluation_interval: 5s")
    )
    assert total(scenario.stated(slower)) == pytest.approx(before + 12)
    waiting = rendered(("group_wait: 1s, group_interval: 1s", "group_wait: 4s, group_interval: 9s"))
    assert total(scenario.stated(waiting)) == pytest.approx(before + 8), "a group that is there waits for its interval"


def test_the_steps_are_told_in_words(as_shipped: Timing) -> None:
    text = words(BY_NAME["endpoint-wrong"].stated(as_shipped))
    assert text == "11 s = 4 s wrong answers + 3 s scrape + 3 s evaluation + 1 s group_wait"


def test_a_rule_that_is_renamed_is_an_error_and_no_time_at_all(as_shipped: Timing) -> None:
    with pytest.raises(KeyError):
        as_shipped.told("MLNoSuchAlert")
