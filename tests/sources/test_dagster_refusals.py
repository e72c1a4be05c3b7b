"""Answers of Dagster that are none, and servers of other versions: none of them reads as "nothing there". A fake."""

from __future__ import annotations

import pytest
from tests.support.fake_dagster import NOW, FakeDagster, Row, source
from tests.support.polling import Listener

from ml_exporter.errors import Malformed, Reason, Rejected, SourceError, Unreachable
from ml_exporter.ports import Call, Reply

OLD = NOW - 5000.0


def polled(fake: FakeDagster, **options: int) -> Listener:
    return Listener().poll(source(**options), fake, NOW)


# Answers that are none


def spoil(fake: FakeDagster, document: str, answer: Row | Reply) -> None:
    fake.fault = lambda call: answer if f"MlExporter{document}" in call.body["query"] else None


PYTHON_ERROR = {"__typename": "PythonError", "message": "OperationalError: database is locked\n"}


@pytest.mark.parametrize("document", ["Version", "State", "Runs"])
@pytest.mark.parametrize(
    ("answer", "error", "said"),
    [
        (
            {"errors": [{"message": "Cannot query\nfield"}], "data": None},
            Rejected,
            "refused the query: Cannot query field",
        ),
        ({"errors": [{"message": "half"}], "data": {}}, Rejected, "refused the query: half"),
        ({"data": None}, Malformed, "without data"),
        ({}, Malformed, "without data"),
        (Reply(400, {}, b'{"errors": [{"message": "Unknown argument"}]}'), Rejected, "Unknown argument"),
        (Reply(400, {}, b"No GraphQL query found in the request"), Rejected, "No GraphQL query found"),
        (Reply(400, {}, b"\xff\xfe"), Rejected, "status 400"),
        (Reply(400, {}, b"{}"), Rejected, "status 400"),
    ],
)
def test_an_answer_with_errors_or_without_data_is_a_failure(
    document: str, answer: Row | Reply, error: type[SourceError], said: str
) -> None:
    fake, src = FakeDagster(), source()
    listener = Listener().poll(src, fake, NOW)
    spoil(fake, document, answer)
    told = len(listener.batches)
    with pytest.raises(error, match=said) as raised:
        listener.poll(source(), fake, NOW + 700)
    assert "\n" not in str(raised.value)
    assert all(batch.roster is None or batch.roster for batch in listener.batches[told:])
    assert not any(batch.caught_up for batch in listener.batches[told:])


@pytest.mark.parametrize(
    ("document", "path"),
    [
        ("State", ("workspace",)),
        ("State", ("queued",)),
        ("State", ("occupied",)),
        ("Runs", ("runs",)),
    ],
)
def test_a_union_that_holds_an_error_is_a_failure(document: str, path: tuple[str]) -> None:
    fake = FakeDagster()
    good = {
        "State": {
            "workspace": {"__typename": "Workspace", "locationEntries": []},
            "instance": {"daemonHealth": {"allDaemonStatuses": []}, "runQueuingSupported": False},
            "queued": {"__typename": "Runs"},
            "occupied": {"__typename": "Runs"},
        },
        "Runs": {"runs": {"__typename": "Runs", "results": []}},
    }[document]
    spoil(fake, document, {"data": {**good, path[0]: PYTHON_ERROR}})
    with pytest.raises(Rejected, match="PythonError: OperationalError: database is locked"):
        polled(fake)
    spoil(fake, document, {"data": {**good, path[0]: {"__typename": "UnauthorizedError", "message": "no"}}})
    with pytest.raises(Rejected) as raised:
        polled(fake)
    assert raised.value.reason is Reason.AUTH


@pytest.mark.parametrize(
    ("document", "data"),
    [
        ("Runs", {"runs": {"__typename": "Runs"}}),
        ("Runs", {"runs": {"results": []}}),
        ("Runs", {}),
        ("Version", {"version": None}),
        ("Version", {"version": "1.13.0", "statuses": {"enumValues": []}}),
        ("Version", {"viewer": {"login": "octocat"}}),
        ("State", {"workspace": {"__typename": "Workspace"}}),
    ],
)
def test_half_an_answer_is_malformed(document: str, data: Row) -> None:
    fake = FakeDagster()
    spoil(fake, document, {"data": data})
    with pytest.raises(Malformed):
        polled(fake)


def test_an_error_in_the_place_of_the_run_that_a_page_follows_is_a_failure() -> None:
    fake = FakeDagster()
    for number in range(12):
        fake.add(f"r{number}", created=OLD + number, end=OLD + number + 10)
    page = {"__typename": "Runs", "results": []}
    fake.fault = lambda call: (
        {"data": {"runs": page, "anchor": PYTHON_ERROR}} if "anchor" in call.body["variables"] else None
    )
    with pytest.raises(Rejected, match="runOrError: PythonError"):
        polled(fake, page_size=5)


# Versions


@pytest.mark.parametrize("version", ["1.7.16", "0.15.8", "2.0.0", "11.0.0"])
def test_a_version_that_is_not_known_to_work_is_named(version: str) -> None:
    with pytest.raises(Rejected, match=rf"Dagster {version} found; versions from 1\.8 on, below 2\.0"):
        polled(FakeDagster(version=version))


@pytest.mark.parametrize("version", ["1.8.0", "1.13.27", "1!0+dev", "7f4c2a9-b31d"])
def test_versions_that_are_known_and_those_of_dagster_plus_are_taken(version: str) -> None:
    assert set(polled(FakeDagster(version=version)).roster) == {"lab/train"}


def test_after_a_refusal_the_server_is_asked_for_its_version_again() -> None:
    fake, src = FakeDagster(), source()
    listener = Listener().poll(src, fake, NOW)
    spoil(fake, "Runs", {"errors": [{"message": "Value 'SUSPENDED' does not exist"}]})
    with pytest.raises(Rejected, match=r"Dagster 1\.13\.27 refused"):
        listener.poll(src, fake, NOW + 30)
    fake.version, fake.fault = "1.9.0", lambda call: None
    fake.statuses = tuple(word for word in fake.statuses if word != "SUSPENDED")
    listener.poll(src, fake, NOW + 60)
    assert "SUSPENDED" not in str(fake.calls[-1].body["variables"])


def test_after_a_call_that_failed_the_server_is_asked_for_its_version_again() -> None:
    fake, src = FakeDagster(), source()
    listener = Listener().poll(src, fake, NOW)

    def unreachable(call: Call) -> Reply | None:
        raise Unreachable("status 500")

    fake.fault = unreachable
    with pytest.raises(Unreachable):
        listener.poll(src, fake, NOW + 30)
    fake.fault = lambda call: None
    fake.calls.clear()
    listener.poll(src, fake, NOW + 60)
    assert (fake.count("Version"), fake.count("State")) == (1, 0)
