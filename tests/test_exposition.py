"""What a scrape gets: both formats parse alike, hostile names stay inside their quotes, the limit sheds in order."""

from __future__ import annotations

import gzip
import math
import subprocess
from typing import Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text
from tests.support.programs import program

from ml_exporter.catalog import FAMILIES, RUN_DURATION_BUCKETS, Shed
from ml_exporter.exposition import SHEDDABLE, Exposition
from ml_exporter.lines import MAX_LABEL, render_group
from ml_exporter.model import HistogramSample, Sample

FIXED = {"source": "mlflow", "ml_service": "fraud"}


def scraped(exposition: Exposition, *, openmetrics: bool, compressed: bool = False) -> dict[Any, float]:
    answer = b"".join(exposition.scrape(openmetrics=openmetrics, gzip=compressed))
    text = (gzip.decompress(answer) if compressed else answer).decode()
    families = (parse_openmetrics if openmetrics else parse_text)(text)
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
        if sample.name.startswith("ml_")
    }


def exposition(*samples: Sample | HistogramSample, limit: int | None = None) -> Exposition:
    result = Exposition()
    result.update("mlflow", {"group": render_group(samples, FIXED)}, limit)
    result.publish()
    return result


HISTOGRAM = HistogramSample("ml_run_duration_seconds", ("train",), (1, 0, 2, *[0] * 6, 3), 123.5)
SOME = (
    Sample("ml_runs_finished_total", ("train", "failed"), 3),
    Sample("ml_pipeline_first_seen_timestamp_seconds", ("train",), 1_795_193_741.219),
    HISTOGRAM,
)


def test_text_openmetrics_and_gzip_say_the_same() -> None:
    shown = exposition(*SOME)
    answers = [scraped(shown, openmetrics=o, compressed=c) for o in (False, True) for c in (False, True)]
    assert all(answer == answers[0] for answer in answers)
    labels = (("ml_service", "fraud"), ("pipeline", "train"), ("source", "mlflow"))
    assert answers[0]["ml_runs_finished_total", (*labels, ("state", "failed"))] == 3
    assert answers[0]["ml_pipeline_first_seen_timestamp_seconds", labels] == 1_795_193_741.219


def test_histograms_are_cumulative_and_end_in_inf() -> None:
    answer = scraped(exposition(HISTOGRAM), openmetrics=True)
    buckets = {dict(labels)["le"]: v for (name, labels), v in answer.items() if name.endswith("_bucket")}
    assert buckets["10.0"] == 1
    assert buckets["300.0"] == 3
    assert buckets["+Inf"] == 6
    assert len(buckets) == len(RUN_DURATION_BUCKETS) + 1


@pytest.mark.parametrize(
    "name",
    [
        'quote"s',
        "back\\slash",
        "new\nline",
        "\\n",
        '"} 1\nfake_metric 1',
        "naïve 名前 🐙",
        "\x00\x07",
        "lone \ud800 half",
        "",
    ],
)
def test_a_hostile_name_stays_inside_its_quotes(name: str) -> None:
    shown = exposition(Sample("ml_pipeline_consecutive_failures", (name,), 1))
    for openmetrics in (False, True):
        [(metric, labels)] = scraped(shown, openmetrics=openmetrics)
        assert metric == "ml_pipeline_consecutive_failures"
        assert dict(labels)["pipeline"] == name.replace("\ud800", "?")


def test_a_name_of_a_megabyte_is_cut_and_two_of_them_stay_two() -> None:
    names = ("x" * 1_000_000 + "a", "x" * 1_000_000 + "b")
    shown = exposition(*(Sample("ml_pipeline_consecutive_failures", (name,), 1) for name in names))
    found = {dict(labels)["pipeline"] for _, labels in scraped(shown, openmetrics=False)}
    assert len(found) == 2
    assert max(map(len, found)) <= MAX_LABEL


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, -0.0, 1e300, 0.1, 123456789012345678.0])
def test_every_float_is_written_so_that_it_reads_back(value: float) -> None:
    [read] = scraped(exposition(Sample("ml_training_metric", ("p", "m"), value)), openmetrics=True).values()
    assert read == value or (math.isnan(read) and math.isnan(value))


