"""alertmanager.yml: who is told, how often, and what the target version does not know."""

from __future__ import annotations

import functools
import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.support.programs import program

from ml_exporter import config, publish, render
from ml_exporter.errors import ConfigError
from ml_exporter.settings import Config

RECEIVERS: dict[str, dict[str, Any]] = {
    "webhook": {"url": "http://127.0.0.1:5001/hook"},
    "slack": {"channel": "#ml", "api_url_file": "/run/secrets/slack"},
    "pagerduty": {"routing_key_file": "/run/secrets/pagerduty"},
    "email": {
        "to": "ml@example.org",
        "from": "alerts@example.org",
        "smarthost": "mail:25",
        "username": "u",
        "password_file": "/run/secrets/mail",
        "require_tls": False,
    },
    "msteams": {"webhook_url_file": "/run/secrets/teams"},
    "opsgenie": {"api_key_file": "/run/secrets/opsgenie", "api_url": "https://api.eu.opsgenie.com/"},
    "incidentio": {
        "url": "https://api.incident.io/v2/alert_events/alertmanager/1",
        "alert_source_token_file": "/run/secrets/incidentio",
    },
}
OLD_RECEIVERS = {name: section for name, section in RECEIVERS.items() if name not in ("msteams", "incidentio")}
SERVICES = [
    {"name": "fraud-detection", "owner": "risk-ml"},
    {"name": "churn.v2", "owner": "growth"},
    {"name": "demand", "owner": "growth"},
]
HOURS = {"location": "Europe/Berlin"}
EVERY_FORM_OF_A_WINDOW = [
    {"name": "night", "services": ["fraud-detection"], "days": ["saturday:monday"], "from": "22:00", "to": "24:00"},
    {"name": "closing", "owners": ["growth"], "days_of_month": ["-3:-1", "1", "15:-1"], "location": "America/New_York"},
    {"name": "summer", "services": ["ml-exporter"], "months": ["june:8", "december"], "years": ["2027", "2029:2031"]},
    {"name": "backup", "from": "03:00", "to": "03:10", "location": "UTC"},
]


def configured(alerting: dict[str, Any]) -> Config:
    return config.from_data({"alerting": alerting, "services": SERVICES})


@functools.cache
def _files(alerting: str) -> dict[str, bytes]:
    return render.generate(configured(json.loads(alerting)))


def rendered(alerting: dict[str, Any], folder: Path) -> Path:
    publish.publish(_files(json.dumps(alerting)), folder)
    return folder / "alertmanager/alertmanager.yml"


def file_of(alerting: dict[str, Any]) -> Any:
    return yaml.safe_load(_files(json.dumps(alerting))["alertmanager/alertmanager.yml"])


def route_of(alerting: dict[str, Any]) -> Any:
    return file_of(alerting)["route"]


