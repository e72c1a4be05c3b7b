"""The documentation says what the code does."""

from __future__ import annotations

import dataclasses
import re
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from ml_exporter import discovery, reference, schema
from ml_exporter.__main__ import _parser
from ml_exporter.config import from_data
from ml_exporter.endpoint_settings import EndpointConfig
from ml_exporter.errors import Reason
from ml_exporter.model import Outcome
from ml_exporter.reading import SchedulerOptions
from ml_exporter.settings import Config, SourceConfig
from ml_exporter.slo_settings import SloConfig

ROOT = Path(__file__).parents[1]


def block(path: str, language: str) -> str:
    found = re.findall(rf"```{language}\n(.*?)```", (ROOT / path).read_text(), re.DOTALL)
    return str(max(found, key=len))


def documented() -> dict[str, Any]:
    data: dict[str, Any] = yaml.safe_load(block("docs/configuration.md", "yaml"))
    return data


def dataclasses_in(hint: Any) -> Iterator[Any]:
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        yield hint
    for inner in typing.get_args(hint):
        yield from dataclasses_in(inner)


def merged(values: list[Any]) -> dict[str, Any]:
    """All keys of sections of one type, wherever on the page they stand."""
    result: dict[str, Any] = {}
    for value in values:
        items = value if isinstance(value, list) else list(value.values()) if isinstance(value, Mapping) else [value]
        for item in [value, *items] if isinstance(value, Mapping) else items:
            if isinstance(item, Mapping):
                result |= item
    return result


def missing(cls: Any, shown: Mapping[str, Any], path: str) -> Iterator[str]:
    """Keys of a dataclass, and of those within it, that the page does not show."""
    for name, hint in typing.get_type_hints(cls, include_extras=True).items():
        key = name.rstrip("_")
        if key not in shown:
            yield f"{path}{key}"
            continue
        for inner in dataclasses_in(hint):
            yield from missing(inner, merged([shown[key]]), f"{path}{key}.")


def test_every_key_is_on_the_page_and_nothing_else() -> None:
    data = documented()
    source, endpoint, slo = data.pop("sources")[0], data.pop("endpoints")[0], data.pop("slos")[0]
    # Canaries of discovered models are canaries, modules are endpoints without a name.
    elsewhere = ("hash", "sources", "endpoints", "endpoints[].canaries.", "probes.modules.", "slos", "slo_notes")
    lacking = [key for key in missing(EndpointConfig, endpoint, "endpoints[].") if not key.startswith(elsewhere[3])]
    # The severities share their keys: the page shows each receiver once.
    routes = {k: v for name in ("page", "ticket", "info", "watchdog") for k, v in data["alerting"][name].items()}
    data["alerting"] |= dict.fromkeys(("page", "ticket", "info", "watchdog"), routes)
    data["alerting"] |= {"audit": routes, "escalation": {**routes, **data["alerting"]["escalation"]}}
    data["alerting"]["owners"] = {"risk-ml": dict.fromkeys(("page", "ticket", "info"), routes)}
    stages = data["services"][0]["stages"]
    data["services"][0]["stages"] = merged([item for items in stages.values() for item in items])
    lacking += [key for key in missing(Config, data, "") if not key.startswith(elsewhere)]
    lacking += missing(SloConfig, slo, "slos[].")
    lacking += [f"sources[].{field.name}" for field in dataclasses.fields(SourceConfig) if field.name not in source]
    assert not lacking


def test_the_page_is_a_valid_configuration_and_its_values_are_the_defaults() -> None:
    config, default = from_data(documented()), from_data({})
    assert config.alerting.thresholds == default.alerting.thresholds
    assert config.stack == default.stack
    assert config.server == default.server
    assert config.defaults == default.defaults
    assert config.alerting.live_aliases == default.alerting.live_aliases


def test_the_readme_shows_a_valid_configuration() -> None:
    assert from_data(yaml.safe_load(block("README.md", "yaml"))).services[0].owner == "risk-ml"


def test_the_metrics_page_and_the_jsonnet_catalogue_are_generated() -> None:
    assert (ROOT / "docs/metrics.md").read_text() == reference.markdown() + "\n", "run `make generate`"


def test_every_reason_of_failure_is_explained() -> None:
    page = (ROOT / "docs/operations.md").read_text()
    assert [reason for reason in Reason if f"`{reason}`" not in page] == []


def options_on(page: str) -> dict[str, str]:
    """Option → its default as it stands there, from the rows of the tables."""
    rows = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \| (.*?) \|", (ROOT / page).read_text(), re.MULTILINE)
    return {name: default for names, default in rows for name in re.findall(r"\w+", names)}


