"""Imports run one way: a module imports only from the layers below its own. This table is the architecture."""

from __future__ import annotations

import ast
from pathlib import Path

import ml_exporter

ROOT = Path(ml_exporter.__file__).parent

LAYERS: tuple[tuple[str, ...], ...] = (
    ("errors", "garbage"),
    ("model",),
    ("catalog",),
    ("decoding", "openslo_queries", "patterns", "ports", "promql", "schema", "states", "targets", "yaml_file"),
    ("endpoint_states", "expectations", "model_states", "openslo", "reading", "routing_settings", "slo_settings"),
    ("alerting_settings", "canaries", "endpoint_settings", "ledger", "lines", "plain_json", "probe_page", "samples"),
    ("settings", "slo_words", "timetable"),
    ("watching",),
    ("dashboard_docs", "sources", "probes", "reference", "runbooks"),
    ("backend_config", "http", "exposition", "discovery", "store", "promtool", "publish"),
    ("endpoint_config", "places", "probed", "routing_config", "slo_config"),
    ("probe_pages",),
    ("config", "logs"),
    ("poller", "probe_debug", "prober", "prometheus", "web", "render"),
    ("backend_pages", "digest", "endpoint_check", "endpoint_views", "on_demand", "slo_report"),
    ("app", "apply"),
    ("check",),
    ("gameday",),
    ("__main__",),
)
"""Lowest first. A name is a module or a package; modules of one layer do not import each other."""

DEMO = "demo"
"""Starts programs; nothing imports it but the command line and game days, and it imports only errors."""


def part(module: str) -> str:
    return module.split(".")[0]


def imports(path: Path) -> set[str]:
    """Modules of ours that a file imports, such as `sources.mlflow`."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names = (
                [f"{node.module}.{alias.name}" for alias in node.names]
                if node.module == "ml_exporter"
                else [node.module]
            )
        found |= {name.removeprefix("ml_exporter.") for name in names if name.startswith("ml_exporter.")}
    return found - {"__version__"}


def modules() -> dict[str, Path]:
    return {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
        for path in ROOT.rglob("*.py")
        if path != ROOT / "__init__.py" and "mixin" not in path.parts
    }


def test_every_module_has_a_layer() -> None:
    known = {name for layer in LAYERS for name in layer} | {DEMO}
    assert {part(module) for module in modules()} == known


def test_imports_run_downwards_only() -> None:
    height = {name: number for number, layer in enumerate(LAYERS) for name in layer} | {DEMO: len(LAYERS) - 3}
    wrong = [
        f"{module} imports {imported}"
        for module, path in modules().items()
        for imported in imports(path)
        if part(imported) != part(module) and height[part(imported)] >= height[part(module)]
    ]
    assert not wrong


def test_the_demo_stands_apart() -> None:
    outside = {part(i) for module, path in modules().items() if part(module) == DEMO for i in imports(path)}
    assert outside <= {DEMO, "errors"}


def test_only_the_exposition_imports_prometheus_client() -> None:
    users = {module for module, path in modules().items() if "prometheus_client" in path.read_text()}
    assert users == {"exposition"}


def test_sources_and_probes_do_no_io() -> None:
    forbidden = {"aiohttp", "requests", "socket", "sqlite3", "urllib.request", "http.client", "asyncio"}
    for module, path in modules().items():
        if part(module) in ("sources", "probes", "ledger", "states", "endpoint_states", "samples", "model"):
            tree = ast.parse(path.read_text())
            used = {a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
            used |= {n.module or "" for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
            assert not used & forbidden, module
