"""Kubeflow Pipelines as a source. Start with source.py."""

from ml_exporter.sources.kubeflow.source import Options, create, validate

__all__ = ["Options", "create", "validate"]
