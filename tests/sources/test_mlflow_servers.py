"""Servers of every kind: with workspaces, old, and without an end. A fake: a real one does none of it on demand."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.support.fake_mlflow import NOW, FakeMlflow, server, source
from tests.support.polling import Listener

from ml_exporter.errors import Malformed
from ml_exporter.model import Pipeline
from ml_exporter.ports import Reply

# Page loops


def _runs_page(token: str, *ids: str) -> dict[str, Any]:
    infos = [{"run_id": i, "experiment_id": "1", "status": "RUNNING", "start_time": 5, "end_time": 5} for i in ids]
    return {"runs": [{"info": info} for info in infos], "next_page_token": token}


@pytest.mark.parametrize("page", [_runs_page("again", "r"), _runs_page("more")], ids=["repeated", "empty"])
@pytest.mark.parametrize("path", ["experiments/search", "runs/search", "registered-models/search"])
def test_a_listing_without_end_is_refused(path: str, page: dict[str, Any]) -> None:
    fake = server()
    if path != "runs/search":
        full = {"experiments": [{"experiment_id": "1", "name": "e"}], "registered_models": [{"name": "m"}]}
        page = {"next_page_token": "again"} | (full if page["runs"] else {})
    fake.fault = lambda call: Reply(200, {}, msgspec.convert(page, call.reply)) if call.path.endswith(path) else None
    with pytest.raises(Malformed, match=path):
        Listener().poll(source(), fake, NOW)


def test_runs_out_of_the_order_asked_for_are_refused() -> None:
    fake, src = server(), source(page_size=1)
    listener = Listener().poll(src, fake, NOW)
    fake.fault = lambda call: (
        Reply(200, {}, msgspec.convert(_runs_page("2", "r"), call.reply)) if call.path.endswith("runs/search") else None
    )
    with pytest.raises(Malformed, match="ascending"):
        listener.poll(src, fake, NOW + 30)


# Workspaces


def test_with_workspaces_names_are_qualified_and_each_is_asked_in_its_own() -> None:
    fake = FakeMlflow(workspaces=("team-a", "team-b"))
    for number, workspace in (("1", "team-a"), ("2", "team-b")):
        fake.experiment(number, "train", NOW - 1e6, workspace)
        fake.run(f"done-{workspace}", number, start=NOW - 20, end=NOW - 10)
        fake.run(f"lost-{workspace}", number, "RUNNING", start=NOW - 20)
    src = source()
    listener = Listener().poll(src, fake, NOW)
    assert listener.roster == {"team-a/train": "1", "team-b/train": "2"}
    assert listener.backfilled == {"team-a/train", "team-b/train"}
    assert len(listener.runs) == 4
    del fake.runs["lost-team-a"], fake.runs["lost-team-b"]
    listener.poll(src, fake, NOW + 600)
    asked = {(c.headers["X-MLFLOW-WORKSPACE"], c.params[0][1]) for c in fake.calls if c.path.endswith("runs/get")}
    assert asked == {("team-a", "lost-team-a"), ("team-b", "lost-team-b")}
    url = src.run_url(Pipeline("tracking", "team-a/train"), "1", "r")
    assert url == "http://mlflow:5000/#/experiments/1/runs/r?workspace=team-a"


def test_a_run_has_a_page_where_its_experiment_is_known() -> None:
    src = source()
    assert src.run_url(Pipeline("tracking", "a/b"), "7", "r") == "http://mlflow:5000/#/experiments/7/runs/r"
    assert src.run_url(Pipeline("tracking", "a/b"), None, "r") is None


def test_a_server_of_old_has_neither_server_info_nor_registry() -> None:
    fake = server()
    fake.has_registry = False
    fake.fault = lambda call: Reply(404, {}, b"") if call.path.endswith("server-info") else None
    listener = Listener().poll(source(), fake, NOW)
    assert listener.roster == {"train": "1"}
    assert listener.models is None
