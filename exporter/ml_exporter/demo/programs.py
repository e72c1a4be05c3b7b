"""Where the servers are that we do not install ourselves."""

from __future__ import annotations

import importlib.util
import shutil

from ml_exporter.errors import MlExporterError

NAMES = {
    "prometheus": ("prometheus",),
    "promtool": ("promtool",),
    # Debian's first: plain `alertmanager` is upstream's.
    "alertmanager": ("prometheus-alertmanager", "alertmanager"),
    "amtool": ("amtool",),
}


class MissingError(MlExporterError):
    """A program or package is not installed; the text says how to get it."""


def find(name: str) -> str:
    """The path of a program. Raises `MissingError`."""
    for candidate in NAMES[name]:
        path = shutil.which(candidate)
        if path:
            return path
    raise MissingError(
        f"{name} is not installed. On Debian and Ubuntu: apt-get install prometheus prometheus-alertmanager; "
        "elsewhere put its released binary on the PATH (prometheus.io/download)"
    )


def require_packages(*modules: str) -> None:
    """Raises `MissingError` for a Python package that the demo needs and the exporter does not."""
    absent = [module for module in modules if importlib.util.find_spec(module) is None]
    if absent:
        raise MissingError(f"{' and '.join(absent)} not installed. Install: pip install 'ml-exporter[demo]'")
