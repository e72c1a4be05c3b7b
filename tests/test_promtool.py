"""What promtool refuses is refused before anything is written, by the name of the objective."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.support.programs import program
from tests.support.slos import BASE, sli, slo

from ml_exporter import promtool
from ml_exporter.__main__ import main
from ml_exporter.config import from_data
from ml_exporter.errors import ConfigError, RenderError
from ml_exporter.render import generate

TOTAL = "sum(rate(all_total[$window]))"


@pytest.fixture(autouse=True)
def on_the_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(Path(program("promtool")).parent), prepend=":")


def files(*slos: dict[str, Any]) -> dict[str, bytes]:
    return generate(from_data(BASE | {"slos": list(slos)}))


def ratio(name: str, bad: str) -> dict[str, Any]:
    return slo(name=name, **sli("ratio", bad=bad, total=TOTAL))


def test_a_query_that_prometheus_would_refuse_is_named_by_its_objective() -> None:
    good, misspelt = ratio("good", "sum(rate(bad_total[$window]))"), ratio("typo", "sm(rate(bad_total[$window]))")
    promtool.check_rules(files(good))
    with pytest.raises(ConfigError, match=r"^slos: promtool refuses a query of 'typo': .*unknown function .*\"sm\""):
        promtool.check_rules(files(good, misspelt))


def test_other_rules_that_are_refused_are_no_fault_of_the_configuration() -> None:
    broken = {"prometheus/rules/pipelines.yml": b"groups: [{name: a, rules: [{record: x, expr: 'sum('}]}]"}
    with pytest.raises(RenderError, match=r"so Prometheus would, too: .*unclosed left parenthesis"):
        promtool.check_rules(broken)


def test_without_promtool_nothing_is_checked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    promtool.check_rules(files(ratio("typo", "sm(rate(bad_total[$window]))")))


def test_a_promtool_that_hangs_ends(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    hanging = tmp_path / "promtool"
    hanging.write_text("#!/bin/sh\nexec sleep 60\n")
    hanging.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setattr(promtool, "TIMEOUT", 0.2)
    with pytest.raises(RenderError, match="timed out"):
        promtool.check_rules({"prometheus/rules/a.yml": b"groups: []"})


def test_check_says_so_with_exit_code_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    query = '{bad: "sm(rate(x[$window]))", total: "sum(rate(x[$window]))"}'
    file = tmp_path / "ml-exporter.yaml"
    file.write_text(
        "services: [{name: fraud, owner: risk-ml}]\n"
        f"slos: [{{name: typo, service: fraud, objective: 99, sli: {{ratio: {query}}}}}]\n"
    )
    assert main(["check", "--offline", "--config", str(file)]) == 2
    assert "slos: promtool refuses a query of 'typo'" in capsys.readouterr().err
