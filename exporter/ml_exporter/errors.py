"""Every way a backend, the configuration or the state can fail, and the word for it in a metric."""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """Why a poll failed: the values of the `reason` label, a fixed set."""

    UNREACHABLE = "unreachable"
    TIMEOUT = "timeout"
    TLS = "tls"
    AUTH = "auth"
    RATE_LIMITED = "rate_limited"
    REJECTED = "rejected"
    REDIRECT = "redirect"
    SERVER_ERROR = "server_error"
    MALFORMED = "malformed"
    TOO_LARGE = "too_large"
    STATE = "state"
    INTERNAL = "internal"


class MlExporterError(Exception):
    """Base of every error this package raises on purpose; its text is fit for a person."""


class ConfigError(MlExporterError):
    """The configuration is wrong: says where (key path), what was found and what is allowed."""


class RenderError(MlExporterError):
    """The Jsonnet could not be evaluated with this configuration."""


class StateError(MlExporterError):
    """The state file cannot be read or written: says which file and what to do."""

    reason = Reason.STATE


class SourceError(MlExporterError):
    """A backend gave no usable answer; the last good state stays.

    `retry_after` is the number of seconds the backend asked us to wait, if it did.
    """

    reason: Reason = Reason.REJECTED

    def __init__(self, message: str, reason: Reason | None = None, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.reason = reason or type(self).reason
        self.retry_after = retry_after


class Unreachable(SourceError):  # noqa: N818 — reads as what happened
    """No answer arrived: refused, unresolved, TLS failure or time-out."""

    reason = Reason.UNREACHABLE


class Rejected(SourceError):  # noqa: N818 — as above
    """An answer arrived and it is a refusal or a server's own error."""

    reason = Reason.REJECTED


class Malformed(SourceError):  # noqa: N818 — as above
    """An answer arrived that is not what the API promises."""

    reason = Reason.MALFORMED


class WrongPrediction(MlExporterError):  # noqa: N818 — as above
    """An endpoint answered, and its prediction is not what was to be expected: says which part of it and why.

    `version` is the version of the model that answered so, if it said.
    """

    version: str | None = None
