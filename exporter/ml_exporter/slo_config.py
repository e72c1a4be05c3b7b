"""The sections `slos` and `slo_files`: each objective by itself, then against whatever else is configured."""

from __future__ import annotations

import dataclasses
import fnmatch
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ml_exporter import openslo, promql, schema, yaml_file
from ml_exporter.endpoint_settings import ConfiguredEndpoint
from ml_exporter.errors import ConfigError
from ml_exporter.settings import Config
from ml_exporter.slo_settings import KINDS, RESERVED_LABELS, Composite, Gauge, PipelineFreshness, Ratio, Slo, SloConfig


def with_slos(config: Config, data: Any, folder: Path) -> Config:
    """The configuration with the objectives of `slos` and of the files that it names. Raises `ConfigError`."""
    found = list(_listed(data, "slos")) if data is not None else []
    files = [(f"slo_files[{index}]", name) for index, name in enumerate(config.slo_files)]
    configured = _with(config, found, files, folder)
    if not config.slo_files:
        return configured
    told = json.dumps([config.hash, *(slo.for_jsonnet() for slo in configured.slos)])
    return dataclasses.replace(configured, hash=hashlib.sha256(told.encode()).hexdigest()[:12])


def with_files(config: Config, files: Iterable[Path]) -> Config:
    """The configuration with the objectives of further files, as the command line names them. Raises `ConfigError`."""
    return _with(config, list(config.slos), [("--file", str(path)) for path in files], Path())


def _with(config: Config, found: list[Slo], files: Iterable[tuple[str, str]], folder: Path) -> Config:
    notes = list(config.slo_notes)
    for key, name in files:
        slos, ignored = _of_file(folder / name, f"{key}: {name}")
        found += slos
        notes += ignored
    _refuse_equal_names(found)
    checked = tuple(_checked(slo, config, found) for slo in found)
    return dataclasses.replace(config, slos=checked, slo_notes=tuple(notes))


def _of_file(path: Path, where: str) -> tuple[list[Slo], list[str]]:
    """The objectives of a file, and what of it is ignored."""
    try:
        documents = [document for document in yaml_file.read_all(path) if document is not None]
    except ConfigError as error:
        raise ConfigError(f"{where.partition(':')[0]}: {error}") from None
    if not documents:
        raise ConfigError(f"{where}: empty; allowed is a list of slos, or OpenSLO documents")
    if len(documents) == 1 and isinstance(documents[0], list):
        return list(_listed(documents[0], f"{where}: slos")), []
    read = openslo.read(documents, where)
    return [_slo(entry.data, entry.path) for entry in read.slos], read.notes


def _listed(data: Any, path: str) -> Iterator[Slo]:
    if not isinstance(data, list):
        raise ConfigError(f"{path}: allowed is a list of slos, each with name, service, sli and objective")
    if not data and path != "slos":
        raise ConfigError(f"{path}: empty; allowed is a list of slos, or OpenSLO documents")
    for index, item in enumerate(data):
        yield _slo(item, f"{path}[{index}]")


def _slo(data: Any, path: str) -> Slo:
    common = schema.parse(SloConfig, data, path)
    # Written so that not-a-number is refused, too.
    if not 0 < common.objective < 100:
        raise ConfigError(
            f"{path}.objective: found {common.objective:g}; allowed is per cent above 0 and below 100, such as 99.5"
        )
    if len(common.sli) != 1:
        given = f"found {' and '.join(common.sli)}; " if common.sli else ""
        raise ConfigError(f"{path}.sli: {given}allowed is one of {', '.join(KINDS)}")
    ((kind, given_options),) = common.sli.items()
    if kind not in KINDS:
        raise ConfigError(f"{path}.sli.{kind}: unknown kind{schema.nearest(kind, KINDS)}")
    options = _options(kind, given_options, f"{path}.sli.{kind}")
    _check_labels(common, kind, path)
    return Slo(path, common, kind, options)


def _options(kind: str, data: Any, path: str) -> Any:
    """`from` is a word of Python; the field is called `from_`."""
    if isinstance(data, Mapping):
        data = {"from_" if key == "from" else key: value for key, value in data.items()}
    try:
        options = schema.parse(KINDS[kind].options, data, path)
    except ConfigError as error:
        raise ConfigError(str(error).replace("from_", "from")) from None
    match options:
        case Ratio() if (options.bad is None) == (options.good is None):
            raise ConfigError(f"{path}: allowed is one of bad and good, beside total")
        case PipelineFreshness() if (options.within is None) == (options.late is None):
            raise ConfigError(f"{path}: allowed is one of within and late")
        case Ratio():
            for key in ("bad", "good", "total"):
                if (query := getattr(options, key)) is not None:
                    promql.check_events(query, f"{path}.{key}")
        case Gauge():
            promql.check_value(options.expr, f"{path}.expr")
    return options


def _check_labels(common: SloConfig, kind: str, path: str) -> None:
    allowed = KINDS[kind].group_by
    for index, label in enumerate(common.group_by):
        where = f"{path}.group_by[{index}]"
        if label in common.group_by[:index]:
            raise ConfigError(f"{where}: '{label}' is given twice")
        if allowed == ():
            raise ConfigError(f"{where}: found '{label}'; {kind} has one budget and no labels")
        if allowed is not None and label not in allowed:
            raise ConfigError(f"{where}: found '{label}', which {kind} has not{schema.nearest(label, allowed)}")
        if label in RESERVED_LABELS or label.startswith("__"):
            raise ConfigError(f"{where}: found '{label}', which series of objectives use for themselves")


