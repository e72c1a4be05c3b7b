"""A Docker engine for tests, and images for machines that reach no registry."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from tests.support import debian
from tests.support.debian import Unavailable
from tests.support.programs import NotReadyError, start, wait_until

_RECIPES = Path(__file__).parents[1] / "docker"
_BASE = "ml-exporter-tests/base"
_BASE_PACKAGES = "ca-certificates,python3,python3-venv,busybox"
_CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"


@contextlib.contextmanager
def engine() -> Iterator[None]:
    """A Docker engine that DOCKER_HOST leads to: the running one, else one of our own. Raises `Unavailable`."""
    if _succeeds("docker", "info"):
        yield
        return
    if os.geteuid() != 0:
        raise Unavailable("no Docker engine answers, and starting one needs root")
    install(docker="docker.io", dockerd="docker.io", iptables="iptables")
    with tempfile.TemporaryDirectory(prefix="dockerd-") as folder:
        address = f"unix://{folder}/docker.sock"
        private = ["--exec-root", f"{folder}/exec", "--pidfile", f"{folder}/pid"]
        dockerd = start(
            "dockerd",
            ["dockerd", "-H", address, "--data-root", debian.cache() / "docker", *private],
            log=Path(folder) / "dockerd.log",
            grace=40,  # it ends its containers first, each with a grace of its own
        )
        before = os.environ.get("DOCKER_HOST")
        os.environ["DOCKER_HOST"] = address
        try:
            wait_until(lambda: _succeeds("docker", "info"), 60, "dockerd answers", watch=[dockerd], every=0.5)
            _sweep()  # of a run that was killed: its containers have started again with the engine
            yield
            _sweep()
        except NotReadyError as error:
            raise Unavailable(f"dockerd does not run here: {str(error).splitlines()[-1]}") from error
        finally:
            if before is None:
                del os.environ["DOCKER_HOST"]
            else:
                os.environ["DOCKER_HOST"] = before
            dockerd.stop()
            _unmount_below(folder)


def _unmount_below(folder: str) -> None:
    """dockerd leaves network namespaces mounted, which keep the folder from being deleted."""
    mounted = [line.split()[1] for line in Path("/proc/mounts").read_text(encoding="utf-8").splitlines()]
    for path in mounted:
        if path.startswith(f"{folder}/"):
            _succeeds("umount", "--lazy", path)


def _sweep() -> None:
    """Remove containers, volumes and networks of our own engine; images stay, for the next run."""
    listed = subprocess.run(["docker", "ps", "--all", "--quiet"], capture_output=True, text=True, check=False)
    containers = listed.stdout.split()
    if containers:
        _succeeds("docker", "rm", "--force", "--volumes", *containers, timeout=120)
    _succeeds("docker", "volume", "prune", "--force", timeout=120)
    _succeeds("docker", "network", "prune", "--force")


def compose() -> str:
    """The command for Compose v2: the engine's plugin, else Debian's later one. Raises `Unavailable`."""
    if _succeeds("docker", "compose", "version"):
        return "docker compose"
    return str(debian.fetch("docker-compose") / "usr/libexec/docker/cli-plugins/docker-compose")


def has(image: str) -> bool:
    """Whether the engine has it, so that no registry need be asked."""
    return _succeeds("docker", "image", "inspect", image)


def provide(images: Sequence[str]) -> dict[str, str]:
    """Pull the images, or build stand-ins under their names; returns image → why it cannot be had."""
    absent = {}
    registry = True
    for image in images:
        if registry and _succeeds("docker", "pull", "--quiet", image, timeout=300):
            continue
        registry = False  # one attempt is enough: each may take long to fail
        name = image.partition(":")[0].rpartition("/")[2]
        try:
            _STAND_INS.get(name, _no_stand_in)(image, name)
        except (Unavailable, subprocess.CalledProcessError) as error:
            absent[image] = str(getattr(error, "stderr", None) or error).strip()[-500:]
    return absent


def _no_stand_in(image: str, _name: str) -> None:
    raise Unavailable(f"{image} cannot be pulled here and is in no package archive to make a stand-in from")


def _python(image: str, name: str) -> None:
    _build(image, name, {"ca-certificates.crt": Path(_CERTIFICATES).read_bytes(), "pip.conf": _pip_settings()})


def _pip_settings() -> bytes:
    """What this machine's environment tells pip, as a configuration file; its own folders do not exist in an image."""
    known = {"PIP_INDEX_URL": "index-url", "PIP_PROXY": "proxy", "PIP_DEFAULT_TIMEOUT": "timeout"}
    lines = [f"{key} = {os.environ[name]}" for name, key in known.items() if os.environ.get(name)]
    return "\n".join(["[global]", f"cert = {_CERTIFICATES}", *lines, ""]).encode()


