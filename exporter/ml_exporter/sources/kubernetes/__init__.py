"""Kubernetes: Jobs and CronJobs, read from the API server."""

from ml_exporter.sources.kubernetes.source import Options, create
from ml_exporter.watching import validate

__all__ = ["Options", "create", "validate"]
