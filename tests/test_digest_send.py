"""What reaches the receivers of `alerting.info`, and what is said, and not said, when one cannot be reached."""

from __future__ import annotations

import json
import ssl
from pathlib import Path
from typing import Any

import pytest
import trustme
import yaml
from tests.support import digests
from tests.support.digests import WATCHED, fired, reviewed, script
from tests.support.fault_server import answer, answer_json, hang, redirect
from tests.support.fault_thread import server_of
from tests.support.smtp_server import smtp_server

from ml_exporter.__main__ import main
from ml_exporter.digest import send

PASSWORD = "correct-horse-battery"
SECRET = "/services/T0AAAAAAA/B0BBBBBBB/sEcReTsEcReT"
LATE = fired(6, name="MLPipelineLate", severity="ticket", pipeline="a<b & c")


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ml_exporter.http.client.FIRST_PAUSE", 0.0)


def sent(folder: Path, **info: Any) -> int:
    """The command's exit code; its Prometheus knows of one alert that is noisy."""
    with server_of(*script(WATCHED, LATE)) as prometheus:
        stack = {"prometheus_url": prometheus.url}
        file = folder / "ml-exporter.yaml"
        file.write_text(yaml.safe_dump({"services": digests.SERVICES, "alerting": {"info": info}, "stack": stack}))
        return main(["digest", "--config", str(file), "--send", "--timeout", "500ms"])


def test_a_webhook_gets_the_text_and_the_figures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with server_of(answer(204, b"")) as sink:
        assert sent(tmp_path, webhook={"url": f"{sink.url}/hook/"}) == 0
    [request] = sink.asked
    assert (request.method, request.target) == ("POST", "/hook/")
    assert request.headers["content-type"] == "application/json"
    body = json.loads(request.body)
    assert body["text"].startswith("Alerts from ")
    assert body["services"][0]["alerts"][0]["fired"] == 6
    assert {"period", "objectives", "quiet", "notes"} < set(body)
    assert capsys.readouterr().out == "alerting.info.webhook: sent\n"


def test_secret_addresses_are_read_from_their_files_beside_the_configuration(tmp_path: Path) -> None:
    with server_of(answer()) as sink:
        (tmp_path / "hook").write_text(f"{sink.url}/hook?key=a%2Fb\n")
        assert sent(tmp_path, webhook={"url_file": "hook"}) == 0
    assert sink.asked[0].target == "/hook?key=a%2Fb"


def test_slack_gets_a_text_without_markup_of_its_own(tmp_path: Path) -> None:
    with server_of(answer(200, b"ok")) as sink:
        (tmp_path / "slack").write_text(sink.url + SECRET)
        assert sent(tmp_path, slack={"channel": "#ml", "api_url_file": str(tmp_path / "slack")}) == 0
    [request] = sink.asked
    body = json.loads(request.body)
    assert request.target == SECRET
    assert body["channel"] == "#ml"
    assert body["text"].startswith("```\nAlerts from ")
    assert body["text"].endswith("\n```")
    assert "pipeline=a&lt;b &amp; c" in body["text"]


def test_teams_gets_a_card_with_every_line_as_it_is(tmp_path: Path) -> None:
    with server_of(answer(202, b"")) as sink:
        (tmp_path / "teams").write_text(sink.url + SECRET)
        assert sent(tmp_path, msteams={"webhook_url_file": str(tmp_path / "teams")}) == 0
    [attachment] = json.loads(sink.asked[0].body)["attachments"]
    assert attachment["contentType"] == "application/vnd.microsoft.card.adaptive"
    lines = [block["inlines"][0]["text"] for block in attachment["content"]["body"]]
    assert lines[0].startswith("Alerts from ")
    assert all(lines)
    assert "\u00a0" * 12 + "pipeline=a<b & c" in lines


def test_long_digests_are_cut_to_what_chats_take() -> None:
    many = [fired(1, name=f"ML{number:05}", severity="ticket", service=f"{number}") for number in range(2000)]
    review = reviewed(*many)
    said = send.slack_message(review, "#ml")["text"]
    assert len(said) < 40_000
    assert said.endswith("\n…\n```")
    assert len(json.dumps(send.teams_message(review))) < 28_000
    assert len(send.teams_message(review)["attachments"][0]["content"]["body"]) == send.TEAMS_LINES + 1


