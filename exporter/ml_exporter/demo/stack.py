"""Starts the parts of the demo and waits until data flows through all of them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from importlib import resources
from pathlib import Path
from string import Template
from urllib.parse import quote

from ml_exporter.demo import processes, programs
from ml_exporter.demo.pipelines import EVENT
from ml_exporter.demo.processes import NotReadyError, Process

PORTS = {
    "exporter": 9840,
    "receiver": 9841,
    "serving": 9842,
    "scheduler": 9843,
    "language": 9844,
    "mlflow": 5000,
    "prometheus": 9090,
    "alertmanager": 9093,
}
"""Tried first; a port that somebody else has is replaced by a free one."""
_QUIET_MLFLOW = {
    # Without it MLflow starts seven more processes and takes twice as long.
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "GIT_PYTHON_REFRESH": "quiet",
}
SERVED = "demand"
"""The model whose champion is served: the one that gets worse."""
_RECENT = 60
"""Lines of the pipelines' log: 20 successes, which a baseline is made of, of three pipelines."""
_TRAINED = 'sum(ml_runs_finished_total{source="tracking", state="succeeded"}) > 0'
_PREDICTED = (
    f'ml_endpoint_up{{model="{SERVED}", check="predict"}} == 1'
    f' or ml_endpoint_probes_total{{model="{SERVED}", outcome="bad_prediction"}} > 0'
)
"""A demo that goes on where it stopped may begin with a champion whose predictions are wrong."""
Say = Callable[[str], None]


