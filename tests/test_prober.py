"""The prober over real sockets: what hangs holds up nothing, models are found, a reload disturbs nobody."""

from __future__ import annotations

import asyncio
import itertools
import json
import threading
from typing import Any

import pytest
from tests.support import fault_server as faults
from tests.support.fault_server import Behaviour, FaultServer, answer
from tests.support.otlp_backend import TAKEN
from tests.support.otlp_schema import parsed
from tests.support.running_prober import Running, live

from ml_exporter import prober
from ml_exporter.exposition import Exposition
from ml_exporter.ports import Result

WELL = answer(200, b"ok")


def discovering(url: str, **keys: Any) -> dict[str, Any]:
    return {
        "name": "all",
        "protocol": "open_inference",
        "url": url,
        "discover": True,
        "interval": "1s",
        "timeout": "1s",
        **keys,
    }


def indexed(*names: str) -> Behaviour:
    """Lists these models, and answers anything else well."""
    return answer(200, json.dumps([{"name": name, "state": "READY"} for name in names]).encode())


def test_endpoints_that_hang_hold_up_no_other_even_with_one_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prober, "ROOM", 0.05)

    async def run() -> tuple[list[str], list[str]]:
        async with FaultServer(faults.hang) as dead, FaultServer(WELL) as good:
            endpoints = [live(f"dead-{n}", dead.url, interval="10s", timeout="8s") for n in range(20)]
            endpoints.append(live("good", good.url))
            async with Running(endpoints=endpoints, probes={"concurrency": 1}) as running:
                await running.until(lambda: running.outcomes("good").count("ok") >= 3)
                return running.outcomes("good"), [name for name, _, _ in running.told]

    good, told = asyncio.run(run())
    assert set(good) == {"ok"}
    assert set(told) == {"good"}


def test_an_endpoint_never_has_two_probes_under_way() -> None:
    async def run() -> list[Result]:
        async with FaultServer(faults.hang) as dead, Running(endpoints=[live("dead", dead.url)]) as running:
            await running.until(lambda: len(running.told) >= 3)
            return [result for _, _, result in running.told]

    results = asyncio.run(run())
    # Each took as long as its interval, and yet the next one waited for it.
    assert all(result.seconds > 0.9 for result in results)
    assert all(later.began >= one.began + one.seconds - 0.01 for one, later in itertools.pairwise(results))


