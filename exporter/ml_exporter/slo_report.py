"""What `ml-exporter slo` says of each objective: what is promised, how much may go wrong, what of it alerts whom."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from ml_exporter.render import evaluate
from ml_exporter.settings import Config
from ml_exporter.slo_words import events, percent, promise, spoken

Entry = Mapping[str, Any]
"""An objective as `alerts/slos/report.jsonnet` tells it: times in seconds but where it says minutes, ratios of 1."""


def entries(config: Config) -> list[Entry]:
    """One for each objective, in the order of the files. Raises `ConfigError` for whatever `render` refuses."""
    arguments = {"config": json.dumps(config.for_jsonnet())}
    evaluate("alerts/slos/rules.jsonnet", arguments)  # limits off the edge of a bucket are found only there
    found: list[Entry] = json.loads(evaluate("alerts/slos/report.jsonnet", arguments))
    return found


def as_json(found: list[Entry]) -> str:
    """The entries for programs."""
    return json.dumps(found, indent=2, ensure_ascii=False)


def table(found: list[Entry]) -> str:
    """The entries for people: a paragraph each."""
    return "\n\n".join("\n".join(_paragraph(entry)) for entry in found) or "slos: none"


def _paragraph(entry: Entry) -> Iterator[str]:
    kind, options = entry["kind"], entry["options"]
    each = f", each {' and '.join(entry['group_by'])} by itself" if entry["group_by"] else ""
    yield f"{entry['name']}  {entry['ml_service']}"
    yield f"  promise  {promise(kind, entry['objective'], options)}, over {spoken(entry['window'])}{each}"
    yield f"  budget   {_budget(entry)}"
    if entry["deadline"]:
        yield f"  page     {_deadline(options)}"
    if entry["outage"]:
        yield f"  page     {_outage(entry['outage'], events(kind, options))}"
    for tier in entry["tiers"]:
        yield f"  {tier['severity']:<7}  {_tier(entry, tier)}"


def _budget(entry: Entry) -> str:
    total = spoken(60 * entry["budget_minutes"])
    if entry["unit"] == "minutes":
        return f"{total} of {spoken(entry['window'])}"
    share = f"{percent(entry['budget_ratio'])} of the {events(entry['kind'], entry['options'])}"
    return share if entry["runs"] else f"{total} of total outage, or {share}"


def _deadline(options: Mapping[str, Any]) -> str:
    if options["within"] is not None:
        return f"two cycles missed: no success for twice {spoken(options['within'])}"
    return f"two cycles missed: a second run is due and {spoken(options['late'])} late, and the first never came"


def _outage(outage: Mapping[str, Any], counted: str) -> str:
    *shorter, longest = (spoken(window) for window in outage["within"])
    within = f"{', '.join(shorter)} or {longest}"
    return f"however few {counted} there are: {outage['bad']} bad and none good within {within}"


def _tier(entry: Entry, tier: Mapping[str, Any]) -> str:
    counted, least = events(entry["kind"], entry["options"]), tier["minimum_bad"]
    factor, long, short = f"{tier['factor']:.3g}×", spoken(tier["long"]), spoken(tier["short"])
    needed = f"{percent(tier['error_ratio'])} bad, at least {least} bad {counted}"
    if entry["runs"]:
        return (
            f"{factor} for {long}: {needed}, and the last of them bad, or {short} likewise, for {spoken(tier['for'])}"
        )
    # Of an outage each minute is bad, and each probe; how many events there are in it, nobody knows.
    outage = max(tier["minutes_of_outage"], least * (entry["pace"] or 0) / 60)
    return (
        f"{factor} for {long} and {short}: {needed}, i.e. {spoken(60 * outage)} of total outage + {spoken(tier['for'])}"
    )
