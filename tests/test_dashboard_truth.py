"""Panels tell the truth where it is hard: what is not known, what is many, what has the name of another."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml
from tests.support.dashboards import DASHBOARDS, targets
from tests.support.grafana import fill, panels, single, variables
from tests.support.programs import program

from ml_exporter import config, render

ONE = {"service": "s", "source": "a", "pipeline": "p", "endpoint": "e", "model": "m", "slo": "o"}
NOW = 1800
"""Seconds: when the queries are asked."""
READ = {'ml:source_read:info{source="a"}': 1.0}
BAD_OF_ALL = {"bad": "sum(rate(x[$window]))", "total": "sum(rate(y[$window]))"}
POLLED = {'ml_source_last_success_timestamp_seconds{source="a"}': float(NOW)}


def asked(uid: str, title: str, letter: str = "A") -> str:
    """A panel's query, as Grafana asks it: variables are All where that can be."""
    known = variables(DASHBOARDS[uid])
    (found,) = [
        (panel, target["expr"])
        for panel, target in targets(DASHBOARDS[uid])
        if (panel["title"], target["refId"]) == (title, letter)
    ]
    panel, expr = found
    every = {name: known[name]["allValue"] for name in known if known[name].get("includeAll")}
    repeated = {panel["repeat"]: ONE[panel["repeat"]]} if "repeat" in panel else {}
    return fill(expr, ONE | every | repeated)


