"""Evaluates the Jsonnet with the configuration as data and writes what Prometheus, Alertmanager and Grafana read."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Literal, get_type_hints

import _gojsonnet
import yaml

from ml_exporter import dashboard_docs, reference
from ml_exporter.alerting_settings import Thresholds
from ml_exporter.errors import ConfigError, RenderError
from ml_exporter.publish import MARK, publish
from ml_exporter.runbooks import first_checks_json
from ml_exporter.schema import Duration
from ml_exporter.settings import Config

Format = Literal["files", "kubernetes"]

_HEADER = f"# {MARK} from ml-exporter.yaml: edit that instead.\n"


def render(config: Config, output: Path, format: Format = "files") -> list[Path]:
    """Write the generated files under `output` and return their paths, in order.

    Raises `RenderError` if the Jsonnet cannot be evaluated with this configuration or the folder not be written.
    """
    return publish(generate(config, format), output)


def generate(config: Config, format: Format = "files") -> dict[str, bytes]:
    """The generated files as relative path → content, without writing anything.

    Raises `ConfigError` for what the targeted Alertmanager does not know, `RenderError` for anything else.
    """
    arguments = {"config": json.dumps(config.for_jsonnet()), "format": json.dumps(format)}
    files = json.loads(evaluate("provisioning/files.jsonnet", arguments))
    return {name: _text(name, content).encode() for name, content in files.items()}


def evaluate(path: str, arguments: dict[str, str] | None = None) -> str:
    """The JSON of a Jsonnet file of the mixin, called with `arguments` (name → code). Raises `RenderError`."""
    root = mixin_root()
    try:
        result: str = _gojsonnet.evaluate_file(str(root / path), jpathdir=[str(root)], tla_codes=arguments or {})
    except RuntimeError as error:
        explained = _explain(str(error), root)
        if re.match(r"(--file|alerting|services|stack|endpoints|slos|slo_files)[.\[:]", explained):
            # Refused by the Jsonnet on purpose: a matter of the file, not of the place that found it.
            raise ConfigError(explained.partition(" (at ")[0]) from error
        raise RenderError(explained) from error
    return result


def mixin_root() -> Path:
    """Where the Jsonnet lies: inside an installed package, else in the checkout around it."""
    installed = Path(__file__).parent / "mixin"
    return installed if installed.is_dir() else Path(__file__).parents[2]


def defaults_json() -> str:
    """The configuration of an empty file as the Jsonnet reads it: alerts/lib/defaults.json."""
    return _json(Config().for_jsonnet())


def alerts_markdown() -> str:
    """The page docs/alerts.md. Raises `RenderError`."""
    hints = get_type_hints(Thresholds, include_extras=True)
    durations = [name for name, hint in hints.items() if isinstance(hint.__metadata__[0], Duration)]
    arguments = {"mark": json.dumps(MARK), "durations": json.dumps(durations)}
    page: str = json.loads(evaluate("alerts/docs.jsonnet", arguments))
    return page


def dashboards_markdown() -> str:
    """The page docs/dashboards.md, of the configuration of an empty file. Raises `RenderError`."""
    files = generate(Config())
    dashboards = [json.loads(text) for name, text in files.items() if name.startswith("grafana/dashboards/")]
    return dashboard_docs.markdown(dashboards, MARK)


def _explain(error: str, root: Path) -> str:
    """One line: what is wrong and the place in the Jsonnet nearest to it."""
    message, *trace = [line.strip() for line in error.strip().splitlines()]
    places = [line.split("\t")[0] for line in trace if ".jsonnet:" in line or ".libsonnet:" in line]
    message = message.removeprefix("RUNTIME ERROR: ").replace(f"{root}/", "")
    return f"{message} (at {places[0].replace(f'{root}/', '')})" if places else message


def _text(name: str, content: Any) -> str:
    if name.endswith(".json"):
        return _json(content)
    if name.endswith(".tmpl"):
        return f"{{{{/* {_HEADER[2:-1]} */}}}}\n{content}"
    return _HEADER + yaml.dump(content, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1000)


def _json(content: Any) -> str:
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as blocks, so that a person can read a query."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def represent_text(self, text: str) -> yaml.ScalarNode:
        return self.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _Dumper.represent_text)


def _write_committed() -> None:
    root = mixin_root()
    (root / "alerts/lib/catalog.json").write_text(reference.as_json() + "\n", encoding="utf-8")
    (root / "alerts/lib/defaults.json").write_text(defaults_json(), encoding="utf-8")
    checks = first_checks_json(root / "alerts/runbooks")
    (root / "alerts/lib/first_checks.json").write_text(checks, encoding="utf-8")
    (root / "docs/alerts.md").write_text(alerts_markdown(), encoding="utf-8")
    (root / "docs/dashboards.md").write_text(dashboards_markdown(), encoding="utf-8")


if __name__ == "__main__":  # `make generate`: what is generated and yet committed
    _write_committed()
