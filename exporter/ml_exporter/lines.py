"""Samples → the lines of an exposition, text or OpenMetrics."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterable, Mapping
from typing import NamedTuple, TypeAlias

from ml_exporter.catalog import BY_NAME, Family
from ml_exporter.model import Exemplar, HistogramSample, Sample

MAX_LABEL = 200
"""Characters of a label value; a longer one is cut and ends in a hash, so that two stay two."""
_EXACT = 10**15
"""Whole numbers below it are written as such."""


class Piece(NamedTuple):
    """Lines of one family in one group, and how many series they are."""

    text: bytes
    series: int
    openmetrics: bytes
    """With exemplars, which only OpenMetrics has; else the very same object as `text`."""


Group: TypeAlias = Mapping[str, Piece]


class Lines:
    """Renders a group again and again: what stands before the values of its lines is kept from one time to the next."""

    def __init__(self, fixed: Mapping[str, str], families: Mapping[str, Family] = BY_NAME) -> None:
        """`fixed` gives the labels that all samples share, such as source and ml_service."""
        self._fixed, self._families = fixed, families
        self._kept: dict[tuple[str, tuple[str, ...]], tuple[str, ...]] = {}
        self._shapes: dict[tuple[str, ...], tuple[str, tuple[str, ...]]] = {}

    def group(self, samples: Iterable[Sample | HistogramSample]) -> Group:
        """The lines of all samples, by family."""
        before, self._kept = self._kept, {}
        lines: dict[str, list[str]] = {}
        exemplified: dict[str, list[str]] = {}
        for sample in samples:
            key = sample.family, sample.labels
            starts = self._kept[key] = before.get(key) or self._starts(sample)
            family = lines.setdefault(sample.family, [])
            if isinstance(sample, Sample):
                family.append(f"{starts[0]}{_number(sample.value)}\n")
                continue
            new = _histogram(sample, starts)
            if sample.exemplars or sample.family in exemplified:
                with_exemplars = _with_exemplars(new, sample.exemplars)
                exemplified.setdefault(sample.family, family.copy()).extend(with_exemplars)
            family.extend(new)
        return {name: _piece(text, exemplified.get(name)) for name, text in lines.items()}

    def _starts(self, sample: Sample | HistogramSample) -> tuple[str, ...]:
        """What the lines of a sample begin with."""
        name = sample.family
        shared, own = self._shape(self._families[name].labels)
        # No comprehension: this runs for every series of a source that changed.
        labels = shared
        for label, value in zip(own, sample.labels, strict=True):
            labels = f'{labels},{label}="{_escape(value)}"' if labels else f'{label}="{_escape(value)}"'
        wrapped = f"{{{labels}}}" if labels else ""
        if isinstance(sample, Sample):
            return (f"{name}{wrapped} ",)
        start = f"{name}_bucket{{{labels}," if labels else f"{name}_bucket{{"
        buckets = [start + le for le in _bounds(sample.bounds or self._families[name].buckets)]
        return (*buckets, f"{name}_count{wrapped} ", f"{name}_sum{wrapped} ")

    def _shape(self, labels: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
        """Of the labels of a family those that all samples share, written out, and the names of the others."""
        shape = self._shapes.get(labels)
        if shape is None:
            fixed = self._fixed
            shared = ",".join([f'{label}="{_escape(fixed[label])}"' for label in labels if label in fixed])
            shape = self._shapes[labels] = (shared, tuple([label for label in labels if label not in fixed]))
        return shape


def render_group(samples: Iterable[Sample | HistogramSample], fixed: Mapping[str, str]) -> Group:
    """Render the samples of one group once."""
    return Lines(fixed).group(samples)


def document(samples: Iterable[Sample], families: Mapping[str, Family], *, openmetrics: bool) -> bytes:
    """A whole exposition apart from all pages, of families of its own."""
    group = Lines({}, families).group(samples)
    parts = [header(families[name], openmetrics) + piece.text for name, piece in group.items()]
    return b"".join(parts) + (b"# EOF\n" if openmetrics else b"")


def header(family: Family, openmetrics: bool) -> bytes:
    """HELP and TYPE of a family."""
    name = family.name.removesuffix("_total") if openmetrics and family.type == "counter" else family.name
    return f"# HELP {name} {family.help}\n# TYPE {name} {family.type}\n".encode()


def _piece(lines: list[str], exemplified: list[str] | None) -> Piece:
    text = "".join(lines).encode("utf-8", "replace")
    return Piece(text, len(lines), text if exemplified is None else "".join(exemplified).encode("utf-8", "replace"))


def _histogram(sample: HistogramSample, starts: tuple[str, ...]) -> list[str]:
    result, cumulative = [], 0
    for start, count in zip(starts, sample.counts, strict=False):
        cumulative += count
        result.append(f"{start}{cumulative}\n")
    result.append(f"{starts[-2]}{cumulative}\n")
    result.append(f"{starts[-1]}{_number(sample.total)}\n")
    return result


def _with_exemplars(lines: list[str], exemplars: Mapping[int, Exemplar]) -> list[str]:
    """The lines of a histogram, its buckets first."""
    result = lines.copy()
    for bucket, (trace_id, value, at) in exemplars.items():
        result[bucket] = f'{lines[bucket][:-1]} # {{trace_id="{trace_id}"}} {_number(value)} {at:.3f}\n'
    return result


@functools.lru_cache(maxsize=64)
def _bounds(bounds: tuple[float, ...]) -> tuple[str, ...]:
    # OpenMetrics wants canonical floats here: 10.0, not 10.
    return (*(f'le="{bound!r}"}} ' for bound in bounds), 'le="+Inf"} ')


def _escape(value: str) -> str:
    if len(value) > MAX_LABEL:
        value = f"{value[: MAX_LABEL - 10]}…{hashlib.sha256(value.encode('utf-8', 'replace')).hexdigest()[:8]}"
    if "\\" in value or '"' in value or "\n" in value:
        value = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return value


def _number(value: float) -> str:
    if type(value) is int and -_EXACT < value < _EXACT:
        return str(value)
    if value != value:
        return "NaN"
    if value in (float("inf"), float("-inf")):
        return "+Inf" if value > 0 else "-Inf"
    return str(int(value)) if value == int(value) and abs(value) < _EXACT else repr(value)