def mail(address: str, folder: Path, **options: Any) -> dict[str, Any]:
    (folder / "password").write_text(f"{PASSWORD}\n")
    return {"to": "ml@example.org", "from": "alerts@example.org", "smarthost": address, **options}


@pytest.fixture
def tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    return context


def test_mail_is_encrypted_where_that_is_offered_and_before_the_password(tmp_path: Path, tls: ssl.SSLContext) -> None:
    with smtp_server(tls, ("user", PASSWORD)) as server:
        login = {"username": "user", "password_file": str(tmp_path / "password")}
        assert sent(tmp_path, email=mail(server.address, tmp_path, **login)) == 0
    [message] = server.messages
    assert message["To"] == "ml@example.org"
    assert message["From"] == "alerts@example.org"
    assert message["Subject"].startswith("Alerts from ")
    assert "pipeline=a<b & c" in message.get_content()
    assert ("AUTH", True) in server.commands
    assert ("MAIL", True) in server.commands


def test_mail_is_not_sent_in_the_clear_unless_that_is_allowed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with smtp_server() as server:
        assert sent(tmp_path, email=mail(server.address, tmp_path)) == 1
        assert "not sent: " in (said := capsys.readouterr().out)
        assert "offers no STARTTLS, and require_tls is not false" in said
        assert server.messages == []
        assert sent(tmp_path, email=mail(server.address, tmp_path, require_tls=False)) == 0
        assert len(server.messages) == 1


def test_a_wrong_password_is_refused_and_not_shown(
    tmp_path: Path, tls: ssl.SSLContext, capsys: pytest.CaptureFixture[str]
) -> None:
    with smtp_server(tls, ("user", "another")) as server:
        login = {"username": "user", "password_file": str(tmp_path / "password")}
        assert sent(tmp_path, email=mail(server.address, tmp_path, **login)) == 1
    said = capsys.readouterr()
    assert "refused with 535: nobody knows you" in said.out
    assert PASSWORD not in said.out + said.err


def test_a_mail_server_without_a_valid_certificate_gets_nothing(
    tmp_path: Path, tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    with smtp_server(tls) as server:
        assert sent(tmp_path, email=mail(server.address, tmp_path)) == 1
    assert "CERTIFICATE_VERIFY_FAILED" in capsys.readouterr().out
    assert server.messages == []


def test_one_that_fails_does_not_keep_it_from_the_others(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with server_of(answer()) as sink:
        missing = {"channel": "#ml", "api_url_file": str(tmp_path / "nowhere")}
        assert sent(tmp_path, slack=missing, webhook={"url": sink.url}, pagerduty={"routing_key_file": "unused"}) == 1
    assert len(sink.asked) == 1
    assert capsys.readouterr().out.splitlines() == [
        "alerting.info.webhook: sent",
        f"alerting.info.slack: not sent: {tmp_path / 'nowhere'} cannot be read: No such file or directory",
    ]


LEAKS = {
    "hangs": hang,
    "refuses": answer_json({"error": f"no such hook: {SECRET}"}, 404),
    "is broken": answer(500, SECRET.encode()),
    "redirects": redirect(f"https://login.example{SECRET}?back={SECRET}"),
}


@pytest.mark.parametrize("what", LEAKS)
def test_a_receiver_that_fails_is_named_without_its_secret(
    what: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with server_of(LEAKS[what]) as sink:
        (tmp_path / "slack").write_text(sink.url + SECRET)
        assert sent(tmp_path, slack={"channel": "#ml", "api_url_file": str(tmp_path / "slack")}) == 1
    said = capsys.readouterr()
    assert said.out.startswith("alerting.info.slack: not sent: 127.0.0.1: ")
    assert "sEcReT" not in said.out + said.err
    assert "B0BBBBBBB" not in said.out + said.err


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "is empty"),
        ("hooks.slack.com/abc", "its address is none"),
        ("http://[1/x", "its address is none"),
        ("http://a:b/x", "its address is none"),
        ("http://a/x\nhttp://b/y", "its address is none"),
    ],
)
def test_a_file_that_holds_no_address_is_named(
    content: str, reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "slack").write_text(content)
    assert sent(tmp_path, slack={"channel": "#ml", "api_url_file": str(tmp_path / "slack")}) == 1
    assert reason in capsys.readouterr().out
