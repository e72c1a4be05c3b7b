"""Every wrong configuration is refused with the key path, what was found and what is allowed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from ml_exporter import schema
from ml_exporter.config import from_data, load, warnings
from ml_exporter.errors import ConfigError
from ml_exporter.settings import Claim, Config

MLFLOW = {"name": "tracking", "kind": "mlflow", "url": "http://mlflow:5000"}


def parsed(text: str, **environment: str) -> Config:
    return from_data(yaml.safe_load(text), environment)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[1, 2]", "found list; allowed is a mapping"),
        ("servces: []", "servces: unknown key; did you mean 'services'?"),
        ("hash: x", "hash: unknown key"),
        ("defaults: {interval: 30}", "defaults.interval: found 30; allowed is a duration from 1s to 1h"),
        ("defaults: {interval: 0s}", "defaults.interval: found '0s'; allowed is a duration from 1s to 1h"),
        ("defaults: {interval: 5 parsecs}", "defaults.interval: found '5 parsecs'; allowed is a duration"),
        ("defaults: {series_limit: 1}", "defaults.series_limit: found 1; allowed are 100 to 1e+07"),
        ("defaults: {series_limit: true}", "defaults.series_limit: found True; allowed is a whole number"),
        ("server: {listen: nowhere}", "server.listen: found 'nowhere'; allowed is host:port"),
        ("server: 7", "server: found 7; allowed is a section with keys listen, web_config"),
        ("state: 7", "state: found 7; allowed is text (put it in quotes)"),
        ("sources: {a: b}", "sources: allowed is a list"),
        ("sources: [7]", "sources[0]: allowed is a section"),
        ("sources: [{name: a}]", "sources[0].kind: missing; allowed are"),
        ("sources: [{name: a, kind: mlfow}]", "sources[0].kind: found 'mlfow'; did you mean 'mlflow'?"),
        ("sources: [{name: a, kind: mlflow}]", "sources[0].url: missing; it must be given"),
        ("sources: [{name: a b, kind: mlflow, url: 'http://x'}]", "sources[0].name: found 'a b'; allowed is a name"),
        ("sources: [{name: a, kind: mlflow, url: 'x:5000'}]", "sources[0].url: found 'x:5000'; allowed is http(s)://"),
        ("sources: [{name: a, kind: mlflow, url: 'http://u:p@x'}]", "without user"),
        (
            "sources: [{name: a, kind: mlflow, url: 'http://x', metrics: {auc: bigger}}]",
            "sources[0].metrics.auc: found 'bigger'; did you mean 'higher'?",
        ),
        (
            "sources: [{name: a, kind: mlflow, url: 'http://x', inclde: []}]",
            "sources[0].inclde: unknown key; did you mean 'include'?",
        ),
        (
            "sources: [{name: a, kind: mlflow, url: 'http://x'}, {name: a, kind: mlflow, url: 'http://y'}]",
            "sources[1].name: found 'a', which sources[0] has already",
        ),
        (
            "sources: [{name: a, kind: mlflow, url: 'http://x', token_file: t, password_file: p, username: u}]",
            "sources[0].password_file: token_file is given too",
        ),
        (
            "sources: [{name: a, kind: mlflow, url: 'http://x', password_file: p}]",
            "sources[0].username: missing; a password needs a user",
        ),
        ("sources: [{name: a, kind: mlflow, url: '${URL}'}]", "sources[0].url: ${URL} is not set in the environment"),
        ("services: [{name: fraud}]", "services[0].owner: missing"),
        ("services: [{name: fraud, owner: x, tier: 4}]", "services[0].tier: found 4; allowed are 1 to 3"),
        ("services: [{name: unassigned, owner: x}]", "services[0].name: 'unassigned' is what unclaimed"),
        ("services: [{name: a, owner: x}, {name: a, owner: x}]", "services[1].name: found 'a', which an earlier"),
        ("services: [{name: a, owner: x, stages: {trainin: []}}]", "services[0].stages.trainin: unknown key; did you"),
        (
            "services: [{name: a, owner: x, stages: {training: [{pipeline: nosource}]}}]",
            "services[0].stages.training[0].pipeline: found 'nosource'; allowed is source/name",
        ),
        ("alerting: {alertmanager: 0.33}", "alerting.alertmanager: found 0.33; allowed is text (put it in quotes)"),
        ("alerting: {page: {webhook: {}}}", "alerting.page.webhook: allowed is one of url and url_file"),
        ("stack: {exporter_username: me}", "stack.exporter_password_file: goes together with exporter_username"),
        ("sources: [{name: a, kind: mlflow, url: 'http://x', username: u, password: hunter2}]", "${NAME} from the env"),
        (
            "sources: [{name: a, kind: mlflow, url: 'http://x', metrics: [auc]}]",
            "sources[0].metrics: found ['auc']; allowed is a mapping, {key: value}",
        ),
        (
            "alerting: {page: {webhook: {url: nowhere}}}",
            "alerting.page.webhook.url: found 'nowhere'; allowed is an addr",
        ),
        (
            "alerting: {page: {pagerduty: {routing_key_file: 'https://x'}}}",
            "alerting.page.pagerduty.routing_key_file: found 'https://x'; allowed is the path of a file",
        ),
        (
            "{sources: [{name: tracking, kind: mlflow, url: 'http://x'}], services: [{name: a, owner: x, "
            "stages: {training: [{pipeline: trakcing/a}]}}]}",
            "services[0].stages.training[0].pipeline: found 'trakcing/a', and no source is called 'trakcing'; did you "
            "mean 'tracking'?",
        ),
        ("alerting: {thresholds: {failing_runs: 0}}", "alerting.thresholds.failing_runs: found 0; allowed are 1 to 50"),
    ],
)
def test_a_wrong_configuration_says_where_what_and_what_is_allowed(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as refused:
        parsed(text)
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


def test_an_empty_file_is_a_configuration() -> None:
    assert parsed("").defaults.interval == 30.0


def test_a_source_takes_defaults_that_it_does_not_set() -> None:
    config = from_data(
        {"defaults": {"interval": "10s"}, "sources": [MLFLOW, {**MLFLOW, "name": "b", "interval": "1m"}]}
    )
    assert [source.interval for source in config.sources] == [10.0, 60.0]
    assert [source.timeout for source in config.sources] == [10.0, 10.0]


def test_secrets_from_the_environment_reach_the_source_but_neither_hash_nor_jsonnet_nor_repr() -> None:
    text = "sources: [{name: a, kind: mlflow, url: 'http://x', username: u, password: '${PW}'}]"
    one, other = parsed(text, PW="hunter2"), parsed(text, PW="swordfish")
    assert one.sources[0].common.password == "hunter2"
    assert one.hash == other.hash
    assert "hunter2" not in repr(one)
    assert "hunter2" not in repr(one.for_jsonnet())


def test_the_hash_follows_the_meaning_not_the_layout() -> None:
    assert parsed("state: a").hash == parsed("# comment\nstate:   'a'").hash
    assert parsed("state: a").hash != parsed("state: b").hash


SERVICES: dict[str, Any] = {
    "services": [
        {
            "name": "fraud",
            "owner": "risk",
            "stages": {"training": [{"pipeline": "tracking/fraud-[ab]*", "every": "1d"}]},
            "models": ["fraud-*"],
        },
        {"name": "rest", "owner": "platform", "stages": {"training": [{"pipeline": "*/*"}]}, "models": ["tracking/x"]},
    ]
}


def test_the_first_service_that_claims_a_pipeline_has_it() -> None:
    config = from_data(SERVICES)
    assert config.service_of_pipeline("tracking", "fraud-a1") == Claim("fraud", "training", 86400.0)
    assert config.service_of_pipeline("tracking", "team/x") == Claim("rest", "training")
    assert from_data({}).service_of_pipeline("tracking", "x") == Claim("unassigned")


def test_what_a_stage_says_of_a_pipeline_goes_with_it() -> None:
    stages = {"training": [{"pipeline": "tracking/fraud-*", "every": "1d", "cost_per_hour": 2.5}]}
    config = from_data({"services": [{"name": "fraud", "owner": "risk", "stages": stages}]})
    assert config.service_of_pipeline("tracking", "fraud-a1") == Claim("fraud", "training", 86400.0, 2.5)


def test_a_tag_that_is_the_name_of_a_service_decides_before_the_patterns() -> None:
    config = from_data(SERVICES)
    assert config.service_of_pipeline("tracking", "team/x", ("daily", "fraud")) == Claim("fraud")
    assert config.service_of_pipeline("tracking", "fraud-a1", ("fraud",)) == Claim("fraud", "training", 86400.0)
    assert config.service_of_pipeline("tracking", "fraud-a1", ("rest",)) == Claim("rest", "training")
    stranger = config.service_of_pipeline("tracking", "fraud-a1", ("no such service",))
    assert stranger == Claim("fraud", "training", 86400.0)


def test_a_user_goes_with_a_token_only_where_the_backend_wants_both() -> None:
    source = {"name": "a", "url": "http://x", "username": "u", "token_file": "t"}
    assert from_data({"sources": [{**source, "kind": "slurm"}]}).sources[0].common.username == "u"
    with pytest.raises(ConfigError, match="username is given too"):
        from_data({"sources": [{**source, "kind": "ray"}]})


def test_models_are_claimed_by_name_or_by_source_and_name() -> None:
    config = from_data(SERVICES)
    assert config.service_of_model("any", "fraud-1") == "fraud"
    assert config.service_of_model("tracking", "x") == "rest"
    assert config.service_of_model("other", "x") == "unassigned"


def test_relative_paths_are_taken_from_the_folder_of_the_file(tmp_path: Path) -> None:
    file = tmp_path / "ml-exporter.yaml"
    file.write_text(yaml.safe_dump({"state": "s.db", "sources": [{**MLFLOW, "token_file": "token"}]}))
    config = load(file)
    assert config.state == str(tmp_path / "s.db")
    assert config.sources[0].common.token_file == str(tmp_path / "token")


def test_the_file_is_named_in_every_error(tmp_path: Path) -> None:
    file = tmp_path / "bad.yaml"
    with pytest.raises(ConfigError, match=r"bad\.yaml: cannot be read"):
        load(file)
    file.write_text("a: [")
    with pytest.raises(ConfigError, match=r"bad\.yaml: not YAML: .*line 1"):
        load(file)
    file.write_text("stat: x")
    with pytest.raises(ConfigError, match=r"bad\.yaml: stat: unknown key; did you mean 'state'"):
        load(file)


@pytest.mark.parametrize(
    ("text", "value"), [("30s", 30.0), ("1h30m", 5400.0), ("250ms", 0.25), ("1.5d", 129600.0), ("x", None), ("3", None)]
)
def test_durations(text: str, value: float | None) -> None:
    assert schema.seconds(text) == value


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("state: a\nstate: b", "line 2, column 1: the key 'state' is given twice, first in line 1"),
        (
            "server:\n\tlisten: x",
            "line 2, column 1: found character '\\t' that cannot start any token; indent with spaces",
        ),
        ("alerting: {ticket: {slack: {channel: #ml, api_url_file: x}}}\n", "a text that begins with # needs quotes"),
        ("a: b: c", "line 1, column 5: mapping values are not allowed here"),
    ],
)
def test_a_file_that_is_not_yaml_says_the_line_and_the_mend(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError) as refused:
        load(file)
    assert message in str(refused.value)


@pytest.mark.parametrize(
    "text",
    [
        "sources: [{name: a, kind: mlflow, url: 'http://me:hunter2@x'}]",
        "sources: [{name: a, kind: mlflow, url: 'http://x', password: [hunter2]}]",
        "sources: [{name: a, kind: mlflow, url: 'http://x', headers: {Authorization: [hunter2]}}]",
        "sources: [{name: a, kind: mlflow, url: 'http://x', username: u, password: hunter2}]",
    ],
)
def test_a_refusal_repeats_no_secret(text: str) -> None:
    with pytest.raises(ConfigError) as refused:
        parsed(text)
    assert "hunter2" not in str(refused.value)


def test_what_is_probably_not_meant_is_said() -> None:
    found = warnings(parsed("alerting: {page: {webhook: {url: 'http://x'}}}"))
    assert "sources and endpoints: none, so there is nothing to watch" in found
    assert "alerting.ticket: no receiver, so such alerts reach nobody" in found
    assert not [text for text in found if "alerting.page" in text]


def test_scrapes_and_reloads_go_where_the_exporter_listens_unless_the_stack_says_otherwise() -> None:
    stack = from_data({"server": {"listen": ":9899"}}).stack
    assert (stack.exporter_targets, stack.exporter_url) == (("127.0.0.1:9899",), "http://127.0.0.1:9899")
    stack = from_data({"server": {"listen": "10.0.0.5:9899"}, "stack": {"exporter_url": "https://exporter"}}).stack
    assert (stack.exporter_targets, stack.exporter_url) == (("10.0.0.5:9899",), "https://exporter")
    assert stack.exporter_browser_url == "https://exporter"
    stack = from_data({"stack": {"exporter_url": "https://exporter", "exporter_browser_url": "https://outside"}}).stack
    assert (stack.exporter_url, stack.exporter_browser_url) == ("https://exporter", "https://outside")


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (
            {"kind": "kubernetes", "watch": "20s"},
            r"sources\[0\].watch: found 20s; allowed is less than .* 10s",
        ),
        ({"kind": "argo", "time_zone": "Berlin"}, r"sources\[0\].time_zone: found 'Berlin'; .* Europe/Berlin"),
        ({"kind": "kubeflow", "time_zone": "Berlin"}, r"sources\[0\].time_zone: found 'Berlin'; .* Europe/Berlin"),
        ({"kind": "slurm", "strip": ["["]}, r"sources\[0\].strip\[0\]: found '\['; allowed is a regular expression"),
        ({"kind": "ray", "suffix": "("}, r"sources\[0\].suffix: found '\('; allowed is a regular expression"),
        ({"kind": "airflow", "username": "viewer"}, r"sources\[0\].password_file: missing; a user needs a password"),
    ],
)
def test_options_that_cannot_be_are_refused_at_the_start(source: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        from_data({"sources": [{"name": "a", "url": "http://x", **source}]})
