"""A real Slurm cluster: slurmctld, slurmd, slurmdbd on a MariaDB, and slurmrestd, in namespaces of its own.

It lives in a mount, process and host-name namespace, so that ending its first process ends all of it, jobs too. All
that listens does so on 127.0.0.1. A node of 4 processors and 2 GPUs (which are /dev/null and /dev/zero) is there,
another one of 8 is down.
"""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import requests
from tests.support import debian, slurm_packages
from tests.support.slurm_config import NEW, OLD, Generation, configure
from tests.support.slurm_packages import USERS

__all__ = ["NEW", "OLD", "Cluster", "Generation", "start_slurm"]


@dataclass
class Cluster:
    """A running cluster; `stop` ends all of it."""

    generation: Generation
    root: Path
    folder: Path
    ports: Mapping[str, int]
    init: subprocess.Popen[bytes]
    token: str = ""
    daemons: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    session: requests.Session = field(default_factory=requests.Session)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.ports['rest']}"

    @property
    def socket(self) -> Path:
        return self.folder / "rest" / "slurmrestd.sock"

    def stop(self) -> None:
        self.session.close()
        with suppress(ProcessLookupError):
            os.killpg(self.init.pid, signal.SIGKILL)
        for process in (self.init, *self.daemons.values()):
            process.wait(10)

    # Programs

    def command(self, *command: str, user: str = "games", **environment: str) -> list[str]:
        """A command line that runs `command` inside."""
        space = f"/proc/{self.init.pid}/ns"
        settings = {"PATH": "/usr/sbin:/usr/bin", "HOME": "/srv", "SLURM_CONF": "/srv/slurm.conf", **environment}
        return [
            *("nsenter", f"--mount={space}/mnt", f"--uts={space}/uts", f"--pid={space}/pid_for_children"),
            *("chroot", f"--userspec={USERS[user][0]}:{USERS[user][1]}", str(self.root), "/usr/bin/env", "-i"),
            *(f"{name}={value}" for name, value in settings.items()),
            *command,
        ]

    def ask(self, *command: str, **environment: str) -> str:
        """What one of Slurm's own programs says."""
        line = self.command(*command, **environment)
        done = subprocess.run(line, capture_output=True, text=True, timeout=30, check=False)
        assert done.returncode == 0, f"{command}: {done.stderr}"
        return done.stdout.strip()

    def start(self, name: str, *command: str, user: str = "games", **environment: str) -> None:
        """Start a daemon; `name` is what `end` and its log are called by."""
        with (self.folder / f"{name}.log").open("ab") as out:
            self.daemons[name] = subprocess.Popen(
                self.command(*command, user=user, **environment), stdout=out, stderr=out, stdin=subprocess.DEVNULL
            )

    def end(self, name: str) -> None:
        """End a daemon that `start` started, and wait until it has ended."""
        process = self.daemons.pop(name)
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        for pid in (int(child) for child in children):
            os.kill(pid, signal.SIGTERM)
        try:
            process.wait(3)
        except subprocess.TimeoutExpired:
            for pid in (int(child) for child in children):
                os.kill(pid, signal.SIGKILL)
            process.wait(10)

    def start_controller(self) -> None:
        self.start("slurmctld", "slurmctld", "-D")

    def start_database(self) -> None:
        """Start slurmdbd and wait until it is ready."""
        log = self.folder / "slurmdbd.log"
        before = log.read_text().count(" started") if log.exists() else 0
        self.start("slurmdbd", "slurmdbd", "-D")
        self.wait_until(lambda: log.read_text().count(" started") > before, "slurmdbd")

    # Jobs

    def submit(self, name: str, script: str, *options: str) -> int:
        """Submit a batch job; its id."""
        line = self.command("sbatch", "--parsable", "-J", name, "-o", "/dev/null", "-D", "/tmp", *options)
        text = f"#!/bin/sh\n{script}\n"
        done = subprocess.run(line, input=text, capture_output=True, text=True, timeout=30, check=False)
        assert done.returncode == 0, f"sbatch {name}: {done.stderr}"
        return int(done.stdout.split(";")[0])

    def queue(self) -> dict[str, str]:
        """What squeue says: job → state; finished jobs too, as long as slurmctld has them."""
        lines = self.ask("squeue", "-h", "-a", "-r", "-t", "all", "-o", "%i %T").splitlines()
        return dict(line.split() for line in lines)  # type: ignore[misc]

    def wait_for(self, states: Mapping[int | str, str], within: float = 45.0) -> None:
        """Wait until squeue says these states."""
        wanted = {str(job): state for job, state in states.items()}
        self.wait_until(lambda: wanted.items() <= self.queue().items(), str(wanted), within)

    def accounted(self) -> dict[str, tuple[str, str, str, str]]:
        """What sacct says: job → (state, eligible, start, end), times in seconds since the epoch."""
        fields = "jobid,state,eligible,start,end"
        text = self.ask("sacct", "-anXP", "-o", fields, SLURM_TIME_FORMAT="%s")
        rows = [line.split("|") for line in text.splitlines()]
        return {row[0]: (row[1].split()[0], row[2], row[3], row[4]) for row in rows}

    def wait_until(self, happened: Callable[[], object], what: str, within: float = 30.0) -> None:
        deadline = time.monotonic() + within
        while True:
            with suppress(AssertionError, requests.RequestException):
                if happened():
                    return
            if time.monotonic() > deadline:
                raise AssertionError(f"not within {within:.0f} s: {what}; squeue: {self.queue()}{self.logs()}")
            time.sleep(0.2)

    def logs(self) -> str:
        return "".join(f"\n--- {p.name}\n{p.read_text()[-1500:]}" for p in sorted(self.folder.glob("*.log")))

    # REST

    def get(self, path: str, **params: str) -> requests.Response:
        headers = {"X-SLURM-USER-NAME": "watcher", "X-SLURM-USER-TOKEN": self.token}
        return self.session.get(self.url + path, params=params, headers=headers, timeout=30)


