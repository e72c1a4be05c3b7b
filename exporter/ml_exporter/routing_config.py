"""What routing may not say: checks across the keys of `alerting:`, and what of it is probably not meant."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from ml_exporter.alerting_settings import Alerting
from ml_exporter.errors import ConfigError
from ml_exporter.routing_settings import RECEIVERS, SEVERITIES, BusinessHours, Maintenance, Route
from ml_exporter.schema import nearest
from ml_exporter.settings import DEFAULT_SERVICE, Service
from ml_exporter.timetable import check_zone

DAYS = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")
MONTHS = (
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
)
_EVERYBODYS = {f"alerting.{name}" for name in (*SEVERITIES, "watchdog")}
OWN_SERVICE = "ml-exporter"
"""What the exporter's own alerts carry as `ml_service`."""


def unreserve(value: Any) -> Any:
    """`alerting:` with every key `from` as `from_`: it is a word of Python, and no field can be called so."""
    if isinstance(value, Mapping):
        return {"from_" if key == "from" else key: unreserve(inner) for key, inner in value.items()}
    return [unreserve(item) for item in value] if isinstance(value, list) else value


def routes(alerting: Alerting) -> Iterator[tuple[str, Route]]:
    """Everything that has receivers, by its key path."""
    for name in (*SEVERITIES, "watchdog"):
        yield f"alerting.{name}", getattr(alerting, name)
    for owner, given in alerting.owners.items():
        for severity in SEVERITIES:
            if route := getattr(given, severity):
                yield f"alerting.owners.{owner}.{severity}", route
    for name in ("escalation", "audit"):
        if route := getattr(alerting, name):
            yield f"alerting.{name}", route


def _told(route: Route) -> bool:
    return any(getattr(route, kind) for kind in RECEIVERS)


def secret_files(alerting: Alerting) -> Iterator[tuple[str, str]]:
    """Key path and path of every file that Alertmanager is to read a secret from."""
    for path, route in routes(alerting):
        for kind in RECEIVERS:
            receiver = getattr(route, kind)
            for each in dataclasses.fields(receiver) if receiver else ():
                file = getattr(receiver, each.name)
                if each.name.endswith("_file") and file:
                    yield f"{path}.{kind}.{each.name}", file


def check(alerting: Alerting, services: tuple[Service, ...]) -> None:
    """Raise `ConfigError` for the first thing that cannot be, with its key path."""
    for path, route in routes(alerting):
        if route.webhook and bool(route.webhook.url) == bool(route.webhook.url_file):
            raise ConfigError(f"{path}.webhook: allowed is one of url and url_file")
        # An owner's route stands in place of the severity's: an empty one would take the alerts away from everybody.
        if path not in _EVERYBODYS and not _told(route):
            raise ConfigError(f"{path}: no receiver, so nobody is told; allowed are {', '.join(RECEIVERS)}")
    owners = {service.owner for service in services} | {DEFAULT_SERVICE}
    for owner in alerting.owners:
        _check_known(f"alerting.owners.{owner}", owner, owners, "service belongs to")
    if alerting.business_hours:
        _check_hours(alerting.business_hours)
    names = [window.name for window in alerting.maintenance]
    for index, window in enumerate(alerting.maintenance):
        path = f"alerting.maintenance[{index}]"
        if names.index(window.name) != index:
            raise ConfigError(f"{path}.name: found '{window.name}', which an earlier window has already")
        _check_window(window, path, alerting.business_hours)
        known = {service.name for service in services} | {DEFAULT_SERVICE, OWN_SERVICE}
        for number, name in enumerate(window.services):
            _check_known(f"{path}.services[{number}]", name, known, "service is called")
        for number, name in enumerate(window.owners):
            _check_known(f"{path}.owners[{number}]", name, owners, "service belongs to")


