"""Dagster: jobs of code locations are pipelines. Start with source.py."""

from ml_exporter.sources.dagster.source import DagsterSource, Options, auth, create

__all__ = ["DagsterSource", "Options", "auth", "create"]
