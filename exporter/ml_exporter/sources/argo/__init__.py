"""Argo Workflows: Workflows and CronWorkflows, read from the Kubernetes API server."""

from ml_exporter.sources.argo.source import Options, create
from ml_exporter.watching import validate

__all__ = ["Options", "create", "validate"]
