"""Runs one program and ends it, with all it started, when whoever holds our standard input goes away.

Run as a file, so that it starts in a few milliseconds: `python -IS leash.py GRACE PROGRAM ARGUMENTS`, GRACE in
seconds between SIGTERM and SIGKILL. Our input is a pipe that the demo never writes to: it closes when the demo dies,
even by SIGKILL. SIGTSTP stops the program where it is, as a machine that hangs would, and SIGCONT lets it go on.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import subprocess
import sys
import time

_PR_SET_PDEATHSIG = 1


def _die_with_the_leash() -> None:
    """In the child: SIGKILL when the leash itself is killed. Linux only; elsewhere the pipe has to do."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _signal_group(group: int, number: int) -> bool:
    """False when nobody is left in the group; 0 only asks."""
    with contextlib.suppress(PermissionError):  # macOS says so of a group of zombies
        try:
            os.killpg(group, number)
        except ProcessLookupError:
            return False
    return True


def _end(child: subprocess.Popen[bytes], grace: float) -> None:
    """SIGTERM, then SIGKILL, to the whole group: the child may be gone and its own children not."""
    deadline = time.monotonic() + grace
    alive = _signal_group(child.pid, signal.SIGTERM)
    _signal_group(child.pid, signal.SIGCONT)  # one that is stopped would not hear it
    while alive and time.monotonic() < deadline:
        time.sleep(0.05)
        child.poll()
        alive = _signal_group(child.pid, 0)
    _signal_group(child.pid, signal.SIGKILL)
    child.wait()


_ENDING = (signal.SIGTERM, signal.SIGINT)
_PAUSING = {signal.SIGTSTP: signal.SIGSTOP, signal.SIGCONT: signal.SIGCONT}
"""What we are told → what the program's group gets."""


def _told() -> int:
    """A descriptor that gives a byte, the number of the signal, for each that we are told by.

    No handler raises: an exception could strike while the program is being started, or a second one while it is being
    ended, and then nobody would end it.
    """
    readable, writable = os.pipe()
    os.set_blocking(writable, False)
    signal.set_wakeup_fd(writable)
    for number in (*_ENDING, *_PAUSING):
        signal.signal(number, lambda *_: None)
    return readable


def _obey(told: int, group: int) -> bool:
    """Whether we were told to end; the program is stopped or goes on, as we were told."""
    for number in os.read(told, 4096):
        if number in _ENDING:
            return True
        _signal_group(group, _PAUSING[signal.Signals(number)])
    return False


def main(grace: float, arguments: list[str]) -> int:
    """Exit code: the program's own, or 128 + its signal, as a shell has it."""
    told = _told()
    child = subprocess.Popen(  # noqa: S603 - the program is the caller's choice
        arguments,
        stdin=subprocess.DEVNULL,
        process_group=0,
        preexec_fn=_die_with_the_leash,  # noqa: PLW1509 - there are no threads here
    )
    while child.poll() is None:
        readable = select.select([0, told], [], [], 0.5)[0]
        if (told in readable and _obey(told, child.pid)) or (0 in readable and not os.read(0, 1)):
            break
    _end(child, grace)
    return child.returncode if child.returncode >= 0 else 128 - child.returncode


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]), sys.argv[2:]))
