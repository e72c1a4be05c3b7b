"""All kinds of backend at once, each with its pipelines: the tests' fakes behind HTTP, in a process of their own.

    with Farm(pipelines=1000) as farm: farm.urls["airflow"]

A kind has ten runs a pipeline in its history; in every minute some of its runs end, where its fake can tell the time.
"""

from __future__ import annotations

import argparse
import json
import sys
import threading
import time
import urllib.parse
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import msgspec
from tests.support import (
    fake_airflow,
    fake_dagster,
    fake_kubeflow,
    fake_kubernetes,
    fake_mlflow,
    fake_prefect,
    fake_ray,
    fake_slurm,
)

from ml_exporter.ports import Call, Reply
from ml_exporter.reading import iso

Fake = Callable[[Call], Reply]
RUNS = 10
"""Finished runs of a pipeline, an hour apart; each took a minute."""
HOUR = 3600.0
ANY = frozenset(range(100, 600))


def airflow(pipelines: int, now: float) -> Fake:
    dags = [
        fake_airflow.dag(f"dag-{n}", next_dagrun_run_after=iso(now + HOUR), timetable_periodic=True, tags=[])
        for n in range(pipelines)
    ]
    total, gap = pipelines * RUNS, HOUR / pipelines

    def born(number: int) -> float:
        return now - (total - number) * gap

    def make(number: int) -> fake_airflow.Item:
        return fake_airflow.run(f"dag-{number % pipelines}", f"r{number}", "success", born(number))

    return fake_airflow.FakeAirflow(dags=dags, history=fake_airflow.Listing(total, born, make), pools=[])


def dagster(pipelines: int, now: float) -> Fake:
    jobs = [f"job{n}" for n in range(pipelines)]
    schedules = [fake_dagster.schedule(f"every-{job}", job, "0 * * * *") for job in jobs]
    history = fake_dagster.History(pipelines * RUNS, now, HOUR / pipelines, pipelines)
    return fake_dagster.FakeDagster({"lab": [fake_dagster.repository(*jobs, schedules=schedules)]}, history=history)


def kubernetes(pipelines: int, now: float) -> Fake:
    fake = fake_kubernetes.FakeKubernetes()
    for n in range(pipelines):
        fake.put(fake_kubernetes.CRON_JOBS, fake_kubernetes.cron_job(f"job-{n}", created=now - 30 * 86400))
        for run in range(3):  # what successfulJobsHistoryLimit leaves
            end = now - run * HOUR
            item = fake_kubernetes.ended(f"{n}-{run}", end, started=end - 60, created=end - 62)
            fake.put(fake_kubernetes.JOBS, fake_kubernetes.owned(item, "CronJob", f"job-{n}"))
    fake.log.clear()
    fake.oldest = fake.version
    return fake


def argo(pipelines: int, now: float) -> Fake:
    fake = fake_kubernetes.FakeKubernetes()
    for n in range(pipelines):
        item = {
            "metadata": fake_kubernetes.meta(f"cw-{n}", f"wf-{n}", now - 30 * 86400),
            "spec": {"schedule": "0 * * * *"},
        }
        fake.put(fake_kubernetes.CRON_WORKFLOWS, item)
        for run in range(RUNS):
            end = now - run * HOUR
            labels = {"workflows.argoproj.io/cron-workflow": f"wf-{n}"}
            metadata = {**fake_kubernetes.meta(f"{n}-{run}", f"wf-{n}-{run}", end - 62), "labels": labels}
            times = {"startedAt": fake_kubernetes.at(end - 60), "finishedAt": fake_kubernetes.at(end)}
            workflow = {"metadata": metadata, "spec": {}, "status": {"phase": "Succeeded", **times}}
            fake.put(fake_kubernetes.WORKFLOWS, workflow)
    fake.log.clear()
    fake.oldest = fake.version
    return fake


def kubeflow(pipelines: int, now: float) -> Fake:
    fake = fake_kubeflow.FakeKubeflow()
    for n in range(pipelines):
        trigger = {"cron_schedule": {"cron": "0 0 * * * *"}}
        fake.recur(f"rr-{n}", f"pipeline-{n}", trigger, created=now - 30 * 86400)
        for run in range(RUNS):
            fake.run(f"{n}-{run}", created=now - run * HOUR - 70, ran=60.0, recurring_run_id=f"rr-{n}")
    return fake