@dataclass
class Stack:
    """The demo in one folder: data, rendered files and logs. Everything listens on 127.0.0.1."""

    folder: Path
    """Absolute."""
    cycle: float
    """Seconds between two trainings of a pipeline."""
    timeout: float
    """Seconds that each wait may last."""
    say: Say
    ports: Mapping[str, int] = field(default_factory=lambda: PORTS)
    """Part → the port that is tried first."""
    fault_folder: Path | None = None
    """A game day: pipelines and model server do what this folder says."""
    pipelines_env: Mapping[str, str] = field(default_factory=dict)
    addresses: dict[str, str] = field(default_factory=dict)
    processes: list[Process] = field(default_factory=list)

    @property
    def config(self) -> Path:
        return self.folder / "ml-exporter.yaml"

    @property
    def rendered(self) -> Path:
        return self.folder / "rendered"

    def url(self, part: str) -> str:
        return f"http://{self.addresses[part]}"

    def start(self) -> None:
        """Start all parts. Raises `MissingError` and `NotReadyError`."""
        programs.require_packages("mlflow", "sklearn")
        prometheus, alertmanager = programs.find("prometheus"), programs.find("alertmanager")
        self.folder.mkdir(parents=True, exist_ok=True)
        self.addresses |= {part: f"127.0.0.1:{processes.free_port(port)}" for part, port in self.ports.items()}
        self.configure()
        self.start_part("mlflow", *self._mlflow(), env=_QUIET_MLFLOW)
        self.start_told()
        self.start_part("alertmanager", alertmanager, *self._alertmanager())
        self.start_part("prometheus", prometheus, *self._prometheus())
        given = ("--tracking-uri", self.url("mlflow"), *(("--faults", self.fault_folder) if self.fault_folder else ()))
        self.start_part("pipelines", *module("pipelines"), *given, "--cycle", str(self.cycle), env=self.pipelines_env)
        self.start_part("serving", *module("serving"), *given, "--model", SERVED, "--port", self.port("serving"))
        self.before_exporter()
        self.start_part("exporter", *python("ml_exporter"), "run", "--config", self.config)

    def start_told(self) -> None:
        """Start what Alertmanager sends to, and the stand-ins."""
        self.start_part("receiver", *module("receiver"), "--port", self.port("receiver"))
        self.start_part("scheduler", *module("scheduler"), "--port", self.port("scheduler"))
        self.start_part("language", *module("language_model"), "--port", self.port("language"))

    def before_exporter(self) -> None:
        """Nothing: the demo's exporter meets what is not there yet."""

    def wait(self) -> None:
        """Return when Prometheus has seen a run and a prediction, and the receiver an alert. Raises `NotReadyError`."""
        for part, path in (
            ("receiver", "/-/healthy"),
            ("alertmanager", "/-/ready"),
            ("prometheus", "/-/ready"),
            ("exporter", "/-/healthy"),
            ("mlflow", "/health"),
        ):
            self.wait_for(f"{part} answers at {self.url(part)}", partial(processes.answers, self.url(part) + path))
        self.wait_for(
            "a finished training is counted in Prometheus",
            lambda: self.query(_TRAINED),
        )
        self.wait_for(
            "a prediction has been probed",
            lambda: self.query(_PREDICTED),
        )
        self.wait_for("an alert reaches the receiver", self.notified)

    def check(self) -> None:
        """Raises `NotReadyError`, with its last words, when a part has ended."""
        for process in self.processes:
            if process.exit_code is not None:
                raise NotReadyError(
                    f"{process.name} ended with exit code {process.exit_code}; "
                    f"the end of {process.log}:\n{process.tail()}"
                )

    def stop(self) -> None:
        """End all parts and what they started."""
        processes.stop_all(self.processes)

    def event(self) -> str:
        """What was last done to a pipeline's data, as long as its baseline still remembers; empty if nothing was."""
        for process in self.processes:
            if process.name == "pipelines":
                lines = process.tail(_RECENT).splitlines()
                return next((line for line in reversed(lines) if line.startswith(EVENT)), "")
        return ""

    def query(self, expression: str) -> list[tuple[dict[str, str], float]]:
        """What Prometheus answers now, (labels, value) per series; nothing while it does not answer."""
        body = processes.get(f"{self.url('prometheus')}/api/v1/query?query={quote(expression)}")
        result = json.loads(body)["data"]["result"] if body else []
        return [(series["metric"], float(series["value"][1])) for series in result]

    def notified(self) -> bool:
        """Whether the receiver has got anything."""
        return bool(json.loads(processes.get(f"{self.url('receiver')}/notifications") or b"[]"))

    def wait_for(self, what: str, predicate: Callable[[], object]) -> None:
        self.say(f"waiting until {what}")
        processes.wait_until(predicate, self.timeout, what, watch=self.processes)

    def start_part(self, name: str, *arguments: str | Path, env: Mapping[str, str] | None = None) -> None:
        self.say(f"starting {name}")
        log = self.folder / "logs" / f"{name}.log"
        self.processes.append(processes.start(name, arguments, log=log, cwd=self.folder, env=env))

    def port(self, part: str) -> str:
        return self.addresses[part].rpartition(":")[2]

    def template(self) -> str:
        """The configuration, with a placeholder for the address of every part."""
        return resources.files("ml_exporter.demo").joinpath("ml-exporter.yaml").read_text(encoding="utf-8")

    def configure(self) -> None:
        """Write the configuration and what is generated from it."""
        template = self.template()
        self.config.write_text(Template(template).substitute(self.addresses), encoding="utf-8")
        self.say(f"rendering rules, dashboards and routing from {self.config}")
        rendering = subprocess.run(  # noqa: S603 - our own program
            [*python("ml_exporter"), "render", "--config", self.config, "--output", self.rendered],
            capture_output=True,
            text=True,
            check=False,
        )
        if rendering.returncode != 0:
            raise NotReadyError(f"ml-exporter render failed:\n{rendering.stdout}{rendering.stderr}")

    def _mlflow(self) -> list[str | Path]:
        return [
            *python("mlflow"),
            *("server", "--host", "127.0.0.1", "--port", self.port("mlflow"), "--workers", "1"),
            *("--backend-store-uri", f"sqlite:///{self.folder}/mlflow.db"),
            *("--artifacts-destination", self.folder / "artifacts"),
        ]

    def _alertmanager(self) -> list[str]:
        return [
            f"--config.file={self.rendered}/alertmanager/alertmanager.yml",
            f"--storage.path={self.folder}/alertmanager",
            f"--web.listen-address={self.addresses['alertmanager']}",
            "--cluster.listen-address=",
        ]

    def _prometheus(self) -> list[str]:
        return [
            f"--config.file={self.rendered}/prometheus/prometheus.yml",
            f"--storage.tsdb.path={self.folder}/prometheus",
            "--storage.tsdb.retention.time=35d",
            f"--web.listen-address={self.addresses['prometheus']}",
            "--web.enable-lifecycle",
            "--enable-feature=exemplar-storage",
            # What is raised before Prometheus has found Alertmanager is lost, and by default sent again in a minute.
            "--rules.alert.resend-delay=10s",
        ]


def python(module: str) -> list[str | Path]:
    return [sys.executable, "-m", module]


def module(name: str) -> list[str | Path]:
    return python(f"ml_exporter.demo.{name}")
