"""Prefect 3: deployments and ad-hoc flows are pipelines, flow runs are runs. Start with source.py."""

from ml_exporter.sources.prefect.source import Options, PrefectSource, create

__all__ = ["Options", "PrefectSource", "create"]
