"""Limits of latency that are judged by a server's own histogram: on a bucket's edge, or refused."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.support.native_cases import BY_SERVER
from tests.support.native_metrics import Case, check, endpoint, recorded_labels, rendered, rules

from ml_exporter.errors import ConfigError

TIMED, SLOW = "ml:requests_timed:rate5m", "ml:requests_slow:rate5m"
BOTH_VERSIONS = pytest.mark.parametrize("version", [None, pytest.param("3.5", marks=pytest.mark.system)])


def limited(server: str, seconds: float, **more: Any) -> Case:
    case = BY_SERVER[server]
    limit = {"latency_from": "native", "latency_limit": seconds}
    return replace(case, endpoint={**case.endpoint, **limit, **more})


def refused(*endpoints: Mapping[str, Any]) -> str:
    with pytest.raises(ConfigError) as refusal:
        rendered(*endpoints)
    return str(refusal.value)


@BOTH_VERSIONS
@pytest.mark.parametrize(
    ("server", "limit", "slow", "served"),
    [
        ("vllm", 0.5, 1.5, ("tiny", "")),
        ("vllm", 0.8, 0, ("tiny", "")),
        ("sglang", 0.6, 1.5, ("tiny", "")),
        ("tgi", 0.498789, 1.5, ("tiny", "")),
        ("mlserver", 0.1, 1.5, ("", "")),
        ("seldon", 0.1, 1.5, ("", "")),
        ("kserve", 0.025, 1, ("iris", "")),
        ("bentoml", 0.1, 1, ("sk", "")),
        ("ray_serve", 0.2, 1, ("sk", "")),
        ("tensorflow_serving", 0.020823, 1, ("half", "")),
    ],
)
def test_predictions_above_the_limit_are_counted_among_those_that_were_timed(
    server: str, limit: float, slow: float, served: tuple[str, str], version: str | None, tmp_path: Path
) -> None:
    case = limited(server, limit)
    timed = 2 if server in ("kserve", "bentoml", "ray_serve", "tensorflow_serving") else 3
    labels = recorded_labels(server, *served)
    check(tmp_path, case.series(), [case.configured()], {TIMED: {labels: timed}, SLOW: {labels: slow}}, version)


@pytest.mark.parametrize(
    ("server", "limit", "spellings"),
    [
        ("vllm", 1.0, ("1", "1.0")),
        ("ray_serve", 0.5, ("500", "500.0")),
        ("seldon", 1.0, ("1", "1.0")),
        ("tensorflow_serving", 1.27482, ("1.27482e+06", "1.27482e+06")),
        ("tensorflow_serving", 0.001102, ("1102", "1102.0")),
    ],
)
def test_an_edge_is_found_however_prometheus_spells_it(
    server: str, limit: float, spellings: tuple[str, str], tmp_path: Path
) -> None:
    case = limited(server, limit)
    for index, spelling in enumerate(spellings):
        series = [
            replace(item, labels={**item.labels, "le": spelling}) if item.labels.get("le") in spellings else item
            for item in case.series()
        ]
        assert any(item.labels.get("le") == spelling for item in series)
        check(tmp_path / str(index), series, [case.configured()], {f"count({SLOW})": {"{}": 1}})


def test_an_edge_matches_no_other_edge() -> None:
    case = limited("vllm", 2.5)
    expr = next(rule["expr"] for rule in rules(case.configured()) if rule["record"] == SLOW)
    (pattern,) = re.findall(r'le=~"(.*?)"', expr)
    pattern = pattern.replace("\\\\", "\\")
    assert re.fullmatch(pattern, "2.5")
    assert not any(re.fullmatch(pattern, other) for other in ("2", "2.0", "25", "2x5", "2.5.0", "12.5"))


def test_endpoints_of_one_server_may_have_different_limits(tmp_path: Path) -> None:
    cases = [limited("vllm", limit, name=name) for name, limit in (("a", 0.5), ("b", 0.8), ("c.d", 0.5))]
    series = [item for case in cases for item in case.series()]
    slow = {
        recorded_labels("vllm", "tiny", "", name=name): value for name, value in (("a", 1.5), ("b", 0), ("c.d", 1.5))
    }
    endpoints = [*(case.configured() for case in cases), endpoint(name="e", server="vllm")]
    check(tmp_path, series, endpoints, {SLOW: slow, TIMED: dict.fromkeys(slow, 3)})


@pytest.mark.parametrize(
    ("server", "limit", "nearest"),
    [
        ("vllm", 0.4, "found 0.4s; the nearest bucket edges of vllm are 0.3s and 0.5s"),
        ("vllm", 0.1, "found 0.1s; the lowest bucket edge of vllm is 0.3s"),
        ("mlserver", 30.0, "found 30s; the highest bucket edge of mlserver is 10s"),
        ("ray_serve", 0.25, "found 0.25s; the nearest bucket edges of ray_serve are 0.2s and 0.3s"),
        ("bentoml", 0.0999, "found 0.0999s; the nearest bucket edges of bentoml are 0.05s and 0.1s"),
        (
            "tensorflow_serving",
            0.5,
            "found 0.5s; the nearest bucket edges of tensorflow_serving are 0.393464s and 0.708235s",
        ),
    ],
)
def test_a_limit_between_two_edges_is_refused_with_the_nearest_ones(server: str, limit: float, nearest: str) -> None:
    refusal = refused(endpoint(name="first"), limited(server, limit).configured())
    assert refusal == f"endpoints[1].latency_limit: {nearest}; or use latency_from: probe"


def test_an_edge_can_be_taken_from_the_refusal_as_it_stands_there() -> None:
    found = re.findall(r"([\d.]+)s", refused(limited("tgi", 0.25).configured()))
    assert [round(float(seconds), 3) for seconds in found] == [0.25, 0.222, 0.333]
    for seconds in found[1:]:
        assert SLOW in {rule["record"] for rule in rules(limited("tgi", float(seconds)).configured())}


@pytest.mark.parametrize("server", ["triton", "torchserve", "llamacpp"])
def test_a_limit_is_refused_where_the_server_has_no_histogram(server: str) -> None:
    refusal = refused(limited(server, 0.5).configured())
    assert refusal == (
        f"endpoints[0].latency_limit: found 0.5s; {server} has no histogram of latency; or use latency_from: probe"
    )


def test_a_limit_judged_by_our_own_probes_makes_no_rule_of_the_servers_histogram() -> None:
    given = endpoint(server="vllm", latency_limit=0.1)
    assert not {TIMED, SLOW} & {rule["record"] for rule in rules(given)}


def test_native_latency_of_no_server_is_refused() -> None:
    refusal = refused(endpoint(), endpoint(name="b", latency_from="native", latency_limit=0.5))
    assert refusal.startswith("endpoints[1].latency_from: native needs a server")


def test_a_server_that_is_not_known_is_refused_with_those_that_are() -> None:
    refusal = refused(endpoint(server="trition"))
    assert refusal.startswith("endpoints[0].server: found 'trition'; allowed are bentoml, kserve, ")


def test_a_server_whose_errors_are_of_no_model_needs_an_endpoint_that_names_one() -> None:
    said = refused(endpoint(server="torchserve"))
    assert said == "endpoints[0].model: missing; torchserve does not say of which model its errors are"
