"""What /probe shows of one probe: its families, and a result → samples. Pure.

They are apart from the catalogue's: each page of /probe has them, and /metrics never.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ml_exporter.catalog import Family
from ml_exporter.model import Check, Outcome, Sample
from ml_exporter.ports import Result


def _gauge(name: str, text: str, *labels: str) -> Family:
    return Family(name, "gauge", labels, text)


PROBE_FAMILIES: dict[str, Family] = {
    family.name: family
    for family in (
        _gauge("ml_probe_success", "1 if the outcome is ok."),
        _gauge("ml_probe_duration_seconds", "Duration of the whole probe, all its checks."),
        _gauge("ml_probe_check_success", "1 if the check went well, 0 if it did not or could not be made.", "check"),
        _gauge(
            "ml_probe_check_duration_seconds",
            "Duration of the check, from sending to the last byte, or until it failed; absent if it was not made.",
            "check",
        ),
        _gauge(
            "ml_probe_outcome",
            "1 for the outcome of the probe, 0 for the others: that of the canary prediction, or where there is none "
            "of the first check that failed.",
            "outcome",
        ),
        _gauge("ml_probe_http_status_code", "Status of the answer to the last check; 0 if none came."),
        _gauge(
            "ml_probe_tls_not_after_timestamp_seconds",
            "When the certificate that the target showed stops being valid.",
        ),
        _gauge(
            "ml_probe_model_info",
            "1, with the model that was asked for and the version that answered, else the one that was asked for.",
            "model",
            "version",
        ),
        _gauge("ml_probe_time_to_first_token_seconds", "From sending the canary to the first token of a stream."),
        _gauge(
            "ml_probe_inter_token_seconds",
            "Mean time from one token (or chunk of them) of the stream to the next; absent below two of them.",
        ),
        _gauge("ml_probe_output_tokens", "Tokens that were generated for the canary; absent if there were none."),
    )
}


def samples(
    result: Result, model: str, version: str, checks: Iterable[Check], not_after: float | None
) -> Iterator[Sample]:
    """The series of one probe. `checks` are those that were wanted, `version` the one that was asked for."""
    finding, made = result.finding, {step.check: step for step in result.steps}
    yield Sample("ml_probe_success", (), int(result.outcome is Outcome.OK))
    yield Sample("ml_probe_duration_seconds", (), result.seconds)
    for check in checks:
        well = check in made and made[check].outcome is Outcome.OK
        yield Sample("ml_probe_check_success", (check,), int(well))
    for check, step in made.items():
        yield Sample("ml_probe_check_duration_seconds", (check,), step.seconds)
    for outcome in Outcome:
        yield Sample("ml_probe_outcome", (outcome,), int(outcome is result.outcome))
    yield Sample("ml_probe_http_status_code", (), result.steps[-1].status or 0)
    yield Sample("ml_probe_model_info", (model, finding.version or version), 1)
    known = (
        ("ml_probe_tls_not_after_timestamp_seconds", not_after),
        ("ml_probe_time_to_first_token_seconds", finding.first_token),
        ("ml_probe_inter_token_seconds", sum(finding.gaps) / len(finding.gaps) if finding.gaps else None),
        ("ml_probe_output_tokens", finding.tokens or None),
    )
    for family, value in known:
        if value is not None:
            yield Sample(family, (), value)
