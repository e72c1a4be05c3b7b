"""Names, versions, refusals, hostile values and cost of the Slurm source. A fake: see test_slurm_real.py for truth."""

from __future__ import annotations

import math
from typing import Any

import pytest
from tests.support.fake_slurm import HOUR, NEW, NOW, OLD, FakeSlurm, Watch, refused, watch

from ml_exporter import discovery
from ml_exporter.errors import ConfigError, Malformed, Reason, SourceError
from ml_exporter.model import RunState, Schedule
from ml_exporter.ports import Reply
from ml_exporter.sources import slurm

generations = pytest.mark.parametrize("version", [OLD, NEW])


def names(fake: FakeSlurm, **options: Any) -> set[str]:
    return {run.pipeline.name for run in watch(fake, **options).listener.runs.values()}


def test_a_number_or_a_date_can_be_stripped_from_names() -> None:
    fake = FakeSlurm()
    for id_, name in enumerate(["train-2026-11-20", "train-17", "train", "20261120"], start=1):
        fake.job(id_, name)
    assert names(fake, strip=(r"[-_.]?[0-9-]+$",)) == {"train", "20261120"}


def test_a_regular_expression_is_not_tried_on_endless_names() -> None:
    fake = FakeSlurm()
    fake.job(1, "a" * 300 + "-17")
    assert names(fake, strip=("-17",)) == {"a" * 300 + "-17"}


def test_jobs_are_chosen_by_name_and_account_and_may_be_qualified() -> None:
    fake = FakeSlurm()
    fake.job(1, "train", account="risk")
    fake.job(2, "bash", account="risk")
    fake.job(3, "train", account="other")
    fake.job(4, "train", account=None)
    assert names(fake, exclude=("*/bash",), accounts=("ri*",), qualify="account") == {"risk/train"}
    assert names(fake, accounts=("",)) == {"train"}
    assert names(fake, qualify="user", include=("ann/train",)) == {"ann/train"}


@pytest.mark.parametrize(("tag", "said"), [("account", "risk"), ("partition", "main"), ("user", "ann"), ("none", None)])
def test_what_may_name_the_service(tag: str, said: str | None) -> None:
    fake = FakeSlurm()
    fake.job(1)
    infos = [info for batch in watch(fake, tag=tag).listener.batches for info in batch.pipelines]
    assert [info.tags for info in infos] == [(said,) if said else ()]


def test_a_strip_that_is_no_regular_expression_is_named() -> None:
    with pytest.raises(ConfigError, match=r"strip\[1\]: found '\['; allowed is a regular expression"):
        slurm.create("it", slurm.Options(strip=("a", "[")), "")


def test_a_scrontab_job_has_a_due_time_until_it_is_removed() -> None:
    fake = FakeSlurm()
    fake.job(1, "nightly", "PENDING", eligible=NOW + HOUR, cron="0 3 * * *")
    watching = watch(fake)

    def schedules() -> list[Schedule | None]:
        return [info.schedule for batch in watching.listener.batches for info in batch.pipelines]

    assert schedules() == [Schedule(next_due=NOW + HOUR)]
    fake.job(1, "nightly", "RUNNING", eligible=NOW + HOUR, start=NOW + HOUR, cron="0 3 * * *")
    watching.poll(HOUR + 30)
    assert len(schedules()) == 1
    del fake.jobs[1]
    fake.updated = fake.now
    watching.restart()
    watching.poll(30)
    assert schedules()[-1] is None


def test_the_newest_version_that_both_sides_speak_is_used() -> None:
    fake = FakeSlurm("v0.0.44", offered=("v0.0.43", "v0.0.44", "v0.0.46", "v0.0.9"))
    fake.job(1)
    watch(fake)
    assert {call.path.split("/")[2] for call in fake.calls[1:]} == {"v0.0.44"}


@pytest.mark.parametrize("offered", [("v0.0.36", "v0.0.37"), ("v0.0.46",)])
def test_a_server_without_a_version_that_we_read_is_named_with_what_it_offers(offered: tuple[str, ...]) -> None:
    with pytest.raises(Malformed, match=f"offers the API {', '.join(offered)}; this exporter reads v0.0.38"):
        watch(FakeSlurm(offered=offered))


