"""Game days: faults are put into a demo stack, and somebody looks whether the right person is told in time."""

from __future__ import annotations


def main(arguments: list[str] | None = None) -> int:
    """Exit code: 0 if all scenarios pass, 1 if one fails, 2 if something has to be installed first."""
    from ml_exporter.gameday.command import main as run  # only now: the stand-in of the scheduler needs none of it

    return run(arguments)
