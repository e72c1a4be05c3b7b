"""Who a real Alertmanager tells: by severity, owner, hours and windows, with a sink for every receiver."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from tests.support.alertmanager import VERSIONS, Alertmanager, running
from tests.support.sink import Sink

pytestmark = pytest.mark.system

SERVICES = [
    {"name": "fraud", "owner": "risk-ml"},
    {"name": "churn", "owner": "growth"},
    {"name": "demand", "owner": "growth"},
]
OWNERS = {service["name"]: service["owner"] for service in SERVICES}
SEVERITIES = ("page", "ticket", "info")


def day(after: int) -> str:
    return f"{datetime.now(UTC) + timedelta(days=after):%A}".lower()


# Whole days and the next one with them: a test that runs over midnight sees no change.
NOW = {"days": [f"{day(0)}:{day(1)}"], "location": "UTC"}
NOT_NOW = {"days": [f"{day(3)}:{day(4)}"], "location": "UTC"}
OPEN = {**NOW, "from": "00:00", "to": "24:00"}
CLOSED = {**NOT_NOW, "from": "00:00", "to": "24:00"}


def alert(severity: str, service: str, name: str = "MLSomething", **labels: str) -> dict[str, Any]:
    """As Prometheus sends it: with its owner."""
    owner = OWNERS.get(service, "unassigned")
    found = {"alertname": name, "severity": severity, "ml_service": service, "owner": owner, **labels}
    return {"labels": found, "startsAt": "2026-01-15T13:04:05Z"}


EVERY = [alert(severity, service) for severity in SEVERITIES for service in OWNERS]


class House:
    """An Alertmanager whose every receiver is a path of the sink."""

    def __init__(self, sink: Sink, version: tuple[str | None, str]) -> None:
        self.sink = sink
        self.program, target = version
        everybody = {name: self.hook(name) for name in (*SEVERITIES, "watchdog")}
        self.alerting: dict[str, Any] = {"alertmanager": target, **everybody}

    def hook(self, path: str) -> dict[str, Any]:
        return {"webhook": {"url": f"{self.sink.url}/{path}"}, "group_wait": "1s", "group_interval": "1s"}

    def data(self, **alerting: Any) -> dict[str, Any]:
        return {"services": SERVICES, "alerting": {**self.alerting, **alerting}}

    def told(self) -> set[tuple[str, str, str]]:
        """Receiver, service and alert of everything that was sent."""
        return {
            (path.strip("/"), each["labels"]["ml_service"], each["labels"]["alertname"])
            for path, body in list(self.sink.posts)
            for each in body["alerts"]
        }

    def assert_told(
        self, alertmanager: Alertmanager, expected: set[tuple[str, str, str]], *alerts: dict[str, Any]
    ) -> None:
        """Those are told of the alerts, and nobody else: nothing more has come when what was posted later has."""
        alertmanager.post(*alerts)
        alertmanager.wait_until(lambda: expected <= self.told(), f"{expected} is told")
        for number in range(2):
            service = f"sentinel-{number}"
            alertmanager.post(alert("critical", service))
            alertmanager.wait_until(
                lambda: any(service == each[1] for each in self.told()),  # noqa: B023 — called before the next round
                f"{service} is told",
            )
        assert {told for told in self.told() if not told[1].startswith("sentinel")} == expected


@pytest.fixture(params=VERSIONS, ids=lambda pair: pair[1])
def version(request: pytest.FixtureRequest) -> tuple[str | None, str]:
    pair: tuple[str | None, str] = request.param
    return pair


@pytest.fixture
def house(version: tuple[str | None, str]) -> Iterator[House]:
    with Sink() as sink:
        yield House(sink, version)


def usual(*services: str) -> set[tuple[str, str, str]]:
    """Every severity at its own receiver."""
    return {(severity, service, "MLSomething") for severity in SEVERITIES for service in services}


def test_each_severity_of_each_owner_reaches_its_own_receiver_and_what_audits_hears_of_all(
    house: House, tmp_path: Path
) -> None:
    unresolved = alert("page", "fraud", "MLAlertUnresolved", unresolved="MLEndpointDown")
    others = [unresolved, alert("info", "ml-exporter", "Watchdog"), alert("critical", "elsewhere", "NotOurs")]
    data = house.data(
        owners={"risk-ml": {"page": house.hook("risk-page"), "ticket": house.hook("risk-ticket")}},
        escalation=house.hook("escalation"),
        audit=house.hook("audit"),
    )
    expected = usual("churn", "demand") | {
        ("risk-page", "fraud", "MLSomething"),
        ("risk-ticket", "fraud", "MLSomething"),
        ("info", "fraud", "MLSomething"),
        ("escalation", "fraud", "MLAlertUnresolved"),
        ("watchdog", "ml-exporter", "Watchdog"),
        ("ticket", "elsewhere", "NotOurs"),
    }
    expected |= {("audit", each["labels"]["ml_service"], each["labels"]["alertname"]) for each in EVERY + others}
    with running(data, tmp_path, house.program) as alertmanager:
        house.assert_told(alertmanager, expected, *EVERY, *others)


def test_one_incident_of_a_service_is_one_message_whatever_alerts(house: House, tmp_path: Path) -> None:
    def fresh(*of: str) -> dict[str, Any]:
        return {"labels": alert("page", *of)["labels"]}  # what began long ago would be sent as it comes

    with running(house.data(audit=house.hook("audit")), tmp_path, house.program) as alertmanager:
        alertmanager.post(fresh("fraud", "A"), fresh("fraud", "B"), fresh("churn", "A"))
        alertmanager.wait_until(lambda: len(house.told()) == 6, "all are told")
        messages = [[each["labels"]["alertname"] for each in body["alerts"]] for body in house.sink.at("/page")]
        assert sorted(messages) == [["A"], ["A", "B"]]
        assert [len(body["alerts"]) for body in house.sink.at("/audit")] == [1, 1, 1]


def test_out_of_business_hours_pages_are_told_and_tickets_and_info_wait(house: House, tmp_path: Path) -> None:
    data = house.data(
        business_hours=CLOSED, owners={"risk-ml": {"ticket": house.hook("risk-ticket")}}, audit=house.hook("audit")
    )
    expected = {("page", service, "MLSomething") for service in OWNERS}
    expected |= {("audit", service, "MLSomething") for service in OWNERS}
    with running(data, tmp_path, house.program) as alertmanager:
        house.assert_told(alertmanager, expected, *EVERY)


def test_within_business_hours_everything_is_told(house: House, tmp_path: Path) -> None:
    with running(house.data(business_hours=OPEN), tmp_path, house.program) as alertmanager:
        house.assert_told(alertmanager, usual(*OWNERS), *EVERY)


def test_a_window_that_is_open_quiets_its_services_and_one_that_is_not_quiets_nobody(
    house: House, tmp_path: Path
) -> None:
    windows = [
        {"name": "of-a-service", "services": ["churn", "ml-exporter"], **NOW},
        {"name": "of-an-owner", "owners": ["risk-ml"], **NOW},
        {"name": "another-day", "services": ["demand"], **NOT_NOW},
    ]
    # An owner's own route is quiet, too, and so is an escalation.
    data = house.data(
        maintenance=windows,
        business_hours=OPEN,
        owners={"risk-ml": {"page": house.hook("risk-page")}},
        escalation=house.hook("escalation"),
    )
    others = [
        alert("page", "fraud", "MLAlertUnresolved"),
        alert("page", "demand", "MLAlertUnresolved"),
        alert("ticket", "ml-exporter", "MLSourceDown"),
        alert("info", "ml-exporter", "Watchdog"),
    ]
    expected = usual("demand") | {
        ("escalation", "demand", "MLAlertUnresolved"),
        ("watchdog", "ml-exporter", "Watchdog"),
    }
    with running(data, tmp_path, house.program) as alertmanager:
        house.assert_told(alertmanager, expected, *EVERY, *others)


def test_a_window_for_all_leaves_the_watchdog_and_what_audits(house: House, tmp_path: Path) -> None:
    windows = [{"name": "all", **NOW}, {"name": "another-day", "services": ["demand"], **NOT_NOW}]
    data = house.data(maintenance=windows, audit=house.hook("audit"))
    watchdog = alert("info", "ml-exporter", "Watchdog")
    expected = {("audit", service, "MLSomething") for service in OWNERS}
    expected |= {(receiver, "ml-exporter", "Watchdog") for receiver in ("audit", "watchdog")}
    with running(data, tmp_path, house.program) as alertmanager:
        house.assert_told(alertmanager, expected, *EVERY, watchdog)


def test_a_window_is_open_by_the_clock_of_its_own_zone(house: House, tmp_path: Path) -> None:
    # Where it is another day than in UTC: 14 hours ahead in one half of the day, 12 hours behind in the other.
    zone = "Pacific/Kiritimati" if datetime.now(UTC).hour >= 11 else "Etc/GMT+12"
    there = f"{datetime.now(ZoneInfo(zone)):%A}".lower()
    windows = [
        {"name": "there", "services": ["churn"], "days": [there], "location": zone},
        {"name": "here", "services": ["demand"], "days": [there], "location": "UTC"},
    ]
    with running(house.data(maintenance=windows), tmp_path, house.program) as alertmanager:
        house.assert_told(alertmanager, usual("fraud", "demand"), *EVERY)