def _refuse_equal_names(slos: Sequence[Slo]) -> None:
    seen: dict[str, Slo] = {}
    for slo in slos:
        first = seen.setdefault(slo.common.name, slo)
        if first is not slo:
            raise ConfigError(f"{slo.path}.name: found '{slo.common.name}', which {first.path} has already")


def _checked(slo: Slo, config: Config, all_slos: Sequence[Slo]) -> Slo:
    """Against what else is configured."""
    services = [service.name for service in config.services]
    if slo.common.service not in services:
        raise ConfigError(
            f"{slo.path}.service: found '{slo.common.service}', and no service is called so"
            f"{_nearest(slo.common.service, services)}"
        )
    path = f"{slo.path}.sli.{slo.kind}"
    for key, check in _CHECKS.items():
        value = getattr(slo.options, key, None)
        if value is not None:
            check(slo, config, f"{path}.{key}", value)
    if isinstance(slo.options, Composite):
        return _composed(slo, all_slos, f"{path}.slos")
    return slo


def _check_endpoint(slo: Slo, config: Config, path: str, wanted: str) -> None:
    named = _named(config, wanted)
    if not named:
        names = [endpoint.common.name for endpoint in config.endpoints]
        raise ConfigError(f"{path}: found '{wanted}', and no endpoint is called so{_nearest(wanted, names)}")
    if _is_native(slo) and not any(each.common.server for each in named):
        raise ConfigError(
            f"{slo.path}.sli.{slo.kind}.from: native is what a server says of itself, and no endpoint that '{wanted}' "
            "names has server:"
        )
    if slo.kind == "endpoint_correctness" and not any(_has_canary(each) for each in named):
        raise ConfigError(f"{path}: no endpoint that '{wanted}' names has a canary, so nothing is ever wrong")


def _named(config: Config, pattern: str) -> list[ConfiguredEndpoint]:
    return [endpoint for endpoint in config.endpoints if _like([endpoint.common.name], pattern)]


def _like(names: Iterable[str], pattern: str) -> list[str]:
    """The names that match. Wildcards are * and ?, as the queries have them: a bracket stands for itself."""
    return fnmatch.filter(names, pattern.replace("[", "[[]"))


def _is_native(slo: Slo) -> bool:
    return getattr(slo.options, "from_", None) == "native"


def _has_canary(endpoint: ConfiguredEndpoint) -> bool:
    return endpoint.canary is not None or bool(endpoint.canaries)


def _check_pipeline(slo: Slo, config: Config, path: str, wanted: str) -> None:
    sources = [source.common.name for source in config.sources]
    source = wanted.partition("/")[0]
    if not _like(sources, source):
        raise ConfigError(f"{path}: found '{wanted}', and no source is called '{source}'{_nearest(source, sources)}")


def _check_model(slo: Slo, config: Config, path: str, wanted: str) -> None:
    if slo.kind == "model_quality":
        # Of a registry: source/name, or a bare name of any.
        if "/" in wanted:
            _check_pipeline(slo, config, path, wanted)
        return
    named = _named(config, slo.options.endpoint)
    if _is_native(slo) or any(each.common.discover for each in named):
        return  # which models there are the server says
    models = [each.common.model or "" for each in named]
    if not _like(models, wanted):
        raise ConfigError(
            f"{path}: found '{wanted}', and no endpoint that '{slo.options.endpoint}' names has such a model"
            f"{_nearest(wanted, models)}"
        )


_CHECKS: Mapping[str, Callable[[Slo, Config, str, str], None]] = {
    "endpoint": _check_endpoint,
    "pipeline": _check_pipeline,
    "model": _check_model,
}


def _composed(slo: Slo, all_slos: Sequence[Slo], path: str) -> Slo:
    """With the names of what it is made of."""
    composites = [each.common.name for each in all_slos if each.kind == "composite"]
    names = [each.common.name for each in all_slos if each.kind != "composite"]
    wanted = slo.options.slos
    for index, name in enumerate(wanted or ()):
        if name in composites:
            itself = "itself" if name == slo.common.name else f"'{name}', which is composite, too"
            raise ConfigError(f"{path}[{index}]: found {itself}; allowed are objectives of other kinds")
        if name not in names:
            raise ConfigError(f"{path}[{index}]: found '{name}', and no slo is called so{_nearest(name, names)}")
        if name in wanted[:index]:
            raise ConfigError(f"{path}[{index}]: '{name}' is given twice")
    if wanted is None:
        wanted = tuple(
            each.common.name
            for each in all_slos
            if each.kind != "composite" and each.common.service == slo.common.service
        )
    if not wanted:
        raise ConfigError(f"{path}: nothing to be made of; service '{slo.common.service}' has no other slo")
    return dataclasses.replace(slo, options=dataclasses.replace(slo.options, slos=wanted))


def _nearest(word: str, names: Sequence[str]) -> str:
    return schema.nearest(word, names) if names else "; there are none"