def _postgres(image: str, name: str) -> None:
    _build(image, name, {})


def _from_packages(*packages: str) -> Callable[[str, str], None]:
    def build(image: str, name: str) -> None:
        files = {}
        for package in packages:
            root = debian.fetch(package)
            for path in (*root.glob("usr/bin/*"), *root.glob("usr/share/prometheus/**/*")):
                if path.is_file():
                    files[str(path.relative_to(root))] = path.read_bytes()
        _build(image, name, files)

    return build


_STAND_INS: Mapping[str, Callable[[str, str], None]] = {
    "python": _python,
    "postgres": _postgres,
    "prometheus": _from_packages("prometheus", "promtool"),
    "alertmanager": _from_packages("prometheus-alertmanager"),
}


def _build(image: str, name: str, files: Mapping[str, bytes]) -> None:
    _make_base()
    with tempfile.TemporaryDirectory() as context:
        shutil.copytree(_RECIPES / name, context, dirs_exist_ok=True)
        for file, content in files.items():
            path = Path(context, file)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            path.chmod(0o755)
        _run("docker", "build", "--network", "host", "--tag", image, context, env={"DOCKER_BUILDKIT": "0"})


def _make_base() -> None:
    """A minimal Debian, as this machine's archive has it."""
    if has(_BASE):
        return
    install(debootstrap="debootstrap")
    release = dict(
        line.split("=", 1) for line in Path("/etc/os-release").read_text(encoding="utf-8").splitlines() if "=" in line
    )
    with tempfile.TemporaryDirectory(prefix="base-") as folder:
        suite = release["VERSION_CODENAME"].strip('"')
        _run("debootstrap", "--variant=minbase", f"--include={_BASE_PACKAGES}", suite, folder, debian.mirror()[0])
        with subprocess.Popen(["tar", "-C", folder, "-c", "."], stdout=subprocess.PIPE) as tar:
            subprocess.run(["docker", "import", "-", _BASE], stdin=tar.stdout, check=True, capture_output=True)


def install(**packages: str) -> None:
    """Install the package of each program that is not here. Raises `Unavailable`."""
    missing = sorted({package for program, package in packages.items() if not shutil.which(program)})
    if not missing:
        return
    if not shutil.which("apt-get"):
        raise Unavailable(f"{', '.join(missing)} not installed, and there is no apt-get")
    print(f"Installing from this machine's package archive: {' '.join(missing)}")
    env = {"DEBIAN_FRONTEND": "noninteractive"}
    try:
        _run("apt-get", "-o", "DPkg::Lock::Timeout=300", "update", env=env)
        _run("apt-get", "-o", "DPkg::Lock::Timeout=300", "install", "-y", "--no-install-recommends", *missing, env=env)
    except subprocess.CalledProcessError as error:
        raise Unavailable(f"apt-get install {' '.join(missing)} failed: {error.stderr[-500:]}") from error


def _succeeds(*command: str, timeout: float = 30) -> bool:
    try:
        return subprocess.run(command, capture_output=True, timeout=timeout, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def _run(*command: str, env: Mapping[str, str] | None = None) -> None:
    subprocess.run(command, env={**os.environ, **(env or {})}, check=True, capture_output=True, text=True, timeout=900)
