"""kube-apiserver, kube-controller-manager, kubectl and etcd: built from Debian 12's source package, kept in the cache.

No later Debian carries the servers (only kubectl), and no wheel or npm package does. The build takes minutes and its
tool chain 600 MB for that time, so it happens only where ML_EXPORTER_BUILD_KUBERNETES=1 asks for it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.support import debian
from tests.support.debian import Unavailable

VERSION = "1.20.2"
SUITE = "bookworm"
ASKED_BY = "ML_EXPORTER_BUILD_KUBERNETES"
_REFLECT = "github.com/modern-go/reflect2"
_TOOLS = (
    *("golang-1.19-go", "golang-1.19-src", "etcd-server", "kubernetes-client"),
    "golang-github-modern-go-reflect2-dev",
)
_GOROOT = "tools/usr/lib/go-1.19"
_BUILT = ("./cmd/kube-apiserver", "./cmd/kube-controller-manager")
_MARK = b"+k8s:openapi-gen="
_UNMARKED = ("code-generator", "sample-apiserver", "testdata")


def programs() -> Path:
    """The folder with the programs. Raises `Unavailable` where they are not in the cache and nobody asked to build."""
    target = debian.cache() / f"kubernetes-{VERSION}"
    if target.exists():
        return target
    if os.environ.get(ASKED_BY) != "1":
        raise Unavailable(f"no Kubernetes {VERSION} in {target}; {ASKED_BY}=1 builds it once (some minutes)")
    if not shutil.which("apt-get") or not shutil.which("dpkg"):
        raise Unavailable(f"building Kubernetes {VERSION} needs apt-get and dpkg")
    staging = target.with_name(f"{target.name}.{os.getpid()}")
    try:
        _build(staging)
        (staging / "bin").rename(target)
    except OSError:
        if not target.exists():  # else another test run was quicker
            raise
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return target


def _build(staging: Path) -> None:
    tree = staging / "go/src/k8s.io/kubernetes"
    for folder in ("tools", "bin"):
        (staging / folder).mkdir(parents=True)
    tree.mkdir(parents=True)
    apt = debian.private_apt(staging / "apt", SUITE, "deb", "deb-src")
    _run(["apt-get", *apt, "source", "--download-only", "kubernetes"], staging)
    _run(["apt-get", *apt, "download", *_TOOLS], staging)
    for package in staging.glob("*.deb"):
        _run(["dpkg", "-x", package.name, "tools"], staging)
    for program in ("etcd", "kubectl"):
        (staging / "tools/usr/bin" / program).rename(staging / "bin" / program)
    archives = list(staging.glob("kubernetes_*.orig.tar.*"))
    if len(archives) != 1:
        raise Unavailable(f"Debian {SUITE} gave {len(archives)} source archives of Kubernetes, not one")
    _run(["tar", "-xf", archives[0].name, "-C", str(tree), "--strip-components=1"], staging)
    # The vendored one crashes when it iterates over a map in a program of Go 1.18 or later.
    shutil.rmtree(tree / "vendor" / _REFLECT)
    shutil.copytree(staging / "tools/usr/share/gocode/src" / _REFLECT, tree / "vendor" / _REFLECT)
    _generate(staging, tree)
    _compile(staging, tree)


def _generate(staging: Path, tree: Path) -> None:
    """The one generated file that the archive lacks: what types the API has."""
    sources = (file for part in ("pkg/apis", "staging/src/k8s.io") for file in (tree / part).rglob("*.go"))
    marked = {f.parent for f in sources if not {*_UNMARKED} & {*f.parts} and _MARK in f.read_bytes()}
    packages = [str(folder.relative_to(tree)) for folder in sorted(marked)]
    names = [f"k8s.io/kubernetes/{name.replace('staging/src', 'vendor')}" for name in packages]
    generator = staging / "openapi-gen"
    _go(staging, tree, "build", "-o", str(generator), "./vendor/k8s.io/kube-openapi/cmd/openapi-gen")
    output = ["-p", "k8s.io/kubernetes/pkg/generated/openapi", "-O", "zz_generated.openapi"]
    header = ["-h", "hack/boilerplate/boilerplate.generatego.txt", "-r", str(staging / "report")]
    roots = ["--output-base", str(staging / "go/src")]
    _run([str(generator), "-i", ",".join(names), *output, *header, *roots], tree, _environment(staging))


def _compile(staging: Path, tree: Path) -> None:
    major, minor, _ = VERSION.split(".")
    packages = [f"k8s.io/kubernetes/vendor/k8s.io/{name}/version" for name in ("component-base", "client-go/pkg")]
    facts = {"gitVersion": f"v{VERSION}", "gitMajor": major, "gitMinor": minor}
    stamps = [f"-X {package}.{key}={value}" for package in packages for key, value in facts.items()]
    flags = " ".join(["-s", "-w", *stamps])
    _go(staging, tree, "build", f"-ldflags={flags}", "-trimpath", "-o", f"{staging}/bin/", *_BUILT)


def _go(staging: Path, tree: Path, *arguments: str) -> None:
    _run([str(staging / _GOROOT / "bin/go"), *arguments], tree, _environment(staging))


def _environment(staging: Path) -> dict[str, str]:
    """As the project's own makefiles do it: GOPATH mode, the vendored libraries, nothing of the network."""
    return {
        "GOROOT": str(staging / _GOROOT),
        "GOPATH": str(staging / "go"),
        "GOCACHE": str(staging / "gocache"),
        "GO111MODULE": "off",
        "CGO_ENABLED": "0",
    }


def _run(command: list[str], folder: Path, environment: Mapping[str, str] | None = None) -> None:
    env = {**os.environ, **(environment or {})}
    try:
        done = subprocess.run(["nice", *command], cwd=folder, env=env, capture_output=True, text=True, timeout=3600)
    except subprocess.TimeoutExpired:
        raise Unavailable(f"{command[0]} took more than an hour") from None
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise Unavailable(f"{Path(command[0]).name} {command[-1]} failed: {last}")
