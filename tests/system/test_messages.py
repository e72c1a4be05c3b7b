"""What people read: the text of every channel, as a real Alertmanager sends it, against tests/fixtures/messages."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from tests.support.alertmanager import VERSIONS, Alertmanager, running
from tests.support.sink import Sink

pytestmark = pytest.mark.system

FIXTURES = Path(__file__).parents[1] / "fixtures" / "messages"
SINCE, UNTIL = "2026-01-15T13:04:05Z", "2026-01-15T14:30:00Z"
ADDRESSES = {
    "runbook_url": "https://example.org/runbooks/MLEndpointDown.md",
    "dashboard_url": "https://grafana.example/d/ml-endpoints?var-endpoint=fraud&var-service=a%26b+c",
}


def alert(service: str, number: int = 1, **annotations: str) -> dict[str, Any]:
    labels = {"alertname": "MLEndpointDown", "severity": "page", "ml_service": service, "ml_endpoint": f"e{number:02}"}
    return {"labels": labels, "annotations": annotations, "startsAt": SINCE}


WHOLE = alert(
    "whole",
    impact="Fraud decisions may be less accurate than usual",
    summary="Endpoint <b>fraud*</b> & [co](http://x) is down",
    description="Every probe has failed for 4m: timeout.",
    check="Is the process there?",
    **ADDRESSES,
)
WHOLE["labels"] |= {"owner": "risk-ml", "model": 'a&b "c"/é, {d}+'}
BARE = alert("bare")
CROWD = [
    alert("crowd", number, summary=f"Endpoint e{number:02} is down", description="For 4m.", **ADDRESSES)
    for number in range(1, 13)
]
# Alertmanager reads what PagerDuty gets as YAML: a summary with a colon must not become an object.
PAIR = [alert("pair", number, summary=f"Endpoint e{number:02}: no answer", **ADDRESSES) for number in (1, 2)]
TITLES = {"whole": "[PAGE]", "bare": "[PAGE]", "crowd": "11 more"}
"""What the title says once the group is whole: alerts that began long ago are sent as they come."""

Message = tuple[str, str]
"""What a channel shows first, and the rest."""


def posted(path: str, read: Callable[[Any], Message]) -> Callable[[Sink], list[Message]]:
    return lambda sink: [read(body) for body in sink.at(path)]


def _attachment(body: Any) -> Message:
    [shown] = body["attachments"]
    assert shown["fallback"] == shown["title"]
    return shown["title"], shown["text"]


def _card(body: Any) -> Message:
    title, text = body["attachments"][0]["content"]["body"]
    return title["text"], text["text"]


def _event(body: Any) -> Message:
    details = body["payload"]["custom_details"]
    shown = f"{details['firing'].rstrip()}\n--- resolved\n{details['resolved']}"
    return f"{body['payload']['summary']} ({body['payload']['severity']})", shown


def _mails(sink: Sink) -> list[Message]:
    read = []
    for mail in list(sink.mails):
        [part] = mail.iter_parts()  # without a page of Alertmanager's own beside it
        assert part.get_content_type() == "text/plain"
        read.append((str(mail["Subject"]), part.get_content().replace("\r\n", "\n")))
    return read


def _json(body: Any) -> Message:
    shown = [{key: each[key] for key in ("status", "labels", "annotations", "startsAt")} for each in body["alerts"]]
    title = f"[PAGE] {body['groupLabels']['ml_service']} and {len(shown) - 1} more"
    return title, json.dumps(shown, indent=1, ensure_ascii=False)


CHANNELS: dict[str, Callable[[Sink], list[Message]]] = {
    "webhook": posted("/webhook", _json),
    "slack": posted("/slack", _attachment),
    "pagerduty": posted("/pagerduty", _event),
    "mail": _mails,
    "opsgenie": posted("/v2/alerts", lambda body: (f"{body['message']} ({body['priority']})", body["description"])),
    "msteams": posted("/msteams", _card),
}
ONLY_NEWER = ("msteams",)


def receivers(sink: Sink, folder: Path, target: str) -> dict[str, Any]:
    def secret(name: str, text: str) -> str:
        (folder / name).write_text(text)
        return str(folder / name)

    found: dict[str, Any] = {
        "webhook": {"url": f"{sink.url}/webhook"},
        "slack": {"channel": "#ml", "api_url_file": secret("slack", f"{sink.url}/slack")},
        "pagerduty": {"routing_key_file": secret("pagerduty", "key")},
        "email": {"to": "a@example.org", "from": "b@example.org", "smarthost": sink.smarthost, "require_tls": False},
        "opsgenie": {"api_key_file": secret("opsgenie", "key"), "api_url": sink.url},
    }
    if target != "0.25":
        found["msteams"] = {"webhook_url_file": secret("msteams", f"{sink.url}/msteams")}
        found["incidentio"] = {"url": f"{sink.url}/incidentio", "alert_source_token_file": secret("incidentio", "key")}
    return found


def local(sink: Sink, file: Any) -> None:
    """PagerDuty's address is no setting of ours."""
    file["global"] = {"pagerduty_url": f"{sink.url}/pagerduty"}


