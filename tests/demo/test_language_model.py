"""The stand-in of the language model: the exporter's probes and the rules of vLLM find in it what they look for."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from importlib import resources
from typing import Any

import pytest
import requests
import yaml
from aiohttp import web
from prometheus_client.parser import text_string_to_metric_families
from tests.support.native_metrics import fixture
from tests.support.probing import Probing

import ml_exporter.demo
from ml_exporter.demo.engine import SLOTS, Engine
from ml_exporter.demo.language_model import ADAPTERS, MODEL, SENTENCE, Server
from ml_exporter.model import Outcome

CONFIGURATION = yaml.safe_load(
    resources.files(ml_exporter.demo).joinpath("ml-exporter.yaml").read_text().replace("$", "")
)


def configured(name: str, url: str) -> dict[str, Any]:
    """An endpoint as the demo has it, at this address."""
    endpoint = next(each for each in CONFIGURATION["endpoints"] if each["name"] == name)
    metrics = {"metrics_url": f"{url}/metrics"} if "metrics_url" in endpoint else {}
    return {**endpoint, "url": url, **metrics, "interval": "1h"}


@pytest.fixture
def url() -> Iterator[str]:
    """A server without users."""
    loop, done, started = asyncio.new_event_loop(), asyncio.Event(), threading.Event()
    address: list[int] = []

    async def serve() -> None:
        runner = web.AppRunner(Server().application(users=0), shutdown_timeout=0.1, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        address.append(runner.addresses[0][1])
        started.set()
        await done.wait()
        await runner.cleanup()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    assert started.wait(10)
    yield f"http://127.0.0.1:{address[0]}"
    loop.call_soon_threadsafe(done.set)
    thread.join()
    loop.close()


def exposed(url: str) -> dict[str, float]:
    """`name value-of-label …` → value."""
    text = requests.get(f"{url}/metrics", timeout=5).text
    return {
        " ".join([s.name, *s.labels.values()]): s.value
        for family in text_string_to_metric_families(text)
        for s in family.samples
    }


def test_the_canary_of_the_demo_is_answered_as_it_expects_and_its_tokens_are_timed(url: str) -> None:
    with Probing(configured("assistant", url)) as probing:
        result = probing.probe()
        assert result.outcome is Outcome.OK, result.problem
        series = probing.series()
    assert series[f"ml_endpoint_output_tokens_total assistant {MODEL} "] == len(SENTENCE)
    assert series[f"ml_endpoint_time_to_first_token_seconds_count assistant {MODEL} "] == 1


def test_the_adapters_are_found_by_its_list_of_models_and_predict(url: str) -> None:
    with Probing(configured("adapters", url)) as probing:
        probing.do(asyncio.sleep(0.5))
        assert set(probing.prober.endpoints["adapters"].models) == set(ADAPTERS)
        for model in ADAPTERS:
            assert probing.probe("adapters", model).outcome is Outcome.OK


def test_what_it_exposes_has_the_names_and_labels_of_a_real_vllm(url: str) -> None:
    answered = requests.post(f"{url}/v1/completions", json={"model": MODEL, "prompt": "x", "max_tokens": 2}, timeout=5)
    (choice,) = answered.json()["choices"]
    assert (choice["text"], choice["finish_reason"]) == ("".join(SENTENCE[:2]), "length")
    assert answered.json()["usage"]["completion_tokens"] == 2
    recorded = {(s.name, *sorted({**s.labels, "model_name": ""})) for s in fixture("vllm")}
    told = {
        (s.name, *sorted({**s.labels, "model_name": ""}))
        for family in text_string_to_metric_families(requests.get(f"{url}/metrics", timeout=5).text)
        for s in family.samples
    }
    assert told <= recorded


def test_it_counts_what_it_is_asked_and_what_it_refuses(url: str) -> None:
    for model in (MODEL, "another"):
        requests.post(f"{url}/v1/completions", json={"model": model, "prompt": "x", "max_tokens": 2}, timeout=5)
    series = exposed(url)
    assert series["http_requests_total /v1/completions POST 2xx"] == 1
    assert series["http_requests_total /v1/completions POST 4xx"] == 1
    assert series[f"vllm:generation_tokens_total 0 {MODEL}"] == 2
    assert series[f"vllm:e2e_request_latency_seconds_count 0 {MODEL}"] == 1
    assert series[f"vllm:inter_token_latency_seconds_count 0 {MODEL}"] == 1


def test_who_comes_when_all_slots_are_taken_waits_and_who_leaves_gives_the_slot_back() -> None:
    async def run() -> tuple[str, str]:
        engine = Engine(MODEL)

        async def ask() -> None:
            async for _ in engine.generate(5, SENTENCE * 100):
                pass

        asked = [asyncio.create_task(ask()) for _ in range(SLOTS + 1)]
        await asyncio.sleep(0.2)
        crowded = engine.exposed()
        for task in asked:
            task.cancel()
        await asyncio.gather(*asked, return_exceptions=True)
        empty = engine.exposed()
        async with asyncio.timeout(5):
            assert [word async for word in engine.generate(5, SENTENCE[:1])] == [SENTENCE[0]]
        return crowded, empty

    crowded, empty = asyncio.run(run())
    labels = f'{{engine="0",model_name="{MODEL}"}}'
    assert f"vllm:num_requests_waiting{labels} 1\n" in crowded
    assert f"vllm:kv_cache_usage_perc{labels} 0.7\n" in crowded
    assert f"vllm:num_requests_waiting{labels} 0\n" in empty
    assert f"vllm:kv_cache_usage_perc{labels} 0.0\n" in empty


def test_users_ask_it_by_themselves() -> None:
    async def run() -> str:
        server = Server()
        runner = web.AppRunner(server.application(users=5))
        await runner.setup()
        await asyncio.sleep(2.0)
        await runner.cleanup()
        return server.engine.exposed()

    assert 'http_requests_total{handler="/v1/chat/completions",method="POST",status="2xx"}' in asyncio.run(run())
