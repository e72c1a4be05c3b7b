"""Rule files of other generators, from where the user put them, multiplied to as many objectives as ours."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from bench import slo_history
from bench.slo_history import Own


@dataclass(frozen=True)
class Contender:
    """Rule groups, and what to ask about the budget of the first objective.

    `dated` is the series whose timestamp says how old the budget is, and `delay` the seconds that it lags behind that.
    """

    name: str
    groups: list[dict[str, Any]]
    budget: str
    dated: str
    delay: float
    own: tuple[Own, ...]


@dataclass(frozen=True)
class Peer:
    """Where a generated example is, which texts in it name the service, and what it sums over its own recordings."""

    name: str
    file: str
    source: str
    renamed: tuple[tuple[str, str], ...]
    budget: str
    dated: str
    delay: float
    own: tuple[Own, ...] = ()


_SLOTH = "https://github.com/slok/sloth, examples/_gen/getting-started.yml"
_PYRRA = (
    "https://github.com/pyrra-dev/pyrra, slo/rules_test.go, http-ratio of TestObjective_Burnrates, _IncreaseRules "
    "and _GrafanaRules, written as YAML"
)
_PYRRA_NAMES = (
    ("http_requests_total", slo_history.METRIC),
    ("thanos-receive-default", slo_history.SERVICE),
    ("monitoring-http-errors", slo_history.SERVICE + "-errors"),
)
_AVAILABILITY = f'pyrra_availability{{slo="{slo_history.service(0)}-errors"}}'
_INCREASE = f'http_requests:increase4w{{slo="{slo_history.service(0)}-errors"}}'

PEERS = (
    Peer(
        "Sloth",
        "sloth.yml",
        _SLOTH,
        (("myservice", slo_history.SERVICE),),
        f'slo:period_error_budget_remaining:ratio{{sloth_service="{slo_history.service(0)}"}}',
        f'slo:sli_error:ratio_rate30d{{sloth_service="{slo_history.service(0)}"}}',
        0.0,
        (Own("slo:sli_error:ratio_rate5m", 60, slo_history.error_ratio),),
    ),
    # Its availability is recorded in a group of its own, every 30 s.
    Peer("Pyrra", "pyrra.yml", _PYRRA, _PYRRA_NAMES, _AVAILABILITY, _INCREASE, 30.0),
    Peer(
        "Pyrra, performance mode",
        "pyrra-performance.yml",
        _PYRRA + ", its increases from http-ratio-less-accuracy",
        _PYRRA_NAMES,
        _AVAILABILITY,
        _INCREASE,
        30.0,
        (
            Own("http_requests:increase5m", 150, slo_history.good_in_5m, 'code="200"'),
            Own("http_requests:increase5m", 150, slo_history.bad_in_5m, 'code="500"'),
        ),
    ),
)


def found(folder: Path, slos: int) -> list[Contender]:
    """Whose files are in the folder; prints whose are not, and where to get them."""
    contenders = []
    for peer in PEERS:
        path = folder / peer.file
        if path.exists():
            groups = _multiplied(path.read_text(), peer, slos)
            contenders.append(Contender(peer.name, groups, peer.budget, peer.dated, peer.delay, peer.own))
        else:
            print(f"{peer.name}: left out, for {path} is not there. Get it from {peer.source}")
    return contenders


def _multiplied(text: str, peer: Peer, slos: int) -> list[dict[str, Any]]:
    """The groups of one objective for each service, all of it as generated but for the names."""
    groups = []
    for number in range(slos):
        renamed = text
        for theirs, ours in peer.renamed:
            renamed = renamed.replace(theirs, ours.replace(slo_history.SERVICE, slo_history.service(number)))
        groups += yaml.load(renamed, yaml.CSafeLoader)["groups"]
    return groups
