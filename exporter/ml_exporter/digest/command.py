"""The command: ask, look back, and print or send."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from ml_exporter import prometheus, schema
from ml_exporter.digest import review, send, text
from ml_exporter.errors import ConfigError
from ml_exporter.settings import Config

SHORTEST, LONGEST = 3600.0, 35 * 86400.0
"""Seconds. Over more than that the grid would be wider than Prometheus looks back, and short alerts slip through."""


class Options(NamedTuple):
    """As they are given on the command line."""

    since: str = "7d"
    severity: str = ",".join(review.SEVERITIES)
    format: str = "text"
    send: bool = False
    timeout: str = "1m"


def run(config: Config, options: Options, folder: Path, say: Callable[[str], None], now: float | None = None) -> bool:
    """Print the digest, or send it and say to whom. True if all got it.

    `folder`: where relative paths of secrets begin. Raises `ConfigError` for options that cannot be, and
    `MlExporterError` if Prometheus does not answer.
    """
    period = review.period(time.time() if now is None else now, _seconds("--since", options.since, SHORTEST, LONGEST))
    timeout = _seconds("--timeout", options.timeout, 0.1, 600)
    if options.send:
        send.receivers(config.alerting.info)
    queries = review.queries(period, _severities(options.severity))
    answers = prometheus.ask(config.stack.prometheus_url, list(queries.values()), timeout)
    found = review.review(period, dict(zip(queries, answers, strict=True)), config)
    if not options.send:
        say(text.FORMATS[options.format](found).rstrip("\n"))
        return True
    told = list(send.send(found, config.alerting.info, folder, timeout))
    for name, error in told:
        say(f"alerting.info.{name}: {f'not sent: {error}' if error else 'sent'}")
    return not any(error for _, error in told)


def _seconds(option: str, given: str, low: float, high: float) -> float:
    found = schema.seconds(given)
    if found is None or not low <= found <= high:
        allowed = f"{text.duration(low) if low >= 1 else '100ms'} to {text.duration(high)}"
        raise ConfigError(f"{option}: found '{given}'; allowed is a duration from {allowed}, such as 7d")
    return found


def _severities(given: str) -> Sequence[str]:
    names = [name.strip() for name in given.split(",")]
    for name in names:
        if name not in review.SEVERITIES:
            raise ConfigError(f"--severity: found '{name}'{schema.nearest(name, review.SEVERITIES)}")
    return names