@pytest.mark.parametrize(
    ("version", "target", "receivers"), [(None, "0.25", OLD_RECEIVERS), ("0.33", "0.33", RECEIVERS)]
)
def test_amtool_accepts_the_routing_with_all_that_the_version_knows(
    version: str | None, target: str, receivers: dict[str, Any], tmp_path: Path
) -> None:
    alerting = {
        "alertmanager": target,
        **dict.fromkeys(("page", "ticket", "info", "watchdog", "audit"), receivers),
        "escalation": {"after": "1h", **receivers},
        "owners": {"risk-ml": dict.fromkeys(("page", "ticket", "info"), receivers)},
        "business_hours": HOURS,
        "maintenance": EVERY_FORM_OF_A_WINDOW,
    }
    path = rendered(alerting, tmp_path)
    done = subprocess.run([program("amtool", version), "check-config", path], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


HOOK = {"webhook": {"url": "http://127.0.0.1:5001/"}}
EVERYBODY = {
    "owners": {"risk-ml": {"page": HOOK, "ticket": HOOK}, "growth": {"info": HOOK}},
    "escalation": HOOK,
    "business_hours": HOURS,
    "maintenance": EVERY_FORM_OF_A_WINDOW,
}


@pytest.mark.parametrize(
    ("labels", "receiver"),
    [
        ({"alertname": "Watchdog", "severity": "info"}, "watchdog"),
        ({"alertname": "X", "severity": "page"}, "page"),
        ({"alertname": "X", "severity": "ticket"}, "ticket"),
        ({"alertname": "X", "severity": "info"}, "info"),
        ({"alertname": "NotOurs", "severity": "critical"}, "ticket"),
        ({"alertname": "X", "severity": "page", "owner": "risk-ml"}, "page:risk-ml"),
        ({"alertname": "X", "severity": "page", "owner": "risk-ml", "ml_service": "fraud-detection"}, "page:risk-ml"),
        ({"alertname": "X", "severity": "ticket", "owner": "risk-ml"}, "ticket:risk-ml"),
        ({"alertname": "X", "severity": "info", "owner": "risk-ml"}, "info"),
        ({"alertname": "X", "severity": "page", "owner": "growth", "ml_service": "churn.v2"}, "page"),
        ({"alertname": "X", "severity": "info", "owner": "growth", "ml_service": "churn.v2"}, "info:growth"),
        ({"alertname": "MLAlertUnresolved", "severity": "page", "owner": "risk-ml"}, "escalation"),
    ],
)
def test_each_severity_of_each_owner_goes_to_its_own_receiver(
    labels: dict[str, str], receiver: str, tmp_path: Path
) -> None:
    assert receivers_of(labels, rendered(EVERYBODY, tmp_path)) == [receiver]


def receivers_of(labels: dict[str, str], path: Path) -> list[str]:
    command = [program("amtool"), "config", "routes", "test", f"--config.file={path}"]
    done = subprocess.run(
        [*command, *(f"{name}={value}" for name, value in labels.items())], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip().split(",")


@pytest.mark.parametrize("severity", ["page", "ticket", "info", "critical"])
def test_what_audits_hears_of_everything_and_takes_it_from_nobody(severity: str, tmp_path: Path) -> None:
    labels = {"alertname": "X", "severity": severity}
    path = rendered({"audit": HOOK}, tmp_path)
    assert receivers_of(labels, path) == ["audit", "ticket" if severity == "critical" else severity]


def test_an_escalation_that_nobody_asked_for_has_no_route(tmp_path: Path) -> None:
    labels = {"alertname": "MLAlertUnresolved", "severity": "page"}
    assert receivers_of(labels, rendered({}, tmp_path)) == ["page"]
    assert configured({"escalation": HOOK}).for_jsonnet()["alerting"]["escalation"]["after"] == 1800


def test_times_have_defaults_by_severity_and_the_configuration_wins() -> None:
    routes = route_of({"page": {"group_wait": "0s"}})["routes"]
    times = {r["receiver"]: (r["group_wait"], r["group_interval"], r["repeat_interval"]) for r in routes}
    assert times["page"] == ("0s", "5m", "4h")
    assert times["ticket"] == ("5m", "30m", "1d")
    assert times["watchdog"] == ("0s", "1m", "1m")


SINK = {"webhook": {"url": "http://127.0.0.1:1"}}


def test_the_times_of_an_owner_are_those_of_the_severity_unless_said() -> None:
    given = {"page": {"group_wait": "5s"}, "owners": {"risk-ml": {"page": {"repeat_interval": "1h", **SINK}}}}
    [theirs] = [route for route in route_of(given)["routes"] if route["receiver"] == "page:risk-ml"]
    assert [theirs[key] for key in ("group_wait", "group_interval", "repeat_interval")] == ["5s", "5m", "1h"]


def test_one_incident_of_a_service_is_one_message() -> None:
    route = route_of(EVERYBODY)
    assert route["group_by"] == ["ml_service"]
    assert {each["receiver"] for each in leaves(route) if "group_by" in each} == {"watchdog", "ticket"}


def leaves(route: Any) -> Iterator[dict[str, Any]]:
    """Every route, with what a child takes over from its parent; time intervals are not among it."""
    yield route
    for child in route.get("routes", []):
        kept = {key: route[key] for key in ("receiver",) if key in route}
        yield from leaves({**kept, **child})


def test_tickets_and_info_wait_for_business_hours_and_nothing_else_does() -> None:
    routes = [route for route in leaves(route_of(EVERYBODY)) if route.get("matchers")]
    waiting = {route["receiver"] for route in routes if "active_time_intervals" in route}
    assert waiting == {"ticket", "info", "ticket:risk-ml", "info:growth"}
    never = {route["receiver"] for route in routes if "active_time_intervals" not in route}
    assert never == {"page", "watchdog", "escalation", "page:risk-ml"}


def test_a_window_holds_for_its_services_and_those_of_its_owners_and_never_for_the_watchdog() -> None:
    quiet = {
        (route["receiver"], " ".join(route["matchers"])): route.get("mute_time_intervals")
        for route in leaves(route_of({"maintenance": EVERY_FORM_OF_A_WINDOW, "business_hours": HOURS}))
        if "matchers" in route
    }
    assert quiet == {
        ("watchdog", 'alertname="Watchdog"'): None,
        **{
            (severity, matcher): [*windows, "maintenance-backup"]
            for severity in ("page", "ticket", "info")
            for matcher, windows in {
                f'severity="{severity}"': [],
                'ml_service=~"fraud-detection"': ["maintenance-night"],
                r'ml_service=~"churn\\.v2|demand"': ["maintenance-closing"],
                'ml_service=~"ml-exporter"': ["maintenance-summer"],
            }.items()
        },
    }


def test_a_range_of_days_may_run_over_the_end_of_alertmanagers_week() -> None:
    definitions = file_of({"business_hours": {**HOURS, "days": ["saturday:monday", "wednesday"]}})["time_intervals"]
    assert definitions == [
        {
            "name": "business-hours",
            "time_intervals": [
                {
                    "location": "Europe/Berlin",
                    "weekdays": ["saturday", "sunday", "monday", "wednesday"],
                    "times": [{"start_time": "09:00", "end_time": "17:00"}],
                }
            ],
        }
    ]


def test_without_hours_and_windows_there_are_no_intervals() -> None:
    assert "time_intervals" not in file_of({})


@pytest.mark.parametrize(
    ("target", "section", "message"),
    [
        (
            "0.27",
            {"msteams": RECEIVERS["msteams"]},
            r"alerting\.page\.msteams: needs msteamsv2_configs, .* since 0\.28",
        ),
        ("0.25", {"webhook": {"url_file": "/x"}}, r"alerting\.page\.webhook\.url_file: .* since 0\.26; .* is 0\.25"),
        ("0.24", {"pagerduty": RECEIVERS["pagerduty"]}, r"alerting\.page\.pagerduty: .* since 0\.25"),
        ("0.28", {"incidentio": RECEIVERS["incidentio"]}, r"alerting\.page\.incidentio: .* since 0\.29; .* is 0\.28"),
        ("0.23", {"opsgenie": RECEIVERS["opsgenie"]}, r"alerting\.page\.opsgenie: .* since 0\.24"),
        ("0.21", {}, r"alerting\.alertmanager: found 0\.21; .* need 0\.22 or newer"),
    ],
)
def test_what_the_target_alertmanager_does_not_know_is_refused_with_the_reason(
    target: str, section: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        route_of({"alertmanager": target, "page": section})


@pytest.mark.parametrize(
    ("section", "path"),
    [
        ({"owners": {"growth": {"ticket": {"msteams": RECEIVERS["msteams"]}}}}, r"owners\.growth\.ticket\.msteams"),
        ({"escalation": {"msteams": RECEIVERS["msteams"]}}, r"escalation\.msteams"),
        ({"audit": {"msteams": RECEIVERS["msteams"]}}, r"audit\.msteams"),
        ({"business_hours": HOURS}, "business_hours"),
        ({"maintenance": EVERY_FORM_OF_A_WINDOW[3:]}, "maintenance"),
    ],
)
def test_a_refusal_by_the_version_names_the_key_wherever_it_is(section: dict[str, Any], path: str) -> None:
    with pytest.raises(ConfigError, match=rf"^alerting\.{path}: needs .*; alerting\.alertmanager is 0\.24"):
        route_of({"alertmanager": "0.24", **section})


PAGE = (Path(__file__).parents[1] / "docs" / "routing.md").read_text()


@pytest.mark.parametrize("example", re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL))
def test_every_example_of_the_page_is_a_configuration_that_amtool_accepts(example: str, tmp_path: Path) -> None:
    path = rendered(yaml.safe_load(example)["alerting"], tmp_path)
    done = subprocess.run([program("amtool", "0.33"), "check-config", path], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_page_has_the_times_of_every_severity() -> None:
    routing = json.loads(render.evaluate("alerts/routing.libsonnet"))
    routes = {
        route["receiver"]: route
        for route in route_of({"audit": HOOK, "escalation": HOOK})["routes"]
        if "group_wait" in route
    }
    assert routes.keys() == routing["times"].keys()
    for name, route in routes.items():
        times = f"{route['group_wait']}, {route['group_interval']}, {route['repeat_interval']}"
        assert re.search(rf"\| `{name}` \|.*\| {times}", PAGE), name


def test_the_page_has_every_receiver_and_the_version_that_it_needs() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| .* \| (?:`\w+`: )?0\.(\d+) \|$", PAGE, re.MULTILINE))
    assert rows.keys() == RECEIVERS.keys()
    since = json.loads(render.evaluate("alerts/routing.libsonnet"))["since"]
    for name, minor in rows.items():
        [needed] = [row["minor"] for key, row in since.items() if key.split(".")[0] == name]
        assert str(needed) == minor, name
