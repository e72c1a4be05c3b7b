"""Objectives in the configuration: what is refused, with the key and the reason, and what Jsonnet gets to see."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.support.slos import BASE, EVERY_KIND, FRAUD, SLI, SLO, sli, slo

from ml_exporter.config import from_data, load
from ml_exporter.errors import ConfigError
from ml_exporter.render import generate
from ml_exporter.slo_report import entries
from ml_exporter.slo_settings import KINDS


def refusal(folder: Path = Path(), /, **data: Any) -> str:
    """What is said in one line, by the settings or by the Jsonnet."""
    with pytest.raises(ConfigError) as caught:
        generate(from_data(BASE | data, {}, folder))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def seen(*slos: dict[str, Any], folder: Path = Path(), **data: Any) -> list[dict[str, Any]]:
    """As Jsonnet gets them, by way of JSON."""
    config = from_data(BASE | {"slos": list(slos)} | data, {}, folder)
    entries: list[dict[str, Any]] = json.loads(json.dumps(config.for_jsonnet()["slos"]))
    return entries


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"name": None}, ".name: missing; it must be given"),
        ({"name": "fraud latency"}, ".name: found 'fraud latency'; allowed is a name of letters"),
        ({"nmae": "x"}, ".nmae: unknown key; did you mean 'name'?"),
        ({"objective": None}, ".objective: missing; it must be given"),
        ({"objective": 0}, ".objective: found 0; allowed is per cent above 0 and below 100, such as 99.5"),
        ({"objective": 100}, ".objective: found 100; allowed is per cent above 0 and below 100"),
        ({"objective": -1}, ".objective: found -1; allowed is per cent above 0 and below 100"),
        ({"objective": float("nan")}, ".objective: found nan; allowed is per cent above 0 and below 100"),
        ({"objective": "99,5"}, ".objective: found '99,5'; allowed is a number"),
        ({"objective": True}, ".objective: found True; allowed is a number"),
        ({"objective": 90}, ".objective: found 90; page_fast can never fire"),
        ({"objective": 0.995}, ".objective: found 0.995; page_fast can never fire"),
        ({"service": None}, ".service: missing; it must be given"),
        (
            {"service": "fraud-detecton"},
            ".service: found 'fraud-detecton', and no service is called so; did you mean 'fraud-detection'?",
        ),
        ({"sli": None}, ".sli: missing; it must be given"),
        ({"sli": {}}, ".sli: allowed is one of endpoint_availability, endpoint_latency"),
        ({"sli": "endpoint_availability"}, ".sli: found 'endpoint_availability'; allowed is a mapping"),
        ({"sli": SLI | {"gauge": {"expr": "up"}}}, ".sli: found endpoint_availability and gauge; allowed is one of"),
        (sli("endpoint_latancy"), ".sli.endpoint_latancy: unknown kind; did you mean 'endpoint_latency'?"),
        (sli("endpoint_availability"), ".sli.endpoint_availability.endpoint: missing"),
        (
            sli("endpoint_availability", endpoint="fraud-ue"),
            ".sli.endpoint_availability.endpoint: found 'fraud-ue', and no endpoint is called so; "
            "did you mean 'fraud-eu'?",
        ),
        (
            sli("endpoint_availability", endpoint="chrn-*"),
            ".sli.endpoint_availability.endpoint: found 'chrn-*', and no endpoint is called so",
        ),
        (
            sli("endpoint_availability", endpoint="fraud[-]eu"),  # a bracket is no wildcard in the queries
            ".sli.endpoint_availability.endpoint: found 'fraud[-]eu', and no endpoint is called so",
        ),
        (
            sli("endpoint_availability", endpoint="churn", **{"from": "nativ"}),
            ".sli.endpoint_availability.from: found 'nativ'; did you mean 'native'?",
        ),
        (
            sli("endpoint_availability", endpoint="churn", **{"from": "native"}),
            ".sli.endpoint_availability.from: native is what a server says of itself, and no endpoint that 'churn' "
            "names has server:",
        ),
        (
            sli("endpoint_availability", endpoint="churn", model="frad"),
            ".sli.endpoint_availability.model: found 'frad', and no endpoint that 'churn' names has such a model; "
            "did you mean 'fraud'?",
        ),
        (sli("endpoint_latency", endpoint="churn"), ".sli.endpoint_latency.below: missing"),
        (sli("endpoint_latency", endpoint="churn", below=250), ".sli.endpoint_latency.below: found 250; allowed is a"),
        (
            sli("endpoint_latency", endpoint="churn", below="260ms"),
            ".sli.endpoint_latency.below: found 0.26s; allowed is an edge of probes.buckets, the nearest: ",
        ),
        (
            sli("endpoint_correctness", endpoint="fraud-eu"),
            ".sli.endpoint_correctness.endpoint: no endpoint that 'fraud-eu' names has a canary",
        ),
        (sli("pipeline_success", pipeline="fraud"), ".sli.pipeline_success.pipeline: found 'fraud'; allowed is source"),
        (
            sli("pipeline_success", pipeline="trackng/fraud"),
            ".sli.pipeline_success.pipeline: found 'trackng/fraud', and no source is called 'trackng'; "
            "did you mean 'tracking'?",
        ),
        (
            sli("pipeline_freshness", pipeline="tracking/a"),
            ".sli.pipeline_freshness: allowed is one of within and late",
        ),
        (
            sli("pipeline_freshness", pipeline="tracking/a", within="1d", late="1h"),
            ".sli.pipeline_freshness: allowed is one of within and late",
        ),
        (
            sli("pipeline_duration", pipeline="tracking/a", below="61m"),
            ".sli.pipeline_duration.below: found 3660s; allowed is an edge of the buckets of ml_run_duration_seconds",
        ),
        (sli("model_quality", model="fraud"), ".sli.model_quality.within: missing"),
        (sli("model_quality", model="fraud", within=-1), ".sli.model_quality.within: found -1; allowed are"),
        (
            sli("model_quality", model="registry/fraud", within=0.1),
            ".sli.model_quality.model: found 'registry/fraud', and no source is called 'registry'; "
            "allowed are tracking",
        ),
        (sli("ratio", bad="up"), ".sli.ratio.total: missing"),
        (sli("ratio", bad="up", total=" "), ".sli.ratio.total: found ' '; allowed is text, not nothing"),
        (sli("ratio", total="up"), ".sli.ratio: allowed is one of bad and good, beside total"),
        (sli("ratio", bad="a", good="b", total="c"), ".sli.ratio: allowed is one of bad and good, beside total"),
        (
            sli("ratio", bad="sum(rate(a[$window])", total="b"),
            ".sli.ratio.bad: ( (character 4) is not closed",
        ),
        (sli("ratio", bad="a[$window]) or (b", total="c"), ".sli.ratio.bad: ) (character 11) closes nothing"),
        (sli("ratio", good="rate(a{b='c}[$window])", total="d"), ".sli.ratio.good: ' (character 10) is not closed"),
        (
            sli("ratio", bad="a[$window]", total=r'b{code=~"5\d"}[$window]'),
            '.sli.ratio.total: " (character 9) is not closed, or there is an escape that PromQL has not',
        ),
        (sli("ratio", bad="a[$window]", total="b[5m]"), ".sli.ratio.total: no [$window], so a day could not be told"),
        (sli("ratio", bad="a[$window] # [", total="b # [$window]"), ".sli.ratio.total: no [$window], so a day"),
        (sli("ratio", bad="a[$window]", total="b / $window"), ".sli.ratio.total: $ stands outside of a range; allowed"),
        (sli("ratio", bad="a[$windows]", total="b"), ".sli.ratio.bad: $ stands outside of a range; allowed is [$wi"),
        (
            sli("ratio", bad="sum by (c) (increase (a [ $window ]))", total="b"),
            ".sli.ratio.bad: increase over [$window] is events per window; allowed is per second: rate",
        ),
        (sli("ratio", bad="delta((a)[$window:])", total="b"), ".sli.ratio.bad: delta over [$window] is events per"),
        (sli("gauge", expr="avg_over_time(a[$window])"), ".sli.gauge.expr: found $; a value of each minute has no"),
        (sli("gauge", expr="(a]"), ".sli.gauge.expr: ] (character 3) closes nothing"),
        (sli("gauge", expr="`a"), ".sli.gauge.expr: ` (character 1) is not closed"),
        (sli("gauge", expr='{a="\n"}'), '.sli.gauge.expr: " (character 4) is not closed'),
        (sli("gauge", expr="# later"), ".sli.gauge.expr: nothing but a comment"),
        (sli("gauge", expr=""), ".sli.gauge.expr: found ''; allowed is text, not nothing"),
        (sli("gauge", expr=1), ".sli.gauge.expr: found 1; allowed is text"),
        (
            sli("composite", slos=["frud"]),
            ".sli.composite.slos[0]: found 'frud', and no slo is called so; there are none",
        ),
        (sli("composite", slos=["fraud"]), ".sli.composite.slos[0]: found itself; allowed are objectives of other"),
        (sli("composite"), ".sli.composite.slos: nothing to be made of; service 'fraud-detection' has no other slo"),
        (sli("composite", slos=[]), ".sli.composite.slos: nothing to be made of"),
        ({"window": "1d"}, ".window: found '1d'; allowed is a duration from 7d to 90d"),
        ({"window": "400d"}, ".window: found '400d'; allowed is a duration from 7d to 90d"),
        ({"window": "1M"}, ".window: found '1M'; allowed is a duration from 7d to 90d"),
        ({"tiers": ["page_fsat"]}, ".tiers[0]: found 'page_fsat'; allowed for endpoint_availability are page_fast"),
        ({"tiers": "page_fast"}, ".tiers: found 'page_fast'; allowed is a list"),
        ({"minimum_bad": 0}, ".minimum_bad: found 0; allowed are 1 to"),
        ({"minimum_bad": 1.5}, ".minimum_bad: found 1.5; allowed is a whole number"),
        ({"impact": "two\nlines"}, ".impact: found 'two\\nlines'; allowed is one sentence, on one line"),
        (
            {"group_by": ["modle"]},
            ".group_by[0]: found 'modle', which endpoint_availability has not; did you mean 'model'?",
        ),
        ({"group_by": ["pipeline"]}, ".group_by[0]: found 'pipeline', which endpoint_availability has not"),
        ({"group_by": ["model", "model"]}, ".group_by[1]: 'model' is given twice"),
        ({"group_by": ["a-b"], **sli("gauge", expr="up")}, ".group_by[0]: found 'a-b'; allowed is the name of a label"),
        ({"group_by": ["slo"], **sli("gauge", expr="up")}, ".group_by[0]: found 'slo', which series of objectives use"),
        ({"group_by": ["__name__"], **sli("gauge", expr="up")}, ".group_by[0]: found '__name__', which series of"),
        ({"group_by": ["model"], **sli("composite")}, ".group_by[0]: found 'model'; composite has one budget"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_its_key(keys: dict[str, Any], said: str) -> None:
    assert refusal(slos=[slo(**keys)]).startswith(f"slos[0]{said}")


def test_slos_that_are_no_list_are_refused() -> None:
    assert refusal(slos={"fraud": SLO}) == "slos: allowed is a list of slos, each with name, service, sli and objective"
    assert refusal(slos=["fraud"]).startswith("slos[0]: found 'fraud'; allowed is a section with keys name, service")


def test_an_slo_of_a_configuration_without_services_or_endpoints_says_that_there_are_none() -> None:
    assert refusal(slos=[SLO], services=[]).endswith("and no service is called so; there are none")
    assert refusal(slos=[SLO], endpoints=[]).endswith("and no endpoint is called so; there are none")


def test_a_composite_of_a_composite_is_refused() -> None:
    inner, outer = slo(name="inner", **sli("composite")), slo(name="outer", **sli("composite", slos=["inner"]))
    said = refusal(slos=[SLO, inner, outer])
    assert said.startswith("slos[2].sli.composite.slos[0]: found 'inner', which is composite, too")


def test_a_misspelt_or_doubled_component_of_a_composite_is_refused() -> None:
    assert refusal(slos=[SLO, slo(name="all", **sli("composite", slos=["frau"]))]).endswith("did you mean 'fraud'?")
    said = refusal(slos=[SLO, slo(name="all", **sli("composite", slos=["fraud", "fraud"]))])
    assert said == "slos[1].sli.composite.slos[1]: 'fraud' is given twice"


def test_two_slos_of_one_name_are_refused_in_one_list_and_across_files(tmp_path: Path) -> None:
    assert refusal(slos=[SLO, SLO]) == "slos[1].name: found 'fraud', which slos[0] has already"
    (tmp_path / "more.yaml").write_text(json.dumps([slo(name="other"), SLO]))
    said = refusal(tmp_path, slos=[SLO], slo_files=["more.yaml"])
    assert said == "slo_files[0]: more.yaml: slos[1].name: found 'fraud', which slos[0] has already"


def test_a_tier_for_which_probes_come_too_seldom_is_refused() -> None:
    hourly = [FRAUD | {"interval": "1h"}]
    said = refusal(slos=[SLO], endpoints=hourly)
    assert said.startswith(
        "slos[0].tiers: page_fast can never fire, for it needs 5 bad probes within 1h, and there is one"
    )
    assert seen(slo(minimum_bad=1), endpoints=hourly)
    assert generate(from_data(BASE | {"slos": [slo(minimum_bad=1)], "endpoints": hourly}))


def test_scrapes_that_are_too_seldom_for_objectives_are_refused() -> None:
    said = refusal(slos=[SLO], stack={"scrape_interval": "5m"})
    assert said == "stack.scrape_interval: found 5m; objectives count over 5m and so need at most 2m30s"


def test_an_edit_of_a_file_of_objectives_is_another_configuration(tmp_path: Path) -> None:
    hashes = set()
    for objective in (99, 99.5):
        (tmp_path / "more.yaml").write_text(json.dumps([slo(objective=objective)]))
        hashes |= {from_data({**BASE, "slo_files": ["more.yaml"]}, folder=tmp_path).hash for _ in range(2)}
    assert len(hashes) == 2


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "slo_files[0]: {folder}/slos.yaml: cannot be read: No such file or directory"),
        ("", "slo_files[0]: slos.yaml: empty; allowed is a list of slos, or OpenSLO documents"),
        ("# nothing yet\n---\n", "slo_files[0]: slos.yaml: empty; allowed is a list of slos"),
        ("[]", "slo_files[0]: slos.yaml: slos: empty; allowed is a list of slos"),
        ("- name: [", "slo_files[0]: {folder}/slos.yaml: not YAML: line 1, column 10: "),
        (
            "slos: []",
            "slo_files[0]: slos.yaml: document 1: allowed is a document of OpenSLO, with apiVersion: openslo/",
        ),
        ("fraud", "slo_files[0]: slos.yaml: document 1: allowed is a document of OpenSLO"),
        ("[{name: fraud}]", "slo_files[0]: slos.yaml: slos[0].service: missing"),
        (json.dumps([slo(objective=100)]), "slo_files[0]: slos.yaml: slos[0].objective: found 100; allowed is"),
        (json.dumps([slo(objective=90)]), "slo_files[0]: slos.yaml: slos[0].objective: found 90; page_fast can never"),
        (json.dumps([slo(service="x")]), "slo_files[0]: slos.yaml: slos[0].service: found 'x', and no service is"),
    ],
)
def test_a_file_of_slos_is_refused_by_its_key_and_its_name(tmp_path: Path, content: str | None, said: str) -> None:
    if content is not None:
        (tmp_path / "slos.yaml").write_text(content)
    assert refusal(tmp_path, slo_files=["slos.yaml"]).startswith(said.format(folder=tmp_path))


def test_a_file_is_looked_for_beside_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "slos").mkdir()
    (tmp_path / "slos/fraud.yaml").write_text(json.dumps([SLO]))
    (tmp_path / "ml-exporter.yaml").write_text(json.dumps(BASE | {"slo_files": ["slos/fraud.yaml"]}))
    (found,) = load(tmp_path / "ml-exporter.yaml").slos
    assert (found.common.name, found.path) == ("fraud", "slo_files[0]: slos/fraud.yaml: slos[0]")


def test_jsonnet_sees_seconds_per_cent_and_the_defaults() -> None:
    (found,) = seen(slo(**sli("endpoint_latency", endpoint="churn", below="250ms")))
    assert found == {
        "path": "slos[0]",
        "name": "fraud",
        "ml_service": "fraud-detection",
        "kind": "endpoint_latency",
        "options": {"endpoint": "churn", "model": None, "below": 0.25, "from_": "probe"},
        "objective": 99.0,
        "window": 30 * 86400.0,
        "group_by": [],
        "tiers": None,
        "minimum_bad": None,
        "impact": None,
    }


def test_a_configuration_may_have_an_slo_of_every_kind_and_rules_come_of_it() -> None:
    assert EVERY_KIND.keys() == KINDS.keys()
    slos = [slo(name=f"fraud-{kind}", **sli(kind, **options)) for kind, options in EVERY_KIND.items()]
    assert [entry["kind"] for entry in seen(*slos)] == list(KINDS)
    assert generate(from_data(BASE | {"slos": slos}))


def test_a_composite_without_names_is_made_of_all_others_of_its_service() -> None:
    services = [*BASE["services"], {"name": "churn", "owner": "growth"}]
    whole, foreign = slo(name="whole", **sli("composite")), slo(name="foreign", service="churn")
    found = seen(SLO, whole, foreign, slo(name="other"), services=services)
    assert found[1]["options"] == {"slos": ["fraud", "other"]}


def test_a_composite_may_name_objectives_of_other_services() -> None:
    services = [*BASE["services"], {"name": "churn", "owner": "growth"}]
    found = seen(SLO, slo(name="whole", service="churn", **sli("composite", slos=["fraud"])), services=services)
    assert found[1]["options"] == {"slos": ["fraud"]}


def test_models_that_a_server_lists_are_not_known_before() -> None:
    listed = FRAUD | {"name": "listed", "model": None, "discover": True}
    endpoints = [{key: value for key, value in listed.items() if value is not None}]
    assert seen(slo(**sli("endpoint_availability", endpoint="listed", model="eu-*")), endpoints=endpoints)


def test_free_expressions_may_be_grouped_by_any_label() -> None:
    assert seen(slo(group_by=["region"], **sli("gauge", expr="up")))[0]["group_by"] == ["region"]


def test_a_configuration_without_slos_has_none() -> None:
    assert seen() == []


def test_an_objective_without_tiers_is_watched_and_wakes_nobody() -> None:
    config = from_data(BASE | {"slos": [slo(tiers=[], objective=50)]})
    assert generate(config)
    assert entries(config)[0]["tiers"] == []
