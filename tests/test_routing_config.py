"""`alerting:` in the configuration: what routing may not say, and what is probably not meant."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from ml_exporter import routing_config
from ml_exporter.__main__ import main
from ml_exporter.config import from_data, warnings
from ml_exporter.errors import ConfigError

SERVICES = [{"name": "fraud", "owner": "risk-ml"}, {"name": "churn", "owner": "growth"}]
HOURS = "business_hours: {location: UTC}, "


def parsed(alerting: str) -> Any:
    return from_data({"services": SERVICES, "alerting": yaml.safe_load(f"{{{alerting}}}")})


def window(text: str) -> str:
    return f"{HOURS} maintenance: [{{name: a, {text}}}]"


@pytest.mark.parametrize(
    ("alerting", "message"),
    [
        ("owners: {risk-m: {}}", "owners.risk-m: no service belongs to 'risk-m'; did you mean 'risk-ml'?"),
        ("owners: {risk-ml: {critical: {}}}", "owners.risk-ml.critical: unknown key; allowed are info, page, ticket"),
        ("owners: {risk-ml: {page: {webhook: {}}}}", "owners.risk-ml.page.webhook: allowed is one of url and url_file"),
        ("escalation: {webhook: {}}", "escalation.webhook: allowed is one of url and url_file"),
        ("escalation: {after: 1m}", "escalation.after: found '1m'; allowed is a duration from 5m to 7d"),
        ("escalation: {after: 8d}", "escalation.after: found '8d'; allowed is a duration from 5m to 7d"),
        ("audit: {webhok: {}}", "audit.webhok: unknown key; did you mean 'webhook'?"),
        (
            "page: {opsgenie: {api_key_file: 'https://x'}}",
            "page.opsgenie.api_key_file: found 'https://x'; allowed is the",
        ),
        ("page: {incidentio: {url: 'http://x'}}", "page.incidentio.alert_source_token_file: missing"),
        ("business_hours: {}", "business_hours.location: missing"),
        (
            "business_hours: {location: Berlin}",
            "business_hours.location: found 'Berlin'; allowed is a name of the IANA",
        ),
        ("business_hours: {location: UTC, days: []}", "business_hours.days: found none"),
        ("business_hours: {location: UTC, days: [mon]}", "business_hours.days[0]: found 'mon'; allowed is a day of"),
        (
            "business_hours: {location: UTC, to: 17:00}",
            "business_hours.to: found 1020; allowed is text (put it in quotes)",
        ),
        (
            "business_hours: {location: UTC, from: '9:00'}",
            "business_hours.from: found '9:00'; allowed is a time of the day",
        ),
        (
            "business_hours: {location: UTC, to: '25:00'}",
            "business_hours.to: found '25:00'; allowed is a time of the day",
        ),
        (
            "business_hours: {location: UTC, to: '09:00'}",
            "business_hours.to: found '09:00', which is not after '09:00'",
        ),
        (
            window("days: [sunday], services: [frau]"),
            "maintenance[0].services[0]: no service is called 'frau'; did you",
        ),
        (window("days: [sunday], owners: [risk]"), "maintenance[0].owners[0]: no service belongs to 'risk'"),
        (window("location: Nowhere/X"), "maintenance[0].location: found 'Nowhere/X'; allowed is a name of the IANA"),
        (window("from: '10:00'"), "maintenance[0].to: missing; from and to go together"),
        (window("to: '10:00'"), "maintenance[0].from: missing; from and to go together"),
        (
            window("from: '22:00', to: '02:00'"),
            "maintenance[0].to: found '02:00', which is not after '22:00'; what goes",
        ),
        (window("services: [fraud]"), "maintenance[0]: never ends; say when it is"),
        (
            window("days: ['saturday:sun']"),
            "maintenance[0].days[0]: found 'saturday:sun'; allowed is a day of the week",
        ),
        (window("days_of_month: ['32']"), "maintenance[0].days_of_month[0]: found '32'; allowed is a day of the month"),
        (window("days_of_month: ['0']"), "maintenance[0].days_of_month[0]: found '0'"),
        (window("days_of_month: ['-3:3']"), "maintenance[0].days_of_month[0]: found '-3:3'"),
        (window("days_of_month: ['30:-1']"), "maintenance[0].days_of_month[0]: found '30:-1'"),
        (
            window("months: ['december:january']"),
            "maintenance[0].months[0]: found 'december:january'; allowed is a mon",
        ),
        (window("months: ['13']"), "maintenance[0].months[0]: found '13'"),
        (window("years: ['2028:2027']"), "maintenance[0].years[0]: found '2028:2027'; allowed is a year or a range"),
        (
            "maintenance: [{name: a, days: [sunday]}]",
            "maintenance[0].location: missing; without business hours there is",
        ),
        (
            "maintenance: [{name: a, days: [sunday], location: UTC}, {name: a, days: [monday], location: UTC}]",
            "maintenance[1].name: found 'a', which an earlier window has already",
        ),
    ],
)
def test_a_route_that_cannot_be_says_where_what_and_what_is_allowed(alerting: str, message: str) -> None:
    with pytest.raises(ConfigError) as refused:
        parsed(alerting)
    assert str(refused.value).startswith(f"alerting.{message}")
    assert "\n" not in str(refused.value)


def test_alerts_that_nobody_owns_and_the_exporters_own_can_be_routed_and_muted_too() -> None:
    alerting = parsed(
        window("days: [sunday], services: [ml-exporter, unassigned]") + ", owners: {unassigned: {}}"
    ).alerting
    assert alerting.maintenance[0].services == ("ml-exporter", "unassigned")


def test_a_severity_without_a_receiver_says_who_then_hears_nothing() -> None:
    found = warnings(parsed("ticket: {}"))
    assert "alerting.ticket: no receiver, so such alerts reach nobody" in found
    assert "alerting.info: no receiver, so such alerts are in the digest only" in found


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ("owners: {risk-ml: {ticket: {}}}", "alerting.owners.risk-ml.ticket"),
        ("owners: {risk-ml: {page: {repeat_interval: 1h}}}", "alerting.owners.risk-ml.page"),
        ("escalation: {after: 1h}", "alerting.escalation"),
        ("audit: {}", "alerting.audit"),
    ],
)
def test_a_route_in_place_of_another_that_reaches_nobody_is_refused(given: str, path: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(f"{path}: no receiver, so nobody is told; allowed are webhook")):
        parsed(given)


def test_a_receiver_that_will_end_says_when() -> None:
    found = warnings(parsed("page: {opsgenie: {api_key_file: x}}"))
    assert "alerting.page.opsgenie: its APIs end on 2027-04-05" in found


def test_every_secret_file_is_known_by_its_key_wherever_it_is() -> None:
    alerting = parsed(
        "page: {slack: {channel: c, api_url_file: /a}}, ticket: {webhook: {url_file: /b}}, audit: {webhook: {url: 'http://x'}},"
        "owners: {growth: {info: {email: {to: a, from: b, smarthost: 'c:1', username: d, password_file: /c}}}},"
        "escalation: {incidentio: {url: 'http://x', alert_source_token_file: /d}}"
    ).alerting
    assert dict(routing_config.secret_files(alerting)) == {
        "alerting.page.slack.api_url_file": "/a",
        "alerting.ticket.webhook.url_file": "/b",
        "alerting.owners.growth.info.email.password_file": "/c",
        "alerting.escalation.incidentio.alert_source_token_file": "/d",
    }


def test_check_names_the_file_of_a_receiver_that_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "there").write_text("https://hooks.example.org/1")
    file = tmp_path / "ml-exporter.yaml"
    file.write_text(
        f"alerting: {{page: {{slack: {{channel: a, api_url_file: {tmp_path}/not-there}}}}, "
        f"ticket: {{slack: {{channel: a, api_url_file: {tmp_path}/there}}}}}}"
    )
    assert main(["check", "--offline", "--config", str(file)]) == 0
    notes = capsys.readouterr().err
    assert f"note: alerting.page.slack.api_url_file: {tmp_path}/not-there is not there" in notes
    assert "alerting.ticket.slack" not in notes
