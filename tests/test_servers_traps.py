"""Where a server's own metrics mislead whoever reads them naively."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest
from tests.support.native_cases import BY_SERVER
from tests.support.native_metrics import (
    SERVERS,
    Case,
    Series,
    check,
    endpoint,
    fixture,
    recorded_labels,
    rules,
    scrape_job,
    scraped,
)

PAGE = Path(__file__).parents[1] / "docs" / "servers.md"
REQUESTS, BAD = "ml:requests:rate5m", "ml:requests_bad:rate5m"


def section(server: str) -> str:
    (text,) = re.findall(rf"^### {server}$(.*?)(?=^##|\Z)", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    return " ".join(text.split())


def as_recorded(server: str, **given: str) -> tuple[Case, list[Series]]:
    """The fixture, every counter of which grows every minute by what it had come to when it was recorded."""
    case = replace(BY_SERVER[server], endpoint=given)
    series = [replace(item, step=item.value * 60) for item in fixture(server) if not item.name.endswith("_created")]
    return case, scraped(series, scrape_job(case.configured()))


def names(series: Iterable[Series]) -> set[str]:
    return {item.name for item in series}


def test_an_error_of_tritons_python_backend_counts_as_a_success_and_the_page_says_so(tmp_path: Path) -> None:
    # Recorded after the model answered one request with HTTP 500: no counter of failures has moved.
    case, series = as_recorded("triton")
    labels = recorded_labels("triton", "sk", "1")
    check(tmp_path, series, [case.configured()], {REQUESTS: {labels: 2}, BAD: {labels: 0}})
    assert "500" in section("triton")
    assert "success" in section("triton")


def test_a_model_that_triton_loads_again_starts_at_zero_and_no_rate_becomes_negative(tmp_path: Path) -> None:
    case = BY_SERVER["triton"]
    reloaded = [replace(item, restart=7) if item.step > 1 else item for item in case.series()]
    labels = recorded_labels("triton", "sk", "1")
    expected = {f"{REQUESTS} > bool 0": {labels: 1.0}, f"{BAD} < bool 0": {labels: 0.0}}
    check(tmp_path, reloaded, [case.configured()], expected)


def test_models_that_clients_make_up_do_not_become_labels_of_mlserver(tmp_path: Path) -> None:
    case = BY_SERVER["mlserver"]
    made_up = [
        Series("model_infer_request_failure_total", {"model": f"guess-{n}", "version": "None"}, 0, 6) for n in range(40)
    ]
    scraped_too = scraped(made_up, scrape_job(case.configured()))
    every = {REQUESTS: {recorded_labels("mlserver", "sk", ""): 4, recorded_labels("mlserver", "", ""): 0.5 + 4}}
    check(tmp_path / "all", case.series() + scraped_too, [case.configured()], every)

    own = replace(case, endpoint={"model": "sk"})
    only = {REQUESTS: {recorded_labels("mlserver", "sk", ""): 4}}
    series = own.series() + scraped(made_up, scrape_job(own.configured()))
    check(tmp_path / "one", series, [own.configured()], only)


def test_a_model_of_mlserver_that_never_answered_is_not_lost(tmp_path: Path) -> None:
    case = BY_SERVER["mlserver"]
    broken = [item for item in case.series() if item.name != "model_infer_request_success_total"]
    check(tmp_path, broken, [case.configured()], {BAD: {recorded_labels("mlserver", "", ""): 1.5}})


def test_what_mlserver_refuses_with_422_is_neither_asked_for_nor_bad(tmp_path: Path) -> None:
    # Recorded after three answers, one 500, one 422 and one 404 for a model that does not exist.
    case, series = as_recorded("mlserver", model="sk")
    labels = recorded_labels("mlserver", "sk", "")
    check(tmp_path, series, [case.configured()], {REQUESTS: {labels: 4}, BAD: {labels: 1}})


def test_the_word_none_is_no_version(tmp_path: Path) -> None:
    for server, label, word in (
        ("mlserver", "version", "None"),
        ("torchserve", "model_version", "default"),
        ("bentoml", "service_version", "not available"),
    ):
        case = BY_SERVER[server]
        assert any(item.labels.get(label) == word for item in fixture(server))
        named = [
            replace(item, labels={**item.labels, label: "7"}) if item.labels.get(label) == word else item
            for item in case.series()
        ]
        model = recorded_labels(server, "sk", "7")
        value = case.expected[REQUESTS][("sk", "")]
        expected = {f'{REQUESTS}{{version!=""}}': {model: value}, f'{REQUESTS}{{version="{word}"}}': {}}
        check(tmp_path / server, named, [case.configured()], expected)


def test_rays_proxy_and_its_deployments_agree_on_the_ratio_of_errors(tmp_path: Path) -> None:
    case, series = as_recorded("ray_serve")
    counters = {item.name: 0.0 for item in fixture("ray_serve")}
    for item in fixture("ray_serve"):
        counters[item.name] += item.value
    errors = counters["ray_serve_deployment_error_counter_total"]
    requests = counters["ray_serve_deployment_request_counter_total"]
    assert (errors, requests) == (2, 6)
    labels = recorded_labels("ray_serve", "sk", "")
    expected = {REQUESTS: {labels: requests + errors}, f"{BAD} / {REQUESTS}": {labels: errors / (requests + errors)}}
    check(tmp_path, series, [case.configured()], expected)


def test_rays_sums_are_no_measurements_and_no_mean_is_made_of_them() -> None:
    # 34 answers of /-/healthz: 27, 1, 5 and 1 of them in four buckets, the sum is made of the middles of these.
    (sum_,) = [
        item.value
        for item in fixture("ray_serve")
        if item.name.endswith("latency_ms_sum") and item.labels["status_code"] == "503"
    ]
    assert sum_ == 27 * 0.5 + 1 * 7.5 + 5 * 15 + 1 * 35
    assert not [rule for rule in rules(endpoint(server="ray_serve")) if "mean" in rule["record"]]


def test_availability_of_vllm_is_that_of_its_routes_and_not_of_its_engine(tmp_path: Path) -> None:
    # Recorded: seven predictions that the engine counts as successes, and three that were refused before it.
    case, series = as_recorded("vllm", model="tiny")
    failed = Series("http_requests_total", {"handler": "/v1/completions", "method": "POST", "status": "5xx"}, 0, 30)
    labels = recorded_labels("vllm", "tiny", "")
    everything = series + scraped([failed], scrape_job(case.configured()))
    check(tmp_path, everything, [case.configured()], {REQUESTS: {labels: 10.5}, BAD: {labels: 0.5}})


def test_a_histogram_of_vllm_whose_name_ends_in_total_is_read_by_no_rule() -> None:
    assert any(item.name == "vllm:iteration_tokens_total_bucket" for item in fixture("vllm"))
    assert not [rule for rule in rules(endpoint(server="vllm")) if "iteration_tokens" in rule["expr"]]


def test_paths_that_scanners_ask_bentoml_for_are_not_even_scraped() -> None:
    paths = {item.labels.get("endpoint") for item in BY_SERVER["bentoml"].series()}
    assert "/nope" in {item.labels.get("endpoint") for item in fixture("bentoml")}
    assert "/predict" in paths
    assert "/nope" not in paths


@pytest.mark.parametrize("server", SERVERS)
def test_the_times_at_which_series_were_made_are_not_scraped(server: str) -> None:
    made = Series("anything_at_all_created", {}, 1.7e9)
    kept = scraped([*fixture(server), made], scrape_job(endpoint(server=server)))
    assert kept
    assert not [item.name for item in kept if item.name.endswith("_created")]


def test_quantiles_of_one_replica_are_not_scraped() -> None:
    assert any("quantile" in item.labels for item in fixture("triton"))
    assert not [item for item in BY_SERVER["triton"].series() if "quantile" in item.labels]
    assert not [
        rule for server in SERVERS for rule in rules(endpoint(server=server, model="m")) if "quantile=" in rule["expr"]
    ]


def test_a_model_that_does_not_exist_is_no_label_of_tensorflow_serving(tmp_path: Path) -> None:
    case, series = as_recorded("tensorflow_serving")
    assert any(item.labels.get("model_name") == "nope" for item in series)
    labels = recorded_labels("tensorflow_serving", "half", "")
    check(tmp_path, series, [case.configured()], {REQUESTS: {labels: 9}, BAD: {labels: 1}})


def test_seldons_own_label_of_that_name_does_not_hide_which_kind_of_server_it_is() -> None:
    series = BY_SERVER["seldon"].series()
    assert {item.labels["server"] for item in series} == {"seldon"}
    assert {item.labels.get("exported_server") for item in series} == {"mlserver"}
