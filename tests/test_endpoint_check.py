"""`ml-exporter check` of endpoints: which predict, which do not and why, and what a server lists."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.support import fault_server as faults
from tests.support.fault_server import answer, answer_json
from tests.support.fault_thread import server_of
from tests.support.on_demand import CANARY, LIVE, READY, prediction

from ml_exporter.__main__ import main
from ml_exporter.check import check
from ml_exporter.config import from_data

FRAUD = {"name": "fraud", "protocol": "open_inference", "model": "fraud", "canary": CANARY, "timeout": "5s"}
INDEX = answer_json([{"name": name, "state": "READY"} for name in ("churn", "fraud", "price")])


def said(*endpoints: dict[str, Any], **sections: Any) -> tuple[bool, list[str]]:
    lines: list[str] = []
    fine = check(from_data({"endpoints": list(endpoints), **sections}), lines.append)
    return fine, [re.sub(r"in \d+ ms", "in N ms", line) for line in lines]


def test_an_endpoint_that_predicts_says_what_answered_and_how_fast() -> None:
    with server_of(LIVE, READY, prediction()) as server:
        fine, lines = said({**FRAUD, "url": server.url})
    assert (fine, lines) == (True, ["endpoint fraud: ok, model fraud version 3 in N ms"])


def test_an_endpoint_that_fails_says_how_and_the_check_fails() -> None:
    with server_of(LIVE, READY, prediction(4.0)) as server:
        fine, lines = said({**FRAUD, "url": server.url})
    assert (fine, lines) == (False, ["endpoint fraud: bad_prediction: 'y' holds 4.0 at 0; expected is 3.0"])


def test_one_that_hangs_holds_up_no_other() -> None:
    with server_of(faults.hang) as hung, server_of(LIVE) as well:
        asked = {"protocol": "http", "live_path": "/", "timeout": "300ms"}
        fine, lines = said(
            {"name": "hung", "url": hung.url, **asked},
            {"name": "gone", "url": "http://127.0.0.1:1", **asked},
            {"name": "well", "url": well.url, **asked},
        )
    assert not fine
    assert sorted(lines) == [
        "endpoint gone: unreachable: cannot connect: connection refused",
        "endpoint hung: timeout: no complete answer within 0.3 s, none began",
        "endpoint well: ok in N ms, without a canary",
    ]


def test_a_prediction_of_a_server_that_is_not_ready_is_ok_with_a_but() -> None:
    with server_of(LIVE, answer(400, b"loading"), prediction()) as server:
        fine, lines = said({**FRAUD, "url": server.url})
    assert fine
    asked = "GET /v2/models/fraud/ready"
    assert lines == [f"endpoint fraud: ok, model fraud version 3 in N ms; but ready: {asked}: status 400: loading"]


def test_models_that_are_found_are_listed_and_probed() -> None:
    found = {"name": "all", "protocol": "open_inference", "discover": True, "timeout": "5s", "exclude": ["price"]}
    canaries = {"fr*": CANARY, "chrun": CANARY}
    with server_of(INDEX, LIVE, READY, prediction()) as server:
        whole = {**found, "url": server.url, "canaries": canaries, "checks": ["predict", "live"], "max_models": 1}
        fine, lines = said(whole)
    assert fine
    assert lines == [
        "endpoint all: ok, 1 model, 0 with a canary; max_models leaves out 1 more",
        "note: endpoints[0].canaries.fr*: matches no model that is listed there",
        "note: endpoints[0].canaries.chrun: matches no model that is listed there",
        "endpoint all: ok, model churn in N ms, without a canary",
    ]


def test_a_found_model_that_fails_is_named() -> None:
    with server_of(INDEX, LIVE, prediction(4.0)) as server:
        whole = {"name": "all", "protocol": "open_inference", "discover": True, "include": ["fraud"], "timeout": "5s"}
        fine, lines = said({**whole, "url": server.url, "canaries": {"fraud": CANARY}, "checks": ["live", "predict"]})
    assert not fine
    assert lines == [
        "endpoint all: ok, 1 model, 1 with a canary",
        "endpoint all: bad_prediction, model fraud version 3: 'y' holds 4.0 at 0; expected is 3.0",
    ]


def test_an_index_that_cannot_be_read_fails_the_check() -> None:
    with server_of(answer(503, b"starting")) as server:
        fine, lines = said({"name": "all", "protocol": "open_inference", "discover": True, "url": server.url})
    assert not fine
    asked = "POST /v2/repository/index"
    assert lines == [f"endpoint all: the index of models cannot be read: server_error: {asked}: status 503: starting"]


def test_an_unusable_file_is_the_endpoints_own_failure(tmp_path: Path) -> None:
    fine, lines = said({**FRAUD, "url": "https://127.0.0.1:1", "ca_file": str(tmp_path / "none.pem")})
    assert not fine
    assert lines[0].startswith(f"endpoint fraud: ca_file {tmp_path}/none.pem: cannot be used")


def test_a_service_with_nothing_but_an_endpoint_has_something() -> None:
    inference = {"name": "risk", "owner": "me", "stages": {"inference": [{"endpoint": "fr*"}]}}
    with server_of(LIVE, READY, prediction()) as server:
        _, lines = said({**FRAUD, "url": server.url}, services=[inference])
    assert not any(line.startswith("note") for line in lines)


def test_a_pattern_for_endpoints_where_there_are_none_is_noted() -> None:
    inference = {"name": "risk", "owner": "me", "stages": {"inference": [{"endpoint": "fr*"}]}}
    _, lines = said(services=[inference])
    assert "note: services[0].stages.inference[0].endpoint: 'fr*' matches no endpoint" in lines


def test_the_command_counts_endpoints_notes_absent_files_and_fails(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = {"protocol": "http", "live_path": "/"}
    data = {
        "endpoints": [{"name": "gone", "url": "http://127.0.0.1:1", "token_file": "nope", **asked}],
        "probes": {"modules": {"page": {"ca_file": "none.pem", **asked}}},
    }
    file = tmp_path / "ml-exporter.yaml"
    file.write_text(yaml.safe_dump(data))
    assert main(["check", "--config", str(file)]) == 1
    out, err = capsys.readouterr()
    assert "configuration: ok (sources: 0, endpoints: 1, services: 0, slos: 0, hash " in out
    assert "endpoint gone: token_file" in out
    assert f"note: endpoints[0].token_file: {tmp_path / 'nope'} is not there" in err
    assert f"note: probes.modules.page.ca_file: {tmp_path / 'none.pem'} is not there" in err
