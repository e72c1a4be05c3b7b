"""Listing and watching, poll by poll, against a fake Kubernetes: nothing is lost, doubled or taken for nothing."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from tests.support.fake_kubernetes import CRON_JOBS, JOBS, NOW, FakeKubernetes, at, cron_job, ended, job, running
from tests.support.polling import CutShortError, Listener

from ml_exporter.errors import Malformed, Reason, Rejected, SourceError
from ml_exporter.model import RunState
from ml_exporter.sources import kubernetes
from ml_exporter.sources.kubernetes.source import KubernetesSource


def source(**options: Any) -> KubernetesSource:
    return kubernetes.create("cluster", kubernetes.Options(**options), "")


def cluster(*jobs: dict[str, Any]) -> FakeKubernetes:
    fake = FakeKubernetes(replies={"/api/v1/resourcequotas": {"items": []}})
    for item in jobs:
        fake.put(JOBS, item)
    return fake


def states(listener: Listener) -> dict[str, RunState]:
    return {uid: run.state for uid, run in listener.runs.items()}


# Following


def test_a_job_from_its_creation_to_its_end() -> None:
    fake, src = cluster(), source()
    listener = Listener().poll(src, fake, NOW)
    for item in (job("j"), running("j"), ended("j", NOW + 60)):
        fake.put(JOBS, item)
        listener.poll(src, fake, NOW + 90)
    assert [run.state for run in listener.told] == [RunState.QUEUED, RunState.RUNNING, RunState.SUCCEEDED]


def test_a_job_that_came_ended_and_went_between_two_polls_is_counted() -> None:
    fake, src = cluster(), source()
    listener = Listener().poll(src, fake, NOW)
    fake.put(JOBS, running("j"))
    fake.put(JOBS, ended("j", NOW + 5))
    fake.delete(JOBS, "j")
    assert states(listener.poll(src, fake, NOW + 30)) == {"j": RunState.SUCCEEDED}
    assert listener.forgotten == []


def test_a_job_deleted_while_it_ran_is_forgotten_and_one_deleted_after_its_end_is_not() -> None:
    fake, src = cluster(running("ran"), ended("ended")), source()
    listener = Listener().poll(src, fake, NOW)
    fake.delete(JOBS, "ran")
    fake.delete(JOBS, "ended")
    listener.poll(src, fake, NOW + 30)
    assert listener.forgotten == ["ran"]
    assert states(listener) == {"ended": RunState.SUCCEEDED}


def test_a_restart_goes_on_where_it_was_without_a_listing() -> None:
    fake = cluster(running("a"), *(ended(f"e{n}") for n in range(20)))
    listener = Listener().poll(source(page_size=5), fake, NOW)
    listings = fake.count(JOBS, limit="5")
    fake.put(JOBS, ended("a", NOW + 10))
    listener.poll(source(page_size=5), fake, NOW + 30)
    assert fake.count(JOBS, limit="5") == listings
    assert listener.runs["a"].state is RunState.SUCCEEDED
    assert len(listener.told) == 22


@pytest.mark.parametrize("restarted", [False, True])
@pytest.mark.parametrize("status", [410, 200])
def test_a_watch_that_is_gone_is_a_listing_that_forgets_what_vanished(status: int, restarted: bool) -> None:
    fake, src = cluster(running("vanished"), running("ends"), ended("over")), source()
    listener = Listener().poll(src, fake, NOW)
    fake.delete(JOBS, "vanished")
    fake.put(JOBS, ended("ends", NOW + 10))
    fake.put(JOBS, running("new"))
    fake.oldest, fake.gone_with = fake.version + 1, status
    listener.poll(source() if restarted else src, fake, NOW + 30)
    assert listener.forgotten == ["vanished"]
    assert states(listener) == {"ends": RunState.SUCCEEDED, "over": RunState.SUCCEEDED, "new": RunState.RUNNING}


def test_a_process_that_dies_between_two_pages_loses_and_doubles_nothing() -> None:
    fake = cluster(*(running(f"r{n}") for n in range(6)), *(ended(f"e{n}") for n in range(6)))
    for cut in range(1, 8):
        listener = Listener()
        with contextlib.suppress(CutShortError):
            listener.poll(source(page_size=3), fake, NOW, cut_after=cut)
        again = FakeKubernetes(objects={JOBS: dict(fake.objects[JOBS])}, replies=fake.replies, version=fake.version)
        again.delete(JOBS, "r0")  # while nobody looked
        listener.poll(source(page_size=3), again, NOW + 30)
        assert states(listener).keys() == again.objects[JOBS].keys()


def test_a_bookmark_moves_the_position_on() -> None:
    fake, src = cluster(), source()
    listener = Listener().poll(src, fake, NOW)
    for name in ("a", "b", "c"):
        fake.put(CRON_JOBS, cron_job(name))
    listener.poll(src, fake, NOW + 30)
    assert listener.cursor["versions"] == {"": str(fake.version)}


@pytest.mark.parametrize("bookmarks", [True, False])
def test_a_cluster_that_was_set_back_is_listed_anew(bookmarks: bool) -> None:
    """Its versions begin again lower, and a watch from the future hears nothing."""
    src = source()
    listener = Listener().poll(src, cluster(running("a"), running("lost")), NOW)
    restored = FakeKubernetes(replies={"/api/v1/resourcequotas": {"items": []}}, version=20, bookmarks=bookmarks)
    restored.put(JOBS, ended("a"))
    listener.poll(src, restored, NOW + 600)
    assert (listener.forgotten, states(listener)) == (["lost"], {"a": RunState.SUCCEEDED})


def test_other_settings_list_anew_and_forget_what_they_leave_out() -> None:
    other = running("o")
    other["metadata"]["namespace"] = "other"
    fake = cluster(running("t"), other)
    fake.replies["/api/v1/namespaces/team/resourcequotas"] = 403
    listener = Listener().poll(source(), fake, NOW)
    listener.poll(source(namespaces=("team",)), fake, NOW + 30)
    assert listener.forgotten == ["o"]
    assert set(listener.runs) == {"t"}


def test_what_ended_before_the_history_asked_for_is_never_told() -> None:
    fake, src = cluster(ended("old", NOW - 5000, started=NOW - 6000), ended("new", NOW - 50)), source(history=1000.0)
    listener = Listener().poll(src, fake, NOW)
    fake.oldest = fake.version + 1
    listener.poll(src, fake, NOW + 30)
    assert set(listener.runs) == {"new"}


def test_a_job_whose_labels_are_asked_for_is_asked_for_by_them_alone() -> None:
    fake = cluster()
    src = source(label_selector="team=ml")
    Listener().poll(src, fake, NOW).poll(src, fake, NOW + 30)
    assert fake.count(JOBS) == fake.count(JOBS, labelSelector="team=ml") == 2


# Faults


def fails(fake: FakeKubernetes, src: KubernetesSource, listener: Listener) -> SourceError:
    before = (dict(listener.cursor), dict(listener.runs), dict(listener.roster))
    with pytest.raises(SourceError) as caught:
        listener.poll(src, fake, NOW + 30)
    assert (listener.cursor, listener.runs, listener.roster) == before
    assert "\n" not in str(caught.value)
    return caught.value


ERROR = b'{"type":"ERROR","object":{"kind":"Status","code":500,"message":"etcd is away"}}\n'
EXPIRED = b'{"type":"ERROR","object":{"kind":"Status","code":401,"message":"token expired"}}\n'


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (ERROR, "etcd is away"),
        (b'{"kind":"Status","status":"Failure","message":"no"}\n', "not a watch's events"),
        (b'{"type":"ERROR","object":null}\n', "refused"),
        (b"<!DOCTYPE html><html><title>Sign in</title></html>", "HTML page"),
        (b"out of order\n", "not a watch's events"),
        (b'{"type":"ADDED","object":{"metadata":{"uid":"x","na', "cut off"),
        (b'{"type":"ADDED","object":{}', "cut off"),
        (b"[" * 100_000 + b"\n", "not a watch's events"),
    ],
)
def test_a_bad_watch_is_a_failure_and_never_no_change(body: bytes, says: str) -> None:
    fake, src = cluster(running("a")), source()
    listener = Listener().poll(src, fake, NOW)
    fake.watched = lambda _: body
    assert says in str(fails(fake, src, listener))
    fake.put(JOBS, ended("a", NOW + 1))
    fake.watched = lambda body: body
    assert states(listener.poll(src, fake, NOW + 60)) == {"a": RunState.SUCCEEDED}


def test_a_watch_cut_off_after_some_events_tells_them_next_time() -> None:
    fake, src = cluster(running("a"), running("b")), source()
    listener = Listener().poll(src, fake, NOW)
    fake.put(JOBS, ended("a", NOW + 1))
    fake.put(JOBS, ended("b", NOW + 1))
    fake.watched = lambda body: body[: len(body) // 2]
    assert isinstance(fails(fake, src, listener), Malformed)
    fake.watched = lambda body: body
    assert set(states(listener.poll(src, fake, NOW + 60)).values()) == {RunState.SUCCEEDED}


def test_an_expired_token_among_the_events_is_auth() -> None:
    fake, src = cluster(), source()
    listener = Listener().poll(src, fake, NOW)
    fake.watched = lambda _: EXPIRED
    assert fails(fake, src, listener).reason is Reason.AUTH


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        ({"kind": "Status", "status": "Failure", "message": "quota", "code": 429}, Rejected),
        ({"kind": "JobList", "items": []}, Malformed),
        ({"kind": "JobList", "metadata": {"resourceVersion": "7"}}, Malformed),
        ({"metadata": {"resourceVersion": "7", "continue": "again"}, "items": [running("x")]}, Malformed),
        ({"metadata": {"resourceVersion": "7", "continue": "more"}, "items": []}, Malformed),
        (410, Rejected),
    ],
)
def test_a_bad_listing_is_a_failure_and_never_nothing_there(reply: Any, error: type[SourceError]) -> None:
    fake, src = cluster(running("a")), source()
    listener = Listener().poll(src, fake, NOW)
    listener.cursor["versions"] = {}
    fake.replies[JOBS] = reply
    with pytest.raises(error):
        listener.poll(src, fake, NOW + 30)
    assert (listener.forgotten, set(listener.runs) - {"x"}) == ([], {"a"})


HOSTILE: list[dict[str, Any]] = [
    {**running("h"), "status": {"startTime": 7}},
    {**running("h"), "status": {"conditions": "many"}},
    {**running("h"), "metadata": {"uid": 5, "name": "h", "resourceVersion": "900"}},
    {"metadata": {"resourceVersion": "900"}},
    {**running("h"), "message": 7, "code": "x", "spec": []},
]


@pytest.mark.parametrize("item", HOSTILE)
def test_one_object_of_wrong_types_does_not_hide_the_others(item: dict[str, Any]) -> None:
    fake, src = cluster(running("a")), source()
    fake.objects[JOBS]["h"] = item
    listener = Listener().poll(src, fake, NOW)
    assert set(listener.runs) == {"a"}
    fake.put(JOBS, ended("a", NOW + 1))
    fake.log.append((JOBS, fake.version, "MODIFIED", item))
    fake.bookmarks = False
    assert states(listener.poll(src, fake, NOW + 30)) == {"a": RunState.SUCCEEDED}


@pytest.mark.parametrize("time", ["", "soon", "9999-12-31T00:00:00Z", "0001-01-01T00:00:00Z", "1" * 1000])
def test_times_that_cannot_be_are_left_out(time: str) -> None:
    item = ended("j")
    item["status"] |= {"startTime": time, "completionTime": time}
    run = Listener().poll(source(), cluster(item), NOW).runs["j"]
    assert (run.started_at, run.ended_at) == (None, NOW - 10)


def test_what_the_cursor_holds_stays_small() -> None:
    fake = cluster(*(ended(f"e{n}") for n in range(500)), *(running(f"r{n}") for n in range(5)))
    listener = Listener().poll(source(), fake, NOW)
    assert len(json.dumps(listener.cursor)) < 400
    assert listener.cursor["live team"] == {f"r{n}": 0 for n in range(5)}


def test_a_watch_asks_for_bookmarks_and_ends_by_itself() -> None:
    fake, src = cluster(), source(watch=2.0)
    Listener().poll(src, fake, NOW).poll(src, fake, NOW + 30)
    params = dict(fake.calls[-1].params)
    assert params == {"watch": "1", "allowWatchBookmarks": "true", "resourceVersion": "100", "timeoutSeconds": "2"}
    assert at(NOW) == "2027-01-15T08:00:00Z"
