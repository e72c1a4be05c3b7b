"""Collections of the Kubernetes API: listed once, then watched, poll by poll."""

from ml_exporter.watching.collection import ObjectMeta, Steps
from ml_exporter.watching.follower import Told
from ml_exporter.watching.roster import Entry
from ml_exporter.watching.source import OPTIONAL, ClusterOptions, ClusterSource, validate

__all__ = ["OPTIONAL", "ClusterOptions", "ClusterSource", "Entry", "ObjectMeta", "Steps", "Told", "validate"]
