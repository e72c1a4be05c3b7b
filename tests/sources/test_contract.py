"""What every kind of source keeps to. Kinds are found, not listed: one without a fixture, a page or a case is red."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.recorded import FIXTURES, Answer, Asked, Recorded, Watched, fixture

from ml_exporter import discovery
from ml_exporter.config import from_data
from ml_exporter.errors import MlExporterError, Reason

ROOT = Path(__file__).parents[2]
KINDS = discovery.kinds()
TELLING = (
    "ml_runs_finished_total",
    "ml_run_last_finished_timestamp_seconds",
    "ml_runs_active",
    "ml_pipeline_first_seen_timestamp_seconds",
    "ml_pipeline_next_due_timestamp_seconds",
    "ml_pipeline_paused",
)
"""Families that must not lose a series when a backend gives no usable answer."""

every_kind = pytest.mark.parametrize("kind", KINDS)
Watching = Callable[..., Watched]


@pytest.fixture
def watching(tmp_path: Path) -> Iterator[Watching]:
    opened: list[Watched] = []

    def watch(kind: str, backend: Recorded, **settings: Any) -> Watched:
        data = fixture(kind)
        watched = Watched(kind, backend.url, tmp_path, data["now"], {**data.get("options", {}), **settings})
        opened.append(watched.__enter__())
        return watched

    yield watch
    for watched in opened:
        watched.__exit__()


def backend_of(kind: str) -> Recorded:
    return Recorded(copy.deepcopy(fixture(kind)["exchanges"]))


def well(watched: Watched, backend: Recorded) -> dict[str, float]:
    """The series after polls that must succeed; after the second one newborn pipelines have been announced."""
    for later in (0, 30):
        error = watched.poll(later)
        assert error is None, f"{error}; unknown: {backend.unknown}"
    return watched.series(*TELLING)


@every_kind
def test_a_kind_has_a_fixture_a_page_and_every_case(kind: str) -> None:
    assert (FIXTURES / f"{kind}.json").exists(), f"tests/fixtures/sources/{kind}.json is missing"
    data = fixture(kind)
    for key in ("origin", "now", "exchanges", "idle", "refusals", "versions", "expect"):
        assert data.get(key), f"tests/fixtures/sources/{kind}.json: '{key}' is missing or empty"
    assert all("name" in refusal for refusal in data["refusals"])
    assert any(refusal.get("status", 200) == 200 for refusal in data["refusals"])
    assert any(exchange.get("page", 1) > 1 for exchange in data["exchanges"]) or data.get("unpaged"), (
        "no second page among the exchanges, and no 'unpaged' that says why"
    )
    page = ROOT / "docs" / "sources" / f"{kind}.md"
    assert page.exists(), f"docs/sources/{kind}.md is missing"
    for heading in ("What it reads", "States", "Cost", "Blind spots"):
        assert f"**{heading}" in page.read_text(), f"docs/sources/{kind}.md says nothing under '{heading}'"


@every_kind
def test_a_poll_shows_what_the_fixture_expects(kind: str, watching: Watching) -> None:
    expect = fixture(kind)["expect"]
    with backend_of(kind) as backend:
        watched = watching(kind, backend)
        well(watched, backend)
        series = watched.series()
    assert not backend.unknown
    wanted: dict[str, float] = dict(expect.get("gauges", {}))
    found = {name: series.get(name, float("nan")) for name in wanted}
    for pipeline, states in expect["pipelines"].items():
        for family, names in (
            ("ml_runs_finished_total", ("succeeded", "failed", "cancelled", "timed_out")),
            ("ml_runs_active", ("queued", "running")),
        ):
            for state in names:
                key = f'{family}{{source="it",ml_service="unassigned",pipeline="{pipeline}",state="{state}"}}'
                wanted[key] = states.get(state, 0)
                found[key] = series.get(key, float("nan"))
    for family, values in (
        ("ml_pipeline_next_due_timestamp_seconds", expect.get("due", {})),
        ("ml_pipeline_paused", expect.get("paused", {})),
    ):
        for pipeline, value in values.items():
            key = f'{family}{{source="it",ml_service="unassigned",pipeline="{pipeline}"}}'
            wanted[key], found[key] = value, series.get(key, float("nan"))
    assert found == wanted
    shown = {name for name in series if name.startswith("ml_pipeline_first_seen")}
    assert len(shown) == len(expect["pipelines"]), f"other pipelines than expected: {sorted(shown)}"


@every_kind
@pytest.mark.parametrize("restarted", [False, True], ids=["", "after a restart"])
def test_no_change_is_not_nothing_there(kind: str, restarted: bool, watching: Watching) -> None:
    data = fixture(kind)
    with backend_of(kind) as backend:
        watched = watching(kind, backend)
        before = well(watched, backend)
        if restarted:
            watched.restart()
        backend.exchanges[:0] = data["idle"]
        error = watched.poll(later=30)
        assert error is None, f"{error}; unknown: {backend.unknown}"
        after = watched.series(*TELLING)
    assert any(exchange in data["idle"] for exchange in backend.served), "no idle reply was asked for"
    assert after == before


@every_kind
def test_runs_are_counted_once_over_many_polls_and_restarts(kind: str, watching: Watching) -> None:
    with backend_of(kind) as backend:
        watched = watching(kind, backend)
        before = well(watched, backend)
        for _ in range(3):
            watched.restart()
            assert watched.poll(later=30) is None
        after = watched.series("ml_runs_finished_total")
    assert after == {name: value for name, value in before.items() if name.startswith("ml_runs_finished_total")}


def spoilt(kind: str, backend: Recorded, watched: Watched, case: str) -> str:
    """Poll a backend that gives bad answers, as a new process would; nothing may be lost. The error's text."""
    before = watched.series(*TELLING)
    watched.restart()
    error = watched.poll(later=30)
    assert error is not None, f"{kind}: {case}: the poll succeeded"
    after = watched.series(*TELLING)
    assert after == before, f"{kind}: {case}: series came or went with {error}"
    assert watched.series("ml_source_up") == {'ml_source_up{source="it"}': 0}
    assert "\n" not in str(error)
    return str(error)


