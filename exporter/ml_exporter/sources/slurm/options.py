"""What a user may say about a Slurm cluster, and what of its jobs is looked at."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from typing import Literal

from ml_exporter.errors import ConfigError
from ml_exporter.model import Pipeline
from ml_exporter.reading import SchedulerOptions, chosen
from ml_exporter.sources.slurm.jobs import Job
from ml_exporter.sources.slurm.memory import PING_EVERY

LONGEST_STRIPPED = 256
"""Characters: a longer name is left as it is, since a regular expression may take ages on it."""

Aspect = Literal["account", "comment", "partition", "user", "none"]


@dataclass(frozen=True, slots=True)
class Options(SchedulerOptions):
    """Settings of a source of kind slurm."""

    slurmdb: bool = True
    """Read the history of jobs from slurmdbd, where slurmrestd offers it."""
    cluster: str = ""
    """The cluster's name in slurmdbd, where slurmctld's replies do not tell it."""
    strip: tuple[str, ...] = ()
    """Regular expressions; what they match in a job's name is left out of the pipeline's."""
    qualify: Literal["account", "partition", "user", "none"] = "none"
    """What of a job is put before its name, as in `account/name`."""
    accounts: tuple[str, ...] = ("*",)
    """Accounts whose jobs are watched, with wildcards; the account of a job without one is empty."""
    tag: Aspect = "account"
    """What of a job may name the service that its pipeline belongs to."""

    @property
    def heartbeats_every(self) -> float:
        return PING_EVERY


class View:
    """The jobs of one source as pipelines. Raises `ConfigError` for a `strip` that is no regular expression."""

    def __init__(self, source: str, options: Options) -> None:
        self.source = source
        self.options = options
        self._patterns = [_compiled(number, text) for number, text in enumerate(options.strip)]

        # A listing names the same pipelines again and again.
        self._named = functools.lru_cache(maxsize=20_000)(self._name)

    def pipeline(self, job: Job) -> Pipeline:
        return self._named(job.name, _aspect(job, self.options.qualify))[0]

    def watches(self, job: Job) -> bool:
        wanted = self._named(job.name, _aspect(job, self.options.qualify))[1]
        return wanted and chosen(job.account, self.options.accounts, ())

    def _name(self, of_job: str, before: str) -> tuple[Pipeline, bool]:
        name = of_job
        for pattern in self._patterns if len(name) <= LONGEST_STRIPPED else ():
            name = pattern.sub("", name)
        name = name.strip() or of_job
        pipeline = Pipeline(self.source, f"{before}/{name}" if before else name)
        return pipeline, self.options.wants(pipeline.name)

    def tag(self, job: Job) -> str:
        return _aspect(job, self.options.tag)


def _compiled(number: int, text: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except re.error as error:
        raise ConfigError(f"strip[{number}]: found {text!r}; allowed is a regular expression ({error})") from None


def _aspect(job: Job, which: Aspect) -> str:
    match which:
        case "account":
            return job.account
        case "comment":
            return job.comment
        case "partition":
            return ",".join(job.partitions[:1])
        case "user":
            return job.user
    return ""
