"""Sends a digest to the receivers of `alerting.info`. Secrets are read now, used, and never shown."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ml_exporter.digest import mail, text
from ml_exporter.digest.review import Review
from ml_exporter.errors import ConfigError, MlExporterError, SourceError
from ml_exporter.http import Client, HttpSettings
from ml_exporter.ports import Call
from ml_exporter.routing_settings import RECEIVERS, Email, MSTeams, Route, Slack, Webhook

TEAMS_LINES = 150
"""A message to Teams has 28 kB at most."""
SLACK_CHARACTERS = 30_000
"""Slack cuts texts at 40,000, and escapes count."""
SECRET_LENGTH = 8
"""Characters: shorter parts of an address are words."""
_ACCEPTED = frozenset({200, 201, 202, 204})


def receivers(route: Route) -> tuple[str, ...]:
    """Those that a digest can be sent to. Raises `ConfigError` if there are none."""
    given = [name for name in RECEIVERS if getattr(route, name)]
    able = tuple(name for name in given if name in _SENDERS)
    if not able:
        found = f"; found {', '.join(given)}" if given else ""
        raise ConfigError(f"alerting.info: nobody to send a digest to; allowed are {', '.join(_SENDERS)}{found}")
    return able


def send(review: Review, route: Route, folder: Path, timeout: float) -> Iterator[tuple[str, str | None]]:
    """Send it to each receiver, whatever becomes of the others: name, and why it did not get it (None: it did).

    Relative paths of secrets are taken from `folder`; `timeout` is in seconds.
    """
    for name in receivers(route):
        try:
            _SENDERS[name](review, getattr(route, name), folder, timeout)
        except MlExporterError as error:
            yield name, str(error)
        else:
            yield name, None


def _webhook(review: Review, settings: Webhook, folder: Path, timeout: float) -> None:
    url = settings.url or secret(settings.url_file or "", folder)
    _post(url, {"text": text.text(review), **text.plain(review)}, timeout)


def _slack(review: Review, settings: Slack, folder: Path, timeout: float) -> None:
    _post(secret(settings.api_url_file, folder), slack_message(review, settings.channel), timeout)


def slack_message(review: Review, channel: str) -> dict[str, Any]:
    """As Slack's incoming webhooks take it."""
    said = text.text(review)
    cut = len(said) > SLACK_CHARACTERS
    said = said[:SLACK_CHARACTERS].rpartition("\n")[0] if cut else said.rstrip("\n")
    for sign, escaped in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
        said = said.replace(sign, escaped)
    more = "\n…" if cut else ""
    return {"channel": channel, "text": f"```\n{said.replace('```', '')}{more}\n```"}


def _msteams(review: Review, settings: MSTeams, folder: Path, timeout: float) -> None:
    _post(secret(settings.webhook_url_file, folder), teams_message(review), timeout)


def teams_message(review: Review) -> dict[str, Any]:
    """As the webhooks of Teams' workflows take it: rich text, for in plain text names would be read as markup."""
    lines = text.text(review).splitlines()
    if len(lines) > TEAMS_LINES:
        lines = [*lines[:TEAMS_LINES], "…"]
    blocks = [{"type": "RichTextBlock", "spacing": "None", "inlines": [_run(line)]} for line in lines]
    card = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "msteams": {"width": "Full"},
        "body": blocks,
    }
    return {
        "type": "message",
        "attachments": [{"contentType": "application/vnd.microsoft.card.adaptive", "content": card}],
    }


def _run(line: str) -> dict[str, str]:
    # An empty run is refused, and spaces at its beginning would be lost.
    indented = line.replace(" ", "\u00a0") if not line.strip() else line
    spaces = len(indented) - len(indented.lstrip(" "))
    return {"type": "TextRun", "fontType": "Monospace", "text": "\u00a0" * spaces + indented[spaces:] or "\u00a0"}


def _email(review: Review, settings: Email, folder: Path, timeout: float) -> None:
    password = secret(settings.password_file, folder) if settings.password_file else None
    mail.send(settings, password, text.title(review.period), text.text(review), timeout)


_SENDERS: Mapping[str, Callable[[Review, Any, Path, float], None]] = {
    "webhook": _webhook,
    "slack": _slack,
    "msteams": _msteams,
    "email": _email,
}


def secret(file: str, folder: Path) -> str:
    """What a file holds. Raises `MlExporterError` if it cannot be read or holds nothing."""
    path = folder / file
    try:
        found = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeError) as error:
        raise MlExporterError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    if not found:
        raise MlExporterError(f"{path} is empty")
    return found


def _post(url: str, body: Mapping[str, Any], timeout: float) -> None:
    """Raises `MlExporterError` without the address: all of it may be the secret."""
    host = _host(url)
    if host is None:
        raise MlExporterError("its address is none; allowed is http(s)://…")
    # The client takes the slash off an address, for sources begin their paths with it.
    call = Call("POST", "/" if url.endswith("/") else "", body=body, accept=_ACCEPTED)
    try:
        asyncio.run(_send(HttpSettings(url=url, timeout=timeout), call))
    except SourceError as error:
        raise MlExporterError(f"{host}: {without(url, str(error).partition(': ')[2])}") from None


def _host(url: str) -> str | None:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and parts.port != 0 and url.isprintable() and " " not in url
    except ValueError:
        return None
    return parts.hostname if usable else None


def without(url: str, said: str) -> str:
    """What was said, without any part of the address that could be its secret."""
    parts = urlsplit(url)
    pieces = {url, parts.path, parts.query, parts.netloc.rpartition("@")[0], *parts.path.split("/")}
    for piece in sorted(pieces, key=len, reverse=True):
        if len(piece) >= SECRET_LENGTH:
            said = said.replace(piece, "…")
    return said


async def _send(settings: HttpSettings, call: Call) -> None:
    client = Client(settings)
    try:
        await client.send(call)
    finally:
        await client.close()
