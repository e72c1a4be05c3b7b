"""Kubernetes: Jobs and CronJobs, read from the API server."""

from ml_exporter.sources.kubernetes.source import Options, create

__all__ = ["Options", "create"]
