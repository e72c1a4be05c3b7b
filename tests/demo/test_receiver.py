import http.client
import json
import threading
from collections.abc import Iterator

import pytest

from ml_exporter.demo import receiver


def alert(**changes: str) -> dict[str, object]:
    labels = {"alertname": "MLPipelineFailing", "severity": "ticket", "ml_service": "fraud", "owner": "risk-ml"}
    labels |= {"source": "tracking", "pipeline": "fraud-flaky", **changes}
    notes = {"summary": "it fails", "runbook_url": "https://runbooks/x", "dashboard_url": "http://localhost:3000/d/x"}
    return {"status": "firing", "labels": labels, "annotations": notes}


@pytest.fixture
def serving() -> Iterator[http.client.HTTPConnection]:
    with receiver.server("127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=5)
        yield connection
        connection.close()
        server.shutdown()
        thread.join()


def ask(connection: http.client.HTTPConnection, method: str, path: str, body: object = None) -> tuple[int, str]:
    connection.request(method, path, None if body is None else json.dumps(body))
    response = connection.getresponse()
    return response.status, response.read().decode()


def test_an_alert_is_kept_and_printed_with_all_a_person_needs(serving, capsys) -> None:
    assert ask(serving, "POST", "/ticket", {"alerts": [alert()]})[0] == 200
    (kept,) = json.loads(ask(serving, "GET", "/notifications")[1])
    assert (kept["channel"], kept["status"], kept["pipeline"]) == ("ticket", "firing", "fraud-flaky")
    printed = capsys.readouterr().out
    for word in ("FIRING [ticket] MLPipelineFailing", "pipeline=fraud-flaky", "service=fraud", "owner=risk-ml"):
        assert word in printed
    for word in ("“it fails”", "runbook=https://runbooks/x", "dashboard=http://localhost:3000/d/x"):
        assert word in printed


def test_alerts_of_one_version_on_two_data_sets_can_be_told_apart(serving) -> None:
    version = {"model": "demand", "version": "3", "metric": "val_loss"}
    ask(serving, "POST", "/page", {"alerts": [alert(**version, dataset=name) for name in ("diabetes", "holdout")]})
    _, page = ask(serving, "GET", "/")
    for name in ("diabetes", "holdout"):
        assert f"model=demand version=3 metric=val_loss dataset={name}" in page


def test_the_last_200_are_kept(serving) -> None:
    for number in range(3):
        ask(serving, "POST", "/info", {"alerts": [alert(pipeline=f"p{number}-{each}") for each in range(100)]})
    kept = json.loads(ask(serving, "GET", "/notifications")[1])
    assert (len(kept), kept[0]["pipeline"], kept[-1]["pipeline"]) == (200, "p1-0", "p2-99")


def test_names_are_escaped_on_the_page(serving) -> None:
    ask(serving, "POST", "/page", {"alerts": [alert(pipeline="<script>alert(1)</script>")]})
    status, page = ask(serving, "GET", "/")
    assert status == 200
    assert "<script>" not in page
    assert "&lt;script&gt;" in page


@pytest.mark.parametrize("body", [{"alerts": "none"}, {"alerts": [{}]}, [], "text", {}])
def test_what_is_no_message_of_alertmanager_is_refused_and_the_receiver_lives_on(serving, body) -> None:
    assert ask(serving, "POST", "/page", body)[0] == 400
    assert ask(serving, "GET", "/notifications") == (200, "[]")