def start_slurm(generation: Generation, folder: Path, *, accounting: bool = True, min_job_age: int = 300) -> Cluster:
    """Start a cluster and wait until it runs jobs. Raises `debian.Unavailable`, or `AssertionError` with its logs."""
    root = slurm_packages.root(generation.suite)
    ports = dict(zip(("ctld", "slurmd", "dbd", "sql", "rest"), _free_ports(5), strict=True))
    storage = "slurmdbd" if accounting else "none"
    configure(generation, root, folder, {**ports, "min_job_age": min_job_age, "accounting": storage})
    cluster = Cluster(generation, root, folder, ports, _namespaces(root, folder))
    try:
        if accounting:
            _start_accounting(cluster)
        cluster.start_controller()
        cluster.start("slurmd", "slurmd", "-D", "-N", "node")
        cluster.wait_until(lambda: "idle" in cluster.ask("sinfo", "-h", "-n", "node", "-o", "%t"), "an idle node")
        cluster.token = cluster.ask("scontrol", "token", "username=watcher", "lifespan=36000").partition("=")[2]
        listen = (f"127.0.0.1:{ports['rest']}", "unix:/srv/rest/slurmrestd.sock")
        rest = ("slurmrestd", "-a", "rest_auth/jwt", "-s", ",".join(generation.plugins[: 1 + accounting]))
        cluster.start("slurmrestd", *rest, *listen, user="rest", SLURM_JWT="daemon")
        ping = f"/slurm/{generation.newest_api}/ping"
        cluster.wait_until(lambda: cluster.get(ping).status_code == 200, "an answer of slurmrestd")
    except BaseException:
        cluster.stop()
        raise
    return cluster


def _free_ports(count: int) -> list[int]:
    """Different ones, and none of those that the system gives to outgoing connections, of which Slurm makes many."""
    found: list[int] = []
    for port in random.sample(range(20_000, 32_000), 500):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            found.append(port)
        if len(found) == count:
            return found
    raise AssertionError(f"fewer than {count} of 500 ports are free")


def _namespaces(root: Path, folder: Path) -> subprocess.Popen[bytes]:
    # A shell buries the orphans of jobs, without which slurmd takes a job that was killed for alive.
    script = (
        'mount --bind "$1" "$0/srv" && mount -t proc proc "$0/proc" && mount --rbind /sys "$0/sys" && '
        'mount --rbind /dev "$0/dev" && hostname node && while :; do sleep 1000; done'
    )
    command = ["unshare", "--mount", "--uts", "--pid", "--fork", "--kill-child", "sh", "-c", script]
    with (folder / "namespaces.log").open("wb") as out:
        init = subprocess.Popen([*command, str(root), str(folder)], stdout=out, stderr=out, start_new_session=True)
    mounts = Path(f"/proc/{init.pid}/mounts")
    deadline = time.monotonic() + 10
    while init.poll() is None and time.monotonic() < deadline:
        if f"{root}/dev " in mounts.read_text():
            return init
        time.sleep(0.05)
    with suppress(ProcessLookupError):
        os.killpg(init.pid, signal.SIGKILL)
    init.wait()
    raise debian.Unavailable(f"no namespaces can be made here: {(folder / 'namespaces.log').read_text().strip()}")


def _start_accounting(cluster: Cluster) -> None:
    share = f"/usr/share/{cluster.generation.sql.partition('/')[0]}"
    options = [
        *("--no-defaults", "--datadir=/srv/data", f"--lc-messages-dir={share}", "--skip-grant-tables"),
        *(f"--character-sets-dir={share}/charsets", "--pid-file=/srv/mariadb.pid", "--innodb-log-file-size=8M"),
        *("--innodb-buffer-pool-size=16M", "--innodb-flush-log-at-trx-commit=0", "--innodb-lock-wait-timeout=900"),
    ]
    cluster.ask("sh", "-c", f"mariadbd {' '.join(options)} --bootstrap < /srv/tables.sql 2>&1")
    address = ("--bind-address=127.0.0.1", f"--port={cluster.ports['sql']}", "--socket=/srv/mariadb.sock")
    cluster.start("mariadbd", "mariadbd", *options, *address)
    cluster.wait_until((cluster.folder / "mariadb.sock").exists, "a database")
    cluster.start_database()
