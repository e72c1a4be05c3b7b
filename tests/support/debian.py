"""Programs that are newer than the machine's: fetched from a later Debian suite into a cache, without an upgrade."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

LATER_SUITE = "forky"


class Unavailable(Exception):  # noqa: N818 - no mistake, only a reason to skip
    """Something cannot be had on this machine; the text says why."""


def cache() -> Path:
    """Where fetched programs are kept from run to run: ML_EXPORTER_TEST_CACHE, else under ~/.cache."""
    return Path(os.environ.get("ML_EXPORTER_TEST_CACHE") or Path.home() / ".cache" / "ml-exporter-tests")


def mirror() -> tuple[str, str | None]:
    """The address of this machine's own Debian archive, and the keyring it is checked with. Raises `Unavailable`."""
    folder = Path("/etc/apt")
    for path in sorted(folder.glob("sources.list.d/*.sources")):
        for stanza in re.split(r"\n\s*\n", path.read_text(encoding="utf-8")):
            fields = dict(re.findall(r"^([A-Za-z-]+):[ \t]*(\S+)", stanza, re.M))
            if fields.get("URIs", "").rstrip("/").endswith("/debian"):
                return fields["URIs"], fields.get("Signed-By")
    for path in [folder / "sources.list", *sorted(folder.glob("sources.list.d/*.list"))]:
        for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
            found = re.match(r"deb\s+(?:\[([^\]]*)\]\s+)?(\S+/debian)/?\s", line)
            if found:
                keyring = re.search(r"signed-by=(\S+)", found[1] or "")
                return found[2], keyring[1] if keyring else None
    raise Unavailable("no Debian archive among this machine's apt sources")


def fetch(*packages: str) -> Path:
    """A folder with the contents of packages of the later suite. Raises `Unavailable`."""
    if not shutil.which("apt-get") or not shutil.which("dpkg"):
        raise Unavailable(f"{', '.join(packages)} of Debian {LATER_SUITE} need apt-get and dpkg")
    target = cache() / LATER_SUITE / "+".join(packages)
    if not target.exists():
        staging = target.with_name(f"{target.name}.{os.getpid()}")
        staging.mkdir(parents=True)
        try:
            options = private_apt(cache() / LATER_SUITE / "apt", LATER_SUITE)
            _run(["apt-get", *options, "download", *packages], staging)
            for package in staging.glob("*.deb"):
                _run(["dpkg", "-x", package.name, "."], staging)
                package.unlink()
            staging.rename(target)
        except OSError:
            if not target.exists():  # else another test run was quicker
                raise
        finally:
            shutil.rmtree(staging, ignore_errors=True)
    return target


def private_apt(folder: Path, suite: str, *kinds: str) -> list[str]:
    """Options that make apt look at a suite and nothing else, and touch nothing of the system's; its lists are fetched.

    `kinds`: deb, deb-src; deb alone if none is given. Raises `Unavailable`.
    """
    address, keyring = mirror()
    for name in ("lists/partial", "cache/archives/partial"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    signed = f"[signed-by={keyring}] " if keyring else ""
    lines = [f"{kind} {signed}{address} {suite} main\n" for kind in kinds or ("deb",)]
    (folder / "sources.list").write_text("".join(lines), encoding="utf-8")
    settings = {
        "Dir::Etc::sourcelist": folder / "sources.list",
        "Dir::Etc::sourceparts": "-",
        "Dir::State::lists": folder / "lists",
        "Dir::Cache": folder / "cache",
        "APT::Sandbox::User": "root",
        "Acquire::Retries": "2",
    }
    options = [word for key, value in settings.items() for word in ("-o", f"{key}={value}")]
    _run(["apt-get", *options, "update"], folder)
    return options


def _run(command: Sequence[str], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise Unavailable(f"{command[0]} {command[-1]} failed: {last}")
