"""alertmanager.yml: who is told, how often, and what the target version does not know."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.support.programs import program

from ml_exporter import config, render
from ml_exporter.errors import ConfigError

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
    },
    "msteams": {"webhook_url_file": "/run/secrets/teams"},
}
OLD_RECEIVERS = {name: section for name, section in RECEIVERS.items() if name != "msteams"}


def rendered(alerting: dict[str, Any], folder: Path) -> Path:
    render.render(config.from_data({"alerting": alerting}), folder)
    return folder / "alertmanager/alertmanager.yml"


def route_of(alerting: dict[str, Any]) -> Any:
    files = render.generate(config.from_data({"alerting": alerting}))
    return yaml.safe_load(files["alertmanager/alertmanager.yml"])["route"]


@pytest.mark.parametrize(
    ("version", "target", "receivers"), [(None, "0.25", OLD_RECEIVERS), ("0.33", "0.33", RECEIVERS)]
)
def test_amtool_accepts_the_routing_with_every_receiver_it_knows(
    version: str | None, target: str, receivers: dict[str, Any], tmp_path: Path
) -> None:
    alerting = {"alertmanager": target, **dict.fromkeys(("page", "ticket", "info", "watchdog"), receivers)}
    path = rendered(alerting, tmp_path)
    done = subprocess.run([program("amtool", version), "check-config", path], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("labels", "receiver"),
    [
        ({"alertname": "Watchdog", "severity": "info"}, "watchdog"),
        ({"alertname": "X", "severity": "page"}, "page"),
        ({"alertname": "X", "severity": "ticket"}, "ticket"),
        ({"alertname": "X", "severity": "info"}, "info"),
        ({"alertname": "NotOurs", "severity": "critical"}, "ticket"),
    ],
)
def test_each_severity_goes_to_its_own_receiver(labels: dict[str, str], receiver: str, tmp_path: Path) -> None:
    pairs = [f"{name}={value}" for name, value in labels.items()]
    path = rendered({}, tmp_path)
    done = subprocess.run(
        [
            program("amtool"),
            "config",
            "routes",
            "test",
            f"--config.file={path}",
            f"--verify.receivers={receiver}",
            *pairs,
        ],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_times_have_defaults_by_severity_and_the_configuration_wins() -> None:
    routes = route_of({"page": {"group_wait": "0s"}})["routes"]
    times = {r["receiver"]: (r["group_wait"], r["group_interval"], r["repeat_interval"]) for r in routes}
    assert times["page"] == ("0s", "5m", "4h")
    assert times["ticket"] == ("5m", "30m", "1d")
    assert times["watchdog"] == ("0s", "1m", "1m")


def test_one_incident_of_a_service_is_one_message() -> None:
    assert route_of({})["group_by"] == ["ml_service"]


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
        ("0.21", {}, r"alerting\.alertmanager: found 0\.21; .* need 0\.22 or newer"),
    ],
)
def test_what_the_target_alertmanager_does_not_know_is_refused_with_the_reason(
    target: str, section: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        route_of({"alertmanager": target, "page": section})