def test_a_bug_in_one_probe_ends_neither_its_task_nor_the_others(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def run() -> list[str]:
        async with FaultServer(WELL) as good, Running(endpoints=[live("good", good.url)]) as running:
            client = running.prober.endpoints["good"].client
            probe, failures = client.probe, iter([RuntimeError("a bug")])

            async def broken(*arguments: Any) -> Result:
                for failure in failures:
                    raise failure
                return await probe(*arguments)

            monkeypatch.setattr(client, "probe", broken)
            await running.until(lambda: running.told)
            return running.outcomes("good")

    assert asyncio.run(run()) == ["ok"]
    assert "a bug" in caplog.text


def test_the_page_shows_an_endpoint_from_the_start_and_forgets_it_when_it_is_gone() -> None:
    async def run() -> tuple[str, str, str]:
        async with FaultServer(WELL) as good:
            data = {"endpoints": [live("good", good.url, cost_per_hour=1.5, latency_limit="250ms")]}
            async with Running(**data) as running:
                first = running.page()
                await running.until(lambda: "ml_endpoint_up{" in running.page())
                probed = running.page()
                await running.apply()
                return first, probed, running.page()

    first, probed, after = asyncio.run(run())
    labels = 'ml_service="unassigned",ml_endpoint="good",protocol="open_inference",server="",stage=""'
    assert f"ml_endpoint_info{{{labels}}} 1" in first
    assert 'ml_cost_per_hour{ml_service="unassigned",ml_endpoint="good",currency="USD"} 1.5' in first
    assert 'ml_endpoint_latency_limit_seconds{ml_service="unassigned",ml_endpoint="good"} 0.25' in first
    assert "ml_endpoint_up" not in first
    assert 'check="live"} 1' in probed
    assert "ml_endpoint" not in after


def test_a_reload_restarts_what_changed_and_nothing_else() -> None:
    async def run() -> tuple[bool, bool, str]:
        async with FaultServer(WELL) as good:
            one, two = live("one", good.url), live("two", good.url)
            async with Running(endpoints=[one, two]) as running:
                await running.until(lambda: len({name for name, _, _ in running.told}) == 2)
                before = dict(running.prober.endpoints)
                await running.apply(
                    endpoints=[one, {**two, "timeout": "500ms"}],
                    probes={"allow": ["somewhere.else"]},
                    services=[{"name": "risk", "owner": "x", "stages": {"inference": [{"endpoint": "tw*"}]}}],
                )
                after = running.prober.endpoints
                return before["one"] is after["one"], before["two"] is after["two"], after["two"].service

    assert asyncio.run(run()) == (True, False, "risk")


def test_models_are_found_in_the_index_and_probed_with_their_canaries() -> None:
    canary = {"request": {"inputs": [{"name": "x", "shape": [1], "datatype": "FP32", "data": [1]}]}}

    async def run() -> tuple[set[str], set[str], str]:
        async with FaultServer(indexed("fraud", "fraud-beta", "churn", "scratch")) as server:
            data = discovering(server.url, exclude=["scratch"], canaries={"fraud*": canary})
            async with Running(endpoints=[data]) as running:
                await running.until(lambda: len({model for _, model, _ in running.told}) == 3)
                models = {model for _, model, _ in running.told}
                await running.until(lambda: "ml_endpoint_index_models" in running.page())
                predicted = {a.target for a in server.asked if a.target.endswith("/infer")}
                # MLServer answers 422 to an index's body of another type.
                index = next(a for a in server.asked if a.target == "/v2/repository/index")
                assert (index.headers["content-type"], index.body) == ("application/json", b"{}")
                return models, predicted, running.page()

    models, predicted, page = asyncio.run(run())
    assert models == {"fraud", "fraud-beta", "churn"}
    assert predicted == {"/v2/models/fraud/infer", "/v2/models/fraud-beta/infer"}
    assert 'ml_endpoint_index_models{ml_service="unassigned",ml_endpoint="all"} 3' in page
    assert 'ml_endpoint_index_up{ml_service="unassigned",ml_endpoint="all"} 1' in page


def test_an_index_that_cannot_be_read_is_seen_and_loses_no_model() -> None:
    async def run() -> tuple[str, set[str]]:
        async with FaultServer(indexed("fraud"), answer(500, b"down")) as server:
            data = [discovering(server.url, checks=["ready"])]
            async with Running(endpoints=data, probes={"discovery_interval": "5s"}) as running:
                await running.until(lambda: running.told)
                endpoint = running.prober.endpoints["all"]
                await running.prober.read_index(endpoint)
                await running.prober.publish()
                return running.page(), set(endpoint.models)

    page, models = asyncio.run(run())
    assert 'ml_endpoint_index_up{ml_service="unassigned",ml_endpoint="all"} 0' in page
    assert models == {"fraud"}


def test_a_model_that_left_the_index_is_asked_for_a_while_longer() -> None:
    async def run() -> list[set[str]]:
        async with FaultServer(indexed("fraud", "churn"), indexed("churn")) as server:
            data = [discovering(server.url, checks=["ready"], interval="1h")]
            async with Running(endpoints=data, probes={"discovery_interval": "1h"}) as running:
                endpoint = running.prober.endpoints["all"]
                await running.until(lambda: endpoint.index_up)
                seen = []
                for later in (prober.VANISHED - 1, prober.VANISHED + 1):
                    running.later = later
                    await running.prober.read_index(endpoint)
                    seen.append(set(endpoint.models))
                return seen

    assert asyncio.run(run()) == [{"fraud", "churn"}, {"churn"}]


def test_an_index_that_names_others_each_time_makes_no_more_work_than_allowed() -> None:
    async def run() -> tuple[set[str], set[str], int]:
        readings = [indexed(*(f"m{reading}-{n}" for n in range(5))) for reading in range(7)]
        async with FaultServer(*readings) as server:
            data = [discovering(server.url, max_models=5, checks=["ready"], interval="1h")]
            async with Running(endpoints=data, probes={"discovery_interval": "1h"}) as running:
                endpoint = running.prober.endpoints["all"]
                await running.until(lambda: endpoint.index_up)
                for task in [probed.task for probed in endpoint.models.values() if probed.task]:
                    task.cancel()
                for _ in readings[1:]:
                    await running.prober.read_index(endpoint)
                    for probed in endpoint.models.values():
                        assert probed.task is not None
                        probed.task.cancel()
                await running.prober.publish()
                tasks = [task for task in asyncio.all_tasks() if task.get_name() == "probe all" and not task.done()]
                return set(endpoint.models), set(endpoint.lines) - {""}, len(tasks)

    models, lines, tasks = asyncio.run(run())
    assert models == {f"m6-{n}" for n in range(5)}
    assert len(lines) <= 5
    assert tasks <= 5


def test_a_page_that_is_being_rendered_does_not_come_back_after_its_endpoint_is_gone() -> None:
    async def run() -> str:
        async with FaultServer(WELL) as good, Running(endpoints=[live("good", good.url)]) as running:
            await running.until(lambda: running.told)
            started, let_go = threading.Event(), threading.Event()
            render = Exposition.update

            def slow(*arguments: Any) -> Any:
                started.set()
                let_go.wait(10)
                return render(running.exposition, *arguments)

            running.exposition.update = slow  # type: ignore[method-assign]  # held up in its thread
            publishing = asyncio.ensure_future(running.prober.publish())
            await asyncio.to_thread(started.wait, 10)
            applying = asyncio.ensure_future(running.apply())
            await asyncio.sleep(0.05)
            let_go.set()
            await asyncio.gather(publishing, applying)
            return running.page()

    assert "ml_endpoint_info" not in asyncio.run(run())


def test_what_could_not_be_rendered_is_rendered_the_next_time(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def run() -> str:
        endpoints = [live("good", "http://127.0.0.1:9", interval="1h")]
        async with Running(endpoints=endpoints) as running:
            with monkeypatch.context() as broken:
                broken.setattr(running.exposition, "update", lambda *_: 1 / 0)
                await running.until(lambda: "probes could not be published" in caplog.text)
            await running.until(lambda: "ml_endpoint_up" in running.page())
            return running.page()

    page = asyncio.run(run())
    assert 'check="live"} 0' in page
    assert "ml_endpoint_info{" in page


def test_a_bug_in_reading_an_index_does_not_end_it(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def run() -> bool | None:
        async with FaultServer(indexed("fraud")) as server:
            monkeypatch.setattr(prober, "wanted", lambda *_: 1 / 0)
            async with Running(endpoints=[discovering(server.url)]) as running:
                endpoint = running.prober.endpoints["all"]
                await running.until(lambda: "ZeroDivisionError" in caplog.text)
                assert endpoint.index_task is not None
                assert not endpoint.index_task.done()
                return endpoint.index_up

    assert asyncio.run(run()) is None


def test_no_more_models_are_probed_than_allowed_and_names_that_cannot_be_true_are_left_out() -> None:
    async def run() -> set[str]:
        names = [f"m{n:03}" for n in range(50)] + ["x" * 5000, "line\nbreak", ""]
        async with FaultServer(indexed(*names)) as server:
            data = [discovering(server.url, max_models=5)]
            async with Running(endpoints=data) as running:
                endpoint = running.prober.endpoints["all"]
                await running.until(lambda: endpoint.index_up)
                return set(endpoint.models)

    assert asyncio.run(run()) == {"m000", "m001", "m002", "m003", "m004"}


def test_probes_are_spread_and_their_lateness_is_measured() -> None:
    async def run() -> str:
        async with FaultServer(WELL) as good:
            data = [live(f"e{n}", good.url) for n in range(30)]
            async with Running(endpoints=data) as running:
                await running.until(lambda: len(running.told) >= 30)
                at = [result.began for _, _, result in running.told[:30]]
                assert max(sum(start <= other < start + 0.1 for other in at) for start in at) < 15
                await running.prober.publish()
                return running.page()

    page = asyncio.run(run())
    count = next(line for line in page.splitlines() if line.startswith("ml_prober_lateness_seconds_count"))
    assert int(count.split()[1]) >= 30


def test_each_probe_is_a_span_at_the_collector_with_the_trace_that_the_endpoint_was_told() -> None:
    async def run() -> tuple[list[Any], set[str]]:
        async with FaultServer(WELL) as good, FaultServer(TAKEN) as collector:
            data = [live("good", good.url), live("dead", "http://127.0.0.1:9")]
            async with Running(endpoints=data, tracing={"otlp_url": collector.url}) as running:
                await running.until(lambda: len({name for name, _, _ in running.told}) == 2)
            # What waited was exported at the end.
            spans = [span for asked in collector.asked for span in parsed(asked.body).scope_spans[0].spans]
            return spans, {asked.headers["traceparent"].split("-")[1] for asked in good.asked}

    spans, told = asyncio.run(run())
    good = [span for span in spans if span.name == "probe good"]
    assert {span.trace_id.hex() for span in good} == told
    assert {span.status.code for span in good} == {0}
    dead = next(span for span in spans if span.name == "probe dead")
    assert dead.status.code == 2
    assert {a.key: a.value.string_value for a in dead.attributes}["ml.outcome"] == "unreachable"
