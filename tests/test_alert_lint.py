"""What every alert, runbook and promtool test must be like, and that the lint finds what is not."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.support.alerts import ADDED, CASES, ONE_SERVICE, ROOT, alerts_of, run_promtool

from ml_exporter import render
from ml_exporter.errors import RenderError
from ml_exporter.runbooks import first_checks_json

SEVERITIES = ("page", "ticket", "info")
RUNBOOKS = ROOT / "alerts" / "runbooks"
PARTS = ("**What it means.** ", "**What it hurts.** ", "**What to check first**\n\n1. ", "**To silence or tune.** ")
ALWAYS_FIRES = "Watchdog"

Rule = dict[str, Any]


def faults_of_alert(rule: Rule) -> Iterator[str]:
    name, notes, labels = rule["alert"], rule["annotations"], rule["labels"]
    if not re.fullmatch(r"ML[A-Z]\w+|Watchdog", name):
        yield "its name does not begin with ML"
    if labels.get("severity") not in SEVERITIES:
        yield f"its severity is none of {', '.join(SEVERITIES)}"
    if "{{" in json.dumps(labels):
        yield "a label has a value that changes"
    if missing := {"summary", "description", *ADDED} - {key for key in notes if notes[key]}:
        yield f"it lacks {', '.join(sorted(missing))}"
        return
    words = re.sub(r"\{\{.*?\}\}", " ", notes["summary"]).split()
    if len([word for word in words if word.isalpha()]) < 3 or notes["summary"].endswith("."):
        yield "its summary is not a heading in words"
    if name != ALWAYS_FIRES and not re.search(r"\$value|\| query|\d", notes["description"]):
        yield "its description has neither a value nor a duration"
    if not re.search(r"[.?}]$", notes["description"]):
        yield "its description is not a sentence"
    if not re.match(r"(\{\{|[A-Z]).*(\.|\{\{ end \}\})$", notes["impact"]):
        yield "its impact is not a sentence"
    if not notes["runbook_url"].endswith(f"/{name}.md"):
        yield "its runbook is another's"
    if not re.search(r"/d/ml-\w+", notes["dashboard_url"]):
        yield "its dashboard is none of ours"


def faults_of_runbook(path: Path, thresholds: set[str]) -> Iterator[str]:
    text = path.read_text(encoding="utf-8")
    headings = [f"# {path.stem}\n\n", *PARTS]
    places = [text.find(heading) for heading in headings]
    if places[0] != 0 or -1 in places or places != sorted(places):
        yield f"{path.name}: its five headings are not {', '.join(h.strip() for h in headings)}"
    if unknown := set(re.findall(r"alerting\.thresholds\.(\w+)", text)) - thresholds:
        yield f"{path.name}: names thresholds that do not exist: {', '.join(sorted(unknown))}"


def faults_of_cases(path: Path, data: dict[str, Any]) -> Iterator[str]:
    cases = data["tests"]
    if others := {row["alertname"] for case in cases for row in case["alert_rule_test"]} - {path.stem}:
        yield f"{path.name}: asks for {', '.join(others)}"
    if not any(row["exp_alerts"] for case in cases for row in case["alert_rule_test"]):
        yield f"{path.name}: nothing fires"
    if path.stem == ALWAYS_FIRES:
        return
    if not any(_resolves(case) for case in cases):
        yield f"{path.name}: nothing resolves"
    if not any(_is_silent(case) for case in cases):
        yield f"{path.name}: no case is named silent or below, for what does not quite fire"


def _resolves(case: dict[str, Any]) -> bool:
    rows = sorted((_seconds(row["eval_time"]), bool(row["exp_alerts"])) for row in case["alert_rule_test"])
    firing = [at for at, fires in rows if fires]
    return bool(firing) and any(at > firing[0] and not fires for at, fires in rows)


def _is_silent(case: dict[str, Any]) -> bool:
    named = re.search(r"\b(silent|below)\b", case.get("name", ""))
    return bool(named) and any(not row["exp_alerts"] for row in case["alert_rule_test"])


def _seconds(duration: str) -> int:
    unit = {"d": 86400, "h": 3600, "m": 60, "s": 1}
    return sum(int(number) * unit[letter] for number, letter in re.findall(r"(\d+)([dhms])", str(duration)))


@pytest.fixture(scope="module")
def shipped() -> dict[str, Rule]:
    return alerts_of(ONE_SERVICE)


# What ships


def test_every_alert_has_a_runbook_and_a_promtool_test(shipped: dict[str, Rule]) -> None:
    assert {path.stem for path in RUNBOOKS.glob("*.md")} == set(shipped)
    assert set(CASES) == set(shipped)


def test_every_alert_passes_the_lint(shipped: dict[str, Rule]) -> None:
    assert {name: faults for name, rule in shipped.items() if (faults := list(faults_of_alert(rule)))} == {}


def test_every_runbook_passes_the_lint() -> None:
    thresholds = set(json.loads(render.defaults_json())["alerting"]["thresholds"])
    assert [fault for path in RUNBOOKS.glob("*.md") for fault in faults_of_runbook(path, thresholds)] == []


def test_every_promtool_test_fires_its_alert_resolves_it_and_sees_it_silent() -> None:
    faults = [fault for path in CASES.values() for fault in faults_of_cases(path, yaml.safe_load(path.read_text()))]
    assert faults == []


def test_the_first_checks_are_those_of_the_runbooks(shipped: dict[str, Rule]) -> None:
    committed = ROOT / "alerts" / "lib" / "first_checks.json"
    assert committed.read_text() == first_checks_json(RUNBOOKS), "run `make generate`"
    checks = json.loads(committed.read_text())
    assert {name: rule["annotations"]["check"] for name, rule in shipped.items()} == checks


# What the lint finds


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"alert": "RunSlow"}, "does not begin with ML"),
        ({"labels": {"severity": "critical"}}, "severity is none of page, ticket, info"),
        ({"labels": {"worse": "{{ $value }}"}}, "a label has a value that changes"),
        ({"annotations": {"summary": "{{ $value }} seconds"}}, "summary is not a heading in words"),
        ({"annotations": {"description": "It is slow."}}, "neither a value nor a duration"),
        ({"annotations": {"description": "It took 90 s"}}, "description is not a sentence"),
        ({"annotations": {"impact": "late output"}}, "impact is not a sentence"),
        ({"annotations": {"runbook_url": "http://a/MLRunStuck.md"}}, "runbook is another's"),
        ({"annotations": {"dashboard_url": "http://a/d/other"}}, "dashboard is none of ours"),
        ({"annotations": {"check": None}}, "it lacks check"),
    ],
)
def test_a_faulty_alert_is_told_its_fault(changes: Rule, fault: str, shipped: dict[str, Rule]) -> None:
    rule = copy.deepcopy(shipped["MLRunSlow"])
    assert list(faults_of_alert(rule)) == []
    for where, change in changes.items():
        rule[where] = rule[where] | change if isinstance(change, dict) else change
    assert any(fault in found for found in faults_of_alert(rule))


def cases(*rows: tuple[str, bool], name: str = "MLRunSlow is silent just below") -> dict[str, Any]:
    fired: list[dict[str, Any]] = [{"exp_labels": {}}]
    tests = [{"alertname": "MLRunSlow", "eval_time": at, "exp_alerts": fired if fires else []} for at, fires in rows]
    return {"tests": [{"name": name, "alert_rule_test": tests}]}


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (cases(("5m", False)), "nothing fires"),
        (cases(("5m", False), ("1h", True)), "nothing resolves"),
        (cases(("5m", True), ("1h", False), name="MLRunSlow fires"), "no case is named silent or below"),
    ],
)
def test_a_promtool_test_that_does_not_show_all_is_named(data: dict[str, Any], fault: str) -> None:
    path = CASES["MLRunSlow"]
    assert any(found.startswith(f"MLRunSlow.yaml: {fault}") for found in faults_of_cases(path, data))


def test_a_runbook_without_a_first_check_or_with_a_threshold_that_is_gone_is_named(tmp_path: Path) -> None:
    path = tmp_path / "MLRunSlow.md"
    text = (RUNBOOKS / "MLRunSlow.md").read_text()
    path.write_text(text.replace("\n1. ", "\n- ").replace("slow_ratio", "slow_rate"))
    assert [fault.partition(":")[0] for fault in faults_of_runbook(path, {"slow_ratio"})] == ["MLRunSlow.md"] * 2
    with pytest.raises(RenderError, match=r"MLRunSlow\.md: has no item 1 under"):
        first_checks_json(tmp_path)


# What users may notice


def told(**given: str) -> dict[str, Any]:
    """The configuration with the impact of services or objectives, by name."""
    data = copy.deepcopy(ONE_SERVICE)
    for each in [*data["services"], *data["slos"]]:
        if each["name"] in given:
            each["impact"] = given[each["name"]]
    return data


def quality_case(impact: str) -> Any:
    def change(cases: dict[str, Any]) -> None:
        for case in cases["tests"]:
            for row in case["alert_rule_test"]:
                for expected in row["exp_alerts"]:
                    expected["exp_annotations"]["impact"] = impact

    return change


@pytest.mark.parametrize(
    ("data", "impact"),
    [
        (ONE_SERVICE, "Decisions may be less accurate than usual."),
        (told(fraud='card "payments" {{wait}}'), 'card "payments" {{wait}}'),
    ],
)
def test_the_impact_is_the_service_s_where_it_has_one_and_else_the_alert_s(
    data: dict[str, Any], impact: str, tmp_path: Path
) -> None:
    run_promtool(tmp_path, "MLModelQualityDegraded", data, quality_case(impact), keep=("impact",))


def test_what_nobody_notices_is_not_said_to_hurt_a_service() -> None:
    rules = alerts_of(told(fraud="card payments wait"))
    assert "card payments wait" in rules["MLEndpointDown"]["annotations"]["impact"]
    assert rules["MLEndpointMetricsDown"]["annotations"]["impact"].startswith("None that is known: ")
    assert "card payments wait" not in json.dumps(rules["MLSourceDown"])


@pytest.mark.parametrize(
    ("given", "impact"),
    [
        ({}, "Users got less than they were promised over the whole time."),
        ({"fraud": "card payments wait"}, "card payments wait"),
        ({"fraud": "card payments wait", "up": "shops decline cards"}, "shops decline cards"),
    ],
)
def test_the_impact_of_an_objective_comes_before_that_of_its_service(
    given: dict[str, str], impact: str, tmp_path: Path
) -> None:
    run_promtool(tmp_path, "MLObjectiveBudgetSpent", told(**given), quality_case(impact), keep=("impact",))


def test_the_first_thing_to_check_goes_with_the_alert_as_plain_text() -> None:
    check = json.loads(first_checks_json(RUNBOOKS))["MLEndpointErrorRatio"]
    assert check == "The server's log: which requests fail, and with what?"
    assert "`" not in first_checks_json(RUNBOOKS)
    assert "](" not in first_checks_json(RUNBOOKS)
