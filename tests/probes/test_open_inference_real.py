"""Our probe on real servers of the Open Inference Protocol, MLServer and Triton: every fault, and every count."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.support.frozen import frozen
from tests.support.mlserver_server import mlserver
from tests.support.native import total
from tests.support.open_inference import MODEL, REQUEST, Server, being_loaded
from tests.support.probed import checks, counted, slower, up
from tests.support.probing import Probing
from tests.support.programs import free_port, wait_until
from tests.support.served import served
from tests.support.triton_server import triton

pytestmark = pytest.mark.servers

CANARY = {
    "request": REQUEST,
    "expect": [{"name": "y", "datatype": "FP32", "shape": [2, 1], "values": [[3], [7]]}],
}
WELL = {"live": "ok", "ready": "ok", "predict": "ok"}


@dataclass(frozen=True)
class Kind:
    """What differs from server to server."""

    start: Callable[[Path], AbstractContextManager[Server]]
    version: str
    success: str
    """Its own counter of requests."""
    failure: str
    error_counts_as: str
    """Which of the two an exception of the model is."""


KINDS = {
    "mlserver": Kind(
        mlserver, "v1", "model_infer_request_success_total", "model_infer_request_failure_total", "failure"
    ),
    "triton": Kind(triton, "1", "nv_inference_request_success", "nv_inference_request_failure", "success"),
}


@pytest.fixture(scope="module", params=sorted(KINDS))
def kind(request: pytest.FixtureRequest) -> Kind:
    return KINDS[request.param]


@pytest.fixture(scope="module")
def running(kind: Kind, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with served(kind.start, tmp_path_factory) as server:
        yield server


@pytest.fixture
def server(running: Server) -> Iterator[Server]:
    yield running
    running.control.set("ok")


@pytest.fixture
def probing(server: Server) -> Iterator[Probing]:
    """`fraud`, others on the same server that are less patient or ask for what is not there, and a dead one."""
    with Probing(
        endpoint(server, "fraud"),
        endpoint(server, "impatient", timeout="1s"),
        # While Triton loads a model by call, connections that are kept wait for it.
        endpoint(server, "fresh", connection="fresh"),
        endpoint(server, "missing", model="made-up"),
        endpoint(server, "outdated", version="9"),
        endpoint(server, "dead", url=f"http://127.0.0.1:{free_port()}"),
    ) as probing:
        yield probing


def endpoint(server: Server, name: str, **more: Any) -> dict[str, Any]:
    whole = {"protocol": "open_inference", "url": server.url, "model": MODEL, "timeout": "20s", "canary": CANARY}
    return {"name": name, **whole, **more}


def test_a_ready_server_is_well_by_all_checks_and_names_its_version(
    probing: Probing, server: Server, kind: Kind
) -> None:
    result = probing.probe("fraud")
    assert (result.outcome, result.problem, checks(result)) == ("ok", None, WELL)
    assert result.finding.version == kind.version
    series = probing.series()
    assert up(series, "fraud", MODEL, kind.version) == {"live": 1, "ready": 1, "predict": 1}
    assert counted(series, "fraud", MODEL, kind.version) == {"ok": 1}


def test_a_model_that_is_being_loaded_lives_and_is_not_ready(probing: Probing, server: Server, kind: Kind) -> None:
    probing.probe("fresh")
    with being_loaded(server):
        result = probing.probe("fresh")
    assert result.outcome == "http_error"
    assert checks(result) == {"live": "ok", "ready": "http_error", "predict": "http_error"}
    assert up(probing.series(), "fresh", MODEL, kind.version) == {"live": 1, "ready": 0, "predict": 0}
    assert probing.probe("fresh").outcome == "ok"
    series = probing.series()
    assert up(series, "fresh", MODEL, kind.version) == {"live": 1, "ready": 1, "predict": 1}
    assert counted(series, "fresh", MODEL, kind.version) == {"ok": 2, "http_error": 1}


@pytest.mark.parametrize(("name", "model", "version"), [("missing", "made-up", ""), ("outdated", MODEL, "9")])
def test_a_model_or_a_version_that_is_not_there_is_not_ready(
    probing: Probing, name: str, model: str, version: str
) -> None:
    result = probing.probe(name)
    assert checks(result) == {"live": "ok", "ready": "http_error", "predict": "http_error"}
    assert result.problem is not None
    assert "status 4" in result.problem
    series = probing.series()
    assert up(series, name, model, version) == {"live": 1, "ready": 0, "predict": 0}
    assert counted(series, name, model, version) == {"http_error": 1}


@pytest.mark.parametrize(
    ("mode", "outcome", "problem"),
    [
        ("wrong_shape", "bad_prediction", "'y' has the shape [2, 2]; expected is [2, 1]"),
        ("wrong_value", "bad_prediction", "'y' holds 103.0 at 0; expected is 3"),
        ("error", "http_error", "status 500"),
    ],
)
def test_a_model_that_answers_wrong_is_told_from_one_that_fails(
    probing: Probing, server: Server, kind: Kind, mode: str, outcome: str, problem: str
) -> None:
    probing.probe("fraud")
    server.control.set(mode)
    result = probing.probe("fraud")
    assert checks(result) == {**WELL, "predict": outcome}
    assert result.problem is not None
    assert problem in result.problem
    series = probing.series()
    assert up(series, "fraud", MODEL, kind.version) == {"live": 1, "ready": 1, "predict": 0}
    assert counted(series, "fraud", MODEL, kind.version) == {"ok": 1, outcome: 1}


def test_a_new_version_is_counted_by_its_own_name_from_its_first_answer_wrong_or_not(
    probing: Probing, server: Server, kind: Kind
) -> None:
    probing.probe("fraud")
    try:
        server.release("2")
        server.control.set("wrong_value")
        assert probing.probe("fraud").outcome == "bad_prediction"
        server.control.set("ok")
        assert probing.probe("fraud").outcome == "ok"
    finally:
        server.release(kind.version)
    series = probing.series()
    assert counted(series, "fraud", MODEL, kind.version) == {"ok": 1}
    assert counted(series, "fraud", MODEL, "2") == {"bad_prediction": 1, "ok": 1}


def test_a_slow_answer_is_well_and_its_time_is_kept(probing: Probing, server: Server, kind: Kind) -> None:
    probing.probe("fraud")
    server.control.set("slow", seconds=0.6)
    result = probing.probe("fraud")
    assert result.outcome == "ok"
    assert 0.6 <= result.steps[-1].seconds < 5
    assert slower(probing.series(), "0.5", "fraud", MODEL, kind.version) == 1


def test_a_model_that_hangs_ends_in_timeout_while_its_server_is_ready(
    probing: Probing, server: Server, kind: Kind
) -> None:
    server.control.set("hang")
    result = probing.probe("impatient")
    assert checks(result) == {**WELL, "predict": "timeout"}
    assert 0.5 < result.seconds < 5
    server.control.set("ok")
    assert probing.probe("fraud").outcome == "ok"


def test_a_server_that_hangs_as_a_whole_ends_in_timeout_at_the_first_check(
    probing: Probing, server: Server, kind: Kind
) -> None:
    probing.probe("impatient")
    with frozen(server.process):
        result = probing.probe("impatient")
    assert checks(result) == {"live": "timeout"}
    series = probing.series()
    assert up(series, "impatient", MODEL, kind.version) == {"live": 0, "ready": 0, "predict": 0}
    assert counted(series, "impatient", MODEL, kind.version)["timeout"] == 1
    assert probing.probe("fraud").outcome == "ok"


def test_where_nothing_listens_every_check_is_down(probing: Probing, server: Server) -> None:
    result = probing.probe("dead")
    assert checks(result) == {"live": "unreachable"}
    series = probing.series()
    assert up(series, "dead", MODEL, "") == {"live": 0, "ready": 0, "predict": 0}
    assert counted(series, "dead", MODEL, "") == {"unreachable": 1}
    assert probing.probe("fraud").outcome == "ok"


def test_what_we_counted_is_what_was_sent_and_what_the_server_counted(
    probing: Probing, server: Server, kind: Kind
) -> None:
    def native() -> Counter[str]:
        text = server.metrics()
        return Counter(
            success=int(total(text, kind.success, model=MODEL)), failure=int(total(text, kind.failure, model=MODEL))
        )

    before = native()
    plan = {"ok": 5, "wrong_value": 3, "wrong_shape": 2, "error": 4}
    for mode, times in plan.items():
        server.control.set(mode)
        for _ in range(times):
            probing.probe("fraud")
    sent = Counter(success=plan["ok"] + plan["wrong_value"] + plan["wrong_shape"])
    sent[kind.error_counts_as] += plan["error"]
    series = probing.series()
    assert counted(series, "fraud", MODEL, kind.version) == {"ok": 5, "bad_prediction": 5, "http_error": 4}
    assert series[f"ml_endpoint_probe_duration_seconds_count fraud {MODEL} {kind.version}"] == 5
    assert native() - before == sent


def test_models_are_found_in_the_index_of_the_server(server: Server, kind: Kind) -> None:
    found = {"discover": True, "model": None, "canary": None, "canaries": {"su*": CANARY}}
    with Probing(endpoint(server, "all", **found)) as probing:
        models = probing.prober.endpoints["all"].models
        wait_until(lambda: MODEL in models, 10, "the index has been read")
        result = probing.probe("all", MODEL)
        assert (checks(result), result.finding.version) == (WELL, kind.version)
        series = probing.series()
    assert (series["ml_endpoint_index_up all"], series["ml_endpoint_index_models all"]) == (1, 1)
    assert counted(series, "all", MODEL, kind.version)["ok"] >= 1