def quick(alerting: dict[str, Any], target: str) -> dict[str, Any]:
    return {"alerting": {"alertmanager": target, "page": {**alerting, "group_wait": "1s", "group_interval": "1s"}}}


def first(sink: Sink, channel: str, service: str, title: str = "") -> Message | None:
    """The first message of a channel about a service, with a title that contains `title`."""
    read = CHANNELS[channel](sink)
    return next((each for each in read if service in each[0] and title in each[0]), None)


@pytest.mark.parametrize(("version", "target"), VERSIONS)
def test_every_channel_is_told_what_is_hurt_since_when_how_bad_whose_it_is_and_what_to_do(
    version: str | None, target: str, tmp_path: Path
) -> None:
    channels = [name for name in CHANNELS if target != "0.25" or name not in ONLY_NEWER]
    with Sink() as sink:
        data = quick(receivers(sink, tmp_path, target), target)
        with running(data, tmp_path, version, functools.partial(local, sink)) as alertmanager:
            alertmanager.post(WHOLE, BARE, *CROWD)
            for service, title in TITLES.items():
                told = functools.partial(_all_told, sink, channels, service, title)
                alertmanager.wait_until(told, f"every channel is told of {service}")
            _assert_pages_resolve(alertmanager, sink, channels, tmp_path)
            if target != "0.25":
                assert {body["groupLabels"]["ml_service"] for body in sink.at("/incidentio")} >= {"whole", "bare"}
        for service, title in TITLES.items():
            for channel in channels:
                _assert_as_in_the_file(channel, service, first(sink, channel, service, title), tmp_path)


def _all_told(sink: Sink, channels: list[str], service: str, title: str = "") -> bool:
    return all(first(sink, channel, service, title) for channel in channels)


def _assert_pages_resolve(alertmanager: Alertmanager, sink: Sink, channels: list[str], folder: Path) -> None:
    """Of two alerts one ends, then the other."""
    # Opsgenie closes an alert by another address, without a text.
    channels = [channel for channel in channels if channel not in ("webhook", "opsgenie")]
    alertmanager.post(*PAIR)
    alertmanager.wait_until(lambda: _all_told(sink, channels, "pair", "1 more"), "both fire")
    alertmanager.post({**PAIR[0], "endsAt": UNTIL})
    alertmanager.wait_until(
        lambda: all(any("Resolved:" in text for _, text in CHANNELS[name](sink)) for name in channels), "one has ended"
    )
    mixed = {
        name: next(each for each in CHANNELS[name](sink) if "pair" in each[0] and "Resolved:" in each[1])
        for name in channels
    }
    alertmanager.post({**PAIR[1], "endsAt": UNTIL})
    alertmanager.wait_until(lambda: _all_told(sink, channels, "pair", "RESOLVED"), "the other has ended")
    for channel in channels:
        _assert_as_in_the_file(channel, "one-of-two-ended", mixed[channel], folder)
        _assert_as_in_the_file(channel, "both-ended", first(sink, channel, "pair", "RESOLVED"), folder)


def _assert_as_in_the_file(channel: str, case: str, message: Message | None, folder: Path) -> None:
    assert message
    got = "\n\n".join(message).rstrip() + "\n"
    file = FIXTURES / f"{channel}-{case}.txt"
    (folder / file.name).write_text(got)
    expected = file.read_text() if file.exists() else ""
    assert got == expected, f"{file.name} differs; what was sent is in {folder / file.name}"


@pytest.mark.parametrize(("version", "target"), VERSIONS)
def test_times_are_told_in_the_zone_of_the_business_hours_where_alertmanager_can(
    version: str | None, target: str, tmp_path: Path
) -> None:
    with Sink() as sink:
        data = quick({"email": receivers(sink, tmp_path, "0.25")["email"]}, target)
        data["alerting"]["business_hours"] = {"location": "Europe/Berlin"}
        with running(data, tmp_path, version) as alertmanager:
            alertmanager.post(WHOLE)
            alertmanager.wait_until(lambda: sink.mails, "the mail has arrived")
        expected = "2026-01-15 13:04 UTC" if target == "0.25" else "2026-01-15 14:04 CET"
        assert f"Alerting since {expected}\n" in _mails(sink)[0][1]


@pytest.mark.parametrize(("version", "target"), VERSIONS)
def test_the_link_to_silence_is_about_that_alert_and_no_other(version: str | None, target: str, tmp_path: Path) -> None:
    other = {**WHOLE, "labels": {**WHOLE["labels"], "ml_endpoint": "e02"}}
    with Sink() as sink:
        data = quick({"email": receivers(sink, tmp_path, "0.25")["email"]}, target)
        with running(data, tmp_path, version) as alertmanager:
            alertmanager.post(WHOLE, other)
            alertmanager.wait_until(
                lambda: "1 more" in "".join(title for title, _ in _mails(sink)), "both are in a mail"
            )
            links = re.findall(r"http://alertmanager\.example:9093/#/silences/new\?filter=(\S+)", _mails(sink)[-1][1])
            silenced = [
                alertmanager.alerts(filter=re.findall(r'\w+="(?:[^"\\]|\\.)*"', unquote(link))) for link in links
            ]
    assert [[each["labels"]["ml_endpoint"] for each in found] for found in silenced] == [["e01"], ["e02"]]
