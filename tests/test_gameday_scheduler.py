"""The stand-in of the scheduler says what the Airflow source asks, and stops its heart without falling silent."""

from __future__ import annotations

import time
from pathlib import Path

import msgspec
from tests.support.polling import Listener

from ml_exporter.demo.faults import DEAD, Faults
from ml_exporter.gameday.scheduler import Heart, answer
from ml_exporter.ports import Call, Reply
from ml_exporter.sources import airflow


def heartbeat(heart: Heart) -> float:
    """As a fresh source reads it, with all the rest of a poll."""

    def reply(call: Call) -> Reply:
        body = msgspec.json.encode(answer(call.path, heart))
        return Reply(200, {}, msgspec.json.decode(body, type=call.reply))

    listener = Listener().poll(airflow.create("it", airflow.Options(), "http://scheduler"), reply, time.time())
    assert listener.last.complete
    assert listener.roster == {"fraud_features": "fraud_features"}
    gauges = [sample for batch in listener.batches for sample in batch.gauges or ()]
    (beat,) = [s for s in gauges if s.family == "ml_scheduler_heartbeat_timestamp_seconds"]
    assert beat.labels == ("scheduler",)
    return beat.value


def test_the_airflow_source_reads_its_heartbeat(tmp_path: Path) -> None:
    before = time.time()
    assert before <= heartbeat(Heart(Faults(tmp_path))) <= time.time()


def test_its_heart_stops_with_the_fault_and_beats_again_without_it(tmp_path: Path) -> None:
    faults = Faults(tmp_path)
    heart = Heart(faults)
    last = heartbeat(heart)
    faults.put(DEAD)
    heart.beat()
    assert heartbeat(heart) == last
    faults.take_back(DEAD)
    heart.beat()
    assert heartbeat(heart) > last


def test_it_knows_nothing_else(tmp_path: Path) -> None:
    assert answer("/api/v1/health", Heart(Faults(tmp_path))) is None
