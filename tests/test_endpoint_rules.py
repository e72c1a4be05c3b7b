"""The rules on endpoints follow the configuration: limits on the edges of buckets, windows that hold enough probes."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from ml_exporter import config, render
from ml_exporter.errors import ConfigError


def endpoint(name: str = "live", **given: Any) -> dict[str, Any]:
    return {"name": name, "protocol": "open_inference", "url": "http://127.0.0.1:1", "model": "fraud", **given}


def rules_of(*endpoints: dict[str, Any], **data: Any) -> dict[str, str]:
    """Name of an alert or a recorded series → PromQL."""
    files = render.generate(config.from_data({"endpoints": list(endpoints), **data}))
    groups = [
        yaml.safe_load(files[f"prometheus/rules/{name}.yml"])["groups"] for name in ("endpoints", "recording-endpoints")
    ]
    return {rule.get("alert") or rule["record"]: rule["expr"] for group in groups for g in group for rule in g["rules"]}


def windows(expr: str) -> set[tuple[str, str]]:
    """(matcher of endpoints, window) of every range in a query."""
    return set(re.findall(r'(ml_endpoint[=!~]+"[^"]*")[^\[\]]*\[(\w+)\]', expr))


@pytest.mark.parametrize(
    ("limit", "nearest"),
    [
        ("300ms", "found 0.3s; allowed is an edge of probes.buckets, the nearest: 0.25s and 0.5s"),
        ("1ms", "found 0.001s; allowed is an edge of probes.buckets, the nearest: 0.005s"),
        ("1m", "found 60s; allowed is an edge of probes.buckets, the nearest: 10s"),
    ],
)
def test_a_limit_between_two_buckets_is_refused_and_the_nearest_are_named(limit: str, nearest: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(f"endpoints[1].latency_limit: {nearest}") + "$"):
        rules_of(endpoint(), endpoint("slow", latency_limit=limit, interval="5m", timeout="2m"))


def test_a_limit_on_an_edge_that_was_configured_is_taken() -> None:
    expr = rules_of(endpoint(latency_limit="300ms"), probes={"buckets": [0.1, 0.3, 1]})["ml:probes_slow:increase"]
    assert 'le=~"0\\\\.3"' in expr


def test_a_whole_limit_is_found_as_old_and_new_prometheus_write_it() -> None:
    expr = rules_of(endpoint(latency_limit="1s"))["ml:probes_slow:increase"]
    (le,) = re.findall(r'le=~"(.*?)"', expr)
    pattern = re.compile(le.replace("\\\\", "\\"))
    assert [edge for edge in ("1", "1.0", "10", "1.05", "0.1") if pattern.fullmatch(edge)] == ["1", "1.0"]


def test_endpoints_are_judged_by_their_own_limits() -> None:
    given = [endpoint("a", latency_limit="1s"), endpoint("b", latency_limit="250ms"), endpoint("c", latency_limit="1s")]
    expr = rules_of(*given, endpoint("free"))["ml:probes_slow:increase"]
    assert set(re.findall(r'le=~"([^"]+)", ml_endpoint=~"([^"]+)"', expr)) == {
        (r"1(\\.0)?", "a|c"),
        (r"0\\.25", "b"),
    }


def test_a_limit_that_the_server_measures_needs_no_bucket_of_ours_and_none_needs_no_rule() -> None:
    native = endpoint(latency_limit="750ms", latency_from="native", server="mlserver")
    assert "ml:probes_slow:increase" not in rules_of(native, endpoint("free"))


def test_probes_that_come_seldom_are_counted_over_longer_windows() -> None:
    given = [endpoint("fast"), endpoint("minutes", interval="5m"), endpoint("hour", interval="1h")]
    rules = rules_of(*given)
    assert windows(rules["MLEndpointWrongPredictions"]) == {
        ('ml_endpoint!~"minutes|hour"', "10m"),
        ('ml_endpoint=~"minutes"', "1h"),
        ('ml_endpoint=~"hour"', "4h"),
    }
    assert {window for _, window in windows(rules["MLEndpointFlapping"])} == {"30m", "2h", "12h"}


def test_rules_stay_short_while_all_probes_come_often() -> None:
    expr = rules_of(*(endpoint(f"e{number}") for number in range(50)))["MLEndpointWrongPredictions"]
    assert "e49" not in expr
    assert re.findall(r"\[\w+\]", expr) == ["[10m]"]


def test_probes_every_second_are_not_stale_between_two_scrapes() -> None:
    expr = rules_of(endpoint(interval="1s", timeout="1s"), stack={"scrape_interval": "1m"})["MLEndpointProbesStale"]
    assert "240)" in expr


def test_one_list_of_models_that_cannot_be_read_is_never_down() -> None:
    rules = rules_of(probes={"discovery_interval": "1h"})
    assert "ml_endpoint_index_up[2h30m]" in rules["MLEndpointDown"]