@every_kind
def test_an_error_body_is_a_failure(kind: str, watching: Watching) -> None:
    data = fixture(kind)
    with backend_of(kind) as backend:
        watched = watching(kind, backend)
        well(watched, backend)
        for refusal in data["refusals"]:
            backend.exchanges.insert(0, refusal)
            spoilt(kind, backend, watched, refusal["name"])
            assert refusal in backend.served, f"{refusal['name']}: was never asked for"
            backend.exchanges.pop(0)
        watched.restart()
        assert watched.poll() is None


def broken_off(answer: Answer) -> Answer:
    status, headers, body = answer
    return status, {**headers, "Content-Length": str(len(body))}, body[: len(body) // 2]


def cut(answer: Answer) -> Answer:
    status, headers, body = answer
    return status, headers, body[: len(body) // 2]


def server_error(answer: Answer) -> Answer:
    return 500, {}, b"out of order"


@every_kind
@pytest.mark.parametrize("how", [broken_off, cut, server_error], ids=["broken off", "cut in half", "500"])
def test_half_an_answer_is_a_failure(kind: str, how: Callable[[Answer], Answer], watching: Watching) -> None:
    """Each reply in turn, pages after the first among them: half a page set loses nothing."""
    with backend_of(kind) as backend:
        watched = watching(kind, backend)
        well(watched, backend)
        asked = [exchange for exchange in backend.exchanges if exchange in backend.served]
        for number, exchange in enumerate(asked):
            if exchange.get("status", 200) != 200:
                continue
            backend.served.clear()
            backend.spoil = lambda served, answer, bad=exchange: how(answer) if served is bad else answer
            before = watched.series(*TELLING)
            watched.restart()
            error = watched.poll(later=30)
            assert watched.series(*TELLING) == before, f"reply {number}, {exchange['path']}: series came or went"
            assert (error is None) == (exchange not in backend.served), f"reply {number}, {exchange['path']}: {error}"
        assert any(exchange in backend.served for exchange in asked)


@every_kind
@pytest.mark.parametrize("how", [broken_off, cut, server_error], ids=["broken off", "cut in half", "500"])
def test_half_a_page_set_of_the_first_reading_shows_no_half_and_loses_nothing(
    kind: str, how: Callable[[Answer], Answer], watching: Watching, tmp_path: Path
) -> None:
    """As above, with a source that knows nothing yet: then every page of its history is asked for."""
    data = fixture(kind)
    with backend_of(kind) as backend:
        watched = watching(kind, backend)
        assert watched.poll() is None
        asked = [exchange for exchange in backend.exchanges if exchange in backend.served]
        whole = well(watched, backend)
        pages = [exchange for exchange in asked if exchange.get("page", 1) > 1]
        assert pages or data.get("unpaged"), "the pages of the fixture were never asked for"
        for number, exchange in enumerate(asked):
            if exchange.get("status", 200) != 200:
                continue
            (tmp_path / str(number)).mkdir()
            backend.spoil = lambda served, answer, bad=exchange: how(answer) if served is bad else answer
            with Watched(kind, backend.url, tmp_path / str(number), data["now"], data.get("options", {})) as fresh:
                error = fresh.poll()
                assert error is not None, f"reply {number}, {exchange['path']}: half of it was taken for all"
                assert fresh.series(*TELLING) == {}, f"reply {number}, {exchange['path']}: half was shown"
                backend.spoil = lambda served, answer: answer
                fresh.restart()
                again = well(fresh, backend)
            counted = {name: value for name, value in whole.items() if "first_seen" not in name}
            assert {name: value for name, value in again.items() if "first_seen" not in name} == counted


@every_kind
def test_a_login_page_is_named(kind: str, watching: Watching) -> None:
    page = (200, {"Content-Type": "text/html"}, b"<!DOCTYPE html><html><title>Sign in</title></html>")
    with backend_of(kind) as backend:
        watched = watching(kind, backend)
        well(watched, backend)
        backend.authorize = lambda asked: page
        assert "HTML page" in spoilt(kind, backend, watched, "a login page")
        backend.authorize = lambda asked: (404, {}, b"404 page not found")
        assert "is this the right address" in spoilt(kind, backend, watched, "another server")
        backend.authorize = lambda asked: (302, {"Location": "https://login.example/?next=1"}, b"")
        assert "redirect to https://login.example/" in spoilt(kind, backend, watched, "a redirect")


@every_kind
def test_a_server_of_another_version_is_named(kind: str, watching: Watching) -> None:
    data = fixture(kind)
    with backend_of(kind) as backend:
        watched = watching(kind, backend)
        well(watched, backend)
        for case in data["versions"]:
            backend.exchanges.insert(0, case)
            error = spoilt(kind, backend, watched, f"version {case['says']}")
            assert case["says"] in error
            backend.exchanges.pop(0)


def credentials(kind: str, folder: Path) -> tuple[dict[str, Any], Path, str]:
    """Settings that prove who we are, the file with the secret, and the header that it is sent in."""
    auth = discovery.auth_of(kind, discovery.options_of(kind)())
    secret = folder / "secret"
    secret.write_text("first")
    settings: dict[str, Any] = {"token_file": str(secret)}
    if auth.login:
        settings = {"username": "viewer", "password_file": str(secret)}
    elif auth.user_header:
        settings["username"] = "viewer"
    return settings, secret, (auth.token_header or "Authorization").lower()


@every_kind
def test_an_expired_token_is_renewed_once_and_then_it_is_auth(kind: str, watching: Watching, tmp_path: Path) -> None:
    settings, secret, header = credentials(kind, tmp_path)
    login = discovery.auth_of(kind, discovery.options_of(kind)()).login
    valid, logins = ["first"], []

    def authorize(asked: Asked) -> Answer | None:
        if login and asked.path == login.path:
            logins.append(json.loads(asked.body))
            return 201, {"Content-Type": "application/json"}, json.dumps({login.field: f"t{len(logins)}"}).encode()
        given = asked.headers.get(header, "").removeprefix("Bearer ")
        if login:
            valid[0] = f"t{expected}" if (expected := len(renewals) + 1) else ""
        if given == valid[0]:
            return None
        if login is None:
            secret.write_text(valid[0])  # whoever rotates tokens puts the new one there
        return 401, {}, b'{"detail": "token expired"}'

    renewals: list[int] = []
    with backend_of(kind) as backend:
        backend.authorize = authorize
        watched = watching(kind, backend, **settings)
        before = well(watched, backend)
        # It expires: the new one is there to be had.
        renewals.append(1)
        valid[0] = "second"
        assert watched.poll(later=30) is None
        assert len(logins) == (2 if login else 0)
        # It expires for good.
        backend.authorize = lambda asked: (
            authorize(asked) if login and asked.path == login.path else (401, {}, b'{"detail": "no"}')
        )
        asked_before = len(backend.asked)
        error = watched.poll(later=30)
        assert getattr(error, "reason", None) is Reason.AUTH
        assert watched.series(*TELLING) == before
        assert len(backend.asked) - asked_before <= 3, "one request, one renewal, one more try"


@every_kind
def test_a_misspelt_option_names_the_nearest(kind: str) -> None:
    source = {"name": "it", "kind": kind, "url": "http://it:1", "timout": "5s"}
    with pytest.raises(MlExporterError, match="did you mean 'timeout'"):
        from_data({"sources": [source]}, {})
    with pytest.raises(MlExporterError, match=f"did you mean '{kind}'"):
        from_data({"sources": [{**source, "kind": kind + "x"}]}, {})


@every_kind
def test_a_fixture_holds_no_traces_of_the_machine_it_came_from(kind: str) -> None:
    text = (FIXTURES / f"{kind}.json").read_text()
    assert not [word for word in ("/root", "/tmp/", "/home/", "192.0.2.", '"vm"') if word in text]
    assert len(text) < 300_000
