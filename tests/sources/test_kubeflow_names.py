"""What runs of Kubeflow are called: by recurring runs, by pipelines, by what was sent with them, and by namespace."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.fake_kubeflow import NOW, PIPELINES, RECURRING, RUNS, FakeKubeflow, source
from tests.support.polling import Listener

from ml_exporter.errors import Rejected

DAY = 86_400.0


def server() -> FakeKubeflow:
    return FakeKubeflow(pipelines={"p1": {"pipeline_id": "p1", "display_name": "fraud"}})


def told(fake: FakeKubeflow) -> dict[str, Any]:
    return dict(Listener().poll(source(), fake, NOW).runs)


def test_a_run_is_named_by_its_recurring_run_its_pipeline_or_what_was_sent_with_it() -> None:
    fake = server()
    fake.recur("rr", "fraud-nightly", {}, created=NOW - DAY)
    spec = {"pipelineInfo": {"name": "churn"}}
    bare: dict[str, Any] = {"pipeline_version_reference": None}
    for id_, more in {
        "recurring": {"recurring_run_id": "rr"},
        "of a deleted one": {"recurring_run_id": "gone"},
        "pipeline": {},
        "inline": {**bare, "pipeline_spec": spec},
        "inline with a platform": {**bare, "pipeline_spec": {"pipeline_spec": spec, "platform_spec": {}}},
        "by its own name": {**bare, "display_name": "embed (4f2c1)"},
        "with a time": {**bare, "display_name": "embed 2026-11-20 21-00-00"},
        "without any": {**bare, "display_name": None},
        "deleted pipeline": {"pipeline_version_reference": {"pipeline_id": "gone"}, "display_name": "old-3"},
    }.items():
        fake.run(id_, created=NOW - 60, ran=10, **more)
    assert {id_: run.pipeline.name for id_, run in told(fake).items()} == {
        "recurring": "fraud-nightly",
        "of a deleted one": "fraud",
        "pipeline": "fraud",
        "inline": "churn",
        "inline with a platform": "churn",
        "by its own name": "embed",
        "with a time": "embed",
        "without any": "unnamed",
        "deleted pipeline": "old",
    }


def test_what_no_listing_names_is_looked_up_once() -> None:
    fake, src, listener = server(), source(), Listener()
    listener.poll(src, fake, NOW)
    fake.pipelines["p2"] = {"pipeline_id": "p2", "display_name": "young"}
    for number in range(5):
        more: dict[str, Any] = {"pipeline_version_reference": {"pipeline_id": "p2"}, "recurring_run_id": "gone"}
        fake.run(f"r{number}", created=NOW, ran=number, **more)
        listener.poll(src, fake, NOW + 30 * (number + 1))
    assert {run.pipeline.name for run in listener.runs.values()} == {"young"}
    assert (fake.asked(f"{PIPELINES}/p2"), fake.asked(f"{RECURRING}/gone")) == (1, 1)


def test_tags_of_the_pipeline_name_the_service_of_its_recurring_runs() -> None:
    fake = server()
    fake.pipelines["p1"]["tags"] = {"service": "fraud-detection", "team": "risk"}
    fake.recur("rr", "fraud-nightly", {}, created=NOW - DAY)
    [info] = Listener().poll(source(), fake, NOW).batches[0].roster or ()
    assert (info.pipeline.name, info.tags) == ("fraud-nightly", ("fraud-detection",))
    [info] = Listener().poll(source(service_key="team"), fake, NOW).batches[0].roster or ()
    assert info.tags == ("risk",)


# Namespaces


def several() -> FakeKubeflow:
    fake = FakeKubeflow(multi_user=True)
    for space in ("team-a", "team-b", "team-c"):
        fake.recur(space, "train", {}, created=NOW - DAY, namespace=space, pipeline_version_reference=None)
        fake.run(f"{space}-1", created=NOW - 60, ran=10, namespace=space, recurring_run_id=space)
    return fake


def test_a_server_with_several_users_wants_to_know_whose_runs_are_read() -> None:
    with pytest.raises(Rejected, match=r"2\.17\.0 has several users: name what is to be read in `namespaces`"):
        Listener().poll(source(), several(), NOW)


def test_names_are_qualified_and_every_namespace_has_its_turn() -> None:
    fake, src = several(), source(namespaces=("team-a", "team-b", "team-c"))
    listener = Listener().poll(src, fake, NOW)
    assert {run.pipeline.name for run in listener.runs.values()} == {"team-a/train", "team-b/train", "team-c/train"}
    assert [batch.caught_up for batch in listener.batches] == [False, False, False, True]
    for space in ("team-a", "team-b", "team-c"):
        fake.run(f"{space}-2", created=NOW, ran=10, namespace=space, recurring_run_id=space)
    fake.calls.clear()
    for step in range(1, 4):
        listener.poll(src, fake, NOW + 30 * step)
        assert fake.asked(RUNS) == 2 * step
    assert len(listener.runs) == 6


def test_a_server_with_one_user_has_no_namespaces() -> None:
    fake = server()
    fake.run("r", created=NOW - 60, ran=10)
    listener = Listener().poll(source(namespaces=("a", "b")), fake, NOW)
    assert ([run.pipeline.name for run in listener.told], fake.asked(RUNS)) == (["fraud"], 2)
