"""A mail through the server that Alertmanager uses too: encrypted if that is required, and wherever it is offered."""

from __future__ import annotations

import smtplib
import ssl
from email.message import EmailMessage
from email.utils import formatdate, make_msgid

from ml_exporter.errors import MlExporterError
from ml_exporter.routing_settings import Email

_TLS_FROM_THE_START = 465


def send(settings: Email, password: str | None, subject: str, text: str, timeout: float) -> None:
    """Send a plain text. `timeout`: seconds for each answer of the server. Raises `MlExporterError`."""
    host, _, port = settings.smarthost.rpartition(":")
    message = _message(settings, subject, text)
    try:
        with _connected(host.strip("[]"), int(port), timeout) as server:
            _encrypt(server, settings)
            if settings.username and password:
                server.login(settings.username, password)
            server.send_message(message)
    except (OSError, smtplib.SMTPException, UnicodeError, ValueError) as error:
        raise MlExporterError(f"{settings.smarthost}: {_why(error)}") from None


def _message(settings: Email, subject: str, text: str) -> EmailMessage:
    message = EmailMessage()
    try:
        message["From"], message["To"], message["Subject"] = settings.from_, settings.to, subject
    except ValueError as error:
        raise MlExporterError(f"an address cannot be used: {error}") from None
    message["Date"], message["Message-ID"] = formatdate(), make_msgid(domain="ml-exporter.invalid")
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(text)
    return message


def _connected(host: str, port: int, timeout: float) -> smtplib.SMTP:
    if port == _TLS_FROM_THE_START:
        return smtplib.SMTP_SSL(host, port, timeout=timeout, context=ssl.create_default_context())
    return smtplib.SMTP(host, port, timeout=timeout)


def _encrypt(server: smtplib.SMTP, settings: Email) -> None:
    """Raises `MlExporterError` where the server does not offer what the settings require."""
    if isinstance(server, smtplib.SMTP_SSL):
        return
    server.ehlo()
    if server.has_extn("starttls"):
        server.starttls(context=ssl.create_default_context())
        server.ehlo()
    elif settings.require_tls:
        raise MlExporterError(f"{settings.smarthost}: offers no STARTTLS, and require_tls is not false")


def _why(error: Exception) -> str:
    """In words, and without what we sent."""
    if isinstance(error, smtplib.SMTPResponseException):
        said = error.smtp_error.decode("utf-8", "replace") if isinstance(error.smtp_error, bytes) else error.smtp_error
        return f"refused with {error.smtp_code}: {' '.join(said.split())[:200]}"
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return f"refuses {', '.join(error.recipients)}"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
