"""The settings of routing: who hears of alerts, by which way and at which hours, as dataclasses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from ml_exporter.schema import HOST_AND_PORT, NAME, URL, Duration, Matches

_SECRET_FILE = Matches(r"(?!https?:).+", "the path of a file that holds the secret, as Alertmanager finds it")


@dataclass(frozen=True, slots=True)
class Webhook:
    url: Annotated[str | None, Matches(r"https?://\S+", "an address, http(s)://…")] = None
    url_file: Annotated[str | None, _SECRET_FILE] = None


@dataclass(frozen=True, slots=True)
class Slack:
    channel: str
    api_url_file: Annotated[str, _SECRET_FILE]


@dataclass(frozen=True, slots=True)
class PagerDuty:
    routing_key_file: Annotated[str, _SECRET_FILE]


@dataclass(frozen=True, slots=True)
class Email:
    to: str
    from_: str
    smarthost: Annotated[str, HOST_AND_PORT]
    username: str | None = None
    password_file: Annotated[str | None, _SECRET_FILE] = None
    require_tls: bool = True


@dataclass(frozen=True, slots=True)
class MSTeams:
    webhook_url_file: Annotated[str, _SECRET_FILE]


@dataclass(frozen=True, slots=True)
class Opsgenie:
    """Its APIs end on 2027-04-05."""

    api_key_file: Annotated[str, _SECRET_FILE]
    api_url: Annotated[str, URL] = "https://api.opsgenie.com/"


@dataclass(frozen=True, slots=True)
class IncidentIO:
    url: Annotated[str, Matches(r"https?://\S+", "the address of an alert source, http(s)://…")]
    alert_source_token_file: Annotated[str, _SECRET_FILE]


@dataclass(frozen=True, slots=True)
class Route:
    """Who is told, and how often; unset times are those of the severity."""

    webhook: Webhook | None = None
    slack: Slack | None = None
    pagerduty: PagerDuty | None = None
    email: Email | None = None
    msteams: MSTeams | None = None
    opsgenie: Opsgenie | None = None
    incidentio: IncidentIO | None = None
    group_wait: Annotated[float | None, Duration("0s", "1h")] = None
    group_interval: Annotated[float | None, Duration("1s", "24h")] = None
    repeat_interval: Annotated[float | None, Duration("1m", "5d")] = None


RECEIVERS = ("webhook", "slack", "pagerduty", "email", "msteams", "opsgenie", "incidentio")
SEVERITIES = ("page", "ticket", "info")


@dataclass(frozen=True, slots=True)
class Escalation(Route):
    """Who is told of a page that goes on firing."""

    after: Annotated[float, Duration("5m", "7d")] = 1800.0


@dataclass(frozen=True, slots=True)
class OwnerRoutes:
    """Who is told instead, of the alerts of one owner."""

    page: Route | None = None
    ticket: Route | None = None
    info: Route | None = None


@dataclass(frozen=True, slots=True)
class BusinessHours:
    """When tickets and info are sent; at other times they wait."""

    location: str
    """A time zone of the IANA."""
    days: tuple[str, ...] = ("monday:friday",)
    from_: str = "09:00"
    to: str = "17:00"


@dataclass(frozen=True, slots=True)
class Maintenance:
    """A window that comes again and in which nobody is told; all that is given must hold."""

    name: Annotated[str, NAME]
    services: tuple[str, ...] = ()
    owners: tuple[str, ...] = ()
    """Without services and owners: whatever alerts."""
    days: tuple[str, ...] = ()
    days_of_month: tuple[str, ...] = ()
    months: tuple[str, ...] = ()
    years: tuple[str, ...] = ()
    from_: str | None = None
    to: str | None = None
    location: str | None = None
    """A time zone of the IANA; unset: that of the business hours."""
