"""Airflow: DAGs are pipelines, DAG runs are runs. Start with source.py."""

from ml_exporter.sources.airflow.source import AirflowSource, Options, auth, create

__all__ = ["AirflowSource", "Options", "auth", "create"]
