"""A real MLflow that misbehaves: the last good state stays, its age shows, the reason is named, recovery is alone."""

from __future__ import annotations

import contextlib
import json
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.support.exporter import Exporter
from tests.support.mlflow_server import MlflowServer
from tests.support.proxy import Fault, Proxy, Request

from ml_exporter.demo.processes import free_port, get

pytestmark = pytest.mark.system

LOOP = json.dumps({"runs": [], "next_page_token": "x"}).encode()


def only(path: str, fault: Fault) -> Callable[[Request], Fault | None]:
    return lambda request: fault if path in request.path else None


FAULTS = {
    "auth": only("/", Fault(403, b'{"error_code": "PERMISSION_DENIED"}')),
    "rate_limited": only("/", Fault(429, b"slow down", (("Retry-After", "0"),))),
    "server_error": only("/", Fault(500, b"oh no")),
    "timeout": only("/", Fault(delay=5, body=b"{}")),
    "malformed": only("/", Fault(200, b"<!doctype html><title>Log in</title>", (("Content-Type", "text/html"),))),
    "malformed: half a body": only("runs/search", Fault(forward=True, cut=True)),
    "malformed: truncated": only("runs/search", Fault(200, b'{"runs": [{"info": {"run_id": "a"')),
    "malformed: endless": only("runs/search", Fault(200, LOOP)),
    "redirect": only("/", Fault(302, b"", (("Location", "http://127.0.0.1:1/elsewhere"),))),
    "too_large": only("runs/search", Fault(200, b'{"runs": [' + b" " * 3_000_000 + b"]}")),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_keeps_the_last_good_state_and_names_its_reason(
    fault: str, mlflow: MlflowServer, proxy: Proxy, exporter: Callable[..., Exporter]
) -> None:
    name = "fault-" + "".join(letter for letter in fault if letter.isalpha())
    experiment = mlflow.experiment(name)
    mlflow.run(experiment, "FAILED", start=time.time() - 9, end=time.time())
    it = exporter(proxy.url, include=[name], timeout="1s", max_response_bytes=1_000_000).start()
    counter = f"ml_runs_finished_total {name} failed"
    it.until_series(counter, 1)
    it.until_series("ml_source_up", 1)

    proxy.fault = FAULTS[fault]
    it.until_series("ml_source_up", 0)
    mlflow.run(experiment, "FAILED", start=time.time() - 9, end=time.time())
    reason = fault.partition(":")[0]
    # A body that is cut off may also be seen as a connection that broke.
    reasons = [reason, "unreachable"] if "half" in fault else [reason]
    it.until(
        lambda: any(it.series().get(f"ml_source_polls_total failed {r}", 0) > 0 for r in reasons),
        f"it counts {reasons}",
    )
    series = it.series()
    assert series[counter] == 1
    assert time.time() - series["ml_source_last_success_timestamp_seconds"] < 60

    proxy.fault = None
    it.until_series(counter, 2, timeout=60)
    it.until_series("ml_source_up", 1)


def test_a_backend_that_is_down_is_unreachable_and_does_not_hold_up_the_scrape(
    exporter: Callable[..., Exporter],
) -> None:
    it = exporter(f"http://127.0.0.1:{free_port()}").start()
    it.until(lambda: it.series().get("ml_source_polls_total failed unreachable", 0) > 0, "it counts it")
    began = time.monotonic()
    assert it.series()["ml_source_up"] == 0
    assert time.monotonic() - began < 1


def test_a_source_that_hangs_delays_no_other(
    mlflow: MlflowServer, proxy: Proxy, exporter: Callable[..., Exporter]
) -> None:
    experiment = mlflow.experiment("not-delayed")
    proxy.fault = only("/", Fault(delay=8, body=b"{}"))
    it = exporter(mlflow.url, include=["not-delayed"])
    hanging = {**it.config["sources"][0], "name": "hanging", "url": proxy.url, "timeout": "5s"}
    it.config["sources"].append(hanging)
    it.start()
    began = time.monotonic()
    mlflow.run(experiment, "FAILED", start=time.time() - 9, end=time.time())
    it.until_series("ml_runs_finished_total not-delayed failed", 1, timeout=5)
    assert time.monotonic() - began < 5


def test_hostile_names_and_numbers_neither_break_the_page_nor_the_poll(
    mlflow: MlflowServer, exporter: Callable[..., Exporter]
) -> None:
    name = 'hostile "} 1\n\\ 名前'
    experiment = mlflow.experiment(name)
    run = mlflow.run(experiment, start=time.time() - 9)
    for key, value in (("auc", "NaN"), ("loss", "Infinity"), ("acc", 0.5)):
        mlflow.metric(run, key, value)
    mlflow.update(run, "FINISHED", end=time.time())
    mlflow.run(experiment, "FINISHED", start=time.time() + 1e9, end=-5.0)
    it = exporter(mlflow.url, include=["hostile*"], metrics={"auc": "higher", "loss": "lower", "acc": "higher"}).start()
    it.until_series(f"ml_runs_finished_total {name} succeeded", 2)
    series = it.series()
    assert series[f"ml_training_metric {name} acc"] == 0.5
    assert f"ml_training_metric {name} auc" not in series
    assert f"ml_training_metric {name} loss" not in series
    assert series["ml_source_up"] == 1


def test_a_bad_reload_keeps_the_old_configuration_and_a_good_one_is_taken(
    mlflow: MlflowServer, exporter: Callable[..., Exporter]
) -> None:
    mlflow.experiment("reload-one")
    mlflow.experiment("reload-two")
    it = exporter(mlflow.url, include=["reload-one"]).start()
    it.until_series("ml_runs_active reload-one running", 0)
    good = it.file.read_text()
    it.file.write_text(good.replace("include:", "inclde:"))
    status, text = it.reload()
    assert status >= 400
    assert "sources[0].inclde: unknown key; did you mean 'include'?" in text
    assert it.series()["ml_exporter_config_last_reload_successful"] == 0
    assert it.series()["ml_runs_active reload-one running"] == 0
    it.file.write_text(good.replace("reload-one", "reload-*"))
    polls = it.series()["ml_source_polls_total ok none"]
    assert it.reload()[0] == 200
    series = it.series()
    assert series["ml_exporter_config_last_reload_successful"] == 1
    assert series["ml_source_up"] == 1
    assert series["ml_source_polls_total ok none"] >= polls
    it.until_series("ml_runs_active reload-two running", 0)
    it.file.write_text(good.replace(it.address, "127.0.0.1:1"))
    status, text = it.reload()
    assert status >= 400
    assert "server.listen: changed" in text
    assert "needs a restart" in text


def test_a_corrupt_state_file_fails_the_start_once_and_is_kept(
    mlflow: MlflowServer, exporter: Callable[..., Exporter]
) -> None:
    it = exporter(mlflow.url, include=["nothing"]).start()
    it.until_series("ml_source_up", 1)
    assert it.stop() == 0
    state = it.folder / "ml-exporter.db"
    state.write_bytes(b"garbage" * 1000)
    with pytest.raises(AssertionError, match="the exporter ended"):
        it.start()
    assert it.process is not None
    assert it.process.returncode == 1
    assert "is corrupt" in it.log.read_text()
    assert [file.read_bytes() for file in it.folder.glob("ml-exporter.db.corrupt-*")] == [b"garbage" * 1000]
    it.start()
    assert it.series()["ml_exporter_state_kept_aside"] == 1


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own with room for little."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)], capture_output=True, text=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip(f"a small file system cannot be mounted here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_full_disk_is_said_and_nothing_is_lost_once_there_is_room(
    mlflow: MlflowServer, exporter: Callable[..., Exporter], small_disk: Path
) -> None:
    experiment = mlflow.experiment("full-disk")
    it = exporter(mlflow.url, include=["full-disk"])
    it.config["state"] = str(small_disk / "state.db")
    it.start()
    it.until_series("ml_source_backfill_complete", 1)
    filler = small_disk / "filler"
    with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
        while file.write(b"x" * 4096):
            pass
    mlflow.run(experiment, "FAILED", start=time.time() - 9, end=time.time())
    it.until(lambda: it.series().get("ml_source_polls_total failed state", 0) > 0, "it counts it")
    series = it.series()
    assert series["ml_source_up"] == 0
    assert series["ml_runs_finished_total full-disk failed"] == 0
    assert "disk is full" in it.log.read_text()
    filler.unlink()
    it.until_series("ml_runs_finished_total full-disk failed", 1, timeout=60)
    it.kill()
    it.start()
    it.until_series("ml_source_up", 1)
    assert it.series()["ml_runs_finished_total full-disk failed"] == 1


def test_sigterm_ends_it_well_and_the_debug_page_shows_the_last_poll(
    mlflow: MlflowServer, exporter: Callable[..., Exporter]
) -> None:
    mlflow.experiment("debugged")
    it = exporter(mlflow.url, include=["debugged"]).start()
    it.until_series("ml_source_up", 1)
    page = json.loads(get(f"{it.url}/debug/sources/mlflow") or b"{}")
    assert any("experiments/search" in call["path"] for call in page["calls"])
    assert it.stop() == 0