def says(folder: Path, expr: str, given: Mapping[str, float | str], expected: Mapping[str, float]) -> None:
    """Of these series (values: one for half an hour, or promtool's own words) that is the answer."""
    test = {
        "interval": "1m",
        "input_series": [
            {"series": name, "values": value if isinstance(value, str) else f"{value}x60"}
            for name, value in given.items()
        ],
        "promql_expr_test": [
            {
                "expr": expr,
                "eval_time": f"{NOW}s",
                "exp_samples": [{"labels": labels, "value": value} for labels, value in expected.items()],
            }
        ],
    }
    (folder / "test.yml").write_text(yaml.safe_dump({"rule_files": [], "evaluation_interval": "1m", "tests": [test]}))
    done = subprocess.run(
        [program("promtool"), "test", "rules", "test.yml"], cwd=folder, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def of(pipeline: str, more: str = "", source: str = "a") -> str:
    return f'{{source="{source}", ml_service="s", pipeline="{pipeline}"{more}}}'


# Pipelines


def test_runs_of_several_pipelines_are_added_up_and_those_of_replicas_are_not(tmp_path: Path) -> None:
    given = {
        "ml_runs_active" + of(pipeline, f', state="running", instance="{replica}"'): runs
        for replica in "xy"
        for pipeline, runs in (("p", 2.0), ("q", 3.0))
    }
    says(tmp_path, asked("ml-schedulers", "Runs active"), given, {'{source="a", state="running"}': 5})


@pytest.mark.parametrize(
    ("uid", "title", "labels"),
    [
        ("ml-schedulers", "Runs finished", '{source="a", state="failed"}'),
        ("ml-pipelines", "Runs of $service", '{ml_service="s", state="failed"}'),
    ],
)
def test_runs_that_ended_are_those_of_all_pipelines(uid: str, title: str, labels: str, tmp_path: Path) -> None:
    given = {
        "ml_runs_finished_total" + of(pipeline, f', state="failed", instance="{replica}"'): f"0+{runs}x60"
        for replica in "xy"
        for pipeline, runs in (("p", 1), ("q", 2))
    }
    expr = asked(uid, title).replace("[1m]", "[5m]")
    says(tmp_path, expr, given, {labels: 180})


NO_RUN = "unknown: no run of it has ended"
STATES = {
    "fails": ("ml_run_last_finished_timestamp_seconds", "a", 3.0, 3),
    "does well": ("ml_run_last_finished_timestamp_seconds", "a", 0.0, 0),
    NO_RUN: ("ml_runs_active", "a", 0.0, 1),
    "unknown: its source is not read": ("ml_run_last_finished_timestamp_seconds", "b", 0.0, 1),
}


@pytest.mark.parametrize("what", STATES)
def test_the_state_of_a_pipeline_is_good_only_where_that_is_known(what: str, tmp_path: Path) -> None:
    metric, source, failures, state = STATES[what]
    given = {
        **READ,
        "ml_pipeline_info" + of("p", ', stage="training"', source): 1.0,
        "ml_pipeline_consecutive_failures" + of("p", "", source): failures,
        metric + of("p", ', state="succeeded"', source): 60.0,
    }
    says(tmp_path, asked("ml-pipelines", "Pipelines", "B"), given, {of("p", "", source): state})


def test_a_pipeline_whose_history_is_not_read_yet_has_a_row(tmp_path: Path) -> None:
    given = {"ml_pipeline_info" + of("p", ', stage="training"'): 1.0}
    says(tmp_path, asked("ml-pipelines", "Pipelines", "B"), given, {of("p"): 1})


LATE = {
    "no success for longer than its cycle allows": ({"cycle": 60.0}, {"succeeded": 600.0}, 1080),
    "never a success, known for longer than its cycle allows": ({"cycle": 60.0}, {}, 1620),
    "a success in time": ({"cycle": 900.0}, {"succeeded": 600.0}, 0),
    "nothing wants it": ({}, {"succeeded": 600.0}, None),
    "paused": ({"cycle": 60.0, "paused": 1.0}, {"succeeded": 600.0}, None),
    "its timetable wanted it": ({"unmet_due_timestamp": 900.0, "last_due_timestamp": 1200.0}, {}, 900),
    "its timetable is met": ({"last_due_timestamp": 1200.0}, {"succeeded": 1300.0}, 0),
}


@pytest.mark.parametrize("what", LATE)
def test_late_is_by_the_timetable_or_by_every(what: str, tmp_path: Path) -> None:
    expected, finished, late = LATE[what]
    names = {name: f"ml_pipeline_{name}" + ("" if name == "paused" else "_seconds") for name in expected}
    given = {
        **POLLED,
        "ml_pipeline_consecutive_failures" + of("p"): 0.0,
        "ml_pipeline_first_seen_timestamp_seconds" + of("p"): 60.0,
        **{names[name] + of("p"): value for name, value in expected.items()},
        **{
            "ml_run_last_finished_timestamp_seconds" + of("p", f', state="{state}"'): at
            for state, at in finished.items()
        },
    }
    answer = {} if late is None else {of("p"): float(late)}
    says(tmp_path, asked("ml-pipelines", "Pipelines", "D"), given, answer)


# Endpoints


def check(model: str, name: str, up: float, endpoint: str = "e") -> dict[str, float]:
    return {f'ml_endpoint_up{{ml_service="s", ml_endpoint="{endpoint}", model="{model}", check="{name}"}}': up}


def test_an_endpoint_without_a_canary_fails_too(tmp_path: Path) -> None:
    given = check("m", "predict", 1) | check("", "live", 0, "plain") | check("", "ready", 0, "plain")
    says(tmp_path, asked("ml-overview", "Endpoints failing"), given, {"{}": 1})


def test_an_endpoint_is_as_well_as_the_worst_of_its_models_and_has_a_row_without_a_canary(tmp_path: Path) -> None:
    info = {
        f'ml_endpoint_info{{ml_service="s", ml_endpoint="{name}", stage="inference", protocol="http"}}': 1.0
        for name in ("e", "plain")
    }
    given = info | check("good", "predict", 1) | check("bad", "predict", 0) | check("", "ready", 1, "plain")
    row = '{{stage="5 inference", ml_service="s", ml_endpoint="{}"}}'
    says(tmp_path, asked("ml-service", "Endpoints by stage"), given, {row.format("e"): 0, row.format("plain"): 1})


def test_an_endpoint_is_in_trouble_from_its_first_failed_probe_on(tmp_path: Path) -> None:
    labels = '{ml_service="s", ml_endpoint="e", model="m"}'
    given = {
        f"ml_endpoint_last_probe_timestamp_seconds{labels}": 900.0,
        f"ml:endpoint_failing_since:timestamp_seconds{labels}": 900.0,
        'ml_endpoint_last_probe_timestamp_seconds{ml_service="s", ml_endpoint="e", model="well"}': 900.0,
        'ml:endpoint_failing_since:timestamp_seconds{ml_service="s", ml_endpoint="e", model="well"}': 0.0,
    }
    says(tmp_path, asked("ml-overview", "Endpoints in trouble"), given, {labels: 0})


# Names


@pytest.mark.parametrize("name", ["Anna's test", "team/a.b+c (2)", "half $ price", "back\\slash"])
def test_a_pipeline_may_have_any_name(name: str, tmp_path: Path) -> None:
    (expr,) = [t["expr"] for panel, t in targets(DASHBOARDS["ml-pipeline"]) if panel["title"] == "Failures in a row"]
    written = name.replace("\\", "\\\\")
    given = {
        f'ml_pipeline_consecutive_failures{{source="a", ml_service="s", pipeline="{each}"}}': failures
        for each, failures in ((written, 3.0), ("another", 5.0))
    }
    answer = {f'{{source="a", pipeline="{written}"}}': 3.0}
    says(tmp_path, fill(expr, single("source", "a") | single("pipeline", name)), given, answer)


# Services and schedulers


@pytest.mark.parametrize(("uid", "title", "letter"), [("ml-overview", "Services", "J"), ("ml-service", "Owner", "A")])
def test_two_owners_while_a_change_is_rolled_out_are_one_line(
    uid: str, title: str, letter: str, tmp_path: Path
) -> None:
    given = {f'ml_service_info{{ml_service="s", owner="{owner}", tier="1"}}': 1.0 for owner in ("new", "old")}
    says(tmp_path, f"count({asked(uid, title, letter)})", given, {"{}": 1})


def test_a_scheduler_that_loads_everything_is_told_from_one_of_which_nothing_is_known(tmp_path: Path) -> None:
    labels = '{source="a", location="dags"}'
    expr = asked("ml-schedulers", "Definitions that do not load")
    says(tmp_path, expr, {f"ml_scheduler_load_errors{labels}": 0.0}, {labels: 0})


@pytest.mark.parametrize(("uid", "lines"), [("ml-pipeline", 1), ("ml-schedulers", 2)])
def test_how_a_run_ended_has_a_colour_only_where_all_are_of_one_thing(uid: str, lines: int) -> None:
    (panel,) = [panel for panel in panels(DASHBOARDS[uid]) if panel["title"] == "Runs finished"]
    (target,) = panel["targets"]
    assert target["legendFormat"].count("{{") == lines
    assert bool(panel["fieldConfig"]["overrides"]) == (lines == 1)


# Models and objectives


def test_models_of_one_name_in_two_sources_are_two(tmp_path: Path) -> None:
    given = {
        name.format(f'source="{source}", ml_service="s", model="m", version="1"'): value
        for source, figure in (("a", 0.9), ("b", 0.6))
        for name, value in (
            ('ml_model_metric{{{}, metric="auc", dataset="d"}}', figure),
            ('ml_model_alias_info{{{}, alias="champion"}}', 1.0),
        )
    }
    row = '{{source="{}", model="m", version="1", alias="champion", metric="auc", dataset="d"}}'
    for letter in "AB":
        answer = {row.format("a"): 0.9, row.format("b"): 0.6}
        says(tmp_path, asked("ml-models", "Quality on each data set", letter), given, answer)


def test_an_objective_of_which_nothing_is_known_has_a_row(tmp_path: Path) -> None:
    given = {
        'slo:objective:ratio{ml_service="s", slo="silent"}': 0.99,
        'slo:objective:ratio{ml_service="s", slo="o"}': 0.9,
        'slo:error_budget_remaining:ratio{ml_service="s", slo="o", model="m", slo_window="30d"}': 0.5,
    }
    rows = {'{ml_service="s", slo="silent"}': 0.99, '{ml_service="s", slo="o", model="m"}': 0.9}
    says(tmp_path, asked("ml-objectives", "Objectives", "B"), given, rows)


@pytest.mark.parametrize(
    ("uid", "title", "letter"), [("ml-objectives", "Objectives", "E"), ("ml-overview", "Services", "F")]
)
def test_objectives_over_a_short_time_burn_too(uid: str, title: str, letter: str, tmp_path: Path) -> None:
    slos = [
        {"name": f"o{days}", "service": "s", "sli": {"ratio": BAD_OF_ALL}, "objective": 99, "window": f"{days}d"}
        for days in (7, 30)
    ]
    files = render.generate(config.from_data({"services": [{"name": "s", "owner": "x"}], "slos": slos}))
    dashboard = json.loads(files[f"grafana/dashboards/{uid}.json"])
    (expr,) = [t["expr"] for panel, t in targets(dashboard) if (panel["title"], t["refId"]) == (title, letter)]
    given = {
        f'slo:burn_rate:ratio{{ml_service="s", slo="o{days}", slo_window="{days}d", window="{window}"}}': burn
        for days, window, burn in ((7, "30m", 20.0), (30, "1h", 2.0), (30, "30m", 50.0))
    }
    left = {
        f'slo:error_budget_remaining:ratio{{ml_service="s", slo="o{days}", slo_window="{days}d"}}': 0.5
        for days in (7, 30)
    }
    each = {'{ml_service="s", slo="o7"}': 20.0, '{ml_service="s", slo="o30"}': 2.0}
    answer = each if uid == "ml-objectives" else {'{ml_service="s"}': 20.0}
    says(tmp_path, fill(expr, {"service": ".*", "slo": ".*"}), given | left, answer)


def test_groups_of_an_objective_can_be_told_apart_whatever_they_are_grouped_by() -> None:
    slo = {"name": "o", "service": "s", "sli": {"ratio": BAD_OF_ALL}, "objective": 99, "group_by": ["region", "stage"]}
    files = render.generate(config.from_data({"services": [{"name": "s", "owner": "x"}], "slos": [slo]}))
    dashboard = json.loads(files["grafana/dashboards/ml-objectives.json"])
    for panel, target in targets(dashboard):
        if panel["type"] == "table":
            options = panel["transformations"][1]["options"]
            assert {"region", "stage"} <= options["indexByName"].keys() - options["excludeByName"].keys()
            assert "pipeline, region, stage)" in target["expr"]
        else:
            assert "{{region}} {{stage}}" in target["legendFormat"], panel["title"]


def test_what_is_overspent_by_much_stays_in_sight(tmp_path: Path) -> None:
    labels = '{slo="o", ml_service="s"}'
    given = {'slo:error_budget_remaining:ratio{slo="o", ml_service="s", slo_window="30d"}': -3.0}
    says(tmp_path, asked("ml-objectives", "Budget left, over time"), given, {labels: -1})
    assert [
        panel["title"] for panel in panels(DASHBOARDS["ml-objectives"]) if "min" in panel["fieldConfig"]["defaults"]
    ] == []


# What watches


def test_the_scheduler_of_a_source_that_is_not_read_is_not_alive(tmp_path: Path) -> None:
    given = {
        f'{name}{{source="{source}"{more}}}': value
        for source, beat in (("a", 300.0), ("down", 1790.0))
        for name, more, value in (
            ("ml_source_last_success_timestamp_seconds", "", float(NOW)),
            ("ml_scheduler_heartbeat_timestamp_seconds", ', component="scheduler"', beat),
        )
    }
    says(tmp_path, asked("ml-overview", "Infrastructure", "B"), READ | given, {"{}": 0})


def test_a_source_that_is_not_asked_any_more_is_unknown_though_its_last_poll_went_well(tmp_path: Path) -> None:
    up = {f'ml_source_up{{source="{source}"}}': 1.0 for source in ("a", "hangs")}
    says(tmp_path, asked("ml-overview", "Sources unknown"), up | READ, {"{}": 1})


def test_alerts_that_share_a_row_fire_since_the_first_of_them(tmp_path: Path) -> None:
    given = {}
    for dataset, since in (("old", 600.0), ("new", 1200.0)):
        labels = f'alertname="MLX", severity="page", ml_service="s", model="m", dataset="{dataset}"'
        given[f'ALERTS{{{labels}, alertstate="firing"}}'] = 1.0
        given[f"ALERTS_FOR_STATE{{{labels}}}"] = since
    row = '{alertname="MLX", severity="page", ml_service="s", model="m"}'
    says(tmp_path, asked("ml-overview", "Alerts"), given, {row: 600_000})


def test_many_tickets_do_not_hide_a_page(tmp_path: Path) -> None:
    alerts = [("page", "s", 60.0)] + [("ticket", f"s{number}", 600.0) for number in range(201)]
    given = {}
    for severity, service, since in alerts:
        labels = f'alertname="MLX", severity="{severity}", ml_service="{service}"'
        given[f'ALERTS{{{labels}, alertstate="firing"}}'] = 1.0
        given[f"ALERTS_FOR_STATE{{{labels}}}"] = since
    pages = f"count({asked('ml-overview', 'Alerts')}) by (severity) < 2"
    says(tmp_path, pages, given, {'{severity="page"}': 1})


def test_of_more_alerts_than_can_be_shown_those_that_fired_longest_are(tmp_path: Path) -> None:
    given = {
        f'ALERTS{{alertname="ML{number}", severity="page", ml_service="s", alertstate="firing"}}': values
        for number, values in enumerate(["1x60"] * 9 + ["_x29 1x30"] * 90)
    }
    long = f'count(({asked("ml-alerts", "When they fired")}) and on (alertname) ALERTS{{alertname=~"ML[0-8]"}})'
    says(tmp_path, long, given, {"{}": 9})


def marked(uid: str, every: str) -> str:
    """What marks alerts in the graphs of a page, with everything chosen, where Grafana looks so often."""
    (note,) = [each for each in DASHBOARDS[uid]["annotations"]["list"] if each["name"] == "Alerts"]
    return fill(note["expr"], dict.fromkeys(ONE, ".*") | {"__interval": every})


@pytest.mark.parametrize(("every", "began"), [("1m", (30,)), ("15m", (16, 29, 30))])
def test_an_alert_is_marked_when_it_begins_and_not_as_long_as_it_fires(
    every: str, began: tuple[int, ...], tmp_path: Path
) -> None:
    """However seldom Grafana looks: the longer the time shown, the more seldom."""
    labels = 'severity="page", ml_service="s", ml_endpoint="e", alertstate="firing"'
    given = {f'ALERTS{{alertname="ML{since}", {labels}}}': f"_x{since} 1x{60 - since}" for since in (10, 16, 29, 30)}
    answer = {f'{{alertname="ML{since}", severity="page"}}': 1.0 for since in began}
    says(tmp_path, marked("ml-endpoints", every), given, answer)


def test_an_alert_is_marked_beside_another_of_its_kind_and_not_for_another_version(tmp_path: Path) -> None:
    labels = 'alertname="MLX", severity="page", alertstate="firing", ml_service="unassigned", source="a"'
    given = {
        f'ALERTS{{{labels}, pipeline="{pipeline}", version="{version}"}}': values
        for pipeline, version, values in (
            ("fails for long", "1", "1x60"),
            ("began", "1", "_x30 1x30"),
            ("got another", "1", "1x29 _"),
            ("got another", "2", "_x30 1x30"),
        )
    }
    says(tmp_path, marked("ml-pipelines", "1m"), given, {'{alertname="MLX", severity="page"}': 1})


@pytest.mark.parametrize(("uid", "of"), [("ml-exporter", ("Exporter", "Source")), ("ml-schedulers", ("Source",))])
def test_the_alerts_of_sources_and_of_the_exporter_are_marked_where_they_lead(
    uid: str, of: tuple[str, ...], tmp_path: Path
) -> None:
    given = {
        f'ALERTS{{alertname="ML{name}", severity="page", alertstate="firing", {labels}}}': "_x30 1x30"
        for name, labels in (
            ("Exporter", 'ml_service="ml-exporter", instance="e"'),
            ("Source", 'ml_service="ml-exporter", source="a"'),
            ("Pipeline", 'ml_service="s", source="a", pipeline="p"'),
        )
    }
    says(tmp_path, marked(uid, "1m"), given, {f'{{alertname="ML{name}", severity="page"}}': 1.0 for name in of})


def test_latency_of_an_endpoint_without_a_good_probe_is_no_figure(tmp_path: Path) -> None:
    of = 'ml_service="s", ml_endpoint="e", model="m", version=""'
    given = {f'ml_endpoint_probe_duration_seconds_bucket{{{of}, le="{le}"}}': 0.0 for le in ("1", "+Inf")}
    says(tmp_path, asked("ml-endpoints", "Latency of probes"), given, {})


def test_an_empty_cell_does_not_say_what_an_empty_table_says() -> None:
    tables = [panel for dashboard in DASHBOARDS.values() for panel in panels(dashboard) if panel["type"] == "table"]
    assert len(tables) > 10
    for panel in tables:
        first = panel["fieldConfig"]["overrides"][0]
        assert first["matcher"] == {"id": "byRegexp", "options": ".*"}, panel["title"]
        assert first["properties"] == [{"id": "noValue", "value": "–"}]
