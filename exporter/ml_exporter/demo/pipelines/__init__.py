"""Pipelines that really train on scikit-learn's bundled data sets, and really fail."""
