"""What `render` writes: every file, its bytes, and what happens to the files that were there."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import _gojsonnet
import pytest
import yaml
from tests.support.programs import program

from ml_exporter import config, publish, reference, render
from ml_exporter.errors import RenderError
from ml_exporter.settings import Config

ROOT = Path(__file__).parents[1]

SERVICES = [
    {"name": "fraud.eu", "owner": "risk-$ml", "tier": 1, "models": ["fraud"]},
    {"name": "churn", "owner": "growth"},
]
PAGES = (
    *("alerts", "cost", "endpoints", "exporter", "models", "objectives"),
    *("overview", "pipeline", "pipelines", "schedulers", "service"),
)


def configured(**data: Any) -> Config:
    return config.from_data(data)


def text_of(data: Config, name: str) -> str:
    return render.generate(data)[name].decode()


def loaded(data: Config, name: str) -> Any:
    return yaml.safe_load(text_of(data, name))


def tool(name: str) -> str:
    path = shutil.which(name) or shutil.which(name, path=str(Path(sys.executable).parent))
    if not path:
        pytest.skip(f"{name} is not on this machine")
    return path


# Files


def test_the_files_are_where_prometheus_alertmanager_and_grafana_look(tmp_path: Path) -> None:
    paths = render.render(configured(), tmp_path / "new" / "folder")
    names = [str(path.relative_to(tmp_path / "new" / "folder")) for path in paths]
    assert names == [
        "alertmanager/alertmanager.yml",
        "alertmanager/templates/ml-exporter.tmpl",
        *(f"grafana/dashboards/ml-{page}.json" for page in PAGES),
        "grafana/provisioning/alerting/ml-exporter.yml",
        "grafana/provisioning/dashboards/ml-exporter.yml",
        "grafana/provisioning/datasources/ml-exporter.yml",
        "grafana/provisioning/notifiers/ml-exporter.yml",
        "grafana/provisioning/plugins/ml-exporter.yml",
        "prometheus/prometheus.yml",
        "prometheus/rules/baselines.yml",
        "prometheus/rules/endpoints.yml",
        "prometheus/rules/exporter.yml",
        "prometheus/rules/models.yml",
        "prometheus/rules/pipelines.yml",
        "prometheus/rules/recording-baselines.yml",
        "prometheus/rules/recording-endpoints.yml",
        "prometheus/rules/recording-layers.yml",
        "prometheus/rules/recording-overview.yml",
        "prometheus/rules/recording-services.yml",
        "prometheus/rules/recording.yml",
        "prometheus/rules/schedulers.yml",
        "prometheus/rules/sources.yml",
    ]
    assert all(publish.MARK.encode() in path.read_bytes() for path in paths)


def test_the_same_configuration_gives_the_same_bytes() -> None:
    assert render.generate(configured(services=SERVICES)) == render.generate(configured(services=SERVICES))


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RenderError, match=r"file/out: cannot be written"):
        render.render(configured(), tmp_path / "file" / "out")


# Jsonnet


def test_the_committed_data_files_are_those_of_the_code() -> None:
    lib = ROOT / "alerts" / "lib"
    assert (lib / "catalog.json").read_text() == reference.as_json() + "\n", "run `make generate`"
    assert (lib / "defaults.json").read_text() == render.defaults_json(), "run `make generate`"


def test_a_misspelt_metric_stops_the_evaluation_and_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _copy_mixin(tmp_path)
    group = tmp_path / "alerts" / "groups" / "sources.libsonnet"
    group.write_text(group.read_text().replace("m.ml_source_up)", "m.ml_source_upp)"))
    monkeypatch.setattr(render, "mixin_root", lambda: tmp_path)
    with pytest.raises(RenderError, match=r"ml_source_upp \(at alerts/groups/sources\.libsonnet:\d+"):
        render.generate(configured())


def _copy_mixin(to: Path) -> None:
    for name in ("alerts", "dashboards", "provisioning"):
        shutil.copytree(ROOT / name, to / name)
    shutil.copy(ROOT / "mixin.libsonnet", to)


def test_the_jsonnet_program_gives_what_render_gives() -> None:
    config_data = json.dumps(_told().for_jsonnet())
    done = _jsonnet("--tla-code", f"config={config_data}", str(ROOT / "provisioning/files.jsonnet"))
    assert done == json.loads(render.evaluate("provisioning/files.jsonnet", {"config": config_data}))


def test_the_jsonnet_program_gives_the_same_kubernetes_objects() -> None:
    """Of a small dashboard and small rules: the real ones, as text inside of JSON, take that program minutes."""
    objects = (
        "(import 'provisioning/kubernetes/kubernetes.libsonnet')(%s, {a: {groups: []}}, {'ml-a.json': {panels: [1]}})"
    )
    code = objects % json.dumps(_told().for_jsonnet())
    assert _jsonnet("-e", code) == json.loads(_gojsonnet.evaluate_snippet("code", code, jpathdir=[str(ROOT)]))


def _told() -> Any:
    return configured(services=SERVICES, alerting={"page": {"webhook": {"url": "http://127.0.0.1:5001/"}}})


def _jsonnet(*arguments: str) -> Any:
    done = subprocess.run([tool("jsonnet"), "-J", ROOT, *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_plain_mixin_has_the_same_alerts_and_takes_overrides() -> None:
    mixin = _mixin("import 'mixin.libsonnet'")
    files = render.generate(configured())
    assert mixin["rules"]["groups"][0]["rules"]
    assert mixin["dashboards"] == {
        Path(name).name: json.loads(text) for name, text in files.items() if name.endswith(".json")
    }
    shipped = {rule["alert"] for group in mixin["alerts"]["groups"] for rule in group["rules"]}
    ours = {
        rule["alert"]
        for name in ("baselines", "endpoints", "exporter", "models", "pipelines", "schedulers", "sources")
        for rule in loaded(configured(), f"prometheus/rules/{name}.yml")["groups"][0]["rules"]
    }
    # A plain mixin was not rendered from a file: there is nothing that it could be out of step with.
    assert shipped == ours - {"MLExporterConfigOutOfStep"}

    changed = _mixin("(import 'mixin.libsonnet') { _config+:: { alerting+: { thresholds+: { failing_runs: 7 } } } }")
    assert ">= 7" in json.dumps(changed["alerts"])
    assert ">= 7" not in json.dumps(mixin["alerts"])


def _mixin(code: str) -> Any:
    parts = "alerts: m.prometheusAlerts, rules: m.prometheusRules, dashboards: m.grafanaDashboards"
    return _jsonnet("-e", f"local m = {code}; {{ {parts} }}")


def test_the_jsonnet_is_formatted() -> None:
    files = sorted(path for path in ROOT.glob("[!.]*/**/*.*sonnet") if "node_modules" not in path.parts)
    done = subprocess.run([tool("jsonnetfmt"), "--test", ROOT / "mixin.libsonnet", *files], capture_output=True)
    assert done.returncode == 0, "run jsonnetfmt -i on the Jsonnet files"


def test_an_installed_wheel_renders_in_an_empty_folder(tmp_path: Path) -> None:
    uv = tool("uv")
    subprocess.run([uv, "build", "--quiet", "--wheel", "--out-dir", tmp_path, ROOT], check=True)
    (wheel,) = tmp_path.glob("*.whl")
    site, empty = tmp_path / "site", tmp_path / "empty"
    empty.mkdir()
    install = [uv, "pip", "install", "--quiet", "--python", sys.executable, "--no-deps", "--target", site, wheel]
    subprocess.run(install, check=True)
    program = (
        "import ml_exporter, pathlib; from ml_exporter import config, render;"
        "print(ml_exporter.__file__); render.render(config.from_data({}), pathlib.Path('out'))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=empty,
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(str(site))
    expected = render.generate(configured())
    written = {str(path.relative_to(empty / "out")): path.read_bytes() for path in (empty / "out").rglob("*.*ml")}
    assert written
    assert all(expected[name] == content for name, content in written.items())


# Prometheus


def test_secrets_do_not_reach_what_is_rendered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PW", "s3cret")
    source = {"name": "tracking", "kind": "mlflow", "url": "http://mlflow:5000", "username": "u", "password": "${PW}"}
    files = render.generate(configured(sources=[source]))
    assert not any(b"s3cret" in content or b"mlflow:5000" in content for content in files.values())


@pytest.mark.parametrize("version", [None, "3.5"])
def test_promtool_accepts_configuration_and_rules(version: str | None, tmp_path: Path) -> None:
    render.render(configured(services=SERVICES), tmp_path)
    done = subprocess.run(
        [program("promtool", version), "check", "config", tmp_path / "prometheus/prometheus.yml"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    rules = len(list((tmp_path / "prometheus/rules").iterdir()))
    assert f"{rules} rule files found" in done.stdout


def test_owner_and_tier_come_from_services_and_default_to_unassigned() -> None:
    alerting = loaded(configured(services=SERVICES), "prometheus/prometheus.yml")["alerting"]
    rules = [
        (r["source_labels"], r["regex"], r["target_label"], r["replacement"]) for r in alerting["alert_relabel_configs"]
    ]
    assert rules == [
        (["ml_service"], r"fraud\.eu", "owner", "risk-$$ml"),
        (["ml_service"], r"fraud\.eu", "tier", "1"),
        (["ml_service"], "churn", "owner", "growth"),
        (["ml_service"], "churn", "tier", "2"),
        (["owner"], "", "owner", "unassigned"),
    ]


def test_prometheus_scrapes_and_tells_whom_the_configuration_names() -> None:
    stack = {
        "scrape_interval": "1500ms",
        "exporter_targets": ["a:1", "b:2"],
        "alertmanager_targets": ["c:3"],
        "exporter_url": "https://a:1",
    }
    prometheus = loaded(configured(stack=stack), "prometheus/prometheus.yml")
    assert prometheus["global"]["scrape_interval"] == "1s500ms"
    assert prometheus["scrape_configs"] == [
        {"job_name": "ml-exporter", "scheme": "https", "static_configs": [{"targets": ["a:1", "b:2"]}]}
    ]
    assert prometheus["alerting"]["alertmanagers"] == [{"static_configs": [{"targets": ["c:3"]}]}]


def test_prometheus_knows_how_to_ask_an_exporter_behind_tls_and_a_password() -> None:
    stack = {
        "exporter_url": "https://a:1",
        "exporter_username": "prometheus",
        "exporter_password_file": "/run/secrets/exporter",
        "exporter_ca_file": "/etc/ca.pem",
    }
    [scrape] = loaded(configured(stack=stack), "prometheus/prometheus.yml")["scrape_configs"]
    assert scrape["scheme"] == "https"
    assert scrape["tls_config"] == {"ca_file": "/etc/ca.pem"}
    assert scrape["basic_auth"] == {"username": "prometheus", "password_file": "/run/secrets/exporter"}


# Grafana and Kubernetes


def test_grafana_gets_pinned_data_sources_and_dashboards_that_nobody_edits() -> None:
    data = configured(stack={"prometheus_url": "http://prometheus:9090", "grafana_dashboards": "/there"})
    sources = loaded(data, "grafana/provisioning/datasources/ml-exporter.yml")["datasources"]
    assert [(s["uid"], s["type"]) for s in sources] == [
        ("ml-prometheus", "prometheus"),
        ("ml-alertmanager", "alertmanager"),
    ]
    assert sources[0]["url"] == "http://prometheus:9090"
    (provider,) = loaded(data, "grafana/provisioning/dashboards/ml-exporter.yml")["providers"]
    assert provider["options"] == {"path": "/there"}
    assert provider["allowUiUpdates"] is False


def test_kubernetes_objects_hold_the_same_rules_and_dashboards() -> None:
    data = configured(services=SERVICES)
    objects = [yaml.safe_load(text) for text in render.generate(data, "kubernetes").values()]
    files = render.generate(data)
    names = [item["metadata"]["name"] for item in objects]
    assert len(set(names)) == len(names)
    for item in objects:
        assert set(item["metadata"]) - {"annotations"} == {"name", "labels"}
        if item["kind"] == "PrometheusRule":
            assert item["apiVersion"] == "monitoring.coreos.com/v1"
            area = item["metadata"]["name"].removeprefix("ml-exporter-")
            assert item["spec"] == yaml.safe_load(files[f"prometheus/rules/{area}.yml"])
        elif item["kind"] == "ConfigMap":
            assert item["metadata"]["labels"]["grafana_dashboard"] == "1"
            assert item["metadata"]["annotations"] == {"grafana_folder": "ML"}
            ((name, text),) = item["data"].items()
            assert json.loads(text) == json.loads(files[f"grafana/dashboards/{name}"])
        else:
            assert item["kind"] == "Secret"
            relabel = yaml.safe_load(item["stringData"]["alert-relabel-configs.yml"])
            prometheus = yaml.safe_load(files["prometheus/prometheus.yml"])
            assert relabel == prometheus["alerting"]["alert_relabel_configs"]
    rules = [name for name in files if name.startswith("prometheus/rules/")]
    assert [item["kind"] for item in objects].count("PrometheusRule") == len(rules)


def test_dashboards_fit_into_a_config_map_and_into_the_annotation_that_kubectl_apply_puts_on_it() -> None:
    many = tuple({**SERVICES[0], "name": f"service-{number}"} for number in range(500))
    for name, text in render.generate(configured(services=many), "kubernetes").items():
        assert len(text) < (250_000 if "dashboard-" in name else 1_000_000), name
