"""What a model server says of itself, read from its metrics."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families


def total(text: str, sample: str, **labels: str) -> float:
    """The sum of a sample's series that have these labels; 0 while there are none."""
    plain = sample.removesuffix("_total")  # the parser gives the suffix to counters that have none, as Triton's
    return sum(
        s.value
        for family in text_string_to_metric_families(text)
        for s in family.samples
        if s.name.removesuffix("_total") == plain and labels.items() <= s.labels.items()
    )
