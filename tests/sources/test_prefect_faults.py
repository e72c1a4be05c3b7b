"""Bad answers, strange values and addresses of Prefect, against a fake."""

from __future__ import annotations

import pytest
from tests.support.fake_prefect import NOW, FakePrefect, Heard, answer, source, states

from ml_exporter.errors import Malformed, Reason, Rejected
from ml_exporter.model import Pipeline
from ml_exporter.ports import Call, Reply

CRON = {"cron": "0 * * * *", "timezone": "UTC"}


# Errors


def test_an_answer_that_is_no_list_is_not_nothing_there() -> None:
    fake, src = FakePrefect(), source()
    fake.flow("etl")
    fake.run("r", "RUNNING", start=NOW - 50)
    listener = Heard().poll(src, fake, NOW)
    fake.fault = lambda call: answer(call, {"exception_message": "Internal Server Error"})
    with pytest.raises(Malformed):
        listener.poll(src, fake, NOW + 30)
    assert states(listener) == {"r": "running"}


def test_a_listing_without_end_is_refused() -> None:
    fake = FakePrefect()
    rows = [{"id": f"d{n}", "name": f"d{n}", "flow_id": "f"} for n in range(3)]
    fake.fault = lambda call: answer(call, rows) if call.path.endswith("deployments/filter") else None
    with pytest.raises(Malformed, match="brought none that is new"):
        Heard().poll(source(page_size=3), fake, NOW)


def test_ends_in_another_order_than_asked_for_are_refused() -> None:
    fake = FakePrefect()
    rows = [{"id": "a", "end_time": "2026-01-01T00:00:00Z"}, {"id": "b", "end_time": "2026-01-02T00:00:00Z"}]
    fake.fault = lambda call: answer(call, rows) if call.path.endswith("flow_runs/filter") else None
    with pytest.raises(Malformed, match="newest ends come first"):
        Heard().poll(source(), fake, NOW)


@pytest.mark.parametrize("version", ["2.20.25", "4.0.0", "nightly"])
def test_a_server_of_another_version_is_named(version: str) -> None:
    with pytest.raises(Rejected, match=f"this is Prefect '{version}'"):
        Heard().poll(source(), FakePrefect(version=version), NOW)


def test_a_server_that_guards_against_forged_requests_gets_its_token() -> None:
    fake, src, valid = FakePrefect(), source(), ["first"]

    def guard(call: Call) -> Reply | None:
        if call.path == "/api/csrf-token":
            return answer(call, {"token": valid[0], "client": call.params[0][1], "expiration": None})
        if call.method == "POST" and call.headers.get("Prefect-Csrf-Token") != valid[0]:
            return Reply(403, {}, b'{"detail":"Missing CSRF token."}')
        return None

    fake.fault = guard
    listener = Heard().poll(src, fake, NOW)
    valid[0] = "second"
    listener.poll(src, fake, NOW + 30)
    assert listener.last.caught_up
    assert fake.count()["csrf-token"] == 2


def test_any_other_403_is_a_refusal() -> None:
    fake = FakePrefect(fault=lambda call: Reply(403, {}, b'{"detail":"Forbidden"}'))
    with pytest.raises(Rejected, match="Forbidden") as caught:
        Heard().poll(source(), fake, NOW)
    assert caught.value.reason is Reason.AUTH


HOSTILE = [float("nan"), -1, 1e300, 10**400, True, {}, [], "", "yesterday", "9999-12-31T23:59:59Z", "x" * 1_000_000]


@pytest.mark.parametrize("value", HOSTILE, ids=[str(v)[:20] for v in HOSTILE])
def test_strange_values_break_nothing(value: object) -> None:
    fake = FakePrefect()
    fake.deployment("etl", "nightly", {"interval": value, "anchor_date": value}, tags=value, created=value)
    fake.deployment("etl", "other", {"rrule": value}, CRON)
    fake.tables["work_pools"].append({"id": "p", "name": "gpu", "concurrency_limit": value})
    fake.tables["work_queues"].append({"id": "q", "name": "q", "work_pool_name": "gpu", "last_polled": value})
    fake.run("r", "RUNNING", tags=value)
    for key in ("expected_start_time", "start_time", "run_count", "next_scheduled_start_time"):
        fake.tables["flow_runs"][0][key] = value
    fake.run("s", start=NOW - 50, end=NOW - 10)
    fake.tables["flow_runs"][1]["expected_start_time"] = value
    listener = Heard().poll(source(), fake, NOW)
    assert states(listener) == {"r": "running", "s": "succeeded"}
    assert listener.last.caught_up


def test_names_of_a_megabyte_are_names() -> None:
    fake = FakePrefect()
    fake.deployment("e" * 1_000_000, "n" * 1_000_000)
    assert [len(name) for name in Heard().poll(source(), fake, NOW).roster] == [2_000_001]


# Addresses


@pytest.mark.parametrize(
    ("url", "prefix", "page"),
    [
        ("http://prefect:4200", "/api", "http://prefect:4200/runs/flow-run/r"),
        ("http://prefect:4200/api", "", "http://prefect:4200/runs/flow-run/r"),
        ("https://it.example/prefect/api", "", "https://it.example/prefect/runs/flow-run/r"),
        (
            "https://api.prefect.cloud/api/accounts/A/workspaces/W",
            "",
            "https://app.prefect.cloud/account/A/workspace/W/runs/flow-run/r",
        ),
    ],
)
def test_the_address_may_be_that_of_the_server_or_of_its_api(url: str, prefix: str, page: str) -> None:
    fake, src = FakePrefect(prefix=prefix), source(url)
    assert Heard().poll(src, fake, NOW).last.caught_up
    assert all(call.path.startswith(f"{prefix}/") for call in fake.calls)
    assert ("/admin/version" in fake.calls[0].path) is ("cloud" not in url)
    assert src.run_url(Pipeline("jobs", "etl"), None, "r") == page
