"""What Grafana is started with: data sources and a folder whose uids stay, dashboards that find them, a home page."""

from __future__ import annotations

import json
import re
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
import yaml

from ml_exporter import config, render
from ml_exporter.endpoint_states import Histogram
from ml_exporter.errors import ConfigError
from ml_exporter.lines import render_group

ROOT = Path(__file__).parents[1]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))["services"]
GRAFANA = COMPOSE["grafana"]["environment"]


@pytest.fixture(scope="module")
def usual() -> dict[str, Any]:
    """Path → content of what is rendered for Grafana."""
    files = render.generate(config.from_data({}))
    return {
        name.removeprefix("grafana/"): json.loads(text) if name.endswith(".json") else yaml.safe_load(text)
        for name, text in files.items()
        if name.startswith("grafana/")
    }


def with_traces(**traces: str) -> dict[str, dict[str, Any]]:
    """The data sources of such a configuration; without the dashboards, which take longer."""
    data = config.from_data({"stack": {"traces": traces}}).for_jsonnet()
    text = render.evaluate("provisioning/grafana/grafana.libsonnet", {"config": json.dumps(data)})
    return by_uid(json.loads(text)["datasources"]["datasources"])


def sources(files: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return by_uid(files["provisioning/datasources/ml-exporter.yml"]["datasources"])


def by_uid(listed: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    assert len({source["name"] for source in listed}) == len({source["uid"] for source in listed}) == len(listed)
    return {source["uid"]: source for source in listed}


def dashboards(files: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Dashboards by the name of their file."""
    return {PurePosixPath(name).stem: content for name, content in files.items() if name.endswith(".json")}


# Data sources and folder


def test_data_sources_have_uids_that_stay_and_nobody_edits_them(usual: dict[str, Any]) -> None:
    found = sources(usual)
    assert set(found) == {"ml-prometheus", "ml-alertmanager"}
    assert not any(source["editable"] for source in found.values())
    assert not any("isDefault" in source for source in found.values()), "beside another default Grafana does not start"


def test_dashboards_are_in_one_folder_whose_uid_stays_and_nobody_edits_them(usual: dict[str, Any]) -> None:
    (provider,) = usual["provisioning/dashboards/ml-exporter.yml"]["providers"]
    assert (provider["folder"], provider["folderUid"]) == ("ML", "ml-exporter")
    assert provider["disableDeletion"] is True
    assert provider["allowUiUpdates"] is False
    assert not any(dashboard["editable"] for dashboard in dashboards(usual).values())


def test_every_dashboard_begins_with_the_provisioned_prometheus(usual: dict[str, Any]) -> None:
    prometheus = sources(usual)["ml-prometheus"]
    for name, dashboard in dashboards(usual).items():
        variable = dashboard["templating"]["list"][0]
        kind = (variable["name"], variable["type"], variable["query"])
        assert kind == ("datasource", "datasource", "prometheus"), name
        assert variable["current"]["value"] == prometheus["uid"], name
        assert variable["current"]["text"] == prometheus["name"], name


def test_everything_on_a_dashboard_asks_the_chosen_data_source(usual: dict[str, Any]) -> None:
    for name, dashboard in dashboards(usual).items():
        asked = [*dashboard["panels"], *dashboard["annotations"]["list"], *dashboard["templating"]["list"]]
        asked += [target for panel in dashboard["panels"] for target in panel.get("targets", ())]
        uids = {json.dumps(item["datasource"]) for item in asked if "datasource" in item}
        assert uids == {'{"type": "prometheus", "uid": "${datasource}"}'}, name


def test_the_file_of_a_dashboard_is_called_by_its_uid(usual: dict[str, Any]) -> None:
    assert {name: dashboard["uid"] for name, dashboard in dashboards(usual).items()} == {
        name: name for name in dashboards(usual)
    }


def test_every_folder_that_grafana_reads_at_its_start_is_there(usual: dict[str, Any]) -> None:
    folders = {name.split("/")[1] for name in usual if name.startswith("provisioning/")}
    assert folders == {"alerting", "dashboards", "datasources", "notifiers", "plugins"}


# Compose


def test_compose_opens_on_the_overview(usual: dict[str, Any]) -> None:
    home = PurePosixPath(GRAFANA["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])
    (provider,) = usual["provisioning/dashboards/ml-exporter.yml"]["providers"]
    assert str(home.parent) == provider["options"]["path"]
    assert dashboards(usual)[home.stem]["uid"] == "ml-overview"


def test_compose_has_grafana_read_what_render_writes() -> None:
    (output,) = re.findall(r"--output=(\S+)", " ".join(COMPOSE["render"]["command"]))
    assert GRAFANA["GF_PATHS_PROVISIONING"] == f"{output}/grafana/provisioning"
    assert GRAFANA["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"].startswith(f"{output}/grafana/dashboards/")
    (mounted,) = [volume for volume in COMPOSE["grafana"]["volumes"] if isinstance(volume, dict)]
    assert (mounted["target"], mounted["read_only"]) == (output, True)


# Traces


def test_without_a_tracing_data_source_exemplars_lead_nowhere(usual: dict[str, Any]) -> None:
    assert "exemplarTraceIdDestinations" not in sources(usual)["ml-prometheus"]["jsonData"]


def test_exemplars_lead_to_a_tracing_data_source_by_the_label_that_they_have() -> None:
    found = with_traces(datasource="tempo")
    assert set(found) == {"ml-prometheus", "ml-alertmanager"}, "one that Grafana has already is not provisioned"
    (destination,) = found["ml-prometheus"]["jsonData"]["exemplarTraceIdDestinations"]
    assert destination["datasourceUid"] == "tempo"
    histogram = Histogram((1.0,))
    histogram.observe(0.5, "f" * 32, 1.0)
    sample = histogram.sample("ml_endpoint_probe_duration_seconds", ("fraud", "1"))
    group = render_group([sample], {"ml_service": "fraud", "ml_endpoint": "fraud"})
    exposed = group["ml_endpoint_probe_duration_seconds"].openmetrics.decode()
    assert f'# {{{destination["name"]}="{"f" * 32}"}}' in exposed


@pytest.mark.parametrize("kind", ["tempo", "jaeger", "zipkin"])
def test_a_tracing_data_source_is_provisioned_where_its_address_is_given(kind: str) -> None:
    found = with_traces(datasource="spans", kind=kind, url="http://traces:3200")
    (destination,) = found["ml-prometheus"]["jsonData"]["exemplarTraceIdDestinations"]
    source = found[destination["datasourceUid"]]
    assert (source["type"], source["url"], source["editable"]) == (kind, "http://traces:3200", False)


@pytest.mark.parametrize(
    ("traces", "says"),
    [
        ({"url": "http://traces:3200"}, r"stack\.traces\.datasource: missing"),
        ({"datasource": "a b"}, r"stack\.traces\.datasource: found 'a b'; allowed is a uid"),
        ({"datasource": "ml-prometheus"}, r"stack\.traces\.datasource: 'ml-prometheus' is the uid of another"),
        ({"datasource": "t", "kind": "tmepo"}, r"stack\.traces\.kind: found 'tmepo'; did you mean 'tempo'"),
    ],
)
def test_a_tracing_data_source_that_cannot_be_is_refused(traces: dict[str, str], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        config.from_data({"stack": {"traces": traces}})