def test_an_upgrade_of_slurm_is_noticed() -> None:
    fake = FakeSlurm("v0.0.43")
    fake.job(1)
    watching = watch(fake)
    fake.version = "v0.0.45"
    fake.job(2)
    assert len(watching.poll(30).runs) == 2


def failing(reply: Reply, path: str = "/slurm/v0.0.45/jobs") -> SourceError:
    fake = FakeSlurm(fault=lambda call: reply if call.path == path else None)
    with pytest.raises(SourceError) as raised:
        watch(fake)
    assert "\n" not in str(raised.value)
    return raised.value


@pytest.mark.parametrize("path", ["/slurm/v0.0.45/jobs", "/slurm/v0.0.45/nodes", "/slurm/v0.0.45/ping"])
def test_an_error_in_a_body_is_a_failure_whatever_the_status(path: str) -> None:
    error = failing(refused(200, 2001, "Invalid partition name specified"), path)
    assert (error.reason, "Invalid partition name" in str(error)) == (Reason.REJECTED, True)
    assert failing(Reply(503, {}, b"<html>\nbusy"), path).reason is Reason.SERVER_ERROR
    assert failing(Reply(200, {}, {"errors": []}), path).reason is Reason.MALFORMED


def test_what_slurm_says_of_a_token_is_auth_or_a_hint() -> None:
    assert failing(refused(511, 1007, "Protocol authentication error")).reason is Reason.AUTH
    assert failing(refused(200, 2002, "Access/permission denied")).reason is Reason.AUTH
    error = failing(refused(500, -1, "Unspecified error"))
    assert (error.reason, "token" in str(error)) == (Reason.SERVER_ERROR, True)


NASTY: list[Any] = [None, True, -1, 0, 2**80, 1e300, 0.5, "", "x" * 1_000_000, "\ud800", [], [None], {}, {"set": True}]
FIELDS = sorted(FakeSlurm().job(1))


@pytest.mark.parametrize("field", FIELDS)
def test_no_value_of_a_field_harms_anything(field: str) -> None:
    fake = FakeSlurm()
    for number, value in enumerate(NASTY, start=100):
        fake.job(number, "nasty", "RUNNING")[field] = value if value != "\ud800" else "\ufffd\u0000\n\"'\\"
    fake.job(1, "fine")
    listener = watch(fake).listener
    assert [run.state for run in listener.runs.values() if run.pipeline.name == "fine"] == [RunState.SUCCEEDED]
    assert all(len(run.pipeline.name) <= 1000 for run in listener.runs.values())
    times = [t for run in listener.runs.values() for t in (run.queued_at, run.started_at, run.ended_at)]
    assert all(t is None or (math.isfinite(t) and 0 < t < 5e9) for t in times)


def test_the_token_has_its_own_header() -> None:
    auth = discovery.auth_of("slurm", slurm.Options())
    assert (auth.token_header, auth.user_header) == ("X-SLURM-USER-TOKEN", "X-SLURM-USER-NAME")


@generations
def test_ten_thousand_jobs_stay_within_the_budget(version: str) -> None:
    fake = FakeSlurm(version)
    for id_ in range(1, 10_001):
        state = ("COMPLETED", "FAILED", "RUNNING", "PENDING")[id_ % 4]
        fake.job(id_, f"pipeline-{id_ % 500}", state, submit=NOW - HOUR - id_)
    for id_ in range(1, 10_001, 2):
        fake.account_for(id_)
    fake.nodes = [{"name": f"n{n}", "partitions": ["main"], "state": ["IDLE"], "cpus": 64} for n in range(1000)]
    watching = Watch(fake)
    watching.catch_up()
    fake.calls.clear()
    lists = []
    for _ in range(20):
        before = len(fake.calls)
        watching.poll(30)
        lists.append(sum(1 for call in fake.calls[before:] if call.path.endswith("/jobs")))
    assert max(lists) <= 2
    assert sum(lists) <= 20 + 2
    assert len(fake.calls) - sum(lists) <= 1 + 5
    assert len(watching.listener.runs) == 10_000