def mlflow(pipelines: int, now: float) -> Fake:
    fake = fake_mlflow.FakeMlflow(now=now)
    for n in range(pipelines):
        fake.experiment(str(n + 1), f"exp-{n}", created=now - 30 * 86400)
        for run in range(RUNS):
            end = now - run * HOUR
            fake.run(f"{n}-{run}", str(n + 1), start=end - 60, end=end)
    return fake


def prefect(pipelines: int, now: float) -> Fake:
    fake = fake_prefect.FakePrefect()
    for n in range(pipelines):
        fake.tables["flows"].append({"id": f"flow-{n}", "name": f"flow-{n}"})
        schedule = {"schedule": {"cron": "0 * * * *", "timezone": "UTC"}, "active": True}
        stamp = {"created": iso(now - 30 * 86400), "updated": iso(now - 30 * 86400)}
        row = {
            "id": f"d-{n}",
            "name": "hourly",
            "flow_id": f"flow-{n}",
            "schedules": [schedule | stamp],
            "paused": False,
        }
        fake.tables["deployments"].append({**row, **stamp, "tags": [], "number": n})
        for run in range(RUNS):
            end = now - run * HOUR
            times = {"expected_start_time": iso(end - 62), "start_time": iso(end - 60), "end_time": iso(end)}
            what = {"state_type": "COMPLETED", "state_name": "Completed", "run_count": 1, "tags": []}
            whose = {"flow_id": f"flow-{n}", "deployment_id": f"d-{n}", "parent_task_run_id": None}
            fake.tables["flow_runs"].append({"id": f"{n}-{run}", **whose, **what, **times})
    return fake


def ray(pipelines: int, now: float) -> Fake:
    fake = fake_ray.FakeRay()
    for n in range(pipelines):
        for run in range(RUNS):
            end = now - run * HOUR
            fake.job(f"train-{n}-{run}", start=end - 60, end=end, metadata={"pipeline": f"train-{n}"})
    return fake


def slurm(pipelines: int, now: float) -> Fake:
    fake = fake_slurm.FakeSlurm(now=now)
    for n in range(pipelines):
        for run in range(RUNS):
            end = now - run * HOUR
            number = run * pipelines + n + 1
            fake.job(number, f"job-{n}", submit=end - 62, start=end - 60, end=end)
            if run:  # slurmctld forgets; slurmdbd does not
                fake.account_for(number)
                del fake.jobs[number]
    fake.updated = now - HOUR
    return fake


BUILDERS: dict[str, Callable[[int, float], Fake]] = {
    "airflow": airflow,
    "argo": argo,
    "dagster": dagster,
    "kubeflow": kubeflow,
    "kubernetes": kubernetes,
    "mlflow": mlflow,
    "prefect": prefect,
    "ray": ray,
    "slurm": slurm,
}


def front(fake: Fake) -> ThreadingHTTPServer:
    """The fake behind HTTP on a free port of 127.0.0.1, one request at a time."""
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # headers and body in one segment: else each reply waits 40 ms for an acknowledgement

        def answer(self) -> None:
            url = urllib.parse.urlsplit(self.path)
            raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            params = tuple(urllib.parse.parse_qsl(url.query, keep_blank_values=True))
            headers = dict(self.headers.items())
            call = Call(
                self.command,
                urllib.parse.unquote(url.path),
                params,
                headers,
                json.loads(raw) if raw else None,
                ANY,
                Any,
            )
            if "watch" in dict(params):
                call = Call(call.method, call.path, params, headers, None, ANY, bytes)
            with lock:
                reply = fake(call)
            body = reply.value if isinstance(reply.value, bytes) else msgspec.json.encode(reply.value)
            self.send_response(reply.status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            with suppress(BrokenPipeError, ConnectionResetError):  # the exporter was ended
                self.wfile.write(body)

        do_GET = do_POST = answer  # noqa: N815 — the names that http.server looks for

        def log_message(self, format: str, *args: Any) -> None:
            pass

    return ThreadingHTTPServer(("127.0.0.1", 0), Handler)


def main() -> None:
    """Serve until standard input ends; print the addresses as one line of JSON."""
    parser = argparse.ArgumentParser(prog="python -m bench.farm")
    parser.add_argument("--pipelines", type=int, default=1000)
    options = parser.parse_args()
    now, urls = time.time(), {}
    for kind, build in BUILDERS.items():
        server = front(build(options.pipelines, now))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        urls[kind] = f"http://127.0.0.1:{server.server_port}"
    print(json.dumps(urls), flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
