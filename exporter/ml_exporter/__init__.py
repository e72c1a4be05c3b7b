"""ml-exporter: a Prometheus exporter for machine-learning pipelines."""

__version__ = "0.1.0"
