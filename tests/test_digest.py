"""What a digest says, and what it says when Prometheus does not answer as it should."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.support import digests
from tests.support.digests import NOW, WATCHED, WEEK, fired, reviewed, script, vector
from tests.support.fault_server import Behaviour, answer, answer_json, cut_off, drip, hang, hang_up, page, redirect
from tests.support.fault_thread import server_of
from tests.support.programs import free_port

from ml_exporter.__main__ import main
from ml_exporter.digest import text
from ml_exporter.digest.review import BUDGET, MOST_POINTS, period
from ml_exporter.render import evaluate

LOOKBACK = 300
"""Seconds that Prometheus looks back for a sample."""


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ml_exporter.http.client.FIRST_PAUSE", 0.0)


def command(folder: Path, url: str, *options: str, **alerting: Any) -> int:
    file = folder / "ml-exporter.yaml"
    file.write_text(
        yaml.safe_dump({"services": digests.SERVICES, "alerting": alerting, "stack": {"prometheus_url": url}})
    )
    return main(["digest", "--config", str(file), "--timeout", "500ms", *options])


@pytest.mark.parametrize("length", [3600, 5430, 86400, 7 * 86400, 8 * 86400, 30 * 86400, 35 * 86400])
def test_the_grid_has_few_points_and_no_mesh_wider_than_prometheus_looks_back(length: float) -> None:
    of = period(NOW + 17.3, length)
    assert of.points <= MOST_POINTS
    assert of.step <= LOOKBACK
    assert of.end % of.step == of.begin % of.step == 0
    assert NOW + 17.3 - of.end < of.step
    assert length - of.step < of.end - of.begin <= length


def test_a_quiet_week_is_said_to_be_one() -> None:
    said = text.text(reviewed())
    assert "Nothing alerted.\n" in said
    assert "Nothing alerted of fraud, churn." in said
    assert "Nothing alerted." in text.markdown(reviewed())


def test_pages_come_first_and_then_what_is_noisiest() -> None:
    review = reviewed(
        fired(9, name="MLTrend", severity="info"),
        fired(2, name="MLRunSlow", severity="ticket"),
        fired(6, name="MLPipelineLate", severity="ticket"),
        fired(1),
        fired(20, name="MLRunStuck", severity="ticket", service="churn"),
    )
    assert [chapter.service for chapter in review.chapters] == ["fraud", "churn"]
    names = [line.alert for line in review.chapters[0].lines]
    assert names == ["MLEndpointDown", "MLPipelineLate", "MLRunSlow", "MLTrend"]
    assert "Noise: 3 alerts fired over 5 times" in text.text(review)


def test_an_alert_about_many_things_names_the_noisiest_and_counts_the_rest() -> None:
    many = [fired(count, name="MLRunSlow", severity="ticket", pipeline=f"p{count}") for count in range(1, 6)]
    lines = text.text(reviewed(*many)).splitlines()
    begin = next(number for number, line in enumerate(lines) if "MLRunSlow" in line)
    assert "fired 15 times" in lines[begin]
    assert [line.split(":")[0].strip() for line in lines[begin + 1 : begin + 5]] == [
        "pipeline=p5",
        "pipeline=p4",
        "pipeline=p3",
        "and 2 more",
    ]


def test_an_alert_from_before_the_period_counts_once_and_has_no_beginning_in_it() -> None:
    alert = digests.alert()
    still = reviewed({"carried": [(alert, 1)], "lasted": [(alert, WEEK.points)], "firing": [(alert, 1)]})
    assert "fired once (before: never), 7d in all, still firing since before the period" in text.text(still)


@pytest.mark.parametrize(("points", "before"), [(WEEK.points, 4), (WEEK.points / 2, None)])
def test_what_prometheus_forgot_is_not_compared_with(points: float, before: int | None) -> None:
    watched = {**WATCHED, "watched before": [({}, points)]}
    [chapter] = reviewed(fired(2), {"started before": [(digests.alert(), 4)]}, watched=watched).chapters
    assert chapter.lines[0].fired_before == before


def test_time_in_which_no_rules_were_evaluated_is_named() -> None:
    said = text.text(reviewed(watched={"watched": [({}, WEEK.points / 2)]}))
    assert "Note: The rules were evaluated in 50.0 % of the period" in said


def test_warnings_of_prometheus_are_passed_on_once() -> None:
    assert text.text(reviewed(warnings=["one store is away"])).count("Note: one store is away") == 1


def test_names_cannot_break_a_table() -> None:
    said = text.markdown(reviewed(fired(1, name="MLRunSlow", severity="ticket", pipeline="a|b_c")))
    [row] = [line for line in said.splitlines() if "MLRunSlow" in line]
    assert len(re.findall(r"(?<!\\)\|", row)) == 8
    assert r"pipeline=a\|b\_c" in row


def test_the_json_has_all_that_the_text_has() -> None:
    alert = digests.alert(ml_endpoint="live")
    told = {**fired(6, 90, ml_endpoint="live"), "firing": [(alert, 1)], "began": [(alert, NOW - 600)]}
    budget = {"budget": [({"__name__": BUDGET, "slo": "fraud-latency", "ml_service": "fraud"}, 0.25)]}
    found = json.loads(text.as_json(reviewed(told, budget)))
    assert found["period"] == {"from": WEEK.begin, "to": WEEK.end, "step": 60}
    [service] = found["services"]
    assert (service["service"], service["owner"]) == ("fraud", "risk-ml")
    assert service["alerts"] == [
        {
            "alert": "MLEndpointDown",
            "severity": "page",
            "fired": 6,
            "fired_before": 0,
            "seconds": 5400,
            "firing": 1,
            "noisy": True,
            "about": [
                {
                    "labels": {"ml_endpoint": "live"},
                    "fired": 6,
                    "seconds": 5400,
                    "firing": True,
                    "since": NOW - 600,
                }
            ],
        }
    ]
    assert found["objectives"] == [
        {"labels": {"ml_service": "fraud", "slo": "fraud-latency"}, "remaining": 0.25, "change": None}
    ]
    assert found["quiet"] == ["churn"]


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, "0s"), (59, "59s"), (60, "1m"), (5400, "1h 30m"), (86400, "1d"), (90061, "1d 1h"), (604800, "7d")],
)
def test_a_duration_has_its_two_largest_units(seconds: float, said: str) -> None:
    assert text.duration(seconds) == said


def test_the_budget_is_asked_for_by_the_name_that_is_recorded() -> None:
    assert BUDGET in json.loads(evaluate("alerts/lib/recorded_slos.libsonnet")).values()


NO_VECTOR = {"status": "success", "data": {"resultType": "matrix", "result": []}}
HOSTILE = {
    "hangs": ([hang], "no complete answer within 0.5 s"),
    "drips": ([drip], "no complete answer within 0.5 s"),
    "hangs up": ([hang_up], "closed the connection without an answer"),
    "breaks off": ([cut_off()], "broke off"),
    "answers with a page": ([page()], "an HTML page"),
    "redirects": ([redirect("http://login.example/")], "a redirect to http://login.example/"),
    "is overloaded": ([answer_json({"status": "error", "error": "too many samples"}, 422)], "too many samples"),
    "knows no such address": ([answer(404, b"404 page not found")], "is this the right address"),
    "says success and means an error": ([answer_json({"status": "error", "error": "no"})], "not what the API promises"),
    "answers something else": ([answer_json(NO_VECTOR)], "not what the API promises"),
    "counts in words": ([answer_json(vector([({}, "many")], []))], "could not convert"),  # type: ignore[list-item]  # a lie
    "fails in the middle": ([*script(WATCHED)[:3], answer(500, b"out of memory")], "out of memory"),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_prometheus_that_does_not_answer_well_ends_it_with_what_was_asked_and_where(
    what: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    behaviours: list[Behaviour]
    behaviours, reason = HOSTILE[what]
    with server_of(*behaviours) as server:
        assert command(tmp_path, server.url) == 1
    said = capsys.readouterr()
    assert said.out == ""
    [line] = said.err.splitlines()
    assert f"GET {server.url}/api/v1/query: " in line
    assert reason in line
    assert "asked for " in line
    assert "ALERTS{" in line or BUDGET in line


def test_a_prometheus_that_is_not_there_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    assert command(tmp_path, url) == 1
    assert f"GET {url}/api/v1/query: cannot connect: connection refused" in capsys.readouterr().err


def test_a_prometheus_without_the_rules_is_not_taken_for_a_quiet_week(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with server_of(*script()) as server:
        assert command(tmp_path, server.url) == 1
    assert "nothing alerted, not even the Watchdog" in capsys.readouterr().err


def test_the_command_prints_what_prometheus_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with server_of(*script(WATCHED, fired(2, 30))) as server:
        assert command(tmp_path, server.url, "--format", "markdown") == 0
    assert "| page | MLEndpointDown | 2 | 0 | 30m | no |  |" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--since", "30m"], "--since: found '30m'; allowed is a duration from 1h to 35d"),
        (["--since", "90d"], "--since: found '90d'"),
        (["--since", "a week"], "--since: found 'a week'"),
        (["--timeout", "0s"], "--timeout: found '0s'"),
        (["--severity", "pages"], "--severity: found 'pages'; did you mean 'page'?"),
        (["--send"], "alerting.info: nobody to send a digest to; allowed are webhook, slack, msteams, email"),
    ],
)
def test_options_that_cannot_be_are_refused_before_anybody_is_asked(
    options: list[str], reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(tmp_path, "http://127.0.0.1:1", *options) == 2
    assert reason in capsys.readouterr().err
