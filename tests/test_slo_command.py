"""`ml-exporter slo`: what a person reads of the objectives, with numbers worked out by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ml_exporter.__main__ import main
from ml_exporter.slo_settings import KINDS
from ml_exporter.slo_words import percent, promise, spoken

FIXTURES = Path(__file__).parent / "fixtures/openslo"
BASE: dict[str, Any] = {
    "sources": [{"name": "airflow", "kind": "airflow", "url": "http://airflow:8080"}],
    "endpoints": [{"name": "fraud", "protocol": "open_inference", "url": "http://triton:8000", "model": "fraud"}],
    "services": [{"name": "fraud-detection", "owner": "risk-ml"}],
}
LATENCY = {"endpoint_latency": {"endpoint": "fraud", "below": "250ms"}}


def slo(sli: dict[str, Any] = LATENCY, **keys: Any) -> dict[str, Any]:
    return {"name": "fraud-slo", "service": "fraud-detection", "sli": sli, "objective": 99.5, **keys}


@pytest.fixture
def said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    """What the command prints, its notes or refusal, and its exit code."""

    def run(*slos: dict[str, Any], options: tuple[str, ...] = ()) -> tuple[str, str, int]:
        file = tmp_path / "ml-exporter.yaml"
        file.write_text(json.dumps(BASE | {"slos": list(slos)}))
        code = main(["slo", "--config", str(file), *options])
        printed = capsys.readouterr()
        return printed.out, printed.err, code

    return run


def test_an_objective_on_events_says_what_it_takes(said: Any) -> None:
    # 0.5 % of 30 days is 3.6 hours; 14.4 × 0.5 % = 7.2 % of an hour is 4.32 minutes, 3 % of 6 hours 10.8, 1.5 % of a
    # day and 0.5 % of three 21.6.
    printed, _, code = said(slo(group_by=["model"]))
    assert code == 0
    assert printed.splitlines() == [
        "fraud-slo  fraud-detection",
        "  promise  99.5 % of probes of fraud are answered well within 250ms, over 30d, each model by itself",
        "  budget   3h36m of total outage, or 0.5 % of the probes",
        "  page     however few probes there are: 3 bad and none good within 6h, 1d or 3d",
        "  page     14.4× for 1h and 5m: 7.2 % bad, at least 5 bad probes, i.e. 4m19s of total outage + 2m",
        "  page     6× for 6h and 30m: 3 % bad, at least 10 bad probes, i.e. 10m48s of total outage + 15m",
        "  ticket   3× for 1d and 2h: 1.5 % bad, at least 10 bad probes, i.e. 21m36s of total outage + 1h",
        "  ticket   1× for 3d and 6h: 0.5 % bad, at least 20 bad probes, i.e. 21m36s of total outage + 3h",
    ]


def test_an_objective_on_minutes_says_how_many_of_them(said: Any) -> None:
    freshness = {"pipeline_freshness": {"pipeline": "airflow/scores", "late": "1h"}}
    printed, _, _ = said(slo(freshness, objective=99.9, window="28d"))
    # 0.1 % of 28 days is 40.32 minutes; factors are 2.8 and 0.933. Of 2.8 × 0.1 % of a day, 4 minutes, nobody hears:
    # at least 10 of them are to be bad, of three days' 0.0933 %, 4 as well, at least 20.
    assert printed.splitlines() == [
        "fraud-slo  fraud-detection",
        "  promise  99.9 % of the time, airflow/scores is at most 1h later than its own timetable, over 28d",
        "  budget   40m19s of 28d",
        "  page     two cycles missed: a second run is due and 1h late, and the first never came",
        "  ticket   2.8× for 1d and 2h: 0.28 % bad, at least 10 bad minutes, i.e. 10m of total outage + 1h",
        "  ticket   0.933× for 3d and 6h: 0.09333 % bad, at least 20 bad minutes, i.e. 20m of total outage + 3h",
    ]


def test_an_objective_on_runs_speaks_of_runs(said: Any) -> None:
    printed, _, _ = said(slo({"pipeline_success": {"pipeline": "airflow/scores"}}, objective=99, minimum_bad=2))
    assert printed.splitlines()[1:] == [
        "  promise  99 % of the runs of airflow/scores succeed, over 30d",
        "  budget   1 % of the runs",
        "  ticket   3× for 1d: 3 % bad, at least 2 bad runs, and the last of them bad, or 2h likewise, for 1h",
        "  ticket   1× for 3d: 1 % bad, at least 2 bad runs, and the last of them bad, or 6h likewise, for 3h",
    ]


def test_only_the_tiers_that_were_chosen_are_listed(said: Any) -> None:
    printed, _, _ = said(slo(tiers=["ticket_slow"], objective=50))
    assert [line[2:8] for line in printed.splitlines()[3:]] == ["ticket"]


def test_a_shorter_window_shrinks_those_of_the_tiers(said: Any) -> None:
    printed, _, _ = said(slo(window="15d"))
    assert "  page     14.4× for 30m and 5m: 7.2 % bad, at least 5 bad probes, i.e. 2m30s of total outage" in printed


def test_programs_get_every_number(said: Any) -> None:
    printed, _, code = said(slo(), options=("--format", "json"))
    (entry,) = json.loads(printed)
    assert code == 0
    assert (entry["name"], entry["objective"], entry["unit"]) == ("fraud-slo", 99.5, "events")
    assert entry["budget_ratio"] == pytest.approx(0.005)
    assert [tier["tier"] for tier in entry["tiers"]] == ["page_fast", "page_slow", "ticket_fast", "ticket_slow"]
    assert entry["tiers"][0]["error_ratio"] == pytest.approx(0.072)


def test_no_objectives_are_no_error(said: Any) -> None:
    assert said() == ("slos: none\n", "", 0)
    assert said(options=("--format", "json")) == ("[]\n", "", 0)


def test_files_of_openslo_can_be_looked_at_before_they_are_configured(said: Any) -> None:
    printed, notes, code = said(slo(), options=("--file", str(FIXTURES / "scoring.yaml")))
    assert code == 0
    assert [line.split()[0] for line in printed.splitlines() if line[:1].strip()] == [
        "fraud-slo",
        "payments-scored-most-of-them",
        "payments-scored-2",
    ]
    assert notes.startswith(f"note: --file: {FIXTURES / 'scoring.yaml'}: on-call: AlertPolicy is ignored")


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({"objective": 100}, "slos[0].objective: found 100; allowed is per cent above 0 and below 100"),
        ({"objective": 80}, "slos[0].objective: found 80; page_fast can never fire"),
        ({"tiers": ["page"]}, "slos[0].tiers[0]: found 'page'; allowed for endpoint_latency are page_fast"),
        (
            {"sli": {"endpoint_latency": {"endpoint": "fraud", "below": "300ms"}}},
            "slos[0].sli.endpoint_latency.below: found 0.3s; allowed is an edge of probes.buckets",
        ),
    ],
)
def test_what_render_refuses_is_refused_here(said: Any, changes: dict[str, Any], refusal: str) -> None:
    printed, error, code = said(slo() | changes)
    assert (printed, code) == ("", 2)
    assert refusal in error


@pytest.mark.parametrize(
    ("content", "refusal"),
    [
        (None, "ml-exporter: --file: {file}: cannot be read: No such file or directory"),
        ([slo(objective=101)], "ml-exporter: --file: {file}: slos[0].objective: found 101; allowed is per cent"),
        ([slo(objective=80)], "ml-exporter: --file: {file}: slos[0].objective: found 80; page_fast can never fire"),
        ([slo(), slo()], "ml-exporter: --file: {file}: slos[1].name: found 'fraud-slo', which --file: {file}: slos[0]"),
    ],
)
def test_a_file_that_is_wrong_is_named(said: Any, tmp_path: Path, content: Any, refusal: str) -> None:
    file = tmp_path / "more.yaml"
    if content:
        file.write_text(json.dumps(content))
    _, error, code = said(options=("--file", str(file)))
    assert code == 2
    assert error.startswith(refusal.format(file=file))


ENDPOINT = {"endpoint": "fraud-*", "model": None, "from_": "probe"}
PIPELINE = {"pipeline": "airflow/scores"}
QUALITY = {"model": "fraud", "metric": None, "dataset": None, "within": 0.05}
PROMISES = [
    ("endpoint_availability", ENDPOINT, "99.5 % of probes of fraud-* are answered"),
    (
        "endpoint_availability",
        ENDPOINT | {"from_": "native", "model": "eu"},
        "99.5 % of requests of fraud-* (eu) are answered",
    ),
    ("endpoint_latency", ENDPOINT | {"below": 2.5}, "99.5 % of probes of fraud-* are answered well within 2.5s"),
    (
        "endpoint_correctness",
        {"endpoint": "fraud", "model": None},
        "99.5 % of the canaries that fraud answers are predicted right",
    ),
    ("pipeline_success", PIPELINE, "99.5 % of the runs of airflow/scores succeed"),
    (
        "pipeline_freshness",
        PIPELINE | {"within": 93600, "late": None},
        "99.5 % of the time, the last success of airflow/scores is at most 1d2h old",
    ),
    ("pipeline_duration", PIPELINE | {"below": 1800}, "99.5 % of the runs of airflow/scores succeed within 30m"),
    (
        "model_quality",
        QUALITY,
        "99.5 % of the time, every metric of fraud is at most 5 % worse than its baseline",
    ),
    (
        "model_quality",
        QUALITY | {"metric": "auc", "dataset": "eu"},
        "99.5 % of the time, auc of fraud on eu is at most 5 % worse than its baseline",
    ),
    ("ratio", {"total": "sum(\n  rate(x)\n)"}, "99.5 % of what `sum( rate(x) )` counts is good"),
    ("gauge", {"expr": "up"}, "99.5 % of the time, `up` is above 0"),
    ("composite", {"slos": ["a", "b"]}, "99.5 % of the time, none of a, b is out"),
]


@pytest.mark.parametrize(("kind", "options", "words"), PROMISES)
def test_a_promise_is_a_sentence(kind: str, options: dict[str, Any], words: str) -> None:
    assert promise(kind, 99.5, options) == words


def test_every_kind_has_its_words() -> None:
    assert {kind for kind, *_ in PROMISES} == KINDS.keys()


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (0.25, "250ms"), (2.5, "2.5s"), (59.2, "59s"), (259.2, "4m19s"), (12960, "3h36m"), (93784, "1d2h")],
)
def test_times_are_written_for_people(seconds: float, text: str) -> None:
    assert spoken(seconds) == text


def test_shares_are_written_in_per_cent() -> None:
    assert [percent(ratio) for ratio in (0.072, 0.005, 1)] == ["7.2 %", "0.5 %", "100 %"]
