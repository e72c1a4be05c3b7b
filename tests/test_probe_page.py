"""The series of one probe, and the page docs/probing.md, which explains them."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import yaml

from ml_exporter.config import from_data
from ml_exporter.model import Check, Outcome, Sample
from ml_exporter.ports import Call, Finding, Result, StepResult
from ml_exporter.probe_page import PROBE_FAMILIES, samples
from ml_exporter.web import probing

PAGE = (Path(__file__).parents[1] / "docs/probing.md").read_text()


def result(outcome: Outcome = Outcome.OK, **finding: object) -> Result:
    steps = (StepResult(Check.PREDICT, Call("POST", "/"), outcome, 0.25, 200),)
    return Result(1.0, 0.5, outcome, steps, Finding(**finding), "t", "s")  # type: ignore[arg-type]


def series(given: Result, not_after: float | None = None) -> dict[tuple[str, ...], float]:
    found = samples(given, "fraud", "2", tuple(Check), not_after)
    return {(sample.family, *map(str, sample.labels)): sample.value for sample in found if isinstance(sample, Sample)}


def test_a_probe_that_tells_everything_has_every_family() -> None:
    found = series(result(version="3", tokens=3, first_token=0.1, gaps=(0.1, 0.3)), 2_000_000_000.0)
    assert {key[0] for key in found} == PROBE_FAMILIES.keys()
    assert all(len(key) == 1 + len(PROBE_FAMILIES[key[0]].labels) for key in found)
    assert found["ml_probe_inter_token_seconds",] == 0.2
    assert found["ml_probe_model_info", "fraud", "3"] == 1
    assert found["ml_probe_check_duration_seconds", "predict"] == 0.25


def test_what_a_probe_does_not_tell_is_absent() -> None:
    found = series(result(Outcome.HTTP_ERROR))
    assert found["ml_probe_model_info", "fraud", "2"] == 1
    assert not [key for key in found if re.search("token|tls", key[0])]
    assert ("ml_probe_check_duration_seconds", "live") not in found
    assert found["ml_probe_check_success", "live"] == 0


def test_a_stream_of_one_token_has_no_time_between_tokens() -> None:
    found = series(result(tokens=1, first_token=0.0))
    assert found["ml_probe_time_to_first_token_seconds",] == 0.0
    assert ("ml_probe_inter_token_seconds",) not in found


def test_the_page_explains_every_outcome_and_every_parameter() -> None:
    rows = set(re.findall(r"`(\w+)`", "\n".join(line.split("|")[1] for line in PAGE.splitlines() if line[:1] == "|")))
    assert {str(outcome) for outcome in Outcome} <= rows
    request = {field.name for field in dataclasses.fields(probing.ProbeRequest)}
    assert request - {"scrape_timeout", "openmetrics"} <= rows


def test_the_configurations_on_the_page_are_valid() -> None:
    blocks = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)]
    endpoints, probes, *_ = blocks
    assert from_data(endpoints).service_of_endpoint("fraud").service == "fraud-detection"
    assert from_data(probes).probes.modules["fraud"].canary is not None
