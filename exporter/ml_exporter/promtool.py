"""Prometheus' own checker, where it is installed: with what it refuses, Prometheus would not even start."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

import yaml

from ml_exporter.errors import ConfigError, RenderError

TIMEOUT = 60.0
"""Seconds."""
_RULES = "prometheus/rules/"
_OBJECTIVES = f"{_RULES}slos.yml"
"""The only rules that hold queries of the configuration."""
_REFUSED = re.compile(r'group "ml-slos", rule (\d+), "[^"]*": (.+)')


def check_rules(files: Mapping[str, bytes]) -> None:
    """Have the rules among the generated files (relative path → content) checked, if there is a promtool.

    Raises `ConfigError` that names the objective whose query is refused, `RenderError` for anything else.
    """
    program = shutil.which("promtool")
    rules = {name: content for name, content in files.items() if name.startswith(_RULES)}
    if not program or not rules:
        return
    said = _refusal(program, rules)
    if said is None:
        return
    if query := _REFUSED.search(said):
        (group,) = yaml.safe_load(rules[_OBJECTIVES])["groups"]
        name = group["rules"][int(query[1]) - 1]["labels"]["slo"]
        raise ConfigError(f"slos: promtool refuses a query of '{name}': {query[2]}")
    raise RenderError(f"promtool refuses the rules, so Prometheus would, too: {' '.join(said.split())}")


def _refusal(program: str, rules: Mapping[str, bytes]) -> str | None:
    """What promtool says of rules that it refuses."""
    names = sorted(name.removeprefix(_RULES) for name in rules)
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            (Path(folder) / name).write_bytes(rules[_RULES + name])
        try:
            done = subprocess.run(  # noqa: S603 — a program of the PATH, with names of our own
                [program, "check", "rules", *names],
                cwd=folder,
                capture_output=True,
                text=True,
                timeout=TIMEOUT,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise RenderError(f"promtool: {error}; take it from the PATH to do without") from error
    return done.stdout + done.stderr if done.returncode != 0 else None
