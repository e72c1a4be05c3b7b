"""The generations of Slurm that tests run, and the configuration of a small cluster of each."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.support.slurm_packages import USERS

SLURM_CONF = """\
ClusterName=lab
SlurmctldHost=node(127.0.0.1)
SlurmctldPort={ctld}
SlurmdPort={slurmd}
SlurmUser=games
SlurmdUser=games
AuthType=auth/none
CredType=cred/none
AuthAltTypes=auth/jwt
AuthAltParameters=jwt_key=/srv/jwt.key
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
StateSaveLocation=/srv/state
SlurmdSpoolDir=/srv/spool
SlurmctldPidFile=/srv/slurmctld.pid
SlurmdPidFile=/srv/slurmd.pid
ProctrackType=proctrack/pgid
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=sched_interval=1,bf_interval=1,defer
ScronParameters=enable
KillWait=1
MinJobAge={min_job_age}
GresTypes=gpu
ReturnToService=2
SlurmdParameters=config_overrides
AccountingStorageType=accounting_storage/{accounting}
AccountingStorageHost=127.0.0.1
AccountingStoragePort={dbd}
NodeName=node NodeAddr=127.0.0.1 CPUs=4 RealMemory=1000 Gres=gpu:2 State=UNKNOWN
NodeName=gone NodeAddr=127.0.0.1 Port=1 CPUs=8 RealMemory=1000 Gres=gpu:2 State=DOWN
PartitionName=main Nodes=node,gone Default=YES MaxTime=60 State=UP
PartitionName=small Nodes=node MaxTime=60 State=UP
"""
GRES_CONF = "NodeName=node,gone Name=gpu File=/dev/null\nNodeName=node,gone Name=gpu File=/dev/zero\n"
SLURMDBD_CONF = """\
AuthType=auth/none
AuthAltTypes=auth/jwt
AuthAltParameters=jwt_key=/srv/jwt.key
DbdHost=localhost
DbdAddr=127.0.0.1
DbdPort={dbd}
SlurmUser=games
PidFile=/srv/slurmdbd.pid
CommunicationParameters=NoInAddrAny
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort={sql}
StorageUser=slurm
StoragePass=slurm
StorageLoc=slurm
"""


@dataclass(frozen=True)
class Generation:
    """A Slurm that Debian has, and how it differs."""

    suite: str
    version: str
    newest_api: str
    plugins: tuple[str, str]
    """What slurmrestd is to load for slurmctld, and for slurmdbd."""
    cgroup_conf: str
    sql: str
    """Where MariaDB's own tables are described."""


OLD = Generation(
    "bookworm", "22.05", "v0.0.38", ("openapi/v0.0.38", "openapi/dbv0.0.38"), "CgroupAutomount=no\n", "mysql/mysql"
)
NEW = Generation("forky", "26.05", "v0.0.45", ("slurmctld", "slurmdbd"), "CgroupPlugin=disabled\n", "mariadb/mariadb")


def configure(generation: Generation, root: Path, folder: Path, values: Mapping[str, object]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    tables = (root / f"usr/share/{generation.sql}_system_tables.sql").read_text(errors="replace")
    files = {
        "slurm.conf": SLURM_CONF.format(**values),
        "gres.conf": GRES_CONF,
        "cgroup.conf": generation.cgroup_conf,
        "slurmdbd.conf": SLURMDBD_CONF.format(**values),
        "tables.sql": f"create database mysql;\nuse mysql;\n{tables}",
    }
    for name, text in files.items():
        (folder / name).write_text(text)
    (folder / "jwt.key").write_bytes(secrets.token_bytes(32))
    for name in ("state", "spool", "data", "rest"):
        (folder / name).mkdir()
    for path in (folder, *folder.iterdir()):
        os.chown(path, *USERS["games"])
    os.chown(folder / "rest", *USERS["rest"])
    folder.chmod(0o755)
    for name in ("jwt.key", "slurmdbd.conf"):
        (folder / name).chmod(0o600)
