"""PromQL of OpenSLO documents: what it becomes, and what that says of series that promtool makes."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import yaml
from tests.support.programs import program

from ml_exporter.errors import ConfigError
from ml_exporter.openslo_queries import at_least, compared, per_second


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("x_total", "sum(rate(x_total[$window]))"),
        (' x_total{a="}", b=~"(c|d)"} ', 'sum(rate(x_total{a="}", b=~"(c|d)"}[$window]))'),
        ("sum(x_total{})", "sum(rate(x_total{}[$window]))"),
        ("sum(rate(x_total[{{.window}}]))", "sum(rate(x_total[$window]))"),
        ("sum(rate(x_total[{{ .Window }}]))", "sum(rate(x_total[$window]))"),
        ("sum(rate(x_total[$window]))", "sum(rate(x_total[$window]))"),
        ("sum(increase(x_total[1h30m]))", "sum(rate(x_total[$window]))"),
        (
            "sum(rate(a_total[5m])) - sum(rate(b_total[5m]))",
            "sum(rate(a_total[$window])) - sum(rate(b_total[$window]))",
        ),
    ],
)
def test_a_query_for_a_counter_becomes_one_per_second(query: str, expected: str) -> None:
    assert per_second(query, counter=True, where="query") == expected


@pytest.mark.parametrize("query", ["x_total)", "sum(x_total", "avg(x_total)", "a_total / b_total", "x_total offset 5m"])
def test_what_has_no_rate_of_its_own_is_refused_of_a_counter(query: str) -> None:
    with pytest.raises(ConfigError, match=r"^query: found .*; allowed of a counter is a selector, its sum, or"):
        per_second(query, counter=True, where="query")


def test_what_is_no_counter_is_taken_as_it_stands() -> None:
    assert per_second("jobs{state='lost'}", counter=False, where="query") == "jobs{state='lost'}"


def test_slices_are_judged_as_they_say_and_not_at_all_without_traffic(tmp_path: Path) -> None:
    good, bad, total = (f"sum(rate({name}_total[$window]))" for name in ("good", "bad", "all"))
    expected: dict[str, list[float | None]] = {
        at_least(good, total, 0.95, bad=False): [1, 0, 0, None],
        at_least(bad, total, 0.95, bad=True): [1, 0, 1, None],
        compared("threshold", "<=", 0.25): [1, 1, 0, 0],
    }
    # Two minutes each: 96 % good, 94 %, no good and no bad series any more, no traffic.
    series = {
        "all_total": "0+50x12 600x4",
        "good_total": "0+48x4 239+47x3 stale",
        "bad_total": "0+2x4 11+3x3 stale",
        "threshold": "0.25x8 0.3x8",
    }
    tests = [
        {
            "expr": expr,
            "eval_time": f"{2 * number}m",
            "exp_samples": [] if value is None else [{"labels": "{}", "value": value}],
        }
        for expr, values in expected.items()
        for number, value in enumerate(values, 1)
    ]
    case = {
        "evaluation_interval": "1m",
        "rule_files": [],
        "tests": [
            {
                "interval": "30s",
                "input_series": [{"series": name, "values": values} for name, values in series.items()],
                "promql_expr_test": tests,
            }
        ],
    }
    (tmp_path / "case.yaml").write_text(yaml.safe_dump(case))
    done = subprocess.run(
        [program("promtool"), "test", "rules", tmp_path / "case.yaml"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
