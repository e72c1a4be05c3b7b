"""Slurm: the jobs of one name are a pipeline, an array job is one run.

A poll reads all jobs that slurmctld has (it has no pages, and answers "no change" if nothing happened); now and then,
what slurmdbd has of jobs that ended since it was last read, the nodes, and a ping.
"""

from __future__ import annotations

from ml_exporter.model import Cursor, Pipeline
from ml_exporter.ports import Auth, Poll, Source
from ml_exporter.sources.slurm.memory import Memory
from ml_exporter.sources.slurm.options import Options, View
from ml_exporter.sources.slurm.poll import SlurmPoll


def auth(options: Options) -> Auth:
    """A JSON Web Token, and the name of the user that it is for."""
    return Auth(token_header="X-SLURM-USER-TOKEN", user_header="X-SLURM-USER-NAME")  # noqa: S106 — a header's name


def create(name: str, options: Options, url: str) -> Source:
    """The source `name`. Raises `ConfigError` for a `strip` that is no regular expression."""
    return SlurmSource(View(name, options))


class SlurmSource:
    """One cluster."""

    queue_times = True

    def __init__(self, view: View) -> None:
        self.view = view
        self.memory = Memory()

    def poll(self, cursor: Cursor, now: float) -> Poll:
        yield from SlurmPoll(self.view, self.memory, cursor, now).run()

    def run_url(self, pipeline: Pipeline, pipeline_id: str | None, run_id: str) -> str | None:
        """Slurm has no pages."""
        return None

    def pipeline_url(self, pipeline: Pipeline, pipeline_id: str | None) -> str | None:
        return None

    def home_url(self) -> str | None:
        return None
