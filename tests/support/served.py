"""What all real model servers have in common: when they are ready, what they say of themselves, and how they end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TypeVar

import pytest
import requests
from tests.support.debian import Unavailable
from tests.support.programs import Process
from tests.support.served_models.control import Control

T = TypeVar("T")


@contextmanager
def served(start: Callable[[Path], AbstractContextManager[T]], folders: pytest.TempPathFactory) -> Iterator[T]:
    """A server until the end of the block. Skips the test, with the reason, if it cannot be had."""
    try:
        with start(folders.mktemp("served")) as server:
            yield server
    except Unavailable as reason:
        pytest.skip(str(reason))


@contextmanager
def ended(control: Control, process: Process) -> Iterator[None]:
    """At the end of the block the server ends, by itself where its model hangs."""
    try:
        yield
    finally:
        control.set("ok")
        process.stop()


def metrics(url: str) -> str:
    """What a server says of itself, as Prometheus would read it."""
    answer = requests.get(url, timeout=10)
    answer.raise_for_status()
    return answer.text


def answers(url: str) -> bool:
    """Whether it answers 200; while nobody listens it does not."""
    try:
        return requests.get(url, timeout=2).status_code == 200
    except requests.ConnectionError:
        return False
