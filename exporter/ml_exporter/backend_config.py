"""What sources, endpoints and modules of /probe have in common in the configuration: a kind, files and credentials."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ml_exporter import schema
from ml_exporter.errors import ConfigError
from ml_exporter.ports import Auth

_PROOFS = ("token_file", "password_file", "password")
_FILES = ("password_file", "token_file", "ca_file", "unix_socket")


def _usual(_kind: str, _options: Any) -> Auth:
    return Auth()


@dataclass(frozen=True, slots=True)
class Kinds:
    """What a section may be: `key` holds one of `names`, which brings options of its own."""

    key: str
    form: str
    """The section in words."""
    names: Callable[[], tuple[str, ...]]
    options: Callable[[str], Any]
    """The dataclass of a kind's options."""
    no_user: str
    no_proof: str
    not_together: str
    """These three say which credentials do not go together, beginning with the key that is wrong."""
    auth: Callable[[str, Any], Auth] = _usual


def parsed(kinds: Kinds, cls: Any, data: Any, path: str, folder: Path) -> tuple[Any, Any]:
    """The settings that all kinds have, as `cls`, and those of the section's own kind. Raises `ConfigError`."""
    if not isinstance(data, Mapping):
        raise ConfigError(f"{path}: allowed is {kinds.form}")
    kind = _kind(kinds, data, path)
    options_type = kinds.options(kind)
    common_names, option_names = _keys(cls), _keys(options_type)
    schema.reject_unknown_keys(data, common_names | option_names, path)
    common = schema.parse(cls, {k: v for k, v in data.items() if k in common_names}, path)
    options = schema.parse(options_type, {k: v for k, v in data.items() if k in option_names}, path)
    _check_credentials(kinds, common, kinds.auth(kind, options), path)
    common = relative(common, folder, *(name for name in _FILES if name in common_names))
    if "url" in common_names:
        common = dataclasses.replace(common, url=common.url.rstrip("/"))
    if getattr(common, "browser_url", None):
        common = dataclasses.replace(common, browser_url=common.browser_url.rstrip("/"))
    return common, options


def relative(section: Any, folder: Path, *names: str) -> Any:
    """A section whose files are taken from `folder`, as far as they are named."""
    changes = {name: str(folder / getattr(section, name)) for name in names if getattr(section, name)}
    return dataclasses.replace(section, **changes)


def _keys(cls: Any) -> set[str]:
    return {field.name for field in dataclasses.fields(cls)}


def _kind(kinds: Kinds, data: Mapping[Any, Any], path: str) -> str:
    kind, known = data.get(kinds.key), kinds.names()
    if kind is None:
        raise ConfigError(f"{path}.{kinds.key}: missing; allowed are {', '.join(known)}")
    if kind not in known:
        raise ConfigError(f"{path}.{kinds.key}: found '{kind}'{schema.nearest(str(kind), known)}")
    return str(kind)


def _check_credentials(kinds: Kinds, common: Any, auth: Auth, path: str) -> None:
    given = [name for name in _PROOFS if getattr(common, name)]
    if len(given) > 1:
        raise ConfigError(f"{path}.{given[1]}: {given[0]} is given too; allowed is one of them")
    with_token = given == ["token_file"]
    if common.username and with_token and not auth.user_header:
        raise ConfigError(f"{path}.{kinds.not_together}")
    if given and not with_token and not common.username:
        raise ConfigError(f"{path}.{kinds.no_user}")
    if common.username and not given and not auth.user_header:
        raise ConfigError(f"{path}.{kinds.no_proof}")