def warnings(alerting: Alerting) -> list[str]:
    """What is allowed and probably not meant."""
    found = []
    for path, route in routes(alerting):
        if not _told(route):
            reached = "are in the digest only" if path.endswith(".info") else "reach nobody"
            found.append(f"{path}: no receiver, so such alerts {reached}")
        if route.opsgenie:
            found.append(f"{path}.opsgenie: its APIs end on 2027-04-05")
    return found


def _check_known(path: str, name: str, known: Iterable[str], what: str) -> None:
    if name not in known:
        raise ConfigError(f"{path}: no {what} '{name}'{nearest(name, known)}")


def _check_hours(hours: BusinessHours) -> None:
    path = "alerting.business_hours"
    check_zone(f"{path}.location", hours.location)
    if not hours.days:
        raise ConfigError(f"{path}.days: found none; allowed are days of the week, such as monday:friday")
    _check_ranges(hours.days, f"{path}.days", _weekday)
    _check_times(hours.from_, hours.to, path)


def _check_window(window: Maintenance, path: str, hours: BusinessHours | None) -> None:
    if window.location:
        check_zone(f"{path}.location", window.location)
    elif not hours:
        raise ConfigError(f"{path}.location: missing; without business hours there is none to take, and times need one")
    for name, part in _PARTS.items():
        _check_ranges(getattr(window, name), f"{path}.{name}", part)
    if bool(window.from_) != bool(window.to):
        raise ConfigError(f"{path}.{'to' if window.from_ else 'from'}: missing; from and to go together")
    if window.from_ and window.to:
        _check_times(window.from_, window.to, path)
    whole_day = (window.from_ or "00:00", window.to or "24:00") == ("00:00", "24:00")
    if whole_day and not any(getattr(window, name) for name in _PARTS):
        raise ConfigError(f"{path}: never ends; say when it is, by {', '.join(_PARTS)} or from and to")


def _check_times(start: str, end: str, path: str) -> None:
    for key, text in (("from", start), ("to", end)):
        if not re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d|24:00", text):
            raise ConfigError(f"{path}.{key}: found '{text}'; allowed is a time of the day in quotes, such as '09:00'")
    if start >= end:
        raise ConfigError(
            f"{path}.to: found '{end}', which is not after '{start}'; "
            "what goes over midnight is two: up to '24:00' and from '00:00'"
        )


def _check_ranges(texts: tuple[str, ...], path: str, part: Callable[[str, str], bool]) -> None:
    for index, text in enumerate(texts):
        first, _, last = text.partition(":")
        if not part(first, last or first):
            raise ConfigError(f"{path}[{index}]: found '{text}'; allowed is {_FORMS[part]}")


def _weekday(first: str, last: str) -> bool:
    return first in DAYS and last in DAYS


def _day_of_month(first: str, last: str) -> bool:
    if not all(re.fullmatch(r"-?[1-9]\d?", text) and -31 <= int(text) <= 31 for text in (first, last)):
        return False
    start, end = int(first), int(last)
    # As Alertmanager has it: days from the end are placed as in the shortest month.
    return not (start < 0 < end) and (start + 28 if start < 0 else start) <= (end + 28 if end < 0 else end)


def _month(first: str, last: str) -> bool:
    numbers = {name: number for number, name in enumerate(MONTHS, 1)} | {str(n): n for n in range(1, 13)}
    return first in numbers and last in numbers and numbers[first] <= numbers[last]


def _year(first: str, last: str) -> bool:
    return all(re.fullmatch(r"\d{4}", text) for text in (first, last)) and first <= last


_PARTS = {"days": _weekday, "days_of_month": _day_of_month, "months": _month, "years": _year}
_FORMS: dict[Callable[[str, str], bool], str] = {
    _weekday: "a day of the week or a range of them, such as saturday or monday:friday",
    _day_of_month: "a day of the month from 1 to 31, from the end -1 to -31, or a range, such as 1:7",
    _month: "a month by name or number, or a range within the year, such as june:august",
    _year: "a year or a range of them, such as 2027 or 2027:2028",
}
