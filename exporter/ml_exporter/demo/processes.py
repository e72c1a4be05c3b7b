"""Starts programs so that none outlives us, whatever ends us, and waits for what they should do."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from ml_exporter.demo import leash
from ml_exporter.errors import MlExporterError

_LEASH = Path(leash.__file__)


class NotReadyError(MlExporterError):
    """A program ended early or something did not happen in time; the text holds the last lines of its log."""


class Process:
    """A running program, in a session of its own, on a leash."""

    def __init__(self, name: str, popen: subprocess.Popen[bytes], log: Path, grace: float) -> None:
        self.name = name
        self.log = log
        self._grace = grace
        self._popen = popen

    @property
    def pid(self) -> int:
        """Of the leash; the program is its only child."""
        return self._popen.pid

    @property
    def exit_code(self) -> int | None:
        return self._popen.poll()

    def tail(self, lines: int = 15) -> str:
        return "\n".join(self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])

    def terminate(self) -> None:
        """Ask it to end; does not wait."""
        if self.exit_code is None:
            self._popen.send_signal(signal.SIGTERM)

    def freeze(self) -> None:
        """Stop it and all it started where they are, as a machine that hangs would; does not wait."""
        self._popen.send_signal(signal.SIGTSTP)

    def thaw(self) -> None:
        """Let it go on."""
        self._popen.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        """End it and all it started, by SIGTERM and, after the grace, SIGKILL; returns when it is gone."""
        self.terminate()
        try:
            self._popen.wait(self._grace + 30)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            self._popen.wait()
        if self._popen.stdin:
            self._popen.stdin.close()


def start(
    name: str,
    arguments: Sequence[str | Path],
    *,
    log: Path,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    ready_url: str | None = None,
    timeout: float = 60.0,
    grace: float = 8.0,
) -> Process:
    """Start a program with its output in `log`; with `ready_url`, return when that answers 200.

    `env` is added to our own environment; `grace` is the time, in seconds, between SIGTERM and SIGKILL when it is
    stopped. Raises `NotReadyError`, with the program stopped, after `timeout` seconds.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        popen = subprocess.Popen(  # noqa: S603 - the program is the caller's choice
            [sys.executable, "-IS", _LEASH, str(grace), *arguments],
            cwd=cwd,
            env={**os.environ, **(env or {})},
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    process = Process(name, popen, log, grace)
    if ready_url:
        try:
            wait_until(lambda: answers(ready_url), timeout, f"{ready_url} answers", watch=[process])
        except BaseException:
            process.stop()
            raise
    return process


def stop_all(processes: Iterable[Process]) -> None:
    """Ask all at once, then wait for each."""
    processes = list(processes)
    for process in processes:
        process.terminate()
    for process in processes:
        process.stop()


def wait_until(
    predicate: Callable[[], object], timeout: float, what: str, *, watch: Sequence[Process] = (), every: float = 0.2
) -> None:
    """Return when `predicate()` is true. Raises `NotReadyError` after `timeout` s, or when a watched process ends."""
    deadline = time.monotonic() + timeout
    while not predicate():
        for process in watch:
            if process.exit_code is not None:
                raise NotReadyError(
                    f"{process.name} ended with exit code {process.exit_code} while waiting until {what}; "
                    f"the end of {process.log}:\n{process.tail()}"
                )
        if time.monotonic() > deadline:
            logs = "".join(f"\n--- the end of {process.log}:\n{process.tail()}" for process in watch)
            raise NotReadyError(f"waited {timeout:g} s in vain until {what}{logs}")
        time.sleep(every)


def get(url: str, timeout: float = 5.0) -> bytes | None:
    """The body of a 200 answer; None for any other answer, or none."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=timeout)
    try:
        connection.request("GET", parts.path + (f"?{parts.query}" if parts.query else ""))
        response = connection.getresponse()
        body = response.read()
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
    return body if response.status == 200 else None


def answers(url: str) -> bool:
    """True when a GET answers 200."""
    return get(url) is not None


def free_port(preferred: int = 0) -> int:
    """The preferred TCP port on 127.0.0.1 if nobody has it, else any free one."""
    for port in (preferred, 0):
        with socket.socket() as candidate:
            candidate.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                candidate.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(candidate.getsockname()[1])
    raise OSError("no free TCP port on 127.0.0.1")
