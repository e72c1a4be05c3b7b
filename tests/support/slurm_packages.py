"""Slurm of two Debian releases, each with all the libraries it needs, unpacked in a folder that is entered by chroot.

apt works out what a machine without any package would need, so the two generations run beside each other, and on any
machine, without touching what is installed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.support import debian

PACKAGES = (
    *("slurmctld", "slurmd", "slurmdbd", "slurmrestd", "slurm-client", "slurm-wlm-jwt-plugin"),
    *("slurm-wlm-mysql-plugin", "mariadb-server-core", "busybox-static"),
)
RECIPE = 1
"""Raised when a change here must make new folders."""
NOT_NEEDED = ("systemd", "perl-base", "dpkg", "procps")
APPLETS = ("sh", "sleep", "true", "false", "cat", "env", "hostname", "kill")
USERS = {"root": (0, 0), "games": (5, 60), "rest": (1000, 1000), "watcher": (1001, 1001)}
"""Name → (uid, gid): the cluster's own user, slurmrestd's (it refuses the cluster's) and one without any rights."""


def root(suite: str) -> Path:
    """The folder with Slurm of a Debian suite ("bookworm": 22.05, "forky": 26.05). Raises `debian.Unavailable`."""
    for program in ("apt-get", "dpkg-deb", "unshare", "nsenter", "chroot"):
        if not shutil.which(program):
            raise debian.Unavailable(f"Slurm of Debian {suite} needs {program}")
    if os.geteuid() != 0:
        raise debian.Unavailable("a Slurm of its own needs root, for chroot and mount")
    target = debian.cache() / f"slurm-{suite}-{RECIPE}"
    if not target.exists():
        staging = target.with_name(f"{target.name}.{os.getpid()}")
        shutil.rmtree(staging, ignore_errors=True)
        try:
            _build(suite, staging)
            staging.rename(target)
        except (OSError, subprocess.SubprocessError) as error:
            if not target.exists():  # else another test run was quicker
                raise debian.Unavailable(f"Slurm of Debian {suite} cannot be unpacked: {error}") from error
        finally:
            shutil.rmtree(staging, ignore_errors=True)
    return target


def _build(suite: str, target: Path) -> None:
    for name in ("usr/bin", "usr/sbin", "usr/lib", "usr/lib64", "etc", "srv", "proc", "sys", "dev", "run", "tmp"):
        (target / name).mkdir(parents=True)
    for name in ("bin", "sbin", "lib", "lib64"):
        (target / name).symlink_to(f"usr/{name}")
    (target / "tmp").chmod(0o1777)
    for package in _download(suite, target / "apt"):
        if package.name.split("_")[0] not in NOT_NEEDED:
            _unpack(package, target)
    shutil.rmtree(target / "apt")
    for name in ("slurmctld", "slurmd", "slurmstepd"):  # what update-alternatives would do
        (target / "usr/sbin" / name).symlink_to(f"{name}-wlm")
    for name in APPLETS:
        (target / "usr/bin" / name).unlink(missing_ok=True)
        (target / "usr/bin" / name).symlink_to("busybox")
    users = [f"{name}:x:{uid}:{gid}::/srv:/bin/sh\n" for name, (uid, gid) in USERS.items()]
    (target / "etc/passwd").write_text("".join(users))
    (target / "etc/group").write_text("".join(f"{name}:x:{gid}:\n" for name, (_, gid) in USERS.items()))
    (target / "etc/hosts").write_text("127.0.0.1 localhost node gone\n")
    if suite != "bookworm":
        # libmariadb 11.8.9 refuses every answer that slurmdbd gets (error 5027, "maxmimum allowed number of columns").
        library = "usr/lib/x86_64-linux-gnu/libmariadb.so.3"
        shutil.copy(root("bookworm") / library, target / library)


def _download(suite: str, apt: Path) -> list[Path]:
    """The packages and all that they depend on, as .deb files; nothing of the machine's own apt is touched."""
    address, keyring = debian.mirror()
    for name in ("lists/partial", "cache/archives/partial"):
        (apt / name).mkdir(parents=True)
    signed = f"[signed-by={keyring}] " if keyring else ""
    (apt / "sources.list").write_text(f"deb {signed}{address} {suite} main\n")
    (apt / "status").touch()
    settings = {
        "Dir::Etc::sourcelist": apt / "sources.list",
        "Dir::Etc::sourceparts": "-",
        "Dir::State::lists": apt / "lists",
        "Dir::State::status": apt / "status",
        "Dir::Cache": apt / "cache",
        "APT::Sandbox::User": "root",
        "APT::Install-Recommends": "false",
        "Acquire::Retries": "2",
        "Debug::NoLocking": "true",
    }
    options = [word for key, value in settings.items() for word in ("-o", f"{key}={value}")]
    _run(["apt-get", *options, "-q", "update"])
    _run(["apt-get", *options, "-q", "-y", "--download-only", "install", *PACKAGES])
    return sorted((apt / "cache/archives").glob("*.deb"))


def _unpack(package: Path, target: Path) -> None:
    tar = ["tar", "-x", "-C", str(target), "--keep-directory-symlink", "--no-same-owner"]
    tar += [f"--exclude=./usr/share/{name}" for name in ("doc", "man", "locale")]
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", package], stdout=subprocess.PIPE) as unpacking:
        subprocess.run(tar, stdin=unpacking.stdout, check=True, timeout=120)


def _run(command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise debian.Unavailable(f"{command[0]} {command[-1]} failed: {last}")
