"""docs/objectives.md says what the code and the Jsonnet do."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml
from tests.support.slos import BASE, EVERY_KIND, sli, slo

from ml_exporter.config import from_data
from ml_exporter.render import generate
from ml_exporter.slo_report import entries, table
from ml_exporter.slo_settings import KINDS
from ml_exporter.slo_words import spoken

PAGE = Path(__file__).parents[1] / "docs/objectives.md"


def examples() -> tuple[dict[str, Any], list[str]]:
    """The configuration that the page begins with, and its other examples."""
    first, *others = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL)
    return yaml.safe_load(first), others


def test_every_example_of_the_page_can_be_rendered(tmp_path: Path) -> None:
    whole, others = examples()
    for text in others:
        if text.startswith("slos:"):
            whole["slos"] += yaml.safe_load(text)["slos"]
        else:
            (tmp_path / "openslo.yaml").write_text(text)
            whole["slo_files"] = ["openslo.yaml"]
    config = from_data(whole, {}, tmp_path)
    assert generate(config)
    assert {slo.kind for slo in config.slos} == KINDS.keys(), "an example of every kind"
    assert config.slos[-1].path == "slo_files[0]: openslo.yaml: payments-scored"


def test_the_page_shows_what_the_command_prints() -> None:
    whole, _ = examples()
    assert f"```\n{table(entries(from_data(whole, {})))}\n```" in PAGE.read_text()


def test_the_page_tells_the_labels_of_every_kind() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \|.*\| ([^|]+) \| [^|]+ \|$", PAGE.read_text(), re.MULTILINE))
    told = ""
    for name, kind in KINDS.items():
        told = told if rows[name] == "likewise" else rows[name]
        words = {None: "any label", (): "none"}
        assert told == words.get(kind.group_by, ", ".join(f"`{label}`" for label in kind.group_by or ())), name


def reported() -> dict[str, Any]:
    """What the command says of an objective of every kind."""
    slos = [slo(name=f"fraud-{kind}", **sli(kind, **options)) for kind, options in EVERY_KIND.items()]
    return {entry["kind"]: entry for entry in entries(from_data(BASE | {"slos": slos}))}


def test_the_page_tells_the_tiers_of_every_kind() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \|.*\| ([^|]+) \|$", PAGE.read_text(), re.MULTILINE))
    for kind, entry in reported().items():
        tickets = [tier["tier"] for tier in entry["tiers"]] == ["ticket_fast", "ticket_slow"]
        words = (["deadline"] if entry["deadline"] else []) + (["tickets"] if tickets else ["all four"])
        assert rows[kind] == ", ".join(words), kind


def test_the_page_tells_the_numbers_of_every_tier() -> None:
    for tier in reported()["ratio"]["tiers"]:
        row = next(line for line in PAGE.read_text().splitlines() if line.startswith(f"| `{tier['tier']}` | ML"))
        windows = f"{spoken(tier['long'])} and {spoken(tier['short'])}"
        spent = f"{100 * tier['factor'] * tier['long'] / (30 * 86400):g} %"
        numbers = [windows, spent, f"{tier['factor']:g}", spoken(tier["for"]), f"{tier['minimum_bad']} bad"]
        assert [cell.strip() for cell in row.split("|")][3:-1] == [tier["severity"], *numbers]
