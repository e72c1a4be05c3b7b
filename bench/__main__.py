"""`python -m bench` runs all benchmarks, `python -m bench NAME …` one of them with its options."""

from __future__ import annotations

import importlib
import os
import platform
import sys

NAMES = ("render", "scrape", "start", "poll", "schedulers", "probes", "alarms", "slos", "dashboards")


def main(arguments: list[str]) -> int:
    """Run what is named, else all; the exit code is 2 for a name that is not there."""
    if arguments and arguments[0] not in NAMES:
        print(f"bench: found '{arguments[0]}'; allowed are {', '.join(NAMES)}", file=sys.stderr)
        return 2
    print(f"{os.cpu_count()} cores, Python {platform.python_version()}, load {os.getloadavg()[0]:.1f}")
    for name in arguments[:1] or NAMES:
        importlib.import_module(f"bench.{name}").main(arguments[1:])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
