"""Drives the calls of sources: one client per source, which alone knows time-outs, retries, limits and credentials."""

from ml_exporter.http.client import Client, Exchange, HttpSettings

__all__ = ["Client", "Exchange", "HttpSettings"]