@pytest.mark.parametrize("kind", discovery.kinds())
def test_the_page_of_a_kind_has_its_options_and_their_defaults(kind: str) -> None:
    options = discovery.options_of(kind)
    scheduler = issubclass(options, SchedulerOptions)
    common = {field.name for field in dataclasses.fields(SchedulerOptions)} if scheduler else set()
    shown = options_on(f"docs/sources/{kind}.md")
    own = {field.name for field in dataclasses.fields(options)} - common
    assert own - shown.keys() == set(), "not on the page"
    for name in own:
        written = re.fullmatch(r"`(.*)`", shown[name])
        if written:
            given = schema.parse(options, {name: yaml.safe_load(written[1])}, kind)
            assert getattr(given, name) == getattr(options(), name), name
        else:
            # Nothing, or what is too long for a table and stands in the text.
            assert shown[name] == ("above" if getattr(options(), name) else "none"), f"{name}: {shown[name]}"


@pytest.mark.parametrize("kind", discovery.kinds())
def test_every_page_of_a_kind_shows_a_source_that_is_valid(kind: str) -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", (ROOT / f"docs/sources/{kind}.md").read_text(), re.DOTALL)
    shown = next(text for text in blocks if text.startswith("sources:"))
    assert [source.common.kind for source in from_data(yaml.safe_load(shown)).sources] == [kind]


def test_options_of_every_scheduler_are_on_the_page() -> None:
    shown = options_on("docs/sources.md")
    assert shown.keys() == {field.name for field in dataclasses.fields(SchedulerOptions)}
    for name, default in shown.items():
        given = schema.parse(SchedulerOptions, {name: yaml.safe_load(default.strip("`"))}, "")
        assert getattr(given, name) == getattr(SchedulerOptions(), name)


def test_every_kind_is_on_the_page_of_sources_and_in_the_configuration() -> None:
    page, configuration = (ROOT / "docs/sources.md").read_text(), (ROOT / "docs/configuration.md").read_text()
    assert [kind for kind in discovery.kinds() if f"[{kind}](sources/{kind}.md)" not in page] == []
    assert f"# {', '.join(discovery.kinds())}\n" in configuration


def test_every_link_between_pages_leads_somewhere() -> None:
    broken = []
    folders = ("docs", "docs/sources", "docs/protocols", "alerts/runbooks")
    for page in [ROOT / "README.md", *(page for folder in folders for page in (ROOT / folder).glob("*.md"))]:
        for target in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", page.read_text()):
            if "://" not in target and not (page.parent / target).exists():
                broken.append(f"{page.name}: {target}")
    assert not broken


def test_every_command_of_the_readme_exists(capsys: pytest.CaptureFixture[str]) -> None:
    readme = (ROOT / "README.md").read_text()
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"^make ([a-z-]+)", readme, re.MULTILINE):
        assert f"\n{target}:" in makefile, target
    for command in set(re.findall(r"^ml-exporter ([a-z]+)", readme, re.MULTILINE)):
        with pytest.raises(SystemExit) as ended:
            _parser().parse_args([command, "--help"])
        assert ended.value.code == 0


@pytest.mark.parametrize("protocol", discovery.protocols())
def test_the_page_of_a_protocol_has_its_options_and_an_endpoint_that_is_valid(protocol: str, tmp_path: Path) -> None:
    page = f"docs/protocols/{protocol}.md"
    options = discovery.protocol_options(protocol)
    assert {field.name for field in dataclasses.fields(options)} - options_on(page).keys() == set()
    blocks = re.findall(r"```yaml\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)
    shown = next(text for text in blocks if text.startswith("endpoints:"))
    for name in re.findall(r"\bfile: (\S+)", shown):
        (tmp_path / name).write_bytes(b"a canary")
    config = from_data(yaml.safe_load(shown), {}, tmp_path)
    assert protocol in {endpoint.common.protocol for endpoint in config.endpoints}


def test_every_protocol_is_on_the_page_of_probes_and_in_the_configuration() -> None:
    page, configuration = (ROOT / "docs/probing.md").read_text(), (ROOT / "docs/configuration.md").read_text()
    assert [name for name in discovery.protocols() if f"[{name}](protocols/{name}.md)" not in page] == []
    assert f"# {', '.join(discovery.protocols())}\n" in configuration


def test_every_outcome_of_a_probe_is_explained() -> None:
    page = (ROOT / "docs/probing.md").read_text()
    assert [outcome for outcome in Outcome if f"`{outcome}`" not in page] == []