def test_only_the_changed_group_is_replaced_and_a_removed_one_is_gone() -> None:
    shown = Exposition()
    one = render_group([Sample("ml_pipeline_consecutive_failures", ("one",), 1)], FIXED)
    two = render_group([Sample("ml_pipeline_consecutive_failures", ("two",), 2)], FIXED)
    shown.update("mlflow", {"one": one, "two": two})
    shown.update("mlflow", {"one": None})
    shown.publish()
    assert list(scraped(shown, openmetrics=False).values()) == [2]
    shown.remove("mlflow")
    shown.publish()
    assert scraped(shown, openmetrics=False) == {}


def test_a_scrape_between_update_and_publish_sees_what_was_published() -> None:
    shown = exposition(Sample("ml_pipeline_consecutive_failures", ("one",), 1))
    before = scraped(shown, openmetrics=False)
    shown.update("mlflow", {"group": render_group([], FIXED)})
    assert scraped(shown, openmetrics=False) == before
    shown.publish()
    assert scraped(shown, openmetrics=False) == {}


def test_families_of_two_sources_stand_together() -> None:
    shown = exposition(Sample("ml_source_up", (), 1), Sample("ml_pipeline_consecutive_failures", ("p",), 1))
    shown.update("b", {"g": render_group([Sample("ml_source_up", (), 0)], {"source": "b"})})
    shown.publish()
    text = b"".join(shown.scrape(openmetrics=True, gzip=False)).decode()
    assert text.count("# TYPE ml_source_up ") == 1
    assert text.endswith("# EOF\n")


@pytest.mark.parametrize("version", [None, "3.5"])
def test_promtool_finds_nothing_to_say(version: str | None) -> None:
    promtool = program("promtool", version)
    every = [
        HistogramSample(f.name, tuple("x" for _ in own), (1,) * (len(f.buckets) + 1), 1.5)
        if f.type == "histogram"
        else Sample(f.name, tuple("x" for _ in own), 1)
        for f in FAMILIES
        if (own := [label for label in f.labels if label not in FIXED]) is not None
    ]
    page = b"".join(exposition(*every).scrape(openmetrics=False, gzip=False))
    ours = b"".join(line for line in page.splitlines(keepends=True) if b"ml_" in line)
    done = subprocess.run([promtool, "check", "metrics"], input=ours, capture_output=True, check=False)
    assert (done.returncode, done.stdout.decode(), done.stderr.decode()) == (0, "", "")


def test_shedding_takes_training_metrics_before_histograms_and_never_states() -> None:
    assert [family.shed for family in SHEDDABLE] == sorted(family.shed or 0 for family in SHEDDABLE)
    samples = (*SOME, Sample("ml_training_metric", ("train", "auc"), 0.9))
    shown = Exposition()
    group = render_group(samples, FIXED)
    page = shown.update("mlflow", {"g": group}, 15)
    assert (page.series, page.dropped) == (15, {})
    page = shown.update("mlflow", {}, 14)
    assert (page.series, page.dropped) == (14, {"ml_training_metric": 1})
    page = shown.update("mlflow", {}, 1)
    assert (page.series, page.dropped) == (2, {"ml_training_metric": 1, "ml_run_duration_seconds": 12})
    shown.publish()
    assert {name for name, _ in scraped(shown, openmetrics=False)} == {
        "ml_runs_finished_total",
        "ml_pipeline_first_seen_timestamp_seconds",
    }
    page = shown.update("mlflow", {}, 100)
    assert (page.series, page.dropped) == (15, {})
    shown.publish()
    assert len(scraped(shown, openmetrics=False)) == 15


def test_tasks_would_go_first() -> None:
    assert min(Shed) is Shed.TASKS
