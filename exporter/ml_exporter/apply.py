"""`apply`: after an edit, render and let every running part read it again."""

from __future__ import annotations

import base64
import math
import re
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from http.client import HTTPResponse
from pathlib import Path

from ml_exporter import promtool, schema
from ml_exporter.errors import ConfigError
from ml_exporter.publish import publish
from ml_exporter.render import generate
from ml_exporter.settings import Config

TIMEOUT = 30.0
"""Seconds for one part to reload; Prometheus reads large rule files slowly."""
_DAY = 86400.0
_SPARE_DAYS = 5
_ALERTMANAGERS = "alertmanager/"
_HASH = {"exporter": r'ml_exporter_config_info\{hash="([^"]*)"', "prometheus": r'"hash":"([^"]*)"'}


def apply(config: Config, output: Path, say: Callable[[str], None]) -> bool:
    """Render into `output`, then reload exporter, Prometheus and Alertmanager. True if all of them did.

    Raises `RenderError` before anything running is touched. An Alertmanager whose files stay as they are is left
    alone: a reload makes it tell of its groups anew.
    """
    generated = generate(config)
    promtool.check_rules(generated)
    untouched = _unchanged(generated, output) and _read_by_alertmanager(config)
    files = publish(generated, output)
    say(f"rendered {len(files)} files into {output} (configuration {config.hash})")
    stack = config.stack
    parts = [("exporter", stack.exporter_url), ("prometheus", stack.prometheus_url)]
    if untouched:
        say(f"alertmanager: nothing new for it ({stack.alertmanager_url})")
    else:
        parts.append(("alertmanager", stack.alertmanager_url))
    reloaded = [_reload(name, url, config, say) for name, url in parts]
    in_step = [_runs(config, name, say) for name in ("exporter", "prometheus")] if all(reloaded) else [False]
    _note_retention(config, say)
    return all(in_step)


def _note_retention(config: Config, say: Callable[[str], None]) -> None:
    """Say it if Prometheus forgets before the windows of the objectives end. What it does not tell is not noted."""
    try:
        told = _read(f"{config.stack.prometheus_url}/api/v1/status/runtimeinfo", "prometheus", config)
    except OSError:
        return
    found = re.search(r'"storageRetention":"(\d+\w+)', told)
    kept = schema.seconds(found[1]) if found else None
    longest = max((slo.common.window for slo in config.slos), default=0.0)
    if kept is not None and kept < longest:
        say(
            f"note: prometheus: keeps {kept / _DAY:g} days, and an objective's window is {longest / _DAY:g}; start it "
            f"with --storage.tsdb.retention.time={math.ceil(longest / _DAY) + _SPARE_DAYS}d"
        )


def _unchanged(files: Mapping[str, bytes], output: Path) -> bool:
    """Whether Alertmanager's files are there already, all as they are to be."""
    try:
        return all((output / name).read_bytes() == files[name] for name in files if name.startswith(_ALERTMANAGERS))
    except OSError:
        return False


def _read_by_alertmanager(config: Config) -> bool:
    """Whether it took what it read last."""
    try:
        told = _read(f"{config.stack.alertmanager_url}/metrics", "alertmanager", config)
    except OSError:
        return False
    return "\nalertmanager_config_last_reload_successful 1\n" in told


def _runs(config: Config, name: str, say: Callable[[str], None]) -> bool:
    """Whether a part that reloaded really has this configuration: it may have read another file."""
    stack = config.stack
    place = {"exporter": f"{stack.exporter_url}/metrics", "prometheus": f"{stack.prometheus_url}/api/v1/rules"}[name]
    try:
        found = re.search(_HASH[name], _read(place, name, config))
    except OSError as error:
        say(f"{name}: {place} cannot be read: {error}")
        return False
    if found and found[1] == config.hash:
        return True
    other = f"configuration {found[1]}" if found else "no configuration of ml-exporter's"
    say(f"{name}: reloaded, but it has {other}, not {config.hash}: it reads another file than this one")
    return False


def _reload(name: str, url: str, config: Config, say: Callable[[str], None]) -> bool:
    request = urllib.request.Request(f"{url}/-/reload", method="POST")  # noqa: S310 — the scheme is checked by config
    try:
        with _open(request, name, config):
            say(f"{name}: reloaded ({url})")
            return True
    except urllib.error.HTTPError as error:
        text = " ".join(error.read(2000).decode("utf-8", "replace").split())
        say(f"{name}: refused with {error.code}: {text} ({url}/-/reload)")
    except OSError as error:
        why = getattr(error, "reason", error)
        say(f"{name}: not reached at {url}: {why}; is it running, and is stack.{name}_url right?")
    return False


def _read(place: str, name: str, config: Config) -> str:
    with _open(urllib.request.Request(place), name, config) as answer:  # noqa: S310 — the scheme is checked by config
        return answer.read().decode("utf-8", "replace")


def _open(request: urllib.request.Request, name: str, config: Config) -> HTTPResponse:
    context = None
    if name == "exporter":
        _authenticate(request, config)
        if config.stack.exporter_ca_file:
            context = ssl.create_default_context(cafile=config.stack.exporter_ca_file)
    answer: HTTPResponse = urllib.request.urlopen(request, timeout=TIMEOUT, context=context)  # noqa: S310 — the scheme is checked by config
    return answer


def _authenticate(request: urllib.request.Request, config: Config) -> None:
    stack = config.stack
    if not stack.exporter_username:
        return
    try:
        password = Path(stack.exporter_password_file or "").read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ConfigError(f"stack.exporter_password_file: cannot be read: {error}") from error
    token = base64.b64encode(f"{stack.exporter_username}:{password}".encode()).decode()
    request.add_header("Authorization", f"Basic {token}")
