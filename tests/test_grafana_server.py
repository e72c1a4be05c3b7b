"""Our own side of Grafana's HTTP API, with a stand-in: what is asked for a dashboard, and that faults are seen."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import pytest
from tests.support.fake_grafana import FakeGrafana, serving
from tests.support.grafana_server import GrafanaServer, complaints, picture, width_and_height

DASHBOARD: dict[str, Any] = {
    "uid": "ml-fraud",
    "panels": [
        {"type": "row", "title": "Probes"},
        {
            "type": "timeseries",
            "title": "Probes",
            "targets": [
                {"refId": "A", "expr": 'rate(probes{model=~"$model"}[$__rate_interval])', "legendFormat": "{{model}}"},
                {"refId": "B", "expr": "late", "instant": True},
            ],
        },
        {"type": "text", "title": "Words"},
    ],
    "annotations": {"list": [{"name": "Alerts", "expr": 'ALERTS{model=~"$model"}'}]},
    "templating": {
        "list": [
            {"name": "datasource", "type": "datasource", "query": "prometheus"},
            {"name": "model", "type": "query", "query": {"query": 'label_values(probes{a="b, c"}, model)'}},
        ]
    },
}


def test_a_dashboard_is_asked_as_its_panels_do_with_the_rate_interval_left_to_grafana() -> None:
    with serving(FakeGrafana()) as fake:
        assert list(GrafanaServer(fake.url).wrong(DASHBOARD)) == []
    panel, note = fake.asked
    assert [query["refId"] for query in panel["queries"]] == ["A", "B"]
    assert panel["queries"][0]["expr"] == 'rate(probes{model=~".*"}[$__rate_interval])'
    assert {query["datasource"]["uid"] for query in panel["queries"]} == {"ml-prometheus"}
    assert int(panel["to"]) - int(panel["from"]) == pytest.approx(3_600_000, abs=2)
    assert note["queries"][0]["expr"] == 'ALERTS{model=~".*"}'
    assert fake.labels == [
        "/api/datasources/uid/ml-prometheus/resources/api/v1/label/model/values?match%5B%5D=probes%7Ba%3D%22b%2C+c%22%7D"
    ]


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("late", "ml-fraud: Probes: B: bad_data: no such thing"),
        ("ALERTS", "ml-fraud: annotation Alerts: bad_data: no such thing"),
    ],
)
def test_what_grafana_cannot_answer_is_named(word: str, said: str) -> None:
    with serving(FakeGrafana(refused={word: "bad_data: no such thing"})) as fake:
        assert list(GrafanaServer(fake.url).wrong(DASHBOARD)) == [said]


def test_an_answer_that_is_none_is_a_fault_of_every_query() -> None:
    with serving(FakeGrafana(broken=True)) as fake:
        server = GrafanaServer(fake.url)
        assert not server.is_up()
        assert len(list(server.wrong(DASHBOARD))) == 4
        assert "bad gateway" in next(server.wrong(DASHBOARD))


def test_it_is_up_when_its_database_is() -> None:
    with serving(FakeGrafana()) as fake:
        assert GrafanaServer(fake.url).is_up()
        assert GrafanaServer(fake.url).get("/api/dashboards/uid/none") is None


@pytest.mark.parametrize(
    "line",
    [
        'logger=provisioning.dashboard t=2026-01-01T00:00:00Z level=error msg="failed to load dashboard from "',
        't=2026-01-01T00:00:00Z lvl=eror msg="failed to save dashboard" logger=provisioning.dashboard type=file',
        'logger=provisioning.plugins level=error msg="Failed to read plugin provisioning files from directory"',
        'grafana-1  | logger=provisioning.dashboard level=warn msg="the same UID is used more than once" uid=a',
        'logger=provisioning.dashboard level=warn msg="dashboard title is not unique in folder" title=a',
    ],
)
def test_a_log_complains_of_what_was_not_provisioned(line: str) -> None:
    log = f'logger=provisioning.dashboard level=info msg="starting"\n{line}\nlogger=plugins level=error msg="offline"'
    assert complaints(log) == [line]


def test_without_a_browser_the_reason_is_told(tmp_path: Path) -> None:
    assert picture("http://127.0.0.1:1", tmp_path / "p.png", (10, 10), browser="no-such-browser") == (
        "no no-such-browser on the PATH"
    )


def test_a_picture_has_the_size_that_it_says() -> None:
    head = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + b"IHDR"
    assert width_and_height(head + struct.pack(">II", 1280, 2400)) == (1280, 2400)
    with pytest.raises(ValueError, match="no PNG"):
        width_and_height(b"<html>")
