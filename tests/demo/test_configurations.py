"""The demo and Compose show the same: two configurations that differ in addresses, receivers and paces alone."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any

import pytest
import yaml

import ml_exporter.demo
from ml_exporter.demo import command, stack

DEMO = yaml.safe_load(resources.files(ml_exporter.demo).joinpath("ml-exporter.yaml").read_text(encoding="utf-8"))
ROOT = Path(__file__).parents[2]
COMPOSE = yaml.safe_load((ROOT / "provisioning" / "compose" / "ml-exporter.yaml").read_text(encoding="utf-8"))
ELSEWHERE = {"url", "browser_url", "metrics_url", "interval"}
"""Keys of sources and endpoints that depend on where they run."""


def shown(configuration: dict[str, Any], section: str) -> list[dict[str, Any]]:
    return [{key: each[key] for key in each.keys() - ELSEWHERE} for each in configuration[section]]


@pytest.mark.parametrize("section", ["sources", "endpoints", "services", "slos"])
def test_demo_and_compose_are_configured_alike(section: str) -> None:
    assert shown(DEMO, section) == shown(COMPOSE, section)


def test_what_is_a_stand_in_is_called_so_by_the_demo_and_by_compose() -> None:
    told = dict(command.SHOWN)
    assert {part for part in told if "a stand-in" in told[part]} == {"scheduler", "language"}
    compose = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    for part in ("scheduler", "language"):
        assert "Stands in for" in compose.partition(f"\n  {part}:\n")[0].splitlines()[-1]


def test_every_part_of_the_demo_that_has_an_address_is_shown() -> None:
    assert {part for part, _ in command.SHOWN} == set(stack.PORTS)
