"""MLflow: experiments are pipelines, their runs are runs, registered models are models. Start with source.py."""

from ml_exporter.sources.mlflow.source import MlflowSource, Options, create

__all__ = ["MlflowSource", "Options", "create"]
