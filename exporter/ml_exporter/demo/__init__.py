"""The whole stack on one machine, without Docker: `ml-exporter demo`."""

from __future__ import annotations


def main(arguments: list[str] | None = None) -> int:
    """Exit code: 0, 1 if a part failed, 2 if something has to be installed first."""
    from ml_exporter.demo import command  # only now: the receiver and the pipelines of Compose need none of it

    return command.main(arguments)
