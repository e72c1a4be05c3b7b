"""Endpoints in the configuration: what is refused, with the key and the reason, and what is asked in the end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ml_exporter import discovery
from ml_exporter.config import from_data, warnings
from ml_exporter.endpoint_config import asked
from ml_exporter.errors import ConfigError
from ml_exporter.model import Check

INPUT = {"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [1, 2]}
REQUEST = {"inputs": [INPUT]}
BASE = {"name": "fraud", "protocol": "open_inference", "url": "http://triton:8000/", "model": "fraud"}


def endpoint(**keys: Any) -> dict[str, Any]:
    return {"endpoints": [{key: value for key, value in {**BASE, **keys}.items() if value is not None}]}


def refusal(data: dict[str, Any], folder: Path = Path()) -> str:
    with pytest.raises(ConfigError) as caught:
        from_data(data, {}, folder)
    return str(caught.value)


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"protocol": None}, "endpoints[0].protocol: missing; allowed are"),
        ({"protocol": "open_inferenz"}, "endpoints[0].protocol: found 'open_inferenz'; did you mean 'open_inference'?"),
        ({"url": None}, "endpoints[0].url: missing"),
        ({"url": "http://user:pass@triton"}, "endpoints[0].url: found"),
        ({"model": None}, "endpoints[0].model: missing; this protocol asks for a model by its name"),
        ({"modle": "x"}, "endpoints[0].modle: unknown key; did you mean 'model'?"),
        ({"timeout": "31s"}, "endpoints[0].timeout: found 31 s; allowed is at most the interval, 30 s"),
        ({"checks": []}, "endpoints[0].checks: nothing is left to ask"),
        ({"checks": ["predict"]}, "endpoints[0].checks: nothing is left to ask"),
        ({"checks": ["alive"]}, "endpoints[0].checks[0]: found 'alive'"),
        ({"connection": "new"}, "endpoints[0].connection: found 'new'"),
        (
            {"token_file": "t", "username": "u"},
            "endpoints[0].password_file: missing; a user and a password go together",
        ),
        ({"password": "${PW}"}, "endpoints[0].password: ${PW} is not set"),
        ({"password": "plain", "username": "u"}, "endpoints[0].password: a plain password"),
        ({"live_path": "health"}, "endpoints[0].live_path: found 'health'; allowed is a path, /…"),
        ({"canary": {}}, "endpoints[0].canary: allowed is one of request and file"),
        ({"canary": {"request": REQUEST, "file": "x"}}, "endpoints[0].canary: allowed is one of request and file"),
        ({"canary": {"file": "absent.json"}}, "endpoints[0].canary.file: absent.json cannot be read: No such file"),
        (
            {"canary": {"request": {"instances": []}}},
            "endpoints[0].canary.request: Object missing required field `inputs`",
        ),
        ({"canary": {"request": {"inputs": []}}}, "endpoints[0].canary.request.inputs: empty"),
        (
            {"canary": {"request": {"inputs": [{**INPUT, "data": [1, 2, 3]}]}}},
            "endpoints[0].canary.request.inputs[0]: it has 3 elements; its shape [1, 2] wants 2",
        ),
        (
            {"canary": {"request": {"inputs": [{**INPUT, "datatype": "FLOAT"}]}}},
            "endpoints[0].canary.request.inputs[0]: its datatype is 'FLOAT'; allowed are",
        ),
        ({"canary": {"request": REQUEST, "expect": {"min": 0}}}, "endpoints[0].canary.expect: found"),
        ({"canary": {"request": REQUEST, "expect": [{"mni": 0}]}}, "expect[0].mni: unknown key; did you mean 'min'?"),
        ({"canary": {"request": REQUEST, "expect": [{"matches": "("}]}}, "endpoints[0].canary.expect[0].matches: "),
        ({"canaries": {"*": {"request": REQUEST}}}, "endpoints[0].canaries: allowed only with discover: true"),
        ({"max_models": 5}, "endpoints[0].max_models: allowed only with discover: true"),
        ({"exclude": ["a"]}, "endpoints[0].exclude: allowed only with discover: true"),
        ({"discover": True}, "endpoints[0].model: not allowed with discover: true"),
        (
            {"discover": True, "model": None, "canaries": {"a*": {"request": {"inputs": []}}}},
            "endpoints[0].canary.request.inputs: empty",
        ),
        ({"discover": True, "protocol": "http"}, "endpoints[0].discover: http has no index of models; open_inference"),
        (
            {"discover": True, "model": None, "checks": ["predict"], "canaries": {"a*": {"request": REQUEST}}},
            "endpoints[0].checks: nothing is left to ask",
        ),
        ({"registered_model": "fraud"}, "endpoints[0].registered_model: found 'fraud'; allowed is source/name"),
        ({"cost_per_hour": -1}, "endpoints[0].cost_per_hour: found -1"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_its_key(keys: dict[str, Any], said: str) -> None:
    assert said in refusal(endpoint(**keys))


def test_two_endpoints_of_one_name_are_refused() -> None:
    assert refusal({"endpoints": [BASE, BASE]}) == "endpoints[1].name: found 'fraud', which endpoints[0] has"


@pytest.mark.parametrize(
    ("probes", "said"),
    [
        ({"buckets": [0.1, 0.05]}, "probes.buckets: allowed are seconds above 0, each larger than the one before"),
        ({"buckets": []}, "probes.buckets"),
        ({"buckets": [0]}, "probes.buckets"),
        ({"allow": ["10.0.0.0/33"]}, "probes.allow[0]: found '10.0.0.0/33'"),
        ({"allow": ["10.0.0.1/8"]}, "has host bits set"),
        ({"modules": {"v2": {}}}, "probes.modules.v2.protocol: missing"),
        ({"modules": {"v2": {"protocol": "open_inference", "name": "x"}}}, "probes.modules.v2.name: unknown key"),
        (
            {"modules": {"v2": {"protocol": "open_inference", "canary": {"request": {}}}}},
            "probes.modules.v2.canary.request: ",
        ),
        ({"modules": []}, "probes.modules: "),
        (
            {"modules": {"v2": {"protocol": "open_inference", "username": "u", "password": "plain"}}},
            "probes.modules.v2.password: a plain password",
        ),
        ({"modules": {"v2": {"password": "${PW}"}}}, "probes.modules.v2.password: ${PW} is not set"),
        ({"concurrency": 0}, "probes.concurrency: found 0; allowed are 1 to 20000"),
    ],
)
def test_what_all_probes_share_is_checked_too(probes: dict[str, Any], said: str) -> None:
    assert said in refusal({"probes": probes})


def test_a_canary_comes_from_the_configuration_or_from_a_file_beside_it(tmp_path: Path) -> None:
    (tmp_path / "canary.json").write_text(json.dumps(REQUEST))
    given = from_data(endpoint(canary={"request": REQUEST})).endpoints[0].canary
    read = from_data(endpoint(canary={"file": "canary.json"}), {}, tmp_path).endpoints[0].canary
    assert given is not None
    assert read is not None
    assert json.loads(given.body) == json.loads(read.body) == REQUEST


def test_the_paths_of_the_configuration_go_before_those_of_the_protocol() -> None:
    keys = {"live_path": "/a", "ready_path": "/b", "predict_path": "/c?x=1", "canary": {"request": REQUEST}}
    steps = asked(from_data(endpoint(**keys)).endpoints[0]).steps
    assert [(step.check, step.call.path, step.call.params) for step in steps] == [
        (Check.LIVE, "/a", ()),
        (Check.READY, "/b", ()),
        (Check.PREDICT, "/c", (("x", "1"),)),
    ]


def test_only_the_wanted_checks_are_made() -> None:
    steps = asked(from_data(endpoint(checks=["ready"])).endpoints[0]).steps
    assert [step.check for step in steps] == [Check.READY]


def test_an_endpoint_belongs_to_the_first_service_that_claims_it() -> None:
    services = [
        {"name": "a", "owner": "x", "stages": {"inference": [{"endpoint": "fra*"}]}},
        {"name": "b", "owner": "y", "stages": {"inference": [{"endpoint": "fraud"}]}},
    ]
    config = from_data({**endpoint(), "services": services})
    assert config.service_of_endpoint("fraud").service == "a"
    assert config.service_of_endpoint("churn").service == "unassigned"


@pytest.mark.parametrize(
    ("item", "said"),
    [
        (
            {"endpoint": "fraut"},
            "services[0].stages.inference[0].endpoint: found 'fraut', and no endpoint is called so",
        ),
        ({"endpoint": "fraud", "pipeline": "a/b"}, "services[0].stages.inference[0]: allowed is one of"),
        ({}, "services[0].stages.inference[0]: allowed is one of"),
        ({"endpoint": "fraud", "every": "1d"}, "services[0].stages.inference[0].every: allowed only beside pipeline"),
    ],
)
def test_a_stage_names_one_component_that_exists(item: dict[str, Any], said: str) -> None:
    services = [{"name": "a", "owner": "x", "stages": {"inference": [item]}}]
    assert said in refusal({**endpoint(), "services": services})


def test_endpoints_are_something_to_watch() -> None:
    assert not [note for note in warnings(from_data(endpoint())) if "nothing to watch" in note]


def test_jsonnet_sees_what_rules_need_and_no_secret() -> None:
    keys = {"headers": {"X-Key": "s3cret"}, "token_file": "t", "latency_limit": "250ms", "server": "triton"}
    shown = from_data(endpoint(**keys, canary={"request": REQUEST})).for_jsonnet()
    assert "s3cret" not in json.dumps(shown)
    assert shown["endpoints"][0]["latency_limit"] == 0.25
    assert shown["endpoints"][0]["ml_service"] == "unassigned"
    assert "canary" not in shown["endpoints"][0]


@pytest.mark.parametrize("protocol", discovery.protocols())
def test_every_protocol_refuses_a_canary_that_is_none_of_its_own(protocol: str) -> None:
    """http and its like take any body; all others know what a request is."""
    data = endpoint(protocol=protocol, canary={"request": {"no": "such request"}})
    if protocol in ("http", "sagemaker", "torchserve"):
        assert from_data(data).endpoints
    else:
        assert "endpoints[0].canary.request" in refusal(data)


def test_a_registered_model_needs_a_version_to_be_compared_and_a_source_that_exists() -> None:
    told = endpoint(registered_model="tracking/fraud")
    untold = endpoint(registered_model="tracking/fraud", protocol="http", live_path="/", model=None)
    assert [note for note in warnings(from_data(told)) if "sources has none" in note]
    assert [
        note for note in warnings(from_data(untold)) if note.startswith("endpoints[0].registered_model: http tells")
    ]
    sources = [{"name": "trakking", "kind": "mlflow", "url": "http://mlflow:5000"}]
    assert "endpoints[0].registered_model: no source is called 'tracking'" in refusal({**told, "sources": sources})


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"server": "triton"}, "endpoints[0].metrics_url: missing, so nobody scrapes what triton says of itself"),
        ({"metrics_url": "http://triton:8002/metrics"}, "endpoints[0].server: missing, so no rule reads"),
        ({"checks": ["ready"], "canary": {"request": REQUEST}}, "endpoints[0].checks: without predict"),
    ],
)
def test_what_is_probably_not_meant_is_said(keys: dict[str, Any], said: str) -> None:
    assert [note for note in warnings(from_data(endpoint(**keys))) if note.startswith(said)]
    whole = {"server": "triton", "metrics_url": "http://triton:8002/metrics", "canary": {"request": REQUEST}}
    assert not [note for note in warnings(from_data(endpoint(**whole))) if note.startswith("endpoints")]


def test_an_endpoint_that_no_service_claims_is_named_once_there_are_services() -> None:
    services = [{"name": "risk", "owner": "x", "models": ["fraud"]}]
    note = "endpoints[0]: 'fraud' belongs to no service, so nothing of it alerts"
    assert note in warnings(from_data({**endpoint(), "services": services}))
    assert note not in warnings(from_data(endpoint()))
