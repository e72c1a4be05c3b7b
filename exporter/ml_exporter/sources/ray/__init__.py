"""Ray Jobs as a source."""

from ml_exporter.sources.ray.source import Options, create

__all__ = ["Options", "create"]
