"""Argo Workflows: Workflows and CronWorkflows, read from the Kubernetes API server."""

from ml_exporter.sources.argo.source import Options, create

__all__ = ["Options", "create"]
