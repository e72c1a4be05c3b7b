"""Slurm: the jobs of one name are a pipeline. Start with source.py."""

from ml_exporter.sources.slurm.options import Options
from ml_exporter.sources.slurm.source import SlurmSource, auth, create

__all__ = ["Options", "SlurmSource", "auth", "create"]
