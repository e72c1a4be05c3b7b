"""Pipelines that really train on scikit-learn's bundled data sets, and really fail."""

EVENT = "event: "
"""What a line of the log starts with that says what somebody did to a pipeline's data."""
