"""A real Triton on CPU with a model of its Python backend: the server that comes inside the package nvidia-pytriton."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support import debian, environments
from tests.support.open_inference import MODEL, Server
from tests.support.programs import free_port, start
from tests.support.served import ended
from tests.support.served_models.control import FOLDER, Control

PACKAGE = "0.7.0"
VERSION = "2.51.0"
MODEL_VERSION = "1"
READY_WITHIN = 120.0
"""Seconds."""
METRICS = (
    "--allow-metrics=true",
    "--allow-cpu-metrics=true",
    "--allow-gpu-metrics=false",
    "--metrics-interval-ms=200",
    "--metrics-config=counter_latencies=true",  # its default
    "--metrics-config=summary_latencies=true",  # not its default
)
_CONFIG = f"""
name: "{MODEL}"
backend: "python"
max_batch_size: 0
input [{{ name: "x" data_type: TYPE_FP32 dims: [-1, 2] }}]
output [{{ name: "y" data_type: TYPE_FP32 dims: [-1, -1] }}]
instance_group [{{ kind: KIND_CPU count: 1 }}]
"""
"""The output's second dimension is open, or Triton itself would refuse a wrong shape."""


class TritonServer(Server):
    """A running Triton.

    While it loads a model, connections that were open before, and kept, wait: the call holds up their thread. `unload`
    returns before it is done: wait until the model is not ready.
    """

    def describe(self, version: str) -> None:
        """As `Server` says."""
        model = self.control.file.parent / "models" / MODEL
        (old,) = (path for path in model.iterdir() if path.is_dir())
        if old.name != version:
            old.rename(model / version)

    def add(self, name: str, code: str) -> None:
        """Put another model into the repository, which is not loaded by that."""
        version = self.control.file.parent / "models" / name / MODEL_VERSION
        version.mkdir(parents=True)
        (version.parent / "config.pbtxt").write_text(_CONFIG.replace(f'"{MODEL}"', f'"{name}"'), encoding="utf-8")
        (version / "model.py").write_text(code, encoding="utf-8")


@contextmanager
def triton(folder: Path) -> Iterator[TritonServer]:
    """A server on 127.0.0.1 until the end of the block, its model ready. Raises `debian.Unavailable`, `NotReadyError`.

    Models are loaded and unloaded by call only (model control mode "explicit").
    """
    packages = _packages()
    control = Control.within(folder)
    _configure(folder, packages)
    http, metrics = free_port(), free_port()
    arguments: list[str | Path] = [
        packages / "pytriton/tritonserver/bin/tritonserver",
        f"--model-repository={folder / 'models'}",
        f"--backend-directory={folder / 'backends'}",
        # What it shares with the stub is left behind in /dev/shm when it is killed: named, to be removed.
        f"--backend-config=python,shm-region-prefix-name={_shared(folder)}",
        "--backend-config=python,shm-default-byte-size=1048576",
        *("--model-control-mode=explicit", f"--load-model={MODEL}", "--exit-on-error=false"),
        *("--http-address=127.0.0.1", f"--http-port={http}", "--allow-grpc=false"),
        *("--metrics-address=127.0.0.1", f"--metrics-port={metrics}", *METRICS),
    ]
    environment = {
        **control.environment,
        "PATH": "/usr/bin:/bin",  # the stub's Python finds its standard library by the first python3 in it
    }
    process = start("triton", arguments, log=folder / "triton.log", cwd=folder, env=environment, grace=3.0)
    server = TritonServer(f"http://127.0.0.1:{http}", f"http://127.0.0.1:{metrics}/metrics", control, process)
    try:
        with ended(control, process):
            server.wait_until_ready(READY_WITHIN)
            yield server
    finally:
        for left in Path("/dev/shm").glob(f"{_shared(folder)}*"):
            left.unlink(missing_ok=True)


def _packages() -> Path:
    """The folder with pytriton and numpy. Raises `debian.Unavailable`, also where the stub's Python is not there."""
    name = f"python{sys.version_info.major}.{sys.version_info.minor}"
    home = environments.python(f"pytriton-{PACKAGE}", f"nvidia-pytriton=={PACKAGE}").parent.parent
    packages = home / "lib" / name / "site-packages"
    stub = _stub(packages / "pytriton/tritonserver")
    needed = subprocess.run(["ldd", stub], capture_output=True, text=True, timeout=30).stdout
    if f"lib{name}.so.1.0 => /" not in needed:
        raise debian.Unavailable(f"Triton's Python backend needs lib{name}.so.1.0 of this machine")
    return packages


def _stub(inside: Path) -> Path:
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    return inside / "python_backend_stubs" / version / "triton_python_backend_stub"


def _configure(folder: Path, packages: Path) -> None:
    """The repository of models, and the Python backend with the stub for this Python where Triton looks for it."""
    inside = packages / "pytriton/tritonserver"
    version = folder / "models" / MODEL / MODEL_VERSION
    version.mkdir(parents=True)
    (version.parent / "config.pbtxt").write_text(_CONFIG, encoding="utf-8")
    # The stub's Python takes no PYTHONPATH.
    paths = [str(FOLDER), str(packages)]
    model = f"import sys\nsys.path[:0] = {paths}\nfrom triton_model import TritonPythonModel\n"
    (version / "model.py").write_text(model, encoding="utf-8")
    backend = folder / "backends/python"
    backend.mkdir(parents=True)
    for file in (*(inside / "backends/python").iterdir(), _stub(inside)):
        (backend / file.name).symlink_to(file)


def _shared(folder: Path) -> str:
    return f"ml-exporter-{folder.name}-{os.getpid()}-"
